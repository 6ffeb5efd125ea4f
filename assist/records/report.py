"""The prevention report: what went wrong, how often, what it cost, what worked, week by week. Pure.

It counts calls, never people: no agent is named, and a team is shown only with at least five agents. Smaller teams are
pooled, with as many others as needed, so that their figures do not follow from the total less the teams shown; teams
pooled are not shown alone either.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median
from typing import Any

from assist.errors import AssistError
from assist.records.followups import is_open
from assist.records.trends import UNKNOWN_CAUSE, USEFUL_ENDINGS, monday
from assist.store.rows import Review, latest_texts, verdicts
from detectors.signals import CALMER
from overlay.identity import casefolded

MIN_AGENTS = 5
"""Figures of a team with fewer agents would be about persons."""
POOLED = "other teams"


@dataclass(slots=True)
class Tally:
    """Counts of calls."""

    calls: int = 0
    tense: int = 0
    """Reached tense and no more."""
    escalated: int = 0
    turned: int = 0
    """Escalated, and calmer again at the end."""
    within_60: int = 0
    """Escalated, and the 60-second clock was met: a remedy accepted, or calmer again, in time."""
    given: int = 0
    """Plan B options accepted."""
    cost: float = 0.0
    """Of what was accepted."""

    def add(self, call: Mapping[str, Any]) -> None:
        """Count one more call (its digest)."""
        self.calls += 1
        self.tense += call["level_reached"] == "tense"
        accepted = [use for use in call["plan"] if use.get("answer") == "accepted"]
        self.given += len(accepted)
        self.cost = round(self.cost + sum(use.get("cost", 0.0) for use in accepted), 2)
        if call["level_reached"] == "escalated":
            self.escalated += 1
            self.turned += call["level_at_end"] in CALMER
            self.within_60 += any(run.get("result") == "met" for run in call["recovery"])


@dataclass(slots=True)
class OptionTally:
    """One Plan B option over all calls."""

    id: str
    title: str
    shown: int = 0
    offered: int = 0
    accepted: int = 0
    refused: int = 0
    calmer_already: int = 0
    """Accepted in a call that had calmed down before: its effect is unknown."""
    calmed: int = 0
    """Accepted, and the call calmed down after it."""
    cost: float = 0.0
    calmed_after_s: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float | None:
        """Median seconds from acceptance to a calmer call."""
        return round(median(self.calmed_after_s), 1) if self.calmed_after_s else None


@dataclass(slots=True)
class PlayTally:
    """The prompts of one play."""

    id: str
    title: str
    shown: int = 0
    done: int = 0
    """Marked used, or heard in the agent's words."""
    wrong: int = 0
    """Marked wrong by the agent or in review."""


@dataclass(slots=True)
class StepTally:
    """A step of the method in escalated calls: how often they turned with it and without it."""

    id: str
    done: int = 0
    turned_with: int = 0
    left: int = 0
    turned_without: int = 0


@dataclass(slots=True)
class Report:
    """All figures of the report."""

    since: date | None
    until: date
    team: str
    total: Tally
    weeks: dict[str, Tally]
    """ISO date of the Monday -> its calls; weeks without calls are there too."""
    causes: dict[str, Tally]
    """Root cause -> tense and escalated calls, most escalated first."""
    signals: dict[str, tuple[int, int]]
    """Signal id -> calls it was heard in, escalated ones of these."""
    options: list[OptionTally]
    plays: list[PlayTally]
    steps: list[StepTally]
    teams: dict[str, Tally]
    left_out: int
    """Teams that are too small to be shown, even together."""
    open_follow_ups: int


def report(
    calls: Iterable[Mapping[str, Any]],
    said: Mapping[str, Sequence[Review]],
    *,
    since: date | None,
    until: date,
    team: str = "",
) -> Report:
    """Count the calls of a span.

    Args:
        calls: Digests of records (assist/store/digest.py), of all teams; those outside the span are left out.
        said: Call -> its reviews.
        since: First day; None: the first call's.
        until: Last day.
        team: Only this team's calls; empty: all.

    Raises:
        AssistError: codes team-unknown, team-small.
    """
    chosen = [call for call in calls if _day(call) <= until and (since is None or _day(call) >= since)]
    agents = _agents_by_team(chosen)
    if team:
        _check_team_size(team, agents)
        chosen = [call for call in chosen if call["team"] == team]
    first = since or min((_day(call) for call in chosen), default=until)
    weeks = {week.isoformat(): Tally() for week in _weeks(first, until)}
    result = Report(since, until, team, Tally(), weeks, {}, {}, [], [], [], {}, 0, 0)
    signals: Counter[str] = Counter()
    escalated: Counter[str] = Counter()
    causes: defaultdict[str, Tally] = defaultdict(Tally)
    options: dict[str, OptionTally] = {}
    plays: dict[str, PlayTally] = {}
    steps: list[str] = []
    done: list[tuple[frozenset[str], bool]] = []
    for call in chosen:
        reviews = said.get(call["call"], ())
        last = latest_texts(reviews)
        result.total.add(call)
        weeks[monday(_day(call)).isoformat()].add(call)
        if call["level_reached"] in ("tense", "escalated"):
            causes[last.get(("root-cause", "")) or call["root_cause"] or UNKNOWN_CAUSE].add(call)
        heard = {signal["id"] for signal in call["signals"] if signal["speaker"] != "agent"}
        signals.update(heard)
        if call["level_reached"] == "escalated":
            escalated.update(heard)
            steps_done = [step["step"] for step in call["steps"]]
            steps += [step for step in steps_done if step not in steps]
            done.append((frozenset(steps_done), call["level_at_end"] in CALMER))
        _count_options(options, call)
        _count_plays(plays, call, reviews)
        result.open_follow_ups += sum(is_open(each, last) for each in call["follow_ups"])
    result.causes = dict(sorted(causes.items(), key=lambda item: (-item[1].escalated, -item[1].calls, item[0])))
    result.signals = {name: (count, escalated[name]) for name, count in signals.most_common()}
    result.options = sorted(options.values(), key=lambda each: (-each.accepted, -each.offered, each.id))
    result.plays = sorted(plays.values(), key=lambda each: (-each.shown, each.id))
    result.steps = [_step_tally(step, done) for step in steps]
    if not team:
        result.teams, result.left_out = _by_team(chosen, agents)
    return result


def _check_team_size(team: str, agents: Mapping[str, set[str]]) -> None:
    if team not in agents:
        known = ", ".join(sorted(name for name in agents if name))
        expected = f"expected one of: {known}" if known else "no call in it names a team"
        raise AssistError("team-unknown", f"no calls of team {team!r} in this span: {expected}")
    if len(agents[team]) < MIN_AGENTS:
        raise AssistError(
            "team-small", f"team {team!r} has fewer than {MIN_AGENTS} agents with calls: its figures are not shown"
        )
    if team not in _split_by_size(agents)[0]:
        raise AssistError(
            "team-small",
            f"team {team!r} is not shown: figures of fewer than {MIN_AGENTS} others would follow from its own",
        )


def teams_to_show(calls: Iterable[Mapping[str, Any]]) -> list[str]:
    """The teams that may be shown by name beside the total of these calls (digests)."""
    return _split_by_size(_agents_by_team(calls))[0]


def _day(call: Mapping[str, Any]) -> date:
    return date.fromisoformat(call["started_at"][:10])


def _weeks(first: date, last: date) -> list[date]:
    begin = monday(first)
    return [begin + timedelta(weeks=n) for n in range((monday(last) - begin).days // 7 + 1)]


def _agents_by_team(calls: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    agents: defaultdict[str, set[str]] = defaultdict(set)
    for call in calls:
        agents[call["team"]].add(casefolded(call["agent"]))
    return dict(agents)


def _split_by_size(agents: Mapping[str, set[str]]) -> tuple[list[str], list[str]]:
    """(teams to show, teams to pool): small ones are pooled, with the smallest others until they have MIN_AGENTS."""
    shown = sorted(
        (name for name in agents if name and len(agents[name]) >= MIN_AGENTS), key=lambda n: (len(agents[n]), n)
    )
    pooled = [name for name in agents if name not in shown]
    while pooled and shown and len(set[str]().union(*(agents[name] for name in pooled))) < MIN_AGENTS:
        pooled.append(shown.pop(0))
    return shown, pooled


def _by_team(calls: Sequence[Mapping[str, Any]], agents: Mapping[str, set[str]]) -> tuple[dict[str, Tally], int]:
    """Tallies of the teams shown, and the number of teams left out; neither where no call names its team."""
    if not any(agents):
        return {}, 0
    shown, pooled = _split_by_size(agents)
    enough = bool(pooled) and len(set[str]().union(*(agents[name] for name in pooled))) >= MIN_AGENTS
    teams = {name: Tally() for name in sorted(shown)}
    rest = Tally()
    for call in calls:
        teams.get(call["team"], rest).add(call)
    return (teams | {POOLED: rest} if enough else teams), (0 if enough else len(pooled))


def _count_options(options: dict[str, OptionTally], call: Mapping[str, Any]) -> None:
    for use in call["plan"]:
        tally = options.setdefault(use["id"], OptionTally(use["id"], use.get("title", use["id"])))
        answer = use.get("answer", "")
        tally.shown += 1
        tally.offered += use.get("offered_ms") is not None
        tally.accepted += answer == "accepted"
        tally.refused += answer == "refused"
        if answer == "accepted":
            tally.cost = round(tally.cost + use.get("cost", 0.0), 2)
            after = use.get("calmed_after_ms")
            if after == 0:
                tally.calmer_already += 1
            elif after is not None:
                tally.calmed += 1
                tally.calmed_after_s.append(after / 1000)


def _count_plays(plays: dict[str, PlayTally], call: Mapping[str, Any], reviews: Sequence[Review]) -> None:
    marks = verdicts(call["prompts"], reviews)
    for prompt in call["prompts"]:
        tally = plays.setdefault(prompt["play"], PlayTally(prompt["play"], prompt.get("title", prompt["play"])))
        tally.shown += 1
        tally.done += prompt.get("how") in USEFUL_ENDINGS
        tally.wrong += marks.get(("prompt", prompt["id"])) == "wrong"


def _step_tally(step: str, done: Sequence[tuple[frozenset[str], bool]]) -> StepTally:
    tally = StepTally(step)
    for steps, turned in done:
        if step in steps:
            tally.done += 1
            tally.turned_with += turned
        else:
            tally.left += 1
            tally.turned_without += turned
    return tally
