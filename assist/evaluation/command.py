"""The command `assist eval`: evaluates the rules, detectors and coach in use on labelled data."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from rich.console import Console

from assist.access.audit import open_audit
from assist.coach.coach import AgentProfile, Coach
from assist.coach.playbook import load_playbook
from assist.errors import AssistError
from assist.evaluation.cases import Clip, LabelledCall, read_clips, read_labelled
from assist.evaluation.figures import Evaluation, iter_notes
from assist.evaluation.marks import marked_calls
from assist.evaluation.progress import ProgressReporter
from assist.evaluation.report import page, tables
from assist.evaluation.scoring import evaluate_calls, evaluate_cases, evaluate_clips, evaluate_marks
from assist.events import CallStarted
from assist.files import PAGE_BEGINS, check_file, write_file
from assist.live.session import Session
from assist.settings import Settings
from assist.store.store import Store
from audio.errors import AudioError
from audio.events import Chunk, Heard, Speaker, Utterance, Word
from detectors.escalation import Escalation
from detectors.factory import DetectorSettings, build_detectors
from detectors.rulebook import load_rules
from detectors.signals import Detector


def run_evaluation(
    settings: Settings,
    console: Console,
    what: Sequence[Path],
    *,
    labels: Path | None,
    html: Path | None,
    rules: Sequence[Path],
    store: Store | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Measure, print the tables, and write the page where one is wanted.

    `tell` is given a line of progress now and then where it takes long. `store`: also evaluate the marks of people in
    its calls. The page quotes these calls, so that each is logged as an export.

    Raises:
        AssistError: codes eval-input, naming file, line and what was expected; detector-off; export-failed.
    """
    check_file(html, PAGE_BEGINS)
    rulebook = load_rules(extra=[*settings.rules, *rules] or None)
    heard = DetectorSettings(meaning=settings.meaning)
    playbook = load_playbook(settings.playbook, options=settings.options)

    def detectors() -> list[Detector]:
        return build_detectors(rulebook, heard)

    def new_session(call: LabelledCall) -> Session:
        started = CallStarted(0, call.call, "agent", "", "", "", "", "eval", ("agent", "customer"), {})
        coach = Coach(playbook, agent=AgentProfile("agent"))
        return Session(started, detectors(), Escalation(), coach)

    done: list[Evaluation] = []
    calls: list[LabelledCall] = []
    names = [path.name or path.resolve().name for path in what]
    # all is read before the first is measured: that may take minutes
    if labels is None:
        for name, (cases, whole) in zip(names, [read_labelled(path) for path in what], strict=True):
            progress = ProgressReporter(tell, name)
            done.append(
                evaluate_calls(whole, new_session, name, progress)
                if whole
                else evaluate_cases(cases, detectors, name, progress)
            )
    else:
        for name, listed in zip(names, [read_clips(path, labels) for path in what], strict=True):
            done += _of_folder(name, listed, labels, settings, console, detectors, tell)
    if store is not None:
        calls, without = marked_calls(store)
        note = (
            f"{without} marks stand on no words (of sound, of a step, of a line that is gone): they are not counted."
            if without
            else ""
        )
        note = note or ("" if calls else "Nobody has marked anything yet: it is done on the review page (R, W, M).")
        marked = evaluate_marks(calls, new_session, "marks in the store", ProgressReporter(tell, "marked calls"))
        done.append(replace(marked, notes=(note,) if note else ()))
    for evaluation in done:
        for note in iter_notes(evaluation):
            console.print(note, style="dim", markup=False)
        for table in tables(evaluation):
            console.print(table)
    if html is not None:
        if store is not None:
            open_audit(store.people, settings.data).note_command_for_each("export", [call.call for call in calls])
        write_file(html, page(done))
        console.print(f"written: {html}", markup=False)


def _of_folder(
    name: str,
    listed: Sequence[Clip],
    labels: Path,
    settings: Settings,
    console: Console,
    detectors: Callable[[], Sequence[Detector]],
    tell: Callable[[str], None],
) -> list[Evaluation]:
    """Evaluate a folder of clips: voices, words, or both, as they are labelled."""
    from assist.evaluation.tone import KNOWN_LABELS, evaluate_tone

    clips, notes = _audible(listed)
    voices = [clip for clip in clips if clip.label.casefold() in KNOWN_LABELS]
    words = any(clip.signals is not None for clip in clips)
    if not voices and not words:
        known = ", ".join(sorted(KNOWN_LABELS))
        raise AssistError("eval-input", f"{labels}: nothing to measure: expected a column signals, or labels: {known}")
    unknown = [clip.label for clip in clips if clip.label and clip.label.casefold() not in KNOWN_LABELS]
    if unknown:
        notes.append(f"{len(unknown)} clips are no part of the voice's figures: {', '.join(sorted(set(unknown)))}")
    found: list[Evaluation] = []
    if voices:
        found.append(evaluate_tone(voices, name, ProgressReporter(tell, f"{name}, voices")))
    if words:
        transcribe = _transcriber(settings, console, tell)
        found.append(evaluate_clips(clips, detectors, transcribe, name, ProgressReporter(tell, f"{name}, words")))
    found[0] = replace(found[0], notes=(*notes, *found[0].notes))
    return [replace(each, left_out=len(listed) - len(clips)) for each in found]


def _audible(clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
    """The clips that can be read, and notes on the others and on those that end too early.

    Raises:
        AssistError: code eval-input: none can be heard.
    """
    from audio.recording import open_recording

    opened = lru_cache(maxsize=1)(open_recording)  # many clips may be parts of one file
    good: list[Clip] = []
    cut: list[str] = []
    left: dict[str, list[tuple[str, str]]] = defaultdict(list)
    """Kind of reason -> (place, all that is said of it)."""
    for clip in clips:
        try:
            part = opened(clip.path).part(clip.start, clip.end)
            good.append(clip)
            cut += [clip.place] if part.unread() else []
        except AudioError as error:
            left[error.code].append((clip.place, str(error)))
    notes = []
    for (_, said), *others in left.values():
        # where none can be heard, the table itself is the list of them
        same = f" The same of: {', '.join(place for place, _ in others)}." if others and good else ""
        notes.append(f"{1 + len(others)} of {len(clips)} clips left out: {said}{same}")
    if cut:
        names = ", ".join(cut)
        notes.append(f"{len(cut)} of {len(clips)} clips are not whole: what can be read was used: {names}")
    if notes and not good:
        raise AssistError("eval-input", " ".join(notes))
    return good, notes


def _transcriber(
    settings: Settings, console: Console, tell: Callable[[str], None]
) -> Callable[[Clip], tuple[list[Word], float]]:
    from assist.live.loading import load_hearing
    from audio.recording import open_recording

    hearing = load_hearing(settings, console)

    def transcribe(clip: Clip) -> tuple[list[Word], float]:
        source = open_recording(clip.path, speed=math.inf, mono=Speaker.CUSTOMER).part(clip.start, clip.end)
        progress, of_s = ProgressReporter(tell, f"{clip.path.name}, seconds"), (source.duration_ms or 0) // 1000
        listener = hearing.listener(source.speakers, in_step=True, wake=lambda: None, phrases=())

        async def listen() -> tuple[list[Word], float]:
            heard: list[Heard] = []
            end_ms = 0
            async for item in source:
                if isinstance(item, Chunk):
                    progress(item.start_ms // 1000, of_s)
                    end_ms = item.end_ms
                    heard += listener.push(item)
            heard += listener.finish()
            theirs = [each for each in heard if isinstance(each, Utterance) and each.speaker is not Speaker.AGENT]
            return [word for each in theirs for word in each.words], end_ms / 1000

        return asyncio.run(listen())

    return transcribe
