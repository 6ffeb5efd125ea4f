"""`assist doctor`: whether this installation is sound, one line each: ok, a warning, or what is bad and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from assist.doctor import hearing, judging, keeping, machine, serving
from assist.doctor.finding import Finding, Level
from assist.settings import Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """All checks, in the order in which they are best repaired. Nothing is changed and nothing is fetched."""
    checks: tuple[tuple[str, Callable[[Settings], Iterator[Finding]]], ...] = (
        ("data folder", machine.folder),
        ("disk space", machine.disk),
        ("encryption", machine.encryption),
        ("database", machine.database),
        ("keys", machine.keys),
        ("put aside", machine.put_aside),
        ("recogniser", hearing.recogniser),
        ("devices", hearing.devices),
        ("rules", judging.rules),
        ("sentences", judging.sentences),
        ("playbook", judging.playbook),
        ("pages", serving.pages),
        ("port", serving.port),
        ("clock", machine.clock),
        ("login", serving.login),
        ("names", serving.names),
        ("users", keeping.users),
        ("certificate", serving.certificate),
        ("consent", keeping.consent),
        ("pause", keeping.pause),
        ("retention", keeping.retention),
        ("audit log", keeping.audit),
        ("network", serving.network),
    )
    for name, check in checks:
        try:
            yield from check(settings)
        except OSError as error:  # shut, or removed meanwhile
            what = ": ".join(str(each) for each in (error.filename, error.strerror or error) if each is not None)
            yield Finding(name, Level.BAD, f"could not be looked at: {what}")
        except Exception as error:  # one check that breaks is a finding, and the others still run
            yield Finding(name, Level.BAD, f"could not be checked: {type(error).__name__}: {str(error)[:160]}")
