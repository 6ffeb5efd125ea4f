"""Which records are meant by a query, as one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, exists, func, select, text

from assist.store.rows import NO_REVIEW, VERDICTS
from assist.store.schema import digests, records, reviews

_WORST = case({"escalated": 3, "tense": 2, "recovering": 1}, value=records.c.level, else_=0)


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records; empty means any."""

    words: str = ""
    level: str = ""
    since: str = ""
    """ISO 8601: calls that began then or later."""
    before: str = ""
    """ISO 8601: calls that began earlier than this."""
    agent: str = ""
    team: str = ""
    signal: str = ""
    outcome: str = ""
    """A part of it, in the record or as said afterwards."""
    root_cause: str = ""
    """A part of it, in the record or said in review."""
    contested: bool = False
    reviewed: bool | None = None
    """Whether somebody other than the call's agent has said something about it."""
    wrong: bool = False
    """Only those with a signal or prompt whose last verdict is wrong."""
    worst_first: bool = False
    offset: int = 0
    limit: int | None = 50
    """None: all of them."""


def matching(column: Any, query: RecordQuery) -> Select[Any]:
    """That column of the records (or of their digests) that fit, newest or worst first."""
    wanted = select(column).select_from(records.outerjoin(digests, digests.c.call == records.c.call))
    for name, value in (("level", query.level), ("agent", query.agent), ("team", query.team)):
        if value:
            wanted = wanted.where(records.c[name] == value)
    if query.since:
        wanted = wanted.where(records.c.started_at >= query.since)
    if query.before:
        wanted = wanted.where(records.c.started_at < query.before)
    if query.root_cause:
        said = func.coalesce(func.nullif(_said("root-cause"), ""), func.json_extract(digests.c.body, "$.root_cause"))
        wanted = wanted.where(said.contains(query.root_cause, autoescape=True))
    if query.outcome:
        said = func.coalesce(func.nullif(_said("outcome"), ""), records.c.outcome)
        wanted = wanted.where(said.contains(query.outcome, autoescape=True))
    if query.signal:
        wanted = wanted.where(records.c.signal_ids.contains(f" {query.signal} ", autoescape=True))
    if query.contested:
        wanted = wanted.where(func.coalesce(_said("contest") != "", records.c.contested == 1))
    if query.reviewed is not None:
        others = exists().where(
            reviews.c.call == records.c.call, reviews.c.who != records.c.agent, reviews.c.kind.not_in(NO_REVIEW)
        )
        wanted = wanted.where(others if query.reviewed else ~others)
    if query.wrong:
        later = reviews.alias()
        unsaid = ~exists().where(
            *(later.c[same] == reviews.c[same] for same in ("call", "kind", "target")), later.c.n > reviews.c.n
        )
        verdict = reviews.c.kind.in_(VERDICTS), reviews.c.text == "wrong"
        wanted = wanted.where(exists().where(reviews.c.call == records.c.call, *verdict, unsaid))
    if query.words:
        phrase = '"' + query.words.replace('"', " ") + '"'  # a phrase, never the query language of FTS5
        found = text("records.call IN (SELECT call FROM spoken WHERE spoken MATCH :phrase)")
        wanted = wanted.where(found.bindparams(phrase=phrase))
    order = [_WORST.desc()] if query.worst_first else []
    return wanted.order_by(*order, records.c.started_at.desc()).offset(query.offset).limit(query.limit)


def _said(kind: str) -> Any:
    """The last thing of this kind that was said about the call; NULL where nothing was."""
    last = select(reviews.c.text).where(reviews.c.call == records.c.call, reviews.c.kind == kind)
    return last.order_by(reviews.c.n.desc()).limit(1).scalar_subquery()
