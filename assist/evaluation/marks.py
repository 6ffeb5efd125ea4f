"""What people have said about finished calls, as labelled cases: marks on signals and prompts, and signals missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assist.evaluation.cases import Case, Mark, case_from_mark
from assist.records.record import IncidentRecord, Line, read_record
from assist.store.rows import Review
from assist.store.searching import EVERY, RecordQuery
from assist.store.store import Store
from audio.events import Speaker
from detectors.signals import SIGNAL_IDS


def marked_cases(store: Store) -> tuple[list[Case], int]:
    """Cases of every call in the store, and how many marks gave none.

    A mark gives no case when there are no words behind it: tone and silence, a transcript taken out since, a missed
    signal that nobody has named or placed.
    """
    said = store.said()
    cases: list[Case] = []
    without = 0
    for digest in store.digests(RecordQuery(limit=EVERY)):
        body = store.record(digest["call"])
        if body is None:
            continue
        found, lost = cases_of(read_record(body), said.get(digest["call"], ()))
        cases += found
        without += lost
    return cases, without


def cases_of(record: IncidentRecord, reviews: Sequence[Review]) -> tuple[list[Case], int]:
    """Cases of one call. The newest review of a thing counts, and a reviewer's word over the agent's."""
    prompts = {prompt.id: prompt for prompt in record.prompts}
    marks: dict[str, Mark] = {}
    for prompt in record.prompts:
        if prompt.how in ("wrong", "used"):
            marks |= dict.fromkeys(prompt.signals, "wrong" if prompt.how == "wrong" else "right")
    for review in _newest(reviews, "prompt"):
        if review.target in prompts and review.text in ("right", "wrong"):
            marks |= dict.fromkeys(prompts[review.target].signals, "wrong" if review.text == "wrong" else "right")
    for review in _newest(reviews, "signal"):
        if review.text in ("right", "wrong"):
            marks[review.target] = "wrong" if review.text == "wrong" else "right"
        else:
            marks.pop(review.target, None)
    signals = {signal.key: signal for signal in record.signals}
    lines = {line.id: line for line in record.transcript}
    cases: list[Case] = []
    without = 0
    for key, mark in marks.items():
        signal = signals.get(key)
        line = None if signal is None else lines.get(signal.utterance or "")
        if signal is None or line is None or not line.text or signal.id not in SIGNAL_IDS:
            without += 1
            continue
        who = Speaker(line.speaker)
        cases.append(case_from_mark(mark, signal.id, who, line.text, call=record.call, at_ms=signal.at_ms))
    for review in reviews:
        if review.kind == "missed":
            line, name = _line_at(record.transcript, review.at_ms), _named(review)
            if line is None or not name:
                without += 1
                continue
            who = Speaker(line.speaker)
            cases.append(case_from_mark("missed", name, who, line.text, call=record.call, at_ms=line.start_ms))
    return cases, without


def _newest(reviews: Iterable[Review], kind: str) -> list[Review]:
    return list({review.target: review for review in reviews if review.kind == kind}.values())


def _named(review: Review) -> str:
    """The signal a reviewer missed: as picked, or written as the note ("supervisor demand")."""
    for name in (review.target, review.text):
        plain = name.strip().lower().replace(" ", "_").replace("-", "_")
        if plain in SIGNAL_IDS:
            return plain
    return ""


def _line_at(transcript: Sequence[Line], at_ms: int | None) -> Line | None:
    """The line that was being said at that moment, else the last one before."""
    begun = [line for line in transcript if at_ms is not None and line.start_ms <= at_ms and line.text]
    running = [line for line in begun if at_ms is not None and at_ms < line.end_ms]
    return (running or begun)[-1] if begun else None
