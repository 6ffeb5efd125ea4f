"""The hub's rooms for one call: its agent's page, and everybody who reads along."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from pydantic import BaseModel

from overlay.hub import Hub
from overlay.messages import Call


def room_of(agent: str) -> str:
    """The room of an agent's page, in a call or waiting for one."""
    return f"agent/{agent}"


def address_of(agent: str) -> str:
    """The path of an agent's page; a name that no path can hold (with a slash, or dots) stands in its query."""
    named = quote(agent, safe="")
    return f"/agent?agent={named}" if "/" in agent or agent in (".", "..") else f"/agent/{named}"


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where one call is shown; the board is another matter.

    The agent's page shows the agent's newest live call, and a replay only while there is no other.
    """

    hub: Hub
    agent: str
    call: str
    aside: bool = False
    """Another call keeps the agent's page when this one begins."""
    _told: dict[str, BaseModel] = field(default_factory=dict)
    """What is for the agent alone, by key, also while the page shows another call."""

    def begin(self, call: Call) -> None:
        """The call is the agent's now, unless it begins aside: nothing of the one before stays on the page."""
        self._told["call"] = call
        if not self.aside:
            self.hub.clear(self.agent)
            self.hub.show(self.agent, "call", call)
        self.hub.show(self.call, "call", call)

    def come_back(self) -> None:
        """The agent's page shows this call again, as it stands."""
        self.hub.clear(self.agent)
        shown = {key: self.hub.latest(self.call, key) for key in self.hub.snapshot(self.call)}
        for key, message in {**shown, **self._told}.items():
            if message is not None:
                self.hub.show(self.agent, key, message)

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
        self._told[key] = message
        if self.agent in self.all:
            self.hub.show(self.agent, key, message)

    def untell(self, *keys: str) -> None:
        """From the agent's page alone."""
        is_on = self.agent in self.all
        for key in keys:
            self._told.pop(key, None)
            if is_on:
                self.hub.drop(self.agent, key)
