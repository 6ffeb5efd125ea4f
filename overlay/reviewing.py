"""Finished calls over HTTP: search, one record in full, marks, answers, notes, sound, trends, report, saved views."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from overlay.errors import OverlayError
from overlay.guard import body_of, person_of
from overlay.identity import Identity
from overlay.records import (
    Answer,
    Filters,
    Marking,
    PlayableSound,
    RecordNote,
    Records,
    ReportQuery,
    SavedView,
    TrendsQuery,
    ViewName,
    unknown_record,
)

RECORD_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox"
)
"""Content security policy of a record as one self-contained page: its own style, no scripts, nothing else."""
READ_BYTES = 256 << 10
"""Bytes of sound read and sent at a time: 8 s of two channels."""
MAX_PLACE_DIGITS = 18
"""Digits of a place in a sound that are read: with so many it is past the end, whatever follows."""
_VIEWS = TypeAdapter(list[SavedView])


class Reviewing:
    """The endpoints of the review page. overlay.access says which roles reach them; agents are kept to their own calls
    here.
    """

    def __init__(self, records: Records | None, reviewer: str) -> None:
        self._records = records
        self._reviewer = reviewer

    async def search(self, request: Request) -> Response:
        """GET /api/records."""
        who, records = self._reader_and_records(request)
        filters = Filters.model_validate(dict(request.query_params))
        if who.role == "agent":
            filters = filters.model_copy(update={"agent": who.who})
        found = await records.search(who, filters)
        return Response(found.model_dump_json(), media_type="application/json")

    async def record(self, request: Request) -> Response:
        """GET /api/records/{record}."""
        who, records = await self._own_record(request)
        view = await records.get(who, request.path_params["record"])
        if who.role == "agent":  # agents do not fill in the review form
            view = view.model_copy(update={"questions": [], "answers": []})
        return Response(view.model_dump_json(), media_type="application/json")

    async def export(self, request: Request) -> Response:
        """GET /api/records/{record}/export: the incident record as a JSON file."""
        who, records = await self._own_record(request)
        name = request.path_params["record"]
        body = await records.export(who, name)
        file = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
        return JSONResponse(body, headers={"Content-Disposition": f'attachment; filename="call-{file}.json"'})

    async def html(self, request: Request) -> Response:
        """GET /api/records/{record}/html: the record as one page."""
        who, records = await self._own_record(request)
        text = await records.html(who, request.path_params["record"])
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": RECORD_PAGE_POLICY})

    async def sound(self, request: Request) -> Response:
        """GET /api/records/{record}/sound, whole or a range of it."""
        who, records = self._reader_and_records(request)
        sound = await records.sound(who, request.path_params["record"])
        return _range_response(sound, request.headers.get("range", ""))

    async def mark(self, request: Request) -> Response:
        """POST /api/records/{record}/marks."""
        who, records = self._reader_and_records(request)
        mark = Marking.model_validate_json(await body_of(request))
        return JSONResponse({"wrong": await records.mark(who, request.path_params["record"], mark)})

    async def answer(self, request: Request) -> Response:
        """POST /api/records/{record}/answers."""
        who, records = self._reader_and_records(request)
        await records.answer(who, request.path_params["record"], Answer.model_validate_json(await body_of(request)))
        return Response(status_code=204)

    async def note(self, request: Request) -> Response:
        """POST /api/records/{record}/notes."""
        who, records = self._reader_and_records(request)
        note = RecordNote.model_validate_json(await body_of(request))
        await self._own_record(request)
        record = request.path_params["record"]
        # A contest is shown as the agent's own. Without a login, agents use this page without a name.
        known = request.state.who is not None
        if note.kind == "contest" and known and await records.agent_of(record) != who.who:
            raise OverlayError("forbidden", "Only the agent of a call contests its record; add a comment.")
        await records.note(who, record, note)
        return Response(status_code=204)

    async def trends(self, request: Request) -> Response:
        """GET /api/trends."""
        who, records = self._reader_and_records(request)
        query = TrendsQuery.model_validate(dict(request.query_params))
        return Response((await records.trends(who, query)).model_dump_json(), media_type="application/json")

    async def report(self, request: Request) -> Response:
        """GET /report: the prevention report as one page."""
        who, records = self._reader_and_records(request)
        query = ReportQuery.model_validate(dict(request.query_params))
        text = await records.report(who, query)
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": RECORD_PAGE_POLICY})

    async def views(self, request: Request) -> Response:
        """GET /api/views: the searches this person has saved."""
        who, records = self._reader_and_records(request)
        return Response(_VIEWS.dump_json(await records.views(who)), media_type="application/json")

    async def save_view(self, request: Request) -> Response:
        """POST /api/views: save a search under a name; the same name again replaces it."""
        who, records = self._reader_and_records(request)
        await records.save_view(who, SavedView.model_validate_json(await body_of(request)))
        return Response(status_code=204)

    async def delete_view(self, request: Request) -> Response:
        """POST /api/views/delete."""
        who, records = self._reader_and_records(request)
        await records.delete_view(who, ViewName.model_validate_json(await body_of(request)).name)
        return Response(status_code=204)

    async def _own_record(self, request: Request) -> tuple[Identity, Records]:
        """As `_reader_and_records`; to an agent calls of others do not exist, and no look at them is noted."""
        who, records = self._reader_and_records(request)
        if who.role == "agent" and await records.agent_of(request.path_params["record"]) != who.who:
            raise unknown_record()
        return who, records

    def _reader_and_records(self, request: Request) -> tuple[Identity, Records]:
        """Who sends the request, and the records.

        Raises:
            OverlayError: records-missing.
        """
        if self._records is None:
            raise OverlayError("records-missing", "No records are kept here; start with a data folder.")
        return person_of(request, self._reviewer), self._records


def _range_response(sound: PlayableSound, range_header: str) -> Response:
    """The part of `sound` a player asks for (one byte range, RFC 9110, section 14), so that it can seek."""
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", range_header)
    start, end, status = 0, sound.size, 200
    if match is not None and any(match.groups()):
        first, last = (digits and (digits.lstrip("0")[:MAX_PLACE_DIGITS] or "0") for digits in match.groups())
        start = int(first) if first else max(0, sound.size - int(last))
        end = min(int(last) + 1, sound.size) if first and last else sound.size
        if start >= end:
            return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{sound.size}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{sound.size}"
        status = 206
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(_read_parts(sound, start, end), status, media_type=sound.media_type, headers=headers)


async def _read_parts(sound: PlayableSound, start: int, end: int) -> AsyncIterator[bytes]:
    """Reads no further ahead than the player receives."""
    for offset in range(start, end, READ_BYTES):
        yield await asyncio.to_thread(sound.read, offset, min(offset + READ_BYTES, end))
