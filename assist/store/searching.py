"""Queries for incident records, each as one SQL statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, String, and_, case, exists, func, literal_column, or_, select, text, tuple_

from assist.store.rows import NON_REVIEW_KINDS, VERDICT_KINDS
from assist.store.schema import BEGAN, digests, records, reviews

_LEVEL_RANKS = {"escalated": 3, "tense": 2, "recovering": 1}
_BEGAN = literal_column(BEGAN, String)
_RANK = case(_LEVEL_RANKS, value=records.c.level, else_=0)


class SortKey(NamedTuple):
    """Unique position of a record in either order, for keyset pagination: stable whatever is added or erased."""

    rank: int
    began: str
    """In UTC: over a change of the clocks the texts of local times are not in order."""
    call: str


def sort_key(record: Mapping[str, Any]) -> SortKey:
    """The sort key of a record, or of its digest."""
    at = datetime.fromisoformat(record["started_at"])
    began = (at.astimezone(UTC) if at.tzinfo is not None else at).strftime("%Y-%m-%dT%H:%M:%S")
    return SortKey(_LEVEL_RANKS.get(record["level_reached"], 0), began, record["call"])


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Filters for records; empty means any."""

    words: str = ""
    level: str = ""
    since: str = ""
    """ISO 8601: calls that began then or later, by the clock where they were."""
    before: str = ""
    """ISO 8601: calls that began earlier than this."""
    agents: Sequence[str] = ()
    """Any of these: one person's name may be spelt in several ways."""
    team: str = ""
    signal: str = ""
    outcome: str = ""
    """Substring of the outcome: the one of the latest review, or else the record's."""
    root_cause: str = ""
    """Substring of the root cause: the one of the latest review, or else the record's."""
    contested: bool = False
    reviewed: bool | None = None
    """Whether somebody other than the call's agent has reviewed it."""
    wrong: bool = False
    """Only those with a wrong signal or prompt, by `assist.store.rows.verdicts`."""
    offered: bool = False
    """Only those in which a Plan B option was offered or answered."""
    worst_first: bool = False
    after: SortKey | None = None
    """Only those that come after this position."""
    limit: int | None = 50
    """None: all of them."""


def select_records(column: Any, query: RecordQuery) -> Select[Any]:
    """A column of the records that match, or of their digests, newest or worst first."""
    key = [_RANK, _BEGAN, records.c.call] if query.worst_first else [_BEGAN, records.c.call]
    statement = _select_filtered(column, query)
    if query.after is not None:
        statement = statement.where(tuple_(*key) < tuple_(*query.after[-len(key) :]))
    return statement.order_by(*(part.desc() for part in key)).limit(query.limit)


def select_count(query: RecordQuery) -> Select[Any]:
    """How many records match; `limit` and `after` do not count."""
    return _select_filtered(func.count(), query)


def _select_filtered(column: Any, query: RecordQuery) -> Select[Any]:
    statement = select(column).select_from(records.outerjoin(digests, digests.c.call == records.c.call))
    for name, value in (("level", query.level), ("team", query.team)):
        if value:
            statement = statement.where(records.c[name] == value)
    if query.agents:
        statement = statement.where(records.c.agent.in_(query.agents))
    if query.since:
        statement = statement.where(records.c.started_at >= query.since)
    if query.before:
        statement = statement.where(records.c.started_at < query.before)
    if query.root_cause:
        said = func.coalesce(
            func.nullif(_latest_text("root-cause"), ""), func.json_extract(digests.c.body, "$.root_cause")
        )
        statement = statement.where(said.contains(query.root_cause, autoescape=True))
    if query.outcome:
        said = func.coalesce(func.nullif(_latest_text("outcome"), ""), records.c.outcome)
        statement = statement.where(said.contains(query.outcome, autoescape=True))
    if query.signal:
        statement = statement.where(records.c.signal_ids.contains(f" {query.signal} ", autoescape=True))
    if query.contested:
        statement = statement.where(func.coalesce(_latest_text("contest") != "", records.c.contested == 1))
    if query.reviewed is not None:
        others = exists().where(
            reviews.c.call == records.c.call, reviews.c.who != records.c.agent, reviews.c.kind.not_in(NON_REVIEW_KINDS)
        )
        statement = statement.where(others if query.reviewed else ~others)
    if query.wrong:
        statement = statement.where(or_(_is_marked_wrong(), _is_marked_wrong_by_agent()))
    if query.offered:
        statement = statement.where(_has_offer())
    if query.words:
        phrase = '"' + query.words.replace('"', " ") + '"'  # a phrase, never the query language of FTS5
        found = text("records.call IN (SELECT call FROM spoken WHERE spoken MATCH :phrase)")
        statement = statement.where(found.bindparams(phrase=phrase))
    return statement


def _is_marked_wrong() -> Any:
    """The latest verdict on one of the call's signals or prompts is wrong."""
    later = reviews.alias()
    is_latest = ~exists().where(
        *(later.c[same] == reviews.c[same] for same in ("call", "kind", "target")), later.c.n > reviews.c.n
    )
    verdict = reviews.c.kind.in_(VERDICT_KINDS), reviews.c.text == "wrong"
    return exists().where(reviews.c.call == records.c.call, *verdict, is_latest)


def _is_marked_wrong_by_agent() -> Any:
    """The agent marked one of the call's prompts wrong in the call, and it has no verdict of a reviewer."""
    prompt = func.json_each(digests.c.body, "$.prompts").table_valued("value")
    name, how = (func.json_extract(prompt.c.value, place) for place in ("$.id", "$.how"))
    last = select(reviews.c.text).where(
        reviews.c.call == records.c.call, reviews.c.kind == "prompt", reviews.c.target == name
    )
    verdict = func.coalesce(last.order_by(reviews.c.n.desc()).limit(1).scalar_subquery(), "clear")
    # Few records have one: the others are excluded before their JSON is parsed.
    return and_(digests.c.body.contains('"wrong"'), exists().where(how == "wrong", verdict == "clear"))


def _has_offer() -> Any:
    """A Plan B option was offered or answered in the call."""
    option = func.json_each(digests.c.body, "$.plan").table_valued("value")
    offered_ms, answer = (func.json_extract(option.c.value, place) for place in ("$.offered_ms", "$.answer"))
    # Most calls have no option on screen: they are excluded before their JSON is parsed.
    return and_(digests.c.body.contains('"offered_ms"'), exists().where(or_(offered_ms.is_not(None), answer != "")))


def _latest_text(kind: str) -> Any:
    """Text of the call's latest review of this kind; NULL where there is none."""
    last = select(reviews.c.text).where(reviews.c.call == records.c.call, reviews.c.kind == kind)
    return last.order_by(reviews.c.n.desc()).limit(1).scalar_subquery()
