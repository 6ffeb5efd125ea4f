"""What every command shares: the application, its options, and one line for every expected error."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from assist import hints
from assist.privacy.consent import Consent
from assist.settings import Settings

if TYPE_CHECKING:
    from assist.store.store import Store

app = typer.Typer(
    help="Real-time assist for call centres: listens locally, notices a call turning, shows the next right line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
WAIT_S = 10.0
"""For another command that has the store."""
TURNS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Overrides of the direction of writing: they would turn round what stands behind somebody's words."""
CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0), *TURNS} - {ord("\n")})


class PlainConsole(Console):
    """What is printed may be anybody's words: none of them commands the terminal, or fails where it cannot be written.

    What the output's encoding has no letters for (a file of Windows, an old locale) becomes a question mark.
    """

    @property
    def encoding(self) -> str:
        """Of the file that is written to."""
        return (getattr(self.file, "encoding", None) or "utf-8").lower()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Leave control characters out; colours and progress bars are rich's own and come after this."""
        encoding = self.encoding
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
                continue
            text = segment.text.translate(CONTROLS).encode(encoding, "replace").decode(encoding)
            yield Segment(text, segment.style)

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: what the command does is done to its end, in silence."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


class LastingConsole(PlainConsole):
    """Of a program that goes on whoever follows it: silent from where nothing can be printed any more.

    The pipe or the terminal is closed, or the disk under a file full.
    """

    def print(self, *objects: Any, **how: Any) -> None:
        """Print, if it can be."""
        try:
            super().print(*objects, **how)
        except OSError:
            self.on_broken_pipe()


console = PlainConsole(highlight=False, markup=False, emoji=False)
"""Brackets in what is printed are brackets, never colours."""
lasting = LastingConsole(highlight=False, markup=False, emoji=False)


def _path(given: str) -> Path:
    """Refuse what an unset variable leaves of a path: it would be the current folder."""
    if not given:
        raise typer.BadParameter("it is empty: expected a path (. is the current folder)")
    return Path(given)


def _named(param: typer.CallbackParam, value: Path | None) -> Path | None:
    if value is not None:
        hints.named(param.opts[0], value)
    return value


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_named,
        parser=_path,
        metavar="PATH",
        help="Settings file (TOML). Default: assist.toml in the user's configuration folder.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", callback=_named, parser=_path, metavar="PATH", help="Folder of the store and the models."),
]
PortOption = Annotated[int | None, typer.Option("--port", help="Port of the pages on loopback (8765).")]
AgentOption = Annotated[str | None, typer.Option("--agent", help="Name of the agent on this call.")]
RecogniserOption = Annotated[str | None, typer.Option("--recogniser", help="auto, whisper or pocketsphinx.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Whisper model: a name (base.en) or a folder.")]
ConsentOption = Annotated[
    Consent | None,
    typer.Option(help="Consent to the call being kept. Default: the settings; a recording replayed counts as granted."),
]
QueueOption = Annotated[str, typer.Option(help="Queue the call came from; of colleagues': name it in internal_queues.")]
CallArgument = Annotated[str, typer.Argument(help="Id of a call (assist records list).")]
PlaybookOption = Annotated[str | None, typer.Option("--playbook", help="A shipped playbook's name or a TOML file.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"call-assist {version('call-assist')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version_: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """What stands before a command's name."""
    hints.begin(dict(_options_of(context.command)))


def _options_of(command: Any, *words: str) -> Iterator[tuple[str, Collection[str]]]:
    """Every command under this one, by its words, with its options."""
    for name, each in getattr(command, "commands", {}).items():
        yield " ".join((*words, name)), {option for parameter in each.params for option in parameter.opts}
        yield from _options_of(each, *words, name)


def group(name: str, help: str) -> typer.Typer:
    """A group of commands under one word."""
    sub = typer.Typer(help=help, no_args_is_help=True)
    app.add_typer(sub, name=name)
    return sub


def listing(key: str, *columns: str) -> Table:
    """For a terminal of any width: the first column, by which a row is asked for, stays whole; nothing else is cut."""
    return Table(Column(key, no_wrap=True), *(Column(name, overflow="fold") for name in columns))


def _held_up(why: str | None) -> None:
    """What is written is waited for, however long a full disk or a reader of the log takes: say so."""
    if why is not None:
        PlainConsole(stderr=True, highlight=False, soft_wrap=True).print(Text(f"waiting: {why} (Ctrl-C gives up)"))


def fail(text: str, code: str = "") -> NoReturn:
    """One line on stderr, exit code 1."""
    PlainConsole(stderr=True, highlight=False, soft_wrap=True).print(
        Text.assemble(("assist:", "bold red"), f" {hints.complete(text)}", (f" [{code}]" if code else "", "dim"))
    )
    sys.exit(1)


def speed_of(text: str) -> float:
    """`--speed`: times real time, or max."""
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not speed > 0:
        fail(f"--speed {text}: expected a number above 0, or max", "speed-invalid")
    return speed


def store_of(settings: Settings, *, begins: bool = False) -> Store:
    """The store of this installation; while another program has it, that program writes what is written here.

    What cannot be asked to is a command at work, over in a moment: it is waited for, as two of one timetable begin at
    once. A store that is not there is begun only by what an installation begins with: the folder may be mistyped, and a
    backup of nothing be taken for one.
    """
    from assist.live.writing import open_remote_store
    from assist.store.lock import StoreInUse
    from assist.store.store import open_store, path_from_url

    path = path_from_url(settings.store_url)
    if not begins and not path.exists():
        missing = f"store in {path.parent}" if path.parent.exists() else f"folder {path.parent}"
        fail(f"there is no {missing}: expected the data folder of serve, or of a call heard before", "data-folder")
    until = monotonic() + WAIT_S
    while True:
        try:
            return open_store(settings.store_url, _held_up)
        except StoreInUse as in_use:
            with contextlib.suppress(StoreInUse):
                return open_remote_store(settings.store_url, in_use)
            if monotonic() > until:
                raise
        sleep(0.1)
