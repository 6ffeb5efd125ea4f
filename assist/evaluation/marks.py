"""Turns reviews of finished calls into labelled calls: marks on signals and prompts, and missed signals.

A mark is about one signal on one line, however many rules, prompts and people gave it: the newest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from assist.evaluation.cases import LabelledCall, Turn
from assist.records.record import IncidentRecord, Line, read_record
from assist.store.rows import Review
from assist.store.searching import RecordQuery
from assist.store.store import Store
from audio.events import Speaker
from detectors.signals import AGENT_SIGNALS, SIGNAL_IDS


def marked_calls(store: Store) -> tuple[list[LabelledCall], int]:
    """All calls in the store with marks, and the number of marks that cannot be measured.

    Those have no words behind them: tone and silence, a prompt that answers no signal, a transcript erased since, a
    missed signal without a name or a place.
    """
    said = store.reviews_by_call()
    calls: list[LabelledCall] = []
    unusable = 0
    for digest in store.digests(RecordQuery(limit=None)):
        body = store.record(digest["call"])
        if body is None:
            continue
        call, unusable_here = marked_call(read_record(body), said.get(digest["call"], ()))
        calls += [call] if call is not None else []
        unusable += unusable_here
    return calls, unusable


def marked_call(record: IncidentRecord, reviews: Sequence[Review]) -> tuple[LabelledCall | None, int]:
    """A call up to its last marked line, and the number of unusable marks. On each line only what is marked is scored.

    The newest review of a thing counts, of whatever kind, and a reviewer's word over the agent's.
    """
    lines = {line.id: line for line in sorted(record.transcript, key=lambda line: line.start_ms) if line.text.strip()}
    judged_lines: dict[str, dict[str, bool]] = {}
    unusable = 0
    for (line, name), is_right in _marks(record, reviews, list(lines.values())):
        if line not in lines or name not in SIGNAL_IDS - {"raised_voice"}:
            unusable += 1
        else:
            judged_lines.setdefault(line, {})[name] = is_right
    if not judged_lines:
        return None, unusable
    last = max(number for number, name in enumerate(lines) if name in judged_lines)
    turns = tuple(_turn(line, judged_lines.get(line.id, {})) for line in list(lines.values())[: last + 1])
    return LabelledCall(call=record.call, turns=turns), unusable


_Place = tuple[str, str]
"""Ids of a line and of a signal; empty where a mark has none."""


def _marks(
    record: IncidentRecord, reviews: Sequence[Review], transcript: Sequence[Line]
) -> Iterable[tuple[_Place, bool]]:
    """Every mark, in the order in which they were made: where it is, and whether the signal belongs there."""
    keys = {prompt.id: prompt.signals or (prompt.id,) for prompt in record.prompts}
    by_agent: dict[str, bool] = {}
    for prompt in record.prompts:
        if prompt.how == "wrong" or (prompt.how == "used" and prompt.signals):
            by_agent |= dict.fromkeys(keys[prompt.id], prompt.how == "used")
    reviewed: dict[str, bool] = {}
    missed: dict[str, _Place] = {}
    for review in _newest(reviews):
        marked = keys.get(review.target, (review.target,)) if review.kind == "prompt" else (review.target,)
        if review.kind == "missed":
            name = _missed_signal(review)
            line = _line_at(transcript, review.at_ms, by_agent=name in AGENT_SIGNALS)
            marked = (f"missed {len(missed)}",)
            missed[marked[0]] = ("" if line is None else line.id, name)
        for key in marked:
            is_right = review.kind == "missed" or {"right": True, "wrong": False}.get(review.text)
            if is_right is not None:
                reviewed.pop(key, None)
                reviewed[key] = is_right
            elif review.kind == "signal":  # cleared: also what was said of its prompts before
                reviewed.pop(key, None)
    signals = {signal.key: (signal.utterance or "", signal.id) for signal in record.signals}
    unreviewed = {key: is_right for key, is_right in by_agent.items() if key not in reviewed}
    for key, is_right in [*unreviewed.items(), *reviewed.items()]:
        yield missed.get(key) or signals.get(key, ("", "")), is_right


def _newest(reviews: Iterable[Review]) -> list[Review]:
    """Of each signal and prompt the newest review, and all missed signals, in the order in which they were made."""
    newest: dict[object, Review] = {}
    for number, review in enumerate(reviews):
        if review.kind in ("signal", "prompt", "missed"):
            thing = number if review.kind == "missed" else (review.kind, review.target)
            newest.pop(thing, None)
            newest[thing] = review
    return list(newest.values())


def _turn(line: Line, labels: Mapping[str, bool]) -> Turn:
    end_ms = line.end_ms if line.end_ms > line.start_ms else None
    return Turn.model_validate(
        {
            "speaker": line.speaker,
            "text": line.text,
            "start": line.start_ms / 1000,
            "end": None if end_ms is None else end_ms / 1000,
            "labels": [name for name, is_right in labels.items() if is_right],
            "judged": list(labels),
        }
    )


def _missed_signal(review: Review) -> str:
    """The signal a reviewer missed: as picked, or written as the note ("supervisor demand")."""
    for name in (review.target, review.text):
        plain = name.strip().lower().replace(" ", "_").replace("-", "_")
        if plain in SIGNAL_IDS:
            return plain
    return ""


def _line_at(transcript: Sequence[Line], at_ms: int | None, *, by_agent: bool) -> Line | None:
    """The line of the agent, or of somebody else, that is being said at that time, else the last one before."""
    theirs = [line for line in transcript if (line.speaker == Speaker.AGENT) is by_agent]
    begun = [line for line in theirs if at_ms is not None and line.start_ms <= at_ms]
    running = [line for line in begun if at_ms is not None and at_ms < line.end_ms]
    return (running or begun)[-1] if begun else None
