"""Sets up a call: its id, its first event and its session."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from assist.coach.coach import AgentProfile, Coach
from assist.coach.history import History
from assist.coach.parts import Playbook
from assist.coach.planb import Caller
from assist.coach.reloading import ReloadingPlaybook
from assist.events import CallStarted
from assist.live.hearing import Hearing
from assist.live.session import Session
from assist.privacy.autopause import AutoPause
from assist.settings import Settings
from audio.source import CallSource
from detectors.escalation import Escalation
from detectors.factory import DetectorSettings, build_detectors
from detectors.rulebook import Rulebook
from overlay.identity import casefolded

_ID_TIME_FORMAT = "%Y%m%d-%H%M%S"
_SECOND_HOUR_BYTES = 5


def new_call_id(began: datetime) -> str:
    """An id for a call that begins now; random, as the store would keep nothing of a second call with the same id.

    It begins with the local time. Of the hour that comes twice as clocks go back the second one has a longer id.
    """
    local = began.astimezone()
    is_second = local.replace(tzinfo=None).astimezone() != local
    return f"{local:{_ID_TIME_FORMAT}}-{secrets.token_hex(_SECOND_HOUR_BYTES if is_second else 4)}"


def started_at_of(call: str) -> datetime:
    """When the call with this id began: all that is known of a call that was not stored."""
    is_second = len(call) == 16 + 2 * _SECOND_HOUR_BYTES
    return datetime.strptime(call[:15], _ID_TIME_FORMAT).replace(fold=is_second).astimezone()


def agent_profile(settings: Settings, agent: str) -> AgentProfile:
    """What the coach knows of an agent: whose limits apply in their calls, and whether they want fewer prompts."""
    key = casefolded(agent)  # the settings may spell a name otherwise than the call
    authorities = {casefolded(name): authority for name, authority in settings.authorities.items()}
    experienced = settings.experienced or key in map(casefolded, settings.experienced_agents)
    return AgentProfile(agent, authorities.get(key, settings.authority), experienced)


def unknown_authorities(settings: Settings, playbook: Playbook) -> str:
    """A warning where an authority in the settings has no limit in any option (mistyped, perhaps); else empty."""
    named = {
        *settings.authorities.values(),
        *([settings.authority] if "authority" in settings.model_fields_set else []),
    }
    known = {role for option in playbook.options for role in option.limits}
    unknown = sorted(named - known)
    if not unknown or not known:
        return ""
    return (
        f"authority {', '.join(unknown)} in the settings: no option of the playbook has a limit for it, so all must be "
        f"asked for; those with a limit: {', '.join(sorted(known))}"
    )


@dataclass
class CallSetup:
    """Makes the first event and the session of new calls."""

    settings: Settings
    rulebook: Rulebook
    playbooks: ReloadingPlaybook
    history: History
    login_name: Callable[[str], str] = lambda agent: agent
    """Spelling of an agent's name -> the name they log in with, under which their page and records are found."""

    def call_started(
        self,
        call: str,
        began: datetime,
        source: CallSource,
        hearing: Hearing,
        *,
        agent: str | None = None,
        team: str | None = None,
        queue: str = "",
        caller: str = "",
        value: str = "",
    ) -> CallStarted:
        """The first event of a call; agent and team default to those of the settings."""
        return CallStarted(
            at_ms=0,
            call=call,
            agent=self.login_name(agent or self.settings.agent),
            team=self.settings.team if team is None else team,
            queue=queue,
            caller=caller,
            started_at=began.isoformat(timespec="seconds"),
            source=source.name,
            speakers=tuple(source.speakers),
            versions=self.versions(hearing),
            value=value,
        )

    def versions(self, hearing: Hearing) -> dict[str, str]:
        """What a call that begins or goes on now is heard and judged with."""
        return {
            "assist": version("call-assist"),
            "playbook": self.playbooks.book.version,
            "rules": self.rulebook.version,
            "recogniser": hearing.name,
            "model": hearing.version[:24],
        }

    def new_session(self, started: CallStarted) -> Session:
        """A session for the call that begins so, with the playbook as last read."""
        playbook, began = self.playbooks.book, datetime.fromisoformat(started.started_at)
        used = self.history.used_by(started.caller, playbook.options, began.date())
        caller = Caller(started.value, used)
        settings = self.settings
        coach = Coach(playbook, agent_profile(settings, started.agent), self.history.accepted_here(), caller, began)
        session = Session(
            started, build_detectors(self.rulebook, DetectorSettings(meaning=settings.meaning)), Escalation(), coach
        )
        session.redactor.names = settings.mask_names
        session.auto_pause = AutoPause(settings.auto_pause_s * 1000) if settings.auto_pause else None
        return session
