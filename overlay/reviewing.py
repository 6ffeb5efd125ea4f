"""Finished calls over HTTP: search, one record in full, marks, answers, notes, sound, trends, report, saved views."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from overlay.errors import OverlayError
from overlay.guard import body_of, who_of
from overlay.identity import Identity
from overlay.records import (
    Answer,
    Filters,
    Mark,
    Playable,
    RecordNote,
    Records,
    ReportAsked,
    SavedView,
    TrendsAsked,
    ViewName,
    unknown_record,
)

RECORD_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox"
)
"""For a record as one self-contained page: its own style and nothing else, no scripts at all."""
PART_BYTES = 256 << 10
"""Sound is read and sent so much at a time: 8 s of two channels."""
_VIEWS = TypeAdapter(list[SavedView])


class Reviewing:
    """The endpoints of the review page. Which roles reach them stands in overlay.access; here an agent is kept to the
    own calls.
    """

    def __init__(self, records: Records | None, reviewer: str) -> None:
        self._records = records
        self._reviewer = reviewer

    async def search(self, request: Request) -> Response:
        """GET /api/records."""
        who, records = self._reader(request)
        filters = Filters.model_validate(dict(request.query_params))
        if who.role == "agent":
            filters = filters.model_copy(update={"agent": who.who})
        found = await records.search(who, filters)
        return Response(found.model_dump_json(), media_type="application/json")

    async def record(self, request: Request) -> Response:
        """GET /api/records/{record}."""
        who, records = await self._own(request)
        view = await records.get(who, request.path_params["record"])
        if who.role == "agent":  # the form is for those who fill it in
            view = view.model_copy(update={"questions": [], "answers": []})
        return Response(view.model_dump_json(), media_type="application/json")

    async def export(self, request: Request) -> Response:
        """GET /api/records/{record}/export: the incident record as a JSON file."""
        who, records = await self._own(request)
        name = request.path_params["record"]
        body = await records.export(who, name)
        file = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
        return JSONResponse(body, headers={"Content-Disposition": f'attachment; filename="call-{file}.json"'})

    async def html(self, request: Request) -> Response:
        """GET /api/records/{record}/html: the record as one page."""
        who, records = await self._own(request)
        text = await records.html(who, request.path_params["record"])
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": RECORD_POLICY})

    async def sound(self, request: Request) -> Response:
        """GET /api/records/{record}/sound, whole or a range of it."""
        who, records = self._reader(request)
        sound = await records.sound(who, request.path_params["record"])
        return _ranged(sound, request.headers.get("range", ""))

    async def mark(self, request: Request) -> Response:
        """POST /api/records/{record}/marks."""
        who, records = self._reader(request)
        mark = Mark.model_validate_json(await body_of(request))
        return JSONResponse({"wrong": await records.mark(who, request.path_params["record"], mark)})

    async def answer(self, request: Request) -> Response:
        """POST /api/records/{record}/answers."""
        who, records = self._reader(request)
        await records.answer(who, request.path_params["record"], Answer.model_validate_json(await body_of(request)))
        return Response(status_code=204)

    async def note(self, request: Request) -> Response:
        """POST /api/records/{record}/notes."""
        who, records = self._reader(request)
        note = RecordNote.model_validate_json(await body_of(request))
        await self._own(request)
        record = request.path_params["record"]
        # A contest is shown as the agent's own word. Where nobody logs in, agents use this page under no name.
        known = request.state.who is not None
        if note.kind == "contest" and known and await records.agent_of(record) != who.who:
            raise OverlayError("forbidden", "Only the agent of a call contests its record; add a comment.")
        await records.note(who, record, note)
        return Response(status_code=204)

    async def trends(self, request: Request) -> Response:
        """GET /api/trends."""
        who, records = self._reader(request)
        asked = TrendsAsked.model_validate(dict(request.query_params))
        return Response((await records.trends(who, asked)).model_dump_json(), media_type="application/json")

    async def report(self, request: Request) -> Response:
        """GET /report: the prevention report as one page."""
        who, records = self._reader(request)
        asked = ReportAsked.model_validate(dict(request.query_params))
        text = await records.report(who, asked)
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": RECORD_POLICY})

    async def views(self, request: Request) -> Response:
        """GET /api/views: the searches this person has saved."""
        who, records = self._reader(request)
        return Response(_VIEWS.dump_json(await records.views(who)), media_type="application/json")

    async def save_view(self, request: Request) -> Response:
        """POST /api/views: save a search under a name; the same name again replaces it."""
        who, records = self._reader(request)
        await records.save_view(who, SavedView.model_validate_json(await body_of(request)))
        return Response(status_code=204)

    async def delete_view(self, request: Request) -> Response:
        """POST /api/views/delete."""
        who, records = self._reader(request)
        await records.delete_view(who, ViewName.model_validate_json(await body_of(request)).name)
        return Response(status_code=204)

    async def _own(self, request: Request) -> tuple[Identity, Records]:
        """As `_reader`. An agent sees the own calls; others are as if they were not there, and no look is noted."""
        who, records = self._reader(request)
        if who.role == "agent" and await records.agent_of(request.path_params["record"]) != who.who:
            raise unknown_record()
        return who, records

    def _reader(self, request: Request) -> tuple[Identity, Records]:
        """Who asks, and the finished calls."""
        if self._records is None:
            raise OverlayError("records-missing", "No records are kept here; start with a data folder.")
        return who_of(request, self._reviewer), self._records


def _ranged(sound: Playable, asked: str) -> Response:
    """The part of `sound` a player asks for (one range, RFC 9110), so that it can jump without reading it all."""
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    start, end, status = 0, sound.size, 200
    if match is not None and any(match.groups()):
        first, last = match.groups()
        start = int(first) if first else max(0, sound.size - int(last))
        end = min(int(last) + 1, sound.size) if first and last else sound.size
        if start >= end:
            return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{sound.size}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{sound.size}"
        status = 206
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(_parts(sound, start, end), status, media_type=sound.kind, headers=headers)


async def _parts(sound: Playable, start: int, end: int) -> AsyncIterator[bytes]:
    """No more is read ahead than the player takes."""
    for place in range(start, end, PART_BYTES):
        yield await asyncio.to_thread(sound.part, place, min(place + PART_BYTES, end))
