"""What an admin can set, in one TOML file; everything has a safe default."""

from __future__ import annotations

import os
import re
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from assist.errors import AssistError, problems
from assist.privacy.consent import Consent, ConsentPolicy
from assist.screens.alert_routing import TURN_S
from assist.store.paths import store_path
from overlay.identity import Role, normalised
from overlay.records import Question

APP = "call-assist"


REVIEW_FORM = [
    Question(id="listened", text="Listened before answering"),
    Question(id="owned", text="Took responsibility"),
    Question(id="asked", text="Asked what would help"),
    Question(id="remedy", text="Remedy fits the harm"),
]


def _nameable(path: Path) -> Path:
    """Refuse what no system has, and bytes that are no text: the settings in force are written down as text."""
    if re.search("[\0\ud800-\udfff]", str(path)):
        raise ValueError("no name that a file can have, in UTF-8")
    return path


def _not_empty(given: object) -> object:
    """Refuse what would be the current folder."""
    if given == "":
        raise ValueError("it is empty: expected a path")
    return given


def _own_folder() -> Path:
    try:
        return _nameable(user_data_path(APP))
    except (RuntimeError, ValueError):
        raise AssistError(
            "data-folder",
            "this user has no home folder, or none with a name in UTF-8: name the data folder with --data, or set HOME",
        ) from None


def _own_file() -> Path | None:
    try:
        return user_config_path(APP) / "assist.toml"
    except RuntimeError:  # no home folder
        return None


Agent = Annotated[str, BeforeValidator(lambda agent: normalised(agent) if isinstance(agent, str) else agent)]
"""Name of an agent, as a user of that name is kept."""

FilePath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_nameable)]


class AlertSettings(BaseModel):
    """Who is asked when a call needs somebody: table [alerts] of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    turn_s: float = Field(TURN_S, ge=1, le=600, description="unclaimed for so long: the next supervisor is asked")
    budget: int = Field(3, ge=1, le=50, description="open alerts of one supervisor; beyond it only urgent ones come")
    order: list[str] = Field(default_factory=list, description="escalation list: names, who is asked first")


class KeepSettings(BaseModel):
    """How many days each kind of data stays: table [keep] of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transcript_days: int = Field(180, ge=1, le=3650, description="words: events, transcript, quotes")
    audio_days: int = Field(90, ge=1, le=3650, description="recordings; they go with the words at the latest")
    review_days: int = Field(365, ge=1, le=3650, description="the record and what reviewers wrote about it")
    consent_days: int = Field(400, ge=1, le=3650, description="that there was a call, and what was known about consent")
    audit_days: int = Field(400, ge=1, le=3650, description="who looked at what and did what: the audit log")


class LoginSettings(BaseModel):
    """How people are known: table [login] of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["none", "users", "proxy"] = Field(
        "none", description="none: loopback only; users: assist users add; proxy: a reverse proxy's identity header"
    )
    header: str = Field("", description='proxy: the header that names the person, such as "X-Remote-User"')
    roles_header: str = Field("", description="proxy: the header that names their groups, separated by commas")
    roles: dict[str, Role] = Field(default_factory=dict, description="proxy: group -> role; the first that fits")
    role: Role | None = Field(None, description="proxy: role of those in none of these groups; default: not let in")


class Settings(BaseModel):
    """Settings of one installation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: FilePath = Field(default_factory=_own_folder, description="where the store and models are kept")
    host: str = Field(
        "127.0.0.1", description="address the pages are served on; any but loopback needs a [login], and TLS"
    )
    port: int = Field(8765, ge=0, le=65535, description="port the pages are served on; 0: any that is free")
    agent: Agent = Field("agent", min_length=1, max_length=60, description="name shown for the agent at this machine")
    team: str = Field("", description="team of the agent at this machine; trends and the prevention report count by it")
    experienced: bool = Field(False, description="fewer prompts for agents who want fewer")
    authority: str = Field("agent", min_length=1, description="whose Plan B limits count here: agent, senior, …")
    authorities: dict[Agent, str] = Field(default_factory=dict, description="agent -> authority, where it is another")
    experienced_agents: list[Agent] = Field(default_factory=list, description="agents for whom experienced is true")
    supervisor: str = Field("your supervisor", description="who is asked when an option is above the agent's limit")
    outcomes: list[str] = Field(
        default_factory=lambda: [
            "solved in the call",
            "remedy given",
            "follow-up promised",
            "handed over",
            "customer still unhappy",
            "customer hung up",
        ],
        description="what the wrap-up after a call offers as its outcome",
    )
    root_causes: list[str] = Field(
        default_factory=lambda: [
            "missed appointment",
            "late or lost delivery",
            "billing or charge",
            "product or service fault",
            "passed around",
            "waited too long",
            "earlier promise not kept",
            "unclear information",
            "policy the customer finds unfair",
            "something else",
        ],
        description="what the wrap-up after a call offers as its root cause; the prevention report counts them",
    )
    reset_s: int = Field(
        60, ge=0, le=600, description="seconds of quiet offered to the agent after an escalated call; 0: none"
    )
    recogniser: Literal["auto", "whisper", "pocketsphinx"] = Field(
        "auto", description="auto: whisper where its model is here or can be fetched, else the embedded pocketsphinx"
    )
    model: str | None = Field(None, description="Whisper model by name (base.en) or folder")
    expect: str = Field(
        "", max_length=200, description="a sentence of words Whisper should expect, such as product names"
    )
    playbook: str = Field("default", description="a shipped playbook's name, or a TOML file")
    options: FilePath | None = Field(None, description="Plan B options, a TOML file; default: the shipped examples")
    meaning: bool = Field(True, description="judge words by the sentence model too, not by the phrase rules alone")
    rules: list[FilePath] = Field(default_factory=list, description="rule files besides the shipped ones")
    review_form: list[Question] = Field(
        default=REVIEW_FORM, description="questions that reviewers answer about a call; [] for none"
    )
    login: LoginSettings = Field(default_factory=LoginSettings)
    hosts: list[str] = Field(default_factory=list, description="names under which browsers reach this server")
    proxies: list[str] = Field(
        default_factory=list, description="addresses or networks of the reverse proxies in front, which end TLS"
    )
    certificate: FilePath | None = Field(None, description="TLS certificate with its chain (PEM)")
    certificate_key: FilePath | None = Field(
        None, description="key of the certificate (PEM, readable by its owner only)"
    )
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    internal_queues: list[str] = Field(
        default_factory=list,
        description="queues of colleagues (help desk, HR), in capitals or not: no voice is measured there",
    )
    keep: KeepSettings = Field(default_factory=KeepSettings)
    consent_policy: ConsentPolicy = Field(
        ConsentPolicy.ALL_PARTY,
        description="while consent is unknown: one-party keeps, all-party listens only, strict does neither",
    )
    consent: Consent = Field(
        Consent.UNKNOWN, description="at the start of a live call; granted where an announcement has asked for it"
    )
    auto_pause: bool = Field(True, description="stop listening by itself when a card number or its code is asked for")
    auto_pause_s: int = Field(60, ge=10, le=600, description="seconds after which such a pause ends by itself")
    payment_pages: list[str] = Field(
        default_factory=list, description="origins whose pages may pause listening with the gate key (POST /api/gate)"
    )
    recordings: bool = Field(False, description="keep the sound of calls, encrypted, where consent is granted")
    mask_names: bool = Field(False, description='also mask names after cues such as "my name is"')
    workers: int = Field(0, ge=0, description="utterances recognised at the same time; 0: one per core")
    processes: int = Field(
        0,
        ge=0,
        le=64,
        description="processes they are shared among, each with the model in memory; 0: two, one on a GPU",
    )
    backfill_s: int = Field(
        300,
        ge=0,
        le=3600,
        description="seconds of speech per call held in memory without a recogniser, transcribed when one comes",
    )
    backfill_total_s: int = Field(
        3600,
        ge=0,
        le=360_000,
        description="the same of all calls together, those that have ended included: 32 kB a second",
    )
    backfill_wait_s: int = Field(
        3600, ge=1, le=86_400, description="how long after a call's end its speech waits for a recogniser"
    )

    @field_validator("host")
    @classmethod
    def _bare(cls, host: str) -> str:
        return host.removeprefix("[").removesuffix("]")  # of IPv6, as it stands in addresses

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        if self.login.by == "proxy" and not (self.login.header and self.proxies):
            raise ValueError('login by proxy needs login.header (such as "X-Remote-User") and the proxies\' addresses')
        if self.login.by == "proxy" and not (self.login.role or (self.login.roles and self.login.roles_header)):
            raise ValueError(
                "login by proxy lets nobody in: give login.roles with login.roles_header, or login.role for all"
            )
        for host in self.hosts:
            if not host or "/" in host or host != host.strip().lower():
                raise ValueError(
                    f"hosts: {host!r} is no name as the address bar shows it, in lower case and without https://, "
                    "such as assist.example or assist.example:8765"
                )
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key belong together")
        for page in self.payment_pages:
            if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+", page):
                raise ValueError(
                    f"payment_pages: {page!r} is no origin as browsers send it, in lower case, with https:// and "
                    "without a path, such as https://pay.example: no page could pause listening"
                )
        asked = [question.id for question in self.review_form]
        if twice := sorted({each for each in asked if asked.count(each) > 1}):
            raise ValueError(f"review_form: each question needs an id of its own; twice: {', '.join(twice)}")
        for proxy in self.proxies:
            try:
                ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(
                    f"proxies: {proxy!r} is no address or network, such as 127.0.0.1 or 10.0.0.0/24"
                ) from None
        return self

    @property
    def store_url(self) -> str:
        """URL of the event log."""
        return f"sqlite:///{store_path(self.data)}"

    @property
    def models_dir(self) -> Path:
        """Folder of the recognition models."""
        return self.data / "models"


def load_settings(path: Path | None = None, **overrides: object) -> Settings:
    """Settings from a TOML file (default: the user's own, where it exists), with command-line overrides on top.

    Paths in the file are those from its folder, wherever the program is started; `~` is the user's home.

    Raises:
        AssistError: code settings-invalid: what does not fit (file and key, or option) and what was expected.
    """
    chosen = path or _own_file()
    given: dict[str, object] = {}
    if chosen is not None:
        try:
            given = tomllib.loads(chosen.read_text(encoding="utf-8-sig"))
        except OSError as error:
            if path is not None or not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise AssistError(
                    "settings-invalid",
                    f"{chosen}: {error.strerror}: expected a settings file that this user may read; another is named "
                    "with --config",
                ) from None
        except (ValueError, RecursionError) as error:  # tables without an end; numbers of thousands of digits
            why = "no name that a file can have" if "\0" in str(chosen) else f"not valid TOML: {error}"
            raise AssistError("settings-invalid", f"{chosen}: {why}") from None
        given = {key: _placed(key, value, chosen.absolute().parent) for key, value in given.items()}
    where = str(chosen) if given else "settings"
    options = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(given | options)
    except ValidationError as error:
        mistyped, wrong = [], []
        for loc, why in problems(error):
            if loc and loc[0] in options:
                mistyped.append(f"--{str(loc[0]).replace('_', '-')} {options[str(loc[0])]}: {why}")
            else:
                wrong.append(f"{_dotted(loc)}: {_expected(loc, why)}" if loc else why)
        told = [*mistyped, *([f"{where}: {'; '.join(wrong)}"] if wrong else [])]
        raise AssistError("settings-invalid", "; ".join(told)) from None


def _placed(key: str, value: object, folder: Path) -> object:
    """What stands in the settings file, its paths whole; what is no path stays as it is."""
    if isinstance(value, list):
        return [_placed(key, each, folder) for each in value] if key == "rules" else value
    if not isinstance(value, str) or not value or "\0" in value:
        return value
    placed = str(folder / os.path.expanduser(value))
    is_path = (
        key in ("data", "options", "rules", "certificate", "certificate_key")
        or (key == "playbook" and value.endswith(".toml"))
        or (key == "model" and (Path(value).name != value or os.path.isdir(placed)))
    )
    return placed if is_path else value


def _expected(loc: tuple[int | str, ...], why: str) -> str:
    """Why a key does not fit, with what it is for; for one that is not known, those of its table."""
    why = re.sub("Input should be a valid dictionary.*", "expected a table of keys", why)
    table: type[BaseModel] = Settings
    for part in loc[:-1]:
        inner = table.model_fields[str(part)].annotation if part in table.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return why
        table = inner
    field = table.model_fields.get(str(loc[-1]))
    if field is None and why.startswith("Extra inputs"):
        within = f" in [{_dotted(loc[:-1])}]" if len(loc) > 1 else ""
        above = f"; {loc[-1]} stands above the first [table]" if within and loc[-1] in Settings.model_fields else ""
        return f"no such key (known{within}: {', '.join(table.model_fields)}{above})"
    return f"{why} ({field.description})" if field is not None and field.description else why


def _dotted(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc))
