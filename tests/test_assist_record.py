import pytest

from assist.events import (
    Action,
    AlertRaised,
    CallEnded,
    CallResumed,
    CallStarted,
    FollowUpNoted,
    PlanOffered,
    PlanOption,
    PromptEnded,
    PromptShown,
    Recovery,
    SignalRaised,
    SignalWithdrawn,
    StepTicked,
)
from assist.privacy.retention import without_words
from assist.records.folding import fold
from assist.records.page import page
from assist.records.record import IncidentRecord
from assist.wording import clock
from audio.events import Gap, Speaker, Trouble, Utterance, Word
from detectors.signals import Evidence, Level, LevelChange, Severity, Signal


def signal(rule="influence.my-guy", utterance="c1", at=4_000):
    evidence = Evidence(3_000, at, "call my guy", utterance, 1, 3)
    return Signal("influence_claim", rule, "3", Speaker.CUSTOMER, at, 0.9, Severity.HELP, evidence)


STARTED = CallStarted(
    0, "k1", "Dana", "Billing", "", "…0142", "2026-11-24T10:00:00+00:00", "demo", ("agent", "customer"), {"rules": "r1"}
)
OPTION = PlanOption("late-fee", "Waive the late fee", "worth £12 to them", "yours", 12.0)
WORDS = tuple(Word(word, 1000 * i, 1000 * i + 500, 0.9) for i, word in enumerate("I'll call my guy".split()))
CALL = [
    STARTED,
    Utterance("c1", Speaker.CUSTOMER, 0, 4_000, WORDS),
    SignalRaised(4_000, signal()),
    SignalRaised(4_100, signal(rule="mistaken")),
    SignalWithdrawn(4_200, signal(rule="mistaken").key),
    LevelChange(4_300, Level.ESCALATED, Level.TENSE, 71.234, (signal(),)),
    AlertRaised(4_300, "a1", Severity.HELP, "“call my guy”", (signal().key,)),
    Recovery(4_300, "started", 60_000),
    PromptShown(4_400, "p1", "influence", "own", "Be the person", "I'm Dana.", ("“call my guy”",), Severity.HELP, ()),
    PlanOffered(4_500, (OPTION,)),
    Action(5_000, "Dana", "agent", "seen", "p1"),
    Action(5_500, "Dana", "agent", "seen", "p1"),
    Action(6_000, "Maria", "supervisor", "claim", "a1"),
    PromptEnded(9_000, "p1", "acted", "I'm Dana"),
    StepTicked(9_000, "own", True, "words", "I'm Dana"),
    StepTicked(9_100, "remedy", True, "hand"),
    StepTicked(9_200, "remedy", False, "hand"),
    Action(10_000, "Dana", "agent", "plan-offered", "late-fee"),
    Action(12_000, "Dana", "agent", "plan-accepted", "late-fee"),
    FollowUpNoted(13_000, "f1", "call back", "by Friday", "Dana", "I'll call you by Friday"),
    LevelChange(20_000, Level.RECOVERING, Level.ESCALATED, 40.0, ()),
    Recovery(20_000, "met", 60_000, 15_700),
    Gap(Speaker.CUSTOMER, 21_000, 21_250),
    Trouble(22_000, "transcriber-behind", "words come 4 s late", lag_ms=4_000),
    Action(23_000, "Dana", "agent", "note", detail="Third <b>missed</b> visit"),
    CallEnded(30_000, "hang-up", {"customer.speech": 4_000, "customer.silence": 26_000}),
]


def test_the_record_is_what_the_log_comes_to():
    record = fold(CALL)
    assert (record.level_reached, record.level_at_end, record.outcome) == ("escalated", "recovering", "recovered")
    assert [each.rule for each in record.signals] == ["influence.my-guy"]  # what was withdrawn never counts
    assert record.levels[0].because == [signal().key]
    [prompt] = record.prompts
    assert (prompt.shown_ms, prompt.seen_ms, prompt.ended_ms, prompt.how) == (4_400, 5_000, 9_000, "acted")
    [plan] = record.plan
    assert (plan.shown_ms, plan.offered_ms, plan.answer) == (4_500, 10_000, "accepted")
    assert [step.step for step in record.steps] == ["own"]
    assert record.recovery[0].result == "met" and record.recovery[0].took_ms == 15_700
    assert record.alerts[0].course == [(6_000, "claim", "Maria")]
    assert record.follow_ups[0].due == "by Friday"
    assert record.gaps_ms == 250
    assert record.duration_ms == 30_000
    assert record.versions == {"rules": "r1"}
    assert IncidentRecord.model_validate_json(record.model_dump_json()) == record
    resumed = [CallResumed(31_000, {"rules": "r1"}), CallResumed(32_000, {"rules": "r2"})]
    assert fold([*CALL, *resumed]).versions == {"rules": "r1, then r2"}


def test_sound_that_never_came_on_both_channels_is_told_once():
    gaps = [Gap(Speaker.AGENT, 5_000, 35_000), Gap(Speaker.CUSTOMER, 5_000, 35_000), Gap(Speaker.AGENT, 30_000, 40_000)]
    record = fold([CALL[0], *gaps, Gap(Speaker.AGENT, 50_000, 60_000, "failed"), CallEnded(90_000, "hang-up")])
    assert record.gaps_ms == 35_000
    assert "Sound that never came: 35.0 s" in page(record)


def test_a_call_cut_short_still_makes_a_record():
    record = fold(CALL[:9])
    assert record.ended == "interrupted"
    assert record.outcome == "still escalated at the end"
    assert record.prompts[0].ended_ms is None


def test_a_recovery_that_took_too_long_stays_missed():
    clock = [
        Recovery(0, "started", 60_000),
        Recovery(60_000, "missed", 60_000),
        Recovery(90_000, "met", 60_000, 90_000),
    ]
    events = [STARTED, *clock]
    [run] = fold(events).recovery
    assert (run.result, run.took_ms) == ("missed", 90_000)


@pytest.mark.parametrize(
    ("ends", "took_ms", "told"),
    [
        ([], None, "missed, never in this call (goal 60 s)"),
        ([Recovery(80_000, "stopped", 60_000, 80_000)], None, "missed, never in this call (goal 60 s)"),
        ([Recovery(75_000, "missed", 60_000, 75_000)], 75_000, "missed, 75 s (goal 60 s)"),
    ],
)
def test_a_call_that_never_recovered_has_no_time_of_recovery(ends, took_ms, told):
    clock = [Recovery(0, "started", 60_000), Recovery(60_100, "missed", 60_000, 60_100), *ends]
    record = fold([STARTED, *clock, CallEnded(80_000, "hang-up")])
    [run] = record.recovery
    assert (run.result, run.took_ms) == ("missed", took_ms) and told in page(record)


def test_a_transcript_that_was_taken_out_is_not_called_unheard():
    gone = page(IncidentRecord.model_validate(without_words(fold(CALL).model_dump(mode="json"))))
    silent = page(fold([STARTED, CallEnded(80_000, "hang-up", {"customer.speech": 0})]))
    assert "The words of this call are not kept." in gone and "No words were recognised." in silent


def test_the_page_escapes_every_word_and_marks_the_phrase():
    html = page(fold(CALL))
    assert "<b>missed" not in html and "&lt;b&gt;missed" in html
    assert "<mark>call</mark> <mark>my</mark> <mark>guy</mark>" in html
    assert "<dt>Recovery</dt><dd>from 00:04: met, 16 s (goal 60 s)" in html
    assert "src=" not in html and "://" not in html


def test_a_remedy_that_came_too_late_does_not_read_as_what_missed_the_goal():
    clock = [
        Recovery(4_300, "started", 60_000),
        Recovery(64_500, "missed", 60_000, 60_200),
        Recovery(79_300, "missed", 60_000, 75_000, "remedy"),
    ]
    html = page(fold([STARTED, *clock]))
    assert "from 00:04: missed, a remedy accepted after 75 s (goal 60 s)" in html


def test_clock():
    assert [clock(0), clock(61_000), clock(3_661_000)] == ["00:00", "01:01", "1:01:01"]
