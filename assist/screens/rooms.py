"""The hub's rooms for one call: its agent's page, and everybody who reads along."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from overlay.hub import Hub


def room_of(agent: str) -> str:
    """The room of an agent's page, in a call or waiting for one."""
    return f"agent/{agent}"


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where one call is shown; the board is another matter."""

    hub: Hub
    agent: str
    call: str

    def show(self, key: str, message: BaseModel) -> None:
        """To the agent and to whoever reads along."""
        for room in (self.agent, self.call):
            self.hub.show(room, key, message)

    def drop(self, key: str) -> None:
        """In both rooms."""
        for room in (self.agent, self.call):
            self.hub.drop(room, key)
