"""What can be set: an example file with every key, and what is in force."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel

from assist.commands.app import ConfigOption, DataOption, console, group
from assist.settings import Settings, load_settings

LONG = 90
"""Letters from which on a list has a line for each of its values."""

settings_app = group("settings", "Settings: an example file with every key; what is in force.")


@settings_app.command("example")
def settings_example() -> None:
    """A settings file with every key, its default and what it is for; every key is commented out."""
    _print(Settings(), off="#")


@settings_app.command("show")
def settings_show(data: DataOption = None, config: ConfigOption = None) -> None:
    """Everything that is in force here, as a settings file."""
    _print(load_settings(config, data=data))


def _print(settings: Settings, *, off: str = "") -> None:
    console.print("\n".join(_lines(settings, off)), soft_wrap=True)


def _lines(table: BaseModel, off: str) -> Iterator[str]:
    """A table as TOML, each key under what it is for, tables after keys; `off` stands before every key."""
    inner: dict[str, BaseModel] = {}
    told = table.model_dump(mode="json")
    for key, field in type(table).model_fields.items():
        if isinstance(value := getattr(table, key), BaseModel):
            inner[key] = value
            continue
        yield f"# {field.description}"
        yield f"# {key}: not set" if value is None else f"{off}{key} = {_value(told[key])}".replace("\n", f"\n{off}")
    for key, each in inner.items():
        yield from ("", f"[{key}]", *_lines(each, off))


def _value(value: object) -> str:
    """A value as TOML; strings as JSON writes them are strings of TOML, but for one sign."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        each = [*map(_value, value)]
        long = sum(map(len, each)) > LONG
        return "\n".join(("[", *(f"  {one}," for one in each), "]")) if long else f"[{', '.join(each)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
