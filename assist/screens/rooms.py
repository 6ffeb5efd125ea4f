"""The hub's rooms of one call: that of its agent's page, and that of everybody who reads along."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from pydantic import BaseModel

from overlay.hub import Hub
from overlay.messages import Call

READERS_KEYS = ("told", "heard/")
"""The keys, or how they begin, that only whoever reads along is shown: an agent's room never holds one."""


def room_of(agent: str) -> str:
    """The room of an agent's page."""
    return f"agent/{agent}"


def address_of(agent: str) -> str:
    """The URL path of an agent's page; a name that no path can hold (a slash, only dots) goes into the query."""
    named = quote(agent, safe="")
    return f"/agent?agent={named}" if "/" in agent or agent in (".", "..") else f"/agent/{named}"


@dataclass(frozen=True, slots=True)
class Rooms:
    """The two rooms in which one call is shown; its row of the board is not among them.

    The agent's page shows the agent's newest live call, and a replay only while there is no other.
    """

    hub: Hub
    agent_room: str
    call_room: str
    in_background: bool = False
    """The agent's page goes on showing another call when this one begins."""
    _agent_messages: dict[str, BaseModel] = field(default_factory=dict)
    """The messages for the agent alone by key; kept also while the page shows another call."""

    def begin(self, call: Call) -> None:
        """Show the call, on a cleared agent's page unless it begins in the background."""
        self._agent_messages["call"] = call
        if not self.in_background:
            self.hub.clear(self.agent_room)
            self.hub.show(self.agent_room, "call", call)
        self.hub.show(self.call_room, "call", call)

    def show_again(self) -> None:
        """The agent's page shows this call again, in its current state."""
        self.hub.clear(self.agent_room)
        shared = [key for key in self.hub.snapshot(self.call_room) if not key.startswith(READERS_KEYS)]
        shown = {key: self.hub.latest(self.call_room, key) for key in shared}
        for key, message in {**shown, **self._agent_messages}.items():
            if message is not None:
                self.hub.show(self.agent_room, key, message)

    @property
    def current(self) -> tuple[str, ...]:
        """The rooms that show this call now: the agent's may show another one."""
        current = self.hub.latest(self.agent_room, "call")
        is_on_agent_page = isinstance(current, Call) and self.call_room == f"call/{current.call}"
        return (self.agent_room, self.call_room) if is_on_agent_page else (self.call_room,)

    def show(self, key: str, message: BaseModel) -> None:
        """Show a message to the agent and to whoever reads along."""
        for room in self.current:
            self.hub.show(room, key, message)

    def drop(self, key: str) -> None:
        """Drop a key from both rooms."""
        for room in self.current:
            self.hub.drop(room, key)

    def show_to_agent(self, key: str, message: BaseModel) -> None:
        """Show a message to the agent alone."""
        self._agent_messages[key] = message
        if self.agent_room in self.current:
            self.hub.show(self.agent_room, key, message)

    def drop_from_agent(self, *keys: str) -> None:
        """Drop keys from the agent's page alone."""
        is_on_agent_page = self.agent_room in self.current
        for key in keys:
            self._agent_messages.pop(key, None)
            if is_on_agent_page:
                self.hub.drop(self.agent_room, key)
