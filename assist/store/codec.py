"""Encodes events as JSON and decodes them; generic, so that a new event type needs no code here."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from assist.errors import AssistError, first_problem
from assist.events import Event

EVENT_TYPES: dict[str, type[Any]] = {cls.__name__: cls for cls in get_args(Event)}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(EVENT_TYPES[name])


def to_json_value(value: Any) -> Any:
    """A dataclass, mapping or sequence as JSON values (enums are str or int already)."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json_value(item) for item in value]
    return value


def encode(event: Event) -> tuple[str, str]:
    """(type name, fields as one line of JSON) of an event."""
    return type(event).__name__, json.dumps(to_json_value(event), ensure_ascii=False, separators=(",", ":"))


def decode(name: str, body: str) -> Event:
    """The event that `encode` wrote.

    Raises:
        AssistError: code event-unreadable, when the type is unknown or the fields do not fit.
    """
    if name not in EVENT_TYPES:
        raise AssistError("event-unreadable", f"event type {name!r} is not known to this version; update the program")
    try:
        event: Event = _adapter(name).validate_json(body)
    except ValidationError as error:
        place, why = first_problem(error)
        raise AssistError("event-unreadable", f"stored {name} event: {place}: {why}") from None
    return event
