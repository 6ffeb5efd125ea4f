"""The contracts of this program, as JSON Schema."""

from __future__ import annotations

import json

import typer

from assist.commands.app import group

schema_app = group("schema", "JSON Schema of what is sent: messages.")


@schema_app.command("messages")
def schema_messages() -> None:
    """Everything that goes between the pages and their server (also GET /api/schema)."""
    from overlay.contract import schema

    typer.echo(json.dumps(schema(), indent=2))
