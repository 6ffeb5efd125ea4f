"""The contract between the server and its pages: every message in either direction, and its JSON Schema.

Server to page: one websocket text message is a JSON array of frames. A frame is one of
    {"type": "hello", "who": W, "role": "agent", "room": R, "beat_ms": B, "again_ms": A}
                                                                  first of all: who the server knows you as; when the
                                                                  connection is lost, reconnect at a random moment
                                                                  within A ms
    {"type": "reset", "room": R}                                  forget what you know of this room
    {"type": "set", "room": R, "key": K, "age": ms, "body": {}}   the newest value of K, `age` ms old
    {"type": "drop", "room": R, "key": K}                         K is gone
    {"type": "beat"}                                              the server is alive (at least every 2 s)
    {"type": "refused", "n": N, "text": "..."}                    your action number N (0: one that has none) was not
                                                                  accepted, in one plain line
Page to server: first {"ticket": "..."}, then one `Do` per message.

Rooms and their keys:
    agent/<agent id>  call, health, consent, level, prompt, next, plan, steps, clock, line/<utterance>, notice/<kind>,
                      notice/message/<n>, notice/answer/<option>, ended, wrapup, practice
    board             row/<call>, alert/<call>-<alert>, duty, quality
    call/<call id>    call, health, consent, level, line/<utterance>, heard/<n>, told; after it: call, ended
A key that is absent is shown as its empty state: no `prompt` is the normal state of a calm call. The newest 40 lines,
20 heard signals, 6 messages and 6 answers of a room are kept (overlay.hub).

Times ending in _ms are call time (milliseconds since the call began) unless said otherwise; `at_ms` is the call time at
which the message was made, from which a page runs its clocks on.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from overlay.doing import DO
from overlay.messages import Message
from overlay.records import Answer, Filters, Marking, RecordNote, RecordSummary, RecordView, SavedView, Trends


def schema() -> dict[str, Any]:
    """JSON Schema of the whole contract: `$defs` holds every message, `properties` says where each one stands."""
    sent: TypeAdapter[Any] = TypeAdapter(Message)
    parts = {
        "answer": Answer.model_json_schema(),
        "body": sent.json_schema(),
        "do": DO.json_schema(),
        "filters": Filters.model_json_schema(),
        "mark": Marking.model_json_schema(),
        "note": RecordNote.model_json_schema(),
        "record": RecordView.model_json_schema(),
        "summary": RecordSummary.model_json_schema(),
        "view": SavedView.model_json_schema(),
        "trends": Trends.model_json_schema(),
    }
    definitions: dict[str, Any] = {}
    for part in parts.values():
        definitions |= part.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages between the screens and their server",
        "properties": parts,
        "$defs": definitions,
    }
