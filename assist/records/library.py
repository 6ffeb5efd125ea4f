"""Finished calls for the review page: search, view, mark, comment. Every view is logged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from assist.access.audit import Audit
from assist.errors import AssistError
from assist.privacy.typed_text import mask_card_numbers
from assist.records import report_page
from assist.records.export import end_of_day
from assist.records.page import page
from assist.records.record import IncidentRecord, read_record
from assist.records.report import MIN_AGENTS, teams_to_show
from assist.records.reporting import report_from_store
from assist.records.trends import monday, trends
from assist.records.wrapup import effective_reviews, last_note, with_reviews
from assist.settings import KeepSettings
from assist.store.recordings import Recordings, StoredRecording
from assist.store.rows import NON_REVIEW_KINDS, VERDICT_KINDS, Review, stamp, verdicts
from assist.store.searching import RecordQuery, SortKey, sort_key
from assist.store.store import Store
from assist.wording import clock
from detectors.signals import SIGNAL_IDS
from overlay.errors import OverlayError
from overlay.identity import Identity
from overlay.records import (
    Answer,
    Filters,
    Found,
    Marking,
    PlayableSound,
    Question,
    Recording,
    RecordNote,
    RecordSummary,
    RecordView,
    ReportQuery,
    SavedView,
    Trends,
    TrendsQuery,
    unknown_record,
)

ANSWER_KIND = "answer"
MAX_VIEWS = 50


class Library:
    """The store behind the review page's protocol (overlay/records.py)."""

    def __init__(
        self,
        store: Store,
        questions: Sequence[Question] = (),
        audit: Audit | None = None,
        recordings: Recordings | None = None,
        keep: KeepSettings | None = None,
        login_name: Callable[[str], str] = str,
    ) -> None:
        self._store = store
        self._login_name = login_name
        """Spelling of a name -> the name that person logs in with: an earlier call may spell it otherwise."""
        self._recordings = recordings
        self._keep = keep or KeepSettings()
        self._last_played: dict[str, tuple[str, date]] = {}
        """Who -> the call they played last, and the day, to log it once: players request many parts of it."""
        self._audit = audit
        self._questions = {question.id: question for question in questions}
        self._marking = asyncio.Lock()
        """Held from the look at what is marked until the mark is stored: of two people at once, one is told."""

    async def search(self, who: Identity, filters: Filters) -> Found:
        """The records that match the filters."""
        since = filters.since.isoformat() if filters.since else ""
        if filters.days:
            earliest = datetime.now() - timedelta(days=filters.days)
            since = max(since, earliest.astimezone().isoformat(timespec="seconds"))  # the format of `started_at`
        query = RecordQuery(
            words=filters.words,
            level=filters.level,
            since=since,
            before=end_of_day(filters.until or None),
            team=filters.team,
            signal=filters.signal,
            outcome=filters.outcome,
            root_cause=filters.root_cause,
            contested=filters.marks == "contested",
            reviewed={"reviewed": True, "unreviewed": False}.get(filters.marks),
            wrong=filters.marks == "wrong",
            worst_first=filters.order == "worst",
            after=_position(filters.after),
            limit=filters.limit + 1,  # one more than asked, to know whether there are more
        )
        if self._audit is not None:
            self._audit.note(who.who, who.role, "search")
        return await asyncio.to_thread(self._search, query, filters.agent)

    async def get(self, who: Identity, record: str) -> RecordView:
        """One record in full; the view is logged."""
        view = await asyncio.to_thread(self._get, who, record)
        await self._write_audit(who, "look", record)
        return view

    async def mark(self, who: Identity, record: str, mark: Marking) -> int:
        """Store a verdict on a signal or prompt; returns how many of the call are marked wrong now."""
        async with self._marking:
            await asyncio.to_thread(self._check_mark, record, mark)
            await self._add(record, Review(stamp(), who.who, mark.kind, mark.target, mark.verdict))
        return await asyncio.to_thread(lambda: _wrong_count(self._body(record), self._store.reviews(record)))

    async def note(self, who: Identity, record: str, note: RecordNote) -> None:
        """Store a comment, a missed signal, a contest, the outcome or root cause."""
        if note.signal and note.signal not in SIGNAL_IDS:
            raise OverlayError("signal-unknown", f"There is no signal {note.signal}; load the page again.")
        if (note.at_ms or 0) > (await asyncio.to_thread(self._body, record))["duration_ms"]:
            raise OverlayError("time-unknown", "That is after the end of the call.")
        target = note.signal if note.kind == "missed" else ""
        await self._add(record, Review(stamp(), who.who, note.kind, target, mask_card_numbers(note.text), note.at_ms))

    async def answer(self, who: Identity, record: str, answer: Answer) -> None:
        """Store an answer to a question of the form."""
        question = self._questions.get(answer.question)
        if question is None:
            raise OverlayError("question-unknown", "That question is no longer on the form; load the page again.")
        if answer.answer and answer.answer not in question.answers:
            raise OverlayError("answer-unknown", f"Expected one of: {', '.join(question.answers)}.")
        await self._add(record, Review(stamp(), who.who, ANSWER_KIND, question.id, answer.answer))

    async def sound(self, who: Identity, record: str) -> PlayableSound:
        """The recording as WAV; playing it is logged, once a day for the same call."""
        sound = await asyncio.to_thread(self._sound, record)
        if sound is None:
            raise OverlayError("sound-missing", "No sound was kept of this call, or it has been erased.")
        played = record, date.today()
        if self._last_played.get(who.who) != played:
            await self._write_audit(who, "sound", record)
            self._last_played[who.who] = played
        return PlayableSound("audio/wav", sound.size, sound.wav)

    async def trends(self, who: Identity, asked: TrendsQuery) -> Trends:
        """Weekly counts of calls."""
        return await asyncio.to_thread(self._trends, asked)

    async def report(self, who: Identity, asked: ReportQuery) -> str:
        """The prevention report as a page."""
        try:
            return await asyncio.to_thread(self._report, asked)
        except AssistError as error:
            raise OverlayError(error.code, f"{str(error)[:1].upper()}{str(error)[1:]}.") from None

    async def html(self, who: Identity, record: str) -> str:
        """The record as one self-contained page."""
        return page(await self._export(who, record))

    async def export(self, who: Identity, record: str) -> dict[str, object]:
        """The incident record as JSON, with the wrap-up, marks, missed signals and comments; not with the form."""
        return (await self._export(who, record)).model_dump(mode="json")

    async def agent_of(self, record: str) -> str:
        """Login name of the call's agent; not logged as a view."""
        return self._login_name(str((await asyncio.to_thread(self._body, record))["agent"]))

    async def views(self, who: Identity) -> list[SavedView]:
        """The searches this person has saved, without filters of earlier versions that no longer exist."""
        rows = await asyncio.to_thread(self._store.people.views, who.who)
        return [SavedView(name=name, filters=_known_filters(json.loads(filters))) for name, filters in rows]

    async def save_view(self, who: Identity, view: SavedView) -> None:
        """Save a search under a name."""
        names = {each.name for each in await self.views(who)}
        if len(names | {view.name}) > MAX_VIEWS:
            raise OverlayError("too-many", f"{MAX_VIEWS} searches are saved already; delete one first.")
        filters = view.filters.model_dump_json(exclude_defaults=True, exclude={"after"})
        await asyncio.wrap_future(self._store.people.save_view(who.who, view.name, filters))

    async def delete_view(self, who: Identity, name: str) -> None:
        """Forget a saved search."""
        if name not in {each.name for each in await self.views(who)}:
            raise OverlayError("view-unknown", f"There is no saved search {name}.")
        await asyncio.wrap_future(self._store.people.delete_view(who.who, name))

    def _report(self, asked: ReportQuery) -> str:
        return report_page.page(
            report_from_store(self._store, asked.since or None, asked.until or None, asked.team.strip())
        )

    async def _export(self, who: Identity, record: str) -> IncidentRecord:
        """The record with its reviews applied; the export is logged."""
        body = await asyncio.to_thread(self._body, record)
        reviews = await asyncio.to_thread(self._store.reviews, record)
        await self._write_audit(who, "export", record)
        return with_reviews(read_record(body), reviews)

    async def _write_audit(self, who: Identity, what: str, record: str) -> None:
        if self._audit is not None:
            await asyncio.wrap_future(self._audit.note(who.who, who.role, what, record))

    def _search(self, query: RecordQuery, agent: str) -> Found:
        if agent:
            query = replace(query, agents=self._spellings(agent))
        digests = list(self._store.digests(query))
        shown = digests if query.limit is None else digests[: query.limit - 1]
        said = self._store.reviews_by_call([digest["call"] for digest in shown])
        following = " ".join(map(str, sort_key(shown[-1]))) if len(shown) < len(digests) else ""
        return Found(
            records=[_summary(digest, said.get(digest["call"], [])) for digest in shown],
            total=self._store.count(query) if query.after is None else None,
            next=following,
        )

    def _spellings(self, agent: str) -> list[str]:
        """All spellings of an agent's name in the records; the name itself where it is in none."""
        person = {name: self._login_name(name) for name in self._store.agents()}  # never of what was only typed
        return [name for name in person if person[name] == person.get(agent, agent)] or [agent]

    def _get(self, who: Identity, record: str) -> RecordView:
        body = self._body(record)
        reviews = self._store.reviews(record)
        self._store.review(record, Review(stamp(), who.who, "looked")).result()
        before, note = read_record(body), last_note(reviews)
        now = with_reviews(before, reviews).model_copy(update={"notes": before.notes})
        looks = {review.who: review.at for review in reviews if review.kind == "looked"} | {who.who: stamp()}
        return RecordView.model_validate(
            {
                "id": record,
                "record": now.model_dump(mode="json"),
                "marks": [
                    {"kind": kind, "target": target, "verdict": verdict}
                    for (kind, target), verdict in verdicts((), reviews).items()
                ],
                "seen_by": list(looks.items()),
                "notes": [
                    (review.who, review.kind, review.text, review.at_ms)
                    for review in effective_reviews(reviews)
                    if review.kind not in (*VERDICT_KINDS, ANSWER_KIND, *NON_REVIEW_KINDS)
                    and (review.kind != "note" or review == note)
                ],
                "questions": list(self._questions.values()),
                "answers": self._answers(reviews),
                "recording": self._recording(record, before.started_at, before.duration_ms),
            }
        )

    def _sound(self, record: str) -> StoredRecording | None:
        return self._recordings.open(record) if self._recordings is not None else None

    def _recording(self, record: str, started_at: str, duration_ms: int) -> Recording | None:
        sound = None
        with suppress(AssistError):  # the record can be viewed without the keys of its recording
            sound = self._sound(record)
        if sound is None:
            return None
        days = min(self._keep.audio_days, self._keep.transcript_days)
        until = datetime.fromisoformat(started_at).date() + timedelta(days=days)
        return Recording(duration_ms=duration_ms, kept_until=until.isoformat(), peaks=sound.peaks(duration_ms))

    def _answers(self, reviews: list[Review]) -> list[Answer]:
        """The newest answer to each question that is still on the form."""
        last = {review.target: review for review in reviews if review.kind == ANSWER_KIND}
        return [
            Answer(question=review.target, answer=review.text, who=review.who, at=review.at)
            for review in last.values()
            if review.text and review.target in self._questions
        ]

    def _trends(self, asked: TrendsQuery) -> Trends:
        today = date.today()
        since = monday(today) - timedelta(weeks=asked.weeks - 1)
        records = list(self._store.digests(RecordQuery(since=since.isoformat(), limit=None)))
        if asked.team:
            if asked.team not in teams_to_show(records):
                raise OverlayError(
                    "team-small",
                    f"Figures of a team are shown from {MIN_AGENTS} agents up, "
                    f"unless those of fewer than {MIN_AGENTS} others would follow from them.",
                )
            records = [record for record in records if record["team"] == asked.team]
        return trends(records, self._store.reviews_by_call(), today, asked.weeks)

    def _check_mark(self, record: str, mark: Marking) -> None:
        """Raises OverlayError: target-unknown, or marked-since where the verdict is not the one the sender saw."""
        heard = read_record(self._body(record))
        known = {"signal": [each.key for each in heard.signals], "prompt": [each.id for each in heard.prompts]}
        if mark.target not in known[mark.kind]:
            raise OverlayError("target-unknown", "There is no such signal or prompt in this call; load the page again.")
        reviews = self._store.reviews(record)
        now = verdicts((), reviews).get((mark.kind, mark.target), "")
        wanted = "" if mark.verdict == "clear" else mark.verdict
        if mark.was is not None and now not in (mark.was, wanted):
            by = next(each.who for each in reversed(reviews) if (each.kind, each.target) == (mark.kind, mark.target))
            changed = f"marked this {now}" if now else "taken the mark off this"
            raise OverlayError("marked-since", f"{by} has {changed} meanwhile; yours is not stored. Look again.")

    async def _add(self, record: str, review: Review) -> None:
        agent = str((await asyncio.to_thread(self._body, record))["agent"])
        if self._login_name(agent) == review.who:  # as their call spells it
            review = replace(review, who=agent)
        await asyncio.wrap_future(self._store.review(record, review))

    def _body(self, record: str) -> dict[str, Any]:
        body = self._store.record(record)
        if body is None:
            raise unknown_record()
        return body


def _summary(digest: Mapping[str, Any], reviews: Sequence[Review]) -> RecordSummary:
    """One row of the list: the digest of a record with its reviews applied."""
    said = {review.kind: review.text for review in reviews}
    cause = said.get("root-cause") or digest["root_cause"]
    return RecordSummary.model_validate(
        {
            "id": digest["call"],
            "title": cause or f"{digest['agent']}, {clock(digest['duration_ms'])}",
            "agent": digest["agent"],
            "team": digest["team"],
            "started_at": digest["started_at"],
            "duration_ms": digest["duration_ms"],
            "level_reached": digest["level_reached"],
            "outcome": said.get("outcome") or digest["outcome"],
            "root_cause": cause,
            "ended": digest["ended"],
            "signals": sum(signal["times"] for signal in digest["signals"]),
            "prompts": len(digest["prompts"]),
            "wrong": _wrong_count(digest, reviews),
            "reviewed": any(
                review.who != digest["agent"] and review.kind not in NON_REVIEW_KINDS for review in reviews
            ),
            "contested": bool(said.get("contest", digest["contested"])),
        }
    )


def _wrong_count(digest: Mapping[str, Any], reviews: Sequence[Review]) -> int:
    """How many signals and prompts of the call are marked wrong."""
    return [*verdicts(digest["prompts"], reviews).values()].count("wrong")


def _known_filters(filters: dict[str, Any]) -> Filters:
    return Filters.model_validate({name: value for name, value in filters.items() if name in Filters.model_fields})


def _position(after: str) -> SortKey | None:
    """Where the previous page of results ended, from the text that `_search` wrote."""
    if not after:
        return None
    rank, started_at, call = after.split(" ", 2)
    return SortKey(int(rank), started_at, call)
