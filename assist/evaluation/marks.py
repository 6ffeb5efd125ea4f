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
from detectors.signals import SIGNAL_IDS


def marked_calls(store: Store) -> tuple[list[LabelledCall], int]:
    """All calls in the store with marks, and the number of marks that cannot be measured.

    Those have no words behind them: tone and silence, a transcript erased since, a missed signal without a name or a
    place.
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

    The newest review of a thing counts, and a reviewer's word over the agent's.
    """
    lines = {line.id: line for line in sorted(record.transcript, key=lambda line: line.start_ms) if line.text.strip()}
    signals = {signal.key: signal for signal in record.signals}
    judged_lines: dict[str, dict[str, bool]] = {}
    unusable = 0
    for key, is_right in _marks(record, reviews).items():
        signal = signals.get(key)
        if signal is None or signal.utterance not in lines or signal.id not in SIGNAL_IDS:
            unusable += 1
        else:
            judged_lines.setdefault(signal.utterance, {})[signal.id] = is_right
    for review in reviews:
        if review.kind == "missed":
            line, name = _line_at(list(lines.values()), review.at_ms), _missed_signal(review)
            if line is None or name in ("", "raised_voice"):
                unusable += 1
            else:
                judged_lines.setdefault(line.id, {})[name] = True
    if not judged_lines:
        return None, unusable
    last = max(number for number, name in enumerate(lines) if name in judged_lines)
    turns = tuple(_turn(line, judged_lines.get(line.id, {})) for line in list(lines.values())[: last + 1])
    return LabelledCall(call=record.call, turns=turns), unusable


def _marks(record: IncidentRecord, reviews: Sequence[Review]) -> dict[str, bool]:
    """Key of a signal -> whether it was right, in the order in which it was last said."""
    prompts = {prompt.id: prompt.signals for prompt in record.prompts}
    marks: dict[str, bool] = {}

    def set_marks(keys: Iterable[str], is_right: bool | None) -> None:
        for key in keys:
            marks.pop(key, None)
            if is_right is not None:
                marks[key] = is_right

    for prompt in record.prompts:
        if prompt.how in ("wrong", "used"):
            set_marks(prompt.signals, prompt.how == "used")
    for review in _newest(reviews, "prompt"):
        if review.text in ("right", "wrong"):
            set_marks(prompts.get(review.target, ()), review.text == "right")
    for review in _newest(reviews, "signal"):
        set_marks([review.target], {"right": True, "wrong": False}.get(review.text))
    return marks


def _newest(reviews: Iterable[Review], kind: str) -> list[Review]:
    newest: dict[str, Review] = {}
    for review in reviews:
        if review.kind == kind:
            newest.pop(review.target, None)
            newest[review.target] = review
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


def _line_at(transcript: Sequence[Line], at_ms: int | None) -> Line | None:
    """The line being said at that time, else the last one before."""
    begun = [line for line in transcript if at_ms is not None and line.start_ms <= at_ms]
    running = [line for line in begun if at_ms is not None and at_ms < line.end_ms]
    return (running or begun)[-1] if begun else None
