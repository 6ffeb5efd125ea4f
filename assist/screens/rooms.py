"""The hub's rooms for one call: its agent's page, and everybody who reads along."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from overlay.hub import Hub
from overlay.messages import Call


def room_of(agent: str) -> str:
    """The room of an agent's page, in a call or waiting for one."""
    return f"agent/{agent}"


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where one call is shown; the board is another matter. The agent's page shows it until the agent's next call."""

    hub: Hub
    agent: str
    call: str

    def begin(self, call: Call) -> None:
        """The call is the agent's now: nothing of the one before stays on the page."""
        self.hub.clear(self.agent)
        self.hub.show(self.agent, "call", call)
        self.hub.show(self.call, "call", call)

    @property
    def all(self) -> tuple[str, ...]:
        """The rooms that show this call now."""
        current = self.hub.latest(self.agent, "call")
        is_on = isinstance(current, Call) and self.call == f"call/{current.call}"
        return (self.agent, self.call) if is_on else (self.call,)

    def show(self, key: str, message: BaseModel) -> None:
        """To the agent and to whoever reads along."""
        for room in self.all:
            self.hub.show(room, key, message)

    def drop(self, key: str) -> None:
        """From both."""
        for room in self.all:
            self.hub.drop(room, key)

    def tell(self, key: str, message: BaseModel) -> None:
        """To the agent alone."""
        if self.agent in self.all:
            self.hub.show(self.agent, key, message)

    def untell(self, *keys: str) -> None:
        """From the agent's page alone."""
        if self.agent in self.all:
            for key in keys:
                self.hub.drop(self.agent, key)
