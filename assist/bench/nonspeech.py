"""Words invented on sound without speech, as a table: the sounds of a telephone line, and recordings of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from assist.live.loading import load_recogniser
from assist.settings import Settings
from assist.sound import whole
from audio.line_sounds import synthetic, telephone
from audio.nonspeech import NonspeechResult, decode_nonspeech


def nonspeech_table(settings: Settings, recordings: Sequence[Path], console: Console) -> Table:
    """Every word the recogniser hears in sounds that hold none.

    Raises:
        AudioError: no recogniser, or a recording that cannot be read.
    """
    recogniser, _ = load_recogniser(settings, console)
    sounds = synthetic()
    sounds |= {f"{name}, telephone": telephone(pcm) for name, pcm in sounds.items()}
    own = {f"{path.name} {n}": pcm for path in recordings for n, pcm in enumerate(whole(path).values())}
    with Progress(TextColumn("listening"), BarColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        found = decode_nonspeech(
            recogniser, sounds | own, progress=lambda share: progress.update(task, completed=share)
        )
    table = Table("Sound", "Length", "Taken for speech", "Words", "Words a minute", title=recogniser.name)
    for row in found:
        table.add_row(*_cells(row))
    table.add_section()
    for name, rows in (("made here", found[: len(sounds)]), ("your recordings", found[len(sounds) :])):
        if rows:
            seconds, detected_s = sum(row.seconds for row in rows), sum(row.detected_s for row in rows)
            table.add_row(*_cells(NonspeechResult(name, seconds, detected_s, sum(row.words for row in rows))))
    return table


def _cells(row: NonspeechResult) -> tuple[str, ...]:
    return (row.name, f"{row.seconds:.0f} s", f"{row.detected_s:.1f} s", str(row.words), f"{row.per_minute:.2f}")
