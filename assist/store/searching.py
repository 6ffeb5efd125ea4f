"""Which records are meant by a query, as one statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, case, exists, func, or_, select, text, tuple_

from assist.store.rows import NO_REVIEW, VERDICTS
from assist.store.schema import digests, records, reviews

_RANKS = {"escalated": 3, "tense": 2, "recovering": 1}
_WORST = case(_RANKS, value=records.c.level, else_=0)


class Place(NamedTuple):
    """Where a record stands in either order; no other has the same place, whatever comes or goes."""

    rank: int
    started_at: str
    call: str


def place_of(record: Mapping[str, Any]) -> Place:
    """The place of a record, or of its digest."""
    return Place(_RANKS.get(record["level_reached"], 0), record["started_at"], record["call"])


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
    """Only those with a signal or prompt whose last verdict is wrong, or a prompt that the agent marked wrong."""
    worst_first: bool = False
    after: Place | None = None
    """Only those that come after this one."""
    limit: int | None = 50
    """None: all of them."""


def matching(column: Any, query: RecordQuery) -> Select[Any]:
    """That column of the records (or of their digests) that fit, newest or worst first."""
    key = (
        [_WORST, records.c.started_at, records.c.call] if query.worst_first else [records.c.started_at, records.c.call]
    )
    wanted = _fitting(column, query)
    if query.after is not None:
        wanted = wanted.where(tuple_(*key) < tuple_(*query.after[-len(key) :]))
    return wanted.order_by(*(part.desc() for part in key)).limit(query.limit)


def counting(query: RecordQuery) -> Select[Any]:
    """How many records fit, from the first on and without limit."""
    return _fitting(func.count(), query)


def _fitting(column: Any, query: RecordQuery) -> Select[Any]:
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
        wanted = wanted.where(or_(_marked_wrong(), _wrong_for_the_agent()))
    if query.words:
        phrase = '"' + query.words.replace('"', " ") + '"'  # a phrase, never the query language of FTS5
        found = text("records.call IN (SELECT call FROM spoken WHERE spoken MATCH :phrase)")
        wanted = wanted.where(found.bindparams(phrase=phrase))
    return wanted


def _marked_wrong() -> Any:
    """The last verdict on one of the call's signals or prompts is wrong."""
    later = reviews.alias()
    unsaid = ~exists().where(
        *(later.c[same] == reviews.c[same] for same in ("call", "kind", "target")), later.c.n > reviews.c.n
    )
    verdict = reviews.c.kind.in_(VERDICTS), reviews.c.text == "wrong"
    return exists().where(reviews.c.call == records.c.call, *verdict, unsaid)


def _wrong_for_the_agent() -> Any:
    """The agent marked one of the call's prompts wrong in the call, and no reviewer's verdict stands on it."""
    prompt = func.json_each(digests.c.body, "$.prompts").table_valued("value")
    name, how = (func.json_extract(prompt.c.value, place) for place in ("$.id", "$.how"))
    last = select(reviews.c.text).where(
        reviews.c.call == records.c.call, reviews.c.kind == "prompt", reviews.c.target == name
    )
    verdict = func.coalesce(last.order_by(reviews.c.n.desc()).limit(1).scalar_subquery(), "clear")
    # Few records have one: the others are told apart without being parsed.
    return and_(digests.c.body.contains('"wrong"'), exists().where(how == "wrong", verdict == "clear"))


def _said(kind: str) -> Any:
    """The last thing of this kind that was said about the call; NULL where nothing was."""
    last = select(reviews.c.text).where(reviews.c.call == records.c.call, reviews.c.kind == kind)
    return last.order_by(reviews.c.n.desc()).limit(1).scalar_subquery()
