"""The checks of what is kept: users, consent, pauses, retention, the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from assist.doctor.finding import Finding, bad, ok, warning
from assist.doctor.machine import store_state
from assist.errors import AssistError
from assist.privacy.clock_check import clock_doubt
from assist.privacy.consent import Consent, ConsentPolicy
from assist.privacy.retention import find_due
from assist.settings import Settings
from assist.store.paths import audit_key_path
from assist.store.store import open_reader


def users(settings: Settings) -> Iterator[Finding]:
    """Where users log in, there is one."""
    if settings.login.by != "users":
        return
    count = 0
    try:
        store = open_reader(settings.store_url)
    except AssistError as error:
        if error.code != "store-missing":
            return  # the check of the database says why
    else:
        count = len(store.people.users())
        store.close()
    if count:
        yield ok("users", f"{count} can log in")
    else:
        yield bad("users", "nobody can log in yet, and serve does not start: `assist users add NAME --role admin`")


def consent(settings: Settings) -> Iterator[Finding]:
    """What is heard and kept while consent is not known."""
    policy, start = settings.consent_policy, settings.consent
    unknown = {
        ConsentPolicy.ONE_PARTY: "heard and kept",
        ConsentPolicy.ALL_PARTY: "heard, nothing kept",
        ConsentPolicy.STRICT: "not heard, nothing kept",
    }[policy]
    text = f"policy {policy}: while consent is unknown a call is {unknown}; live calls start as {start}"
    if start is Consent.GRANTED:
        yield warning("consent", f"{text}. Every call counts as agreed: is there an announcement that asks?")
    elif policy is ConsentPolicy.ONE_PARTY:
        yield warning("consent", f"{text}. Many places ask for everybody's consent: have counsel confirm")
    else:
        yield ok("consent", text)


def pause(settings: Settings) -> Iterator[Finding]:
    """Listening stops for card numbers."""
    names = "masked after cues" if settings.mask_names else "not masked"
    if settings.auto_pause:
        yield ok(
            "pause",
            f"by itself for card numbers ({settings.auto_pause_s} s at most), by key P and by API; names {names}",
        )
    else:
        yield warning("pause", f"only by hand and API: auto_pause is off, and people forget; names {names}")


def retention(settings: Settings) -> Iterator[Finding]:
    """Nothing is kept past its time."""
    keep = settings.keep
    days = f"words {keep.transcript_days} days, records {keep.review_days}, consent {keep.consent_days}"
    days += f", audit log {keep.audit_days}"
    sound = f"recordings are on: sound kept {keep.audio_days} days where consent is granted, encrypted"
    text = f"{days}; {sound if settings.recordings else 'recordings are off: sound is not kept'}"
    if not _readable(settings):
        yield ok("retention", text)
        return
    store = open_reader(settings.store_url)
    try:
        now = datetime.now(UTC)
        found = find_due(store, keep, now, settings.data)
        doubt = clock_doubt(store, found, now)
        holds = len(store.holds())
    finally:
        store.close()
    count = len({*found.words, *found.records, *found.recordings})
    held = f"; {holds} calls on hold" if holds else ""
    if count or found.stores:
        former = f" and {len(found.stores)} former stores" if found.stores else ""
        do = doubt or "`assist retention run` (serve does it daily)"
        yield warning("retention", f"{text}; {count} calls{former} are past it: {do}")
    else:
        yield ok("retention", f"{text}{held}; nothing is overdue")


def audit(settings: Settings) -> Iterator[Finding]:
    """Every seal of the audit log holds."""
    from assist.access.audit import open_audit

    if not _readable(settings):
        yield ok("audit log", "none yet that this version reads")
        return
    store = open_reader(settings.store_url)
    try:
        if not audit_key_path(settings.data).exists():
            if store.people.audit_head() is None:
                yield ok("audit log", "empty so far")
            else:
                does = "a serve that runs has it still, and puts it back once a day and when it stops"
                yield bad(
                    "audit log", f"audit.key is missing: put it back, for serve does not start without it; {does}"
                )
            return
        verdict = open_audit(store.people, settings.data).verify()
    except AssistError as error:
        yield bad("audit log", str(error))
        return
    finally:
        store.close()
    if verdict.problem:
        yield bad("audit log", f"{verdict.problem}: somebody or something changed it; keep a copy and find out")
    else:
        yield ok("audit log", f"{verdict.rows} entries, every seal holds")


def _readable(settings: Settings) -> bool:
    state = store_state(settings)
    return state.schema == state.supported
