from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio.events import Speaker
from detectors.escalation import RELIEF, SUPPORT_WEIGHTS, TENSE_NOTES, WORD_WEIGHTS, Escalation, EscalationSettings
from detectors.signals import AGENT_STEPS, SIGNAL_IDS, Evidence, Level, Severity, Signal


def found(
    name, at_ms, severity=Severity.HELP, strength=0.9, utterance=None, lasts_ms=800, speaker=None, rule=None, start=None
):
    place = f"u{at_ms}" if utterance is None else utterance
    start_ms = at_ms - lasts_ms if start is None else start
    acoustic = name in ("raised_voice", "overlap", "silence", "monologue")
    by = speaker or (Speaker.AGENT if name in AGENT_STEPS else Speaker.CUSTOMER)
    evidence = Evidence(start_ms, at_ms, utterance=None if acoustic else place)
    return Signal(name, rule or f"{name}.test", "1", by, at_ms, strength, severity, evidence)


def course(escalation, signals, until_ms, step_ms=500):
    """Every change of a call in which the signals are heard at their own times and time ticks on."""
    changes = []
    waiting = sorted(signals, key=lambda signal: signal.at_ms)
    for now in range(0, until_ms + 1, step_ms):
        while waiting and waiting[0].at_ms <= now:
            changes.append(escalation.update((waiting.pop(0),), now))
        changes.append(escalation.tick(now))
    return [change for change in changes if change is not None]


def levels(changes):
    return [change.level for change in changes]


def test_every_weight_belongs_to_a_known_signal_and_none_is_forgotten():
    weighted = set(WORD_WEIGHTS) | set(SUPPORT_WEIGHTS) | set(RELIEF) | {"raised_voice"}
    assert weighted == SIGNAL_IDS


@pytest.mark.parametrize(
    "name", ["supervisor_demand", "influence_claim", "derogatory", "swearing", "legal_threat", "police"]
)
def test_one_unmistakable_statement_makes_it_tense_at_once_and_no_more(name):
    escalation = Escalation()
    change = escalation.update((found(name, 30_000),), 30_400)
    assert change is not None
    assert (change.level, change.before, change.at_ms) == (Level.TENSE, Level.CALM, 30_400)
    assert [signal.id for signal in change.because] == [name]


MENTIONED = [name for name in WORD_WEIGHTS if name not in TENSE_NOTES]


@pytest.mark.parametrize("name", MENTIONED)
def test_one_mild_word_changes_nothing(name):
    escalation = Escalation()
    assert escalation.update((found(name, 30_000, Severity.NOTE, 1.0),), 30_000) is None
    assert escalation.level is Level.CALM


def test_a_mild_word_over_and_over_in_one_breath_changes_nothing():
    escalation = Escalation()
    mild = [found("swearing", 1000 + i, Severity.NOTE, 1.0, "u1", rule=f"swearing.{i}") for i in range(20)]
    assert escalation.update(mild, 2000) is None


@pytest.mark.parametrize("second", sorted(set(WORD_WEIGHTS) - {"passed_around", "vulnerable"}))
def test_two_different_cues_within_twenty_seconds_escalate(second):
    changes = course(Escalation(), [found("passed_around", 10_000), found(second, 29_000)], 31_000)
    assert levels(changes)[-1] is Level.ESCALATED
    assert {signal.id for signal in changes[-1].because} == {"passed_around", second}


def test_a_word_and_a_raised_voice_escalate():
    changes = course(Escalation(), [found("cancel_threat", 10_000), found("raised_voice", 15_000)], 16_000)
    assert levels(changes) == [Level.TENSE, Level.ESCALATED]


def test_a_second_demand_in_another_breath_escalates_but_two_rules_on_the_same_words_do_not():
    same = [
        found("supervisor_demand", 5000, utterance="u1"),
        found("supervisor_demand", 5200, utterance="u1", rule="b"),
    ]
    assert levels(course(Escalation(), same, 9000)) == [Level.TENSE]
    again = [found("supervisor_demand", 5000), found("supervisor_demand", 15_000)]
    assert levels(course(Escalation(), again, 16_000)) == [Level.TENSE, Level.ESCALATED]


def test_two_kinds_found_in_the_same_words_are_one_cue():
    def quoted(name, first, last):
        signal = found(name, 5000, utterance="u1")
        return replace(signal, evidence=replace(signal.evidence, first_word=first, last_word=last))

    one_breath = Escalation()
    one_breath.update((quoted("swearing", 1, 1), quoted("derogatory", 0, 2)), 5000)
    assert one_breath.level is Level.TENSE
    two_things = Escalation()
    two_things.update((quoted("swearing", 1, 1), quoted("supervisor_demand", 4, 7)), 5000)
    assert two_things.level is Level.ESCALATED


def test_two_mild_words_of_different_kinds_change_nothing():
    for one, other in pairwise(MENTIONED):
        mild = [found(one, 1000, Severity.NOTE, 1.0), found(other, 3000, Severity.NOTE, 1.0)]
        if "personal_threat" not in (one, other):
            assert course(Escalation(), mild, 5000) == []


def test_one_short_rise_of_the_voice_changes_nothing():
    assert course(Escalation(), [found("raised_voice", 10_000, strength=1.0, lasts_ms=2000)], 60_000) == []


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_two_rises_or_six_seconds_make_it_tense_but_never_more(strength):
    two = [found("raised_voice", at, strength=strength) for at in (10_000, 40_000)]
    assert levels(course(Escalation(), two, 41_000)) == [Level.TENSE]
    growing = [found("raised_voice", at, strength=strength, start=10_000) for at in range(11_000, 17_000, 1000)]
    assert len({signal.key for signal in growing}) == 1
    changes = course(Escalation(), growing, 30_000)
    assert (levels(changes), changes[0].at_ms) == ([Level.TENSE], 16_000)


def test_everything_but_words_together_stays_under_escalated():
    names = ["raised_voice", *SUPPORT_WEIGHTS]
    everything = [found(name, at, Severity.HELP, 1.0) for at in range(1000, 60_000, 3000) for name in names]
    assert set(levels(course(Escalation(), everything, 61_000))) == {Level.TENSE}


def test_support_alone_changes_nothing():
    everything = [found(name, at, strength=1.0) for at in range(1000, 60_000, 3000) for name in SUPPORT_WEIGHTS]
    assert course(Escalation(), everything, 61_000) == []


def test_support_does_not_carry_one_word_to_escalated_but_two_kinds_of_cue_it_does():
    support = [found(name, 9000, strength=1.0) for name in SUPPORT_WEIGHTS]
    one = [*support, found("swearing", 10_000, strength=1.0)]
    assert set(levels(course(Escalation(), one, 20_000))) == {Level.TENSE}
    two = [*one, found("time_pressure", 11_000, Severity.NOTE)]
    assert levels(course(Escalation(), two, 20_000)) == [Level.TENSE, Level.ESCALATED]


@pytest.mark.parametrize("name", ["personal_threat", "vulnerable"])
def test_urgent_words_escalate_at_once(name):
    change = Escalation().update((found(name, 8000, Severity.URGENT, 0.7),), 8200)
    assert change is not None and change.level is Level.ESCALATED and change.because[0].id == name


def test_urgent_sound_alone_does_not_escalate():
    change = Escalation().update((found("raised_voice", 8000, Severity.URGENT, 1.0, lasts_ms=9000),), 8200)
    assert change is not None and change.level is Level.TENSE


def test_the_way_down_leads_through_recovering_and_help_speeds_it_up():
    angry = [found("supervisor_demand", 10_000), found("passed_around", 14_000), found("swearing", 18_000)]
    alone = course(Escalation(), angry, 400_000)
    assert levels(alone) == [Level.TENSE, Level.ESCALATED, Level.RECOVERING, Level.CALM]
    steps = [found("apology", 25_000), found("empathy", 27_000), found("ownership", 30_000), found("remedy", 40_000)]
    helped = course(Escalation(), [*angry, *steps, found("de_escalation", 50_000, strength=1.0)], 400_000)
    assert levels(helped) == levels(alone)
    assert helped[2].at_ms < alone[2].at_ms - 10_000 and helped[3].at_ms < alone[3].at_ms - 30_000
    assert {signal.id for signal in helped[2].because} >= {"remedy", "ownership"}
    assert alone[2].because == ()


def test_a_thousand_apologies_are_not_a_remedy():
    angry = [found("supervisor_demand", 1000), found("swearing", 2000), found("legal_threat", 3000)]
    sorry = [found("apology", at) for at in range(4000, 20_000, 1000)]
    escalation = Escalation()
    course(escalation, [*angry, *sorry], 20_000)
    assert escalation.level is Level.ESCALATED


def test_words_said_in_the_same_breath_as_a_thank_you_are_not_shrunk_by_it():
    demand = found("supervisor_demand", 5000, utterance="u1")
    thanks = found("de_escalation", 6000, utterance="u1")
    escalation = Escalation()
    escalation.update((demand, thanks), 6000)
    assert escalation.level is Level.TENSE


@pytest.mark.parametrize(
    ("second", "level"),
    [
        (found("legal_threat", 5000, Severity.NOTE), Level.TENSE),
        (found("legal_threat", 5000), Level.ESCALATED),
        (found("swearing", 5000, Severity.NOTE), Level.ESCALATED),
    ],
)
def test_what_was_only_mentioned_is_no_second_cue(second, level):
    support = [found("negative_sentiment", 5500), found("overlap", 6000)]
    escalation = Escalation()
    course(escalation, [found("supervisor_demand", 4000), second, *support], 7000)
    assert escalation.level is level


@pytest.mark.parametrize(
    ("heard", "level"),
    [
        ([found("complaint", 5000), found("negative_sentiment", 5000)], Level.CALM),
        ([found("influence_claim", 4000, Severity.NOTE)], Level.CALM),
        ([found("influence_claim", 4000, Severity.NOTE), found("complaint", 5000)], Level.TENSE),
    ],
)
def test_a_complaint_alone_is_no_cue_and_carries_one_that_was_only_noted(heard, level):
    escalation = Escalation()
    course(escalation, heard, 6000)
    assert escalation.level is level


NOTED = [found(name, at, Severity.NOTE) for at, name in enumerate(("legal_threat", "police", "cancel_threat"), 4000)]


@pytest.mark.parametrize(
    ("also", "level"),
    [
        ([found("negative_sentiment", 5000), found("monologue", 5500)], Level.CALM),
        ([found("complaint", 5000)], Level.TENSE),
        ([found("time_pressure", 5000)], Level.TENSE),
    ],
)
def test_what_is_only_noted_is_no_cue_however_much_there_is_of_it(also, level):
    escalation = Escalation()
    course(escalation, [*NOTED, *also], 7000)
    assert escalation.level is level


@pytest.mark.parametrize(
    "also",
    [(), ("legal_threat",), ("upset",), ("negative_sentiment", "overlap", "complaint"), ("supervisor_demand",)],
)
def test_that_somebody_was_noted_to_be_upset_makes_it_tense_and_is_no_step_further(also):
    severity = {"supervisor_demand": Severity.HELP}
    more = [found(name, at, severity.get(name, Severity.NOTE)) for at, name in enumerate(also, 4000)]
    changes = course(Escalation(), [found("upset", 1000, Severity.NOTE, 0.88), *more], 7000)
    assert [(change.level, change.at_ms) for change in changes] == [(Level.TENSE, 1000)]


def test_a_note_of_upset_does_not_carry_two_mild_words_to_escalated():
    mild = [found(name, at, Severity.NOTE) for at, name in enumerate(("swearing", "time_pressure"), 2000)]
    changes = course(Escalation(), [found("upset", 1000, Severity.NOTE), *mild], 6000)
    assert levels(changes) == [Level.TENSE]


def test_what_is_clear_stays_so_where_the_same_words_were_noted_to_be_upset():
    """As in "that's bloody marvellous, isn't it", and then "put me through to your manager"."""
    noted = (found(name, 1000, Severity.NOTE, utterance="said") for name in ("swearing", "upset"))
    mild, upset = (replace(each, evidence=replace(each.evidence, first_word=1, last_word=4)) for each in noted)
    for first in ([mild], [mild, upset]):
        changes = course(Escalation(), [*first, found("supervisor_demand", 6000)], 9000)
        assert changes[-1].level is Level.ESCALATED


def test_a_call_stays_tense_no_longer_than_something_clear_was_said():
    moods = [found("negative_sentiment", at) for at in range(10_000, 240_000, 20_000)]
    changes = course(Escalation(), [found("supervisor_demand", 5000), *moods], 240_000)
    assert levels(changes) == [Level.TENSE, Level.CALM]
    assert changes[1].at_ms < 160_000


@pytest.mark.parametrize(
    ("again", "level"),
    [
        (found("influence_claim", 12_000), Level.ESCALATED),
        (found("influence_claim", 12_000, Severity.NOTE), Level.TENSE),
        (found("cancel_threat", 12_000, Severity.NOTE), Level.TENSE),
    ],
)
def test_what_is_pressed_again_after_an_answer_escalates(again, level):
    """As in "I'll call my guy", an understanding answer, and still "I play golf with your director"."""
    escalation = Escalation()
    answers = [found("apology", 7000), found("empathy", 8000), found("ownership", 9000)]
    course(escalation, [found("influence_claim", 5000), *answers, again], 13_000)
    assert escalation.level is level


def test_a_relief_counts_again_when_nothing_is_said_after_it():
    said = [found("swearing", 1000), found("apology", 4000), found("swearing", 8000)]
    escalation = Escalation()
    course(escalation, said, 9000)
    before = escalation.score
    escalation.update((found("remedy", 10_000),), 10_000)
    assert escalation.score < before


def test_a_new_cue_while_recovering_escalates_again_but_a_rise_of_the_voice_does_not():
    angry = [found("supervisor_demand", 1000), found("swearing", 2000), found("de_escalation", 15_000, strength=1.0)]
    calmed = Escalation()
    assert levels(course(calmed, angry, 20_000))[-1] is Level.RECOVERING
    loud = course(calmed, [found("raised_voice", 21_000), found("raised_voice", 24_000)], 26_000)
    assert loud == []
    change = calmed.update((found("passed_around", 27_000),), 27_000)
    assert change is not None and (change.before, change.level) == (Level.RECOVERING, Level.ESCALATED)


def test_a_cue_that_was_said_before_the_fall_and_heard_after_it_escalates_again():
    """Words are heard a second after they were said; what was heard before the fall is no new cue."""
    angry = [found("supervisor_demand", 1000), found("swearing", 2000), found("de_escalation", 15_000, strength=1.0)]
    calmed = Escalation()
    fall = course(calmed, angry, 20_000)[-1]
    assert fall.level is Level.RECOVERING
    again = found("swearing", 2000, Severity.URGENT)
    assert calmed.update((again,), 20_500) is None
    change = calmed.update((found("derogatory", fall.at_ms - 200, strength=1.0),), 20_500)
    assert change is not None and change.level is Level.ESCALATED


def test_dwell_an_escalated_call_does_not_flap():
    angry = [found("supervisor_demand", 1000), found("swearing", 2000), found("de_escalation", 2500, strength=1.0)]
    changes = course(Escalation(), angry, 12_000)
    assert levels(changes) == [Level.TENSE, Level.ESCALATED, Level.RECOVERING]
    assert changes[2].at_ms - changes[1].at_ms == EscalationSettings().dwell_escalated_ms


def test_what_is_withdrawn_takes_its_level_along():
    escalation = Escalation()
    first = replace(found("supervisor_demand", 5000), settled=False)
    second = replace(found("swearing", 6000), settled=False)
    escalation.update((first,), 5000)
    assert escalation.update((second,), 6000).level is Level.ESCALATED
    back = escalation.withdraw(second.key, 6500)
    assert (back.level, back.before, back.at_ms) == (Level.TENSE, Level.ESCALATED, 6500)
    assert escalation.withdraw(second.key, 6600) is None
    assert escalation.score == pytest.approx(45.0 * 0.96)


def test_a_thank_you_that_was_misheard_is_taken_back_too():
    escalation = Escalation()
    course(escalation, [found("supervisor_demand", 1000), found("swearing", 2000)], 15_000)
    thanks = replace(found("de_escalation", 16_000, strength=1.0), settled=False)
    assert escalation.update((thanks,), 16_000).level is Level.RECOVERING
    back = escalation.withdraw(thanks.key, 16_500)
    assert (back.level, back.before) == (Level.ESCALATED, Level.RECOVERING)


def test_when_the_first_of_two_cues_is_taken_back_the_second_still_stands():
    escalation = Escalation()
    first, second = found("supervisor_demand", 5000), found("swearing", 6000)
    escalation.update((first,), 5000)
    escalation.update((second,), 6000)
    assert escalation.withdraw(first.key, 6500).level is Level.TENSE
    assert escalation.withdraw(second.key, 6600).level is Level.CALM


def test_the_agents_own_words_never_raise_it_beyond_missteps():
    agents = [found(name, 1000 * i, Severity.URGENT, 1.0, speaker=Speaker.AGENT) for i, name in enumerate(WORD_WEIGHTS)]
    assert course(Escalation(), agents, 30_000) == []


def test_the_same_finding_on_later_words_is_refreshed_not_added():
    escalation = Escalation()
    for now in range(5000, 9000, 500):
        escalation.update((replace(found("supervisor_demand", 5000), settled=now > 8000),), now)
    assert escalation.score == pytest.approx(45.0 * 0.96)
    assert len(escalation.contributions()) == 1


def quoted(name, at_ms, strength, severity, lasts_ms, first):
    """Findings of one second are in one utterance, so that their words may overlap."""
    signal = found(name, at_ms, severity, strength, f"u{at_ms // 1000}", lasts_ms)
    return replace(signal, evidence=replace(signal.evidence, first_word=first, last_word=first + 1))


signals = st.builds(
    quoted,
    st.sampled_from(sorted(SIGNAL_IDS)),
    st.integers(0, 120_000),
    st.floats(0, 1),
    st.sampled_from(list(Severity)),
    st.integers(0, 8000),
    st.integers(0, 4),
)
calls = st.lists(signals, max_size=12)
RANK = {Level.CALM: 0, Level.RECOVERING: 0, Level.TENSE: 1, Level.ESCALATED: 2}
waits = st.lists(st.integers(0, 200_000), max_size=20)


@settings(max_examples=50)
@given(calls, waits)
@example(  # a quarrel of more than 100 points, calmed; what is said then fades later than it
    [
        quoted(name, at, 1.0, Severity.NOTE if name in RELIEF else Severity.HELP, 0, 0)
        for name, at in (
            ("upset", 87_610),
            ("passed_around", 89_171),
            ("cancel_threat", 90_668),
            ("vulnerable", 91_207),
            ("personal_threat", 91_303),
            ("review_threat", 92_272),
            ("influence_claim", 92_604),
            ("legal_threat", 93_245),
            ("regulator_threat", 94_239),
            ("vulnerable", 94_670),
            ("vulnerable", 95_047),
            ("supervisor_demand", 95_465),
            ("remedy", 96_895),
            ("empathy", 97_895),
            ("de_escalation", 98_895),
            ("refund_chargeback", 118_676),
        )
    ],
    list(range(0, 20_000, 2_000)),
)
def test_time_alone_never_raises_the_level(heard, later):
    escalation = Escalation()
    course(escalation, heard, 120_000, 5000)
    for wait in sorted(later):
        before = escalation.level
        escalation.tick(120_000 + wait)
        assert RANK[escalation.level] <= RANK[before]


@settings(max_examples=50)
@given(calls, waits)
def test_time_alone_never_raises_the_score_of_a_call_in_which_nothing_calmed(heard, later):
    escalation = Escalation()
    heard = [signal for signal in heard if signal.id not in RELIEF]
    course(escalation, heard, 120_000, 5000)
    scores = [escalation.score]
    for wait in sorted(later):
        escalation.tick(120_000 + wait)
        scores.append(escalation.score)
    assert all(after <= before + 1e-9 for before, after in pairwise(scores)), "but for what floats round"
    assert all(0.0 <= score <= 100.0 for score in scores)


@given(signals)
def test_one_finding_that_is_not_urgent_never_escalates(signal):
    if signal.severity is Severity.URGENT and signal.id in WORD_WEIGHTS and signal.speaker is not Speaker.AGENT:
        return
    assert Level.ESCALATED not in levels(course(Escalation(), [signal], 150_000, 5000))


@settings(max_examples=50)
@given(calls, signals)
def test_withdrawing_restores_score_and_level(heard, extra):
    escalation, plain = Escalation(), Escalation()
    course(escalation, heard, 120_000, 5000)
    course(plain, heard, 120_000, 5000)
    fresh = replace(extra, at_ms=121_000, rule="fresh", evidence=replace(extra.evidence, utterance="fresh"))
    escalation.update((fresh,), 121_000)
    escalation.withdraw(fresh.key, 121_000)
    plain.tick(121_000)
    assert escalation.score == pytest.approx(plain.score)
    assert escalation.level is plain.level


@given(calls, st.randoms(use_true_random=False))
def test_the_order_in_which_findings_of_one_moment_arrive_makes_no_difference(heard, dice):
    shuffled = list(heard)
    dice.shuffle(shuffled)
    unique = {signal.key: signal for signal in heard}
    if len(unique) < len(heard):
        return
    one, other = Escalation(), Escalation()
    one.update(heard, 120_000)
    other.update(shuffled, 120_000)
    assert one.score == pytest.approx(other.score)
    assert one.level is other.level


@settings(max_examples=50)
@given(calls)
def test_steps_are_the_allowed_ones_and_always_explained_on_the_way_up(heard):
    allowed = {
        (Level.CALM, Level.TENSE),
        (Level.CALM, Level.ESCALATED),
        (Level.TENSE, Level.ESCALATED),
        (Level.TENSE, Level.CALM),
        (Level.ESCALATED, Level.RECOVERING),
        (Level.RECOVERING, Level.ESCALATED),
        (Level.RECOVERING, Level.CALM),
    }
    changes = course(Escalation(), heard, 900_000, 2500)
    before = Level.CALM
    for change in changes:
        assert change.before is before and (before, change.level) in allowed
        before = change.level
        if change.level in (Level.TENSE, Level.ESCALATED):
            assert change.because
    assert before is Level.CALM
