"""Whole labelled calls: how they are played, what is counted, and the course of the level on the written calls."""

from dataclasses import replace
from pathlib import Path

import pytest

from assist.coach.coach import AgentProfile, Coach
from assist.coach.playbook import load_playbook
from assist.errors import AssistError
from assist.evaluation.cases import LabelledCall, read_calls, read_cases
from assist.evaluation.figures import iter_notes
from assist.evaluation.report import page
from assist.evaluation.scoring import (
    AGREED_LAG_MS,
    PARTIAL_MS,
    SETTLE_MS,
    TICK_MS,
    evaluate_calls,
    evaluate_cases,
    play_call,
)
from assist.events import CallStarted, PromptShown, SignalRaised
from assist.live.session import Session
from audio.events import Hypothesis, Speaker, SpeechActivity, Utterance
from detectors.escalation import Escalation
from detectors.factory import build_detectors
from detectors.monologue import Monologue
from detectors.overlap import Overlap
from detectors.pace import Pace
from detectors.phrases import PhraseDetector
from detectors.repetition import Repetition
from detectors.rulebook import load_rules
from detectors.sentiment import Sentiment
from detectors.signals import AGENT_STEPS, Evidence, Level, LevelChange, Severity, Signal, Window
from detectors.silence import Silence

RULES, BOOK = load_rules(), load_playbook("default")
CALLS = Path(__file__).parent / "data" / "calls"
URGENT = {"personal_threat", "vulnerable"}


class Reader:
    """A perfect reader: raises what a turn is labelled with, when its words have settled."""

    name, version = "reader", "1"

    def __init__(self, call):
        self.call = call

    def __call__(self, window):
        latest = window.latest
        if latest is None or not latest.settled:
            return
        for n, label in enumerate(self.call.turns[int(latest.id[1:])].labels):
            severity = Severity.URGENT if label in URGENT else Severity.HELP
            evidence = Evidence(latest.start_ms, latest.end_ms, latest.text, latest.id, n, n)
            yield Signal(label, f"read.{label}", "1", latest.speaker, latest.end_ms, 0.9, severity, evidence)


class Spotter:
    """Takes every "manager" for a demand, also in words that are still coming."""

    name, version = "spotter", "1"

    def __call__(self, window):
        latest = window.latest
        for n, word in enumerate(latest.words if latest else ()):
            if "manager" in word.text and latest.speaker is Speaker.CUSTOMER:
                evidence = Evidence(word.start_ms, word.end_ms, word.text, latest.id, n, n)
                yield Signal(
                    "supervisor_demand", "spot", "1", latest.speaker, word.end_ms, 0.9, Severity.HELP, evidence,
                    settled=latest.settled,
                )  # fmt: skip
                return


class Judged:
    """Detectors and the level of one call, without screens: what a session does with words and time."""

    def __init__(self, detectors, prompts=False):
        self.detectors, self.prompts = detectors, prompts
        self.escalation = Escalation()
        self.said, self.speaking, self.stopped, self.seen = {}, {}, {}, set()
        self.now_ms = 0

    def hear(self, heard):
        if isinstance(heard, SpeechActivity):
            if heard.speaking:
                self.speaking[heard.speaker] = heard.at_ms
            else:
                self.speaking.pop(heard.speaker, None)
                self.stopped[heard.speaker] = heard.at_ms
            return []
        self.said[heard.id] = heard
        return self.judge(heard)

    def tick(self, now_ms):
        self.now_ms = now_ms
        return self.judge(None)

    def judge(self, latest):
        known = tuple(sorted(self.said.values(), key=lambda each: each.start_ms))
        window = Window(self.now_ms, known, latest, None, dict(self.speaking), dict(self.stopped))
        found = [signal for detector in self.detectors for signal in detector(window)]
        fresh = [signal for signal in found if signal.key not in self.seen]
        self.seen |= {signal.key for signal in fresh}
        events = [SignalRaised(self.now_ms, signal) for signal in fresh]
        if self.prompts:
            events += [
                PromptShown(self.now_ms, f"p{n}", "play", "", "", "", (), Severity.HELP, (signal.key,))
                for n, signal in enumerate(fresh)
            ]
        change = self.escalation.update(found, self.now_ms)
        return events + ([change] if change else [])


def everyone(call):
    return Judged([Reader(call), Overlap(), Silence(), Pace(), Monologue(), Repetition(), Sentiment()])


def call(*turns, **rest):
    return LabelledCall.model_validate({"call": "x", "turns": list(turns), **rest})


def turn(start, text, speaker="customer", **rest):
    return {"speaker": speaker, "text": text, "start": start, **rest}


# --- playing


class Log:
    def __init__(self):
        self.at = []

    def hear(self, heard):
        self.at.append((self.now, heard))
        return []

    def tick(self, now_ms):
        self.now = now_ms
        self.at.append((now_ms, None))
        return []


def test_a_call_is_played_as_a_streaming_recogniser_gives_it():
    log = Log()
    long = "one two three four five six seven eight nine ten"
    play_call(call(turn(1.0, long, end=6.0), turn(5.0, "yes but", "agent", end=6.0)), log)
    times = [at for at, _ in log.at]
    assert times == sorted(times)
    assert {at for at in range(TICK_MS, times[-1], TICK_MS)} <= set(times)
    heard = [(at, h) for at, h in log.at if h is not None]
    for at, each in heard:
        if isinstance(each, Hypothesis):
            assert each.agreed and each.agreed[-1].end_ms <= at - AGREED_LAG_MS
            assert (at - each.start_ms) % PARTIAL_MS == 0
        elif isinstance(each, Utterance):
            assert at == each.end_ms + SETTLE_MS
    assert [h.text for _, h in heard if isinstance(h, Utterance)] == [long, "yes but"]
    assert [(at, h.speaker, h.speaking) for at, h in heard if isinstance(h, SpeechActivity)] == [
        (1000, "customer", True),
        (5000, "agent", True),
        (6000, "customer", False),
        (6000, "agent", False),
    ]


def test_a_turn_without_an_end_gets_one_from_its_words():
    assert call(turn(1.0, "one two three four five six")).turns[0].end_ms == 1000 + round(6 / 2.7 * 1000)


# --- counting


def test_signals_of_calls_have_rates_per_hour_and_delays():
    calls = [
        call(
            turn(0, "hello I am calling about my order and", labels=[]),
            turn(5, "put me through to a manager please right now today", labels=["supervisor_demand"], end=12),
            turn(20, "my manager asked me to", labels=[], end=36),
        )
    ]
    result = evaluate_calls(calls, lambda _: Judged([Spotter()]), "one call")
    (row,) = result.signals
    assert (row.hits, row.false, row.missed) == (1, 1, 0)
    assert result.hours == pytest.approx(0.01)
    assert row.false_per_hour.value == pytest.approx(100)
    # A word is agreed on a second after its end at the earliest, and known at the next step of one second.
    assert 1.0 <= row.delay_median_s <= 2.0
    assert row.delay_p95_s == row.delay_median_s


def test_a_hit_has_one_delay_however_many_rules_raise_it():
    class Late(Spotter):
        """The same, of another rule and two seconds later."""

        def __call__(self, window):
            for signal in super().__call__(window):
                if window.now_ms - signal.at_ms >= 2_000:
                    yield replace(signal, rule="late")

    said = turn(0, "a manager please " + "now " * 20, labels=["supervisor_demand"])

    def measured(*detectors):
        (row,) = evaluate_calls([call(said)], lambda _: Judged(detectors), "x").signals
        return row.hits, row.delay_median_s, row.delay_p95_s

    assert measured(Spotter(), Late()) == measured(Spotter()) != measured(Late())


def test_false_alarms_an_hour_are_of_the_time_in_which_somebody_looked_for_them():
    asked = turn(0, "a manager", judged=["supervisor_demand"])
    result = evaluate_calls(
        [call(asked, turn(18, "well", "agent", judged=[], end=36))], lambda _: Judged([Spotter()]), "x"
    )
    (row,) = result.signals
    assert (row.false, row.false_per_hour.value) == (1, pytest.approx(3600 / 18))
    assert result.hours == pytest.approx(36 / 3600)


def test_what_comes_before_the_first_labelled_turn_is_no_time_in_which_somebody_looked():
    part = [turn(0, "a manager"), turn(18, "well", "agent"), turn(30, "sue you", labels=["legal_threat"], end=36)]
    later = [{**each, **{key: each[key] + 1500 for key in ("start", "end") if key in each}} for each in part]

    def measured(turns, **rest):
        return evaluate_calls([call(*turns, **rest)], lambda _: Judged([Spotter()], prompts=True), "x")

    for whole, moved in (
        (measured(part), measured(later)),
        (measured(part, escalates_at=31), measured(later, escalates_at=1531)),
    ):
        assert moved.hours == pytest.approx(whole.hours) and moved.signals == whole.signals
        assert moved.level.calm_hours == pytest.approx(whole.level.calm_hours)
        assert moved.level.false_prompts_per_hour.value == pytest.approx(whole.level.false_prompts_per_hour.value)
    assert whole.level.calm_hours == pytest.approx(29 / 3600)


def test_dead_air_belongs_to_the_labelled_turn_before_it():
    calls = [
        call(turn(0, "a b c", labels=["silence"]), turn(0.5, "well", "agent"), turn(14, "hello"), judged=["silence"])
    ]
    (row,) = evaluate_calls(calls, lambda _: Judged([Silence()]), "x").signals
    assert (row.hits, row.false, row.missed) == (1, 0, 0)


def test_only_what_a_cool_down_holds_back_is_no_miss():
    demand, veiled = "let me speak to your manager right now", "is there a grown-up in the room"
    wanted = {"labels": ["supervisor_demand"]}

    def counted(*turns):
        result = evaluate_calls([call(*turns)], lambda _: Judged([PhraseDetector(RULES)]), "x")
        (row,) = result.signals
        assert any("neither way" in note and "minute before: 1." in note for note in iter_notes(result)) is (
            row.labelled < sum(bool(each.get("labels")) for each in turns)
        )
        return row.hits, row.false, row.missed

    assert counted(turn(0, demand, **wanted), turn(9, demand, **wanted)) == (1, 0, 0)
    assert counted(turn(0, demand, **wanted), turn(9, veiled, **wanted)) == (1, 0, 1), "not heard, cool-down or none"
    assert counted(turn(0, demand), turn(9, demand, **wanted)) == (0, 1, 1), "held back by a false alarm"


def test_the_level_is_judged_against_the_labelled_moment():
    angry = ["swearing", "legal_threat"]
    late = call(turn(0, "a b c"), turn(60, "d e f", labels=angry), escalates_at=50.0)
    good = call(turn(0, "a b c"), turn(10, "d e f", labels=angry), turn(14, "so", labels=[]), escalates_at=11.0)
    missed = call(turn(0, "a b c"), turn(10, "d e f"), escalates_at=11.0)
    far_too_early = call(turn(0, "a b c", labels=angry), turn(200, "d e f"), escalates_at=201.0)
    early = call(turn(0, "a b c", labels=angry), turn(30, "d e f"), escalates_at=31.0)
    calm = call(turn(0, "a b c"), turn(3598, "d e f g h", labels=angry))
    result = evaluate_calls(
        [late, good, missed, far_too_early, early, calm], lambda c: Judged([Reader(c)], prompts=True), "x"
    )
    level = result.level
    assert (level.calm_calls, level.escalating_calls) == (1, 5)
    assert (level.noticed, level.early, level.escalated, level.late) == (3, 1, 3, 1)
    assert level.early_median_s == level.early_most_s == pytest.approx(31 - 1.8, abs=0.1)
    # Of the calm call and of the one that escalated three minutes before its first cue.
    assert level.false_escalations == 2
    assert level.calm_hours == pytest.approx(1.0 + (48 + 9 + 9 + 199 + 29) / 3600, abs=0.001)
    assert level.delay_median_s == pytest.approx((61.8 - 50 + 11.8 - 11) / 2, abs=0.1)


class Course:
    """A call whose level goes as told: second -> level."""

    def __init__(self, **levels):
        self.levels = [(int(at[1:]) * 1000, Level(level)) for at, level in levels.items()]
        self.before = Level.CALM

    def hear(self, heard):
        return []

    def tick(self, now_ms):
        events = []
        while self.levels and self.levels[0][0] <= now_ms:
            at_ms, level = self.levels.pop(0)
            events.append(LevelChange(at_ms, level, self.before, 50.0, ()))
            self.before = level
        return events


@pytest.mark.parametrize(
    ("course", "counted"),
    [
        ({"s102": "tense", "s110": "escalated"}, (1, 1, 0)),
        ({"s159": "tense", "s170": "escalated"}, (1, 1, 1)),
        ({"s170": "tense", "s180": "escalated"}, (0, 0, 0)),
        ({"s80": "tense", "s170": "escalated"}, (1, 1, 0)),
        ({"s102": "tense", "s106": "calm"}, (0, 0, 0)),
        ({"s102": "tense", "s106": "calm", "s110": "escalated"}, (1, 1, 1)),
        ({"s102": "escalated", "s106": "tense", "s107": "calm"}, (0, 0, 0)),
    ],
)
def test_a_level_that_rises_minutes_later_or_is_taken_back_has_not_risen_in_time(course, counted):
    turned = call(turn(0, "a b c"), turn(100, "d e f"), turn(290, "so"), escalates_at=100.0)
    result = evaluate_calls([turned], lambda _: Course(**course), "x")
    assert (result.level.noticed, result.level.escalated, result.level.late) == counted
    assert "whose level rose within 60 s / early / later or never" in page([result])


@pytest.mark.parametrize(
    ("later", "came_down"), [({}, 0), ({"s230": "recovering"}, 1), ({"s220": "tense", "s230": "calm"}, 1)]
)
def test_a_call_comes_down_again_only_after_it_has_escalated(later, came_down):
    turned = call(turn(0, "a b c"), turn(200, "d e f"), turn(290, "so"), escalates_at=201.0)
    course = {"s10": "tense", "s40": "recovering", "s60": "calm", "s204": "escalated", **later}
    level = evaluate_calls([turned], lambda _: Course(**course), "x").level
    assert (level.escalated, level.recovered, level.false_tense) == (1, came_down, 1)
    assert "changes to tense in calm time" in page([evaluate_calls([turned], lambda _: Course(**course), "x")])


def test_what_comes_of_the_turn_with_the_cue_before_its_end_is_neither_early_nor_false():
    asked = call(turn(0, "hello"), turn(10, "get me a manager" + " now" * 30, labels=["police"]))
    turned = asked.model_copy(update={"escalates_at": asked.turns[1].end_ms / 1000})
    level = evaluate_calls([turned], lambda _: Judged([Spotter()], prompts=True), "x").level
    assert (level.noticed, level.early, level.false_prompts, level.late) == (1, 0, 0, 0)
    assert level.calm_hours == pytest.approx(10 / 3600)
    assert level.delay_median_s == 0


def test_a_prompt_is_false_where_nothing_it_answers_is_labelled():
    calm = call(turn(0, "get me a manager"), turn(10, "the manager", labels=["supervisor_demand"]), turn(3599, "a b"))
    result = evaluate_calls([calm], lambda _: Judged([Spotter()], prompts=True), "x")
    assert result.level.false_prompts == 1
    assert result.level.false_prompts_per_hour.value == pytest.approx(1.0, abs=0.01)
    assert result.level.false_prompt_causes == (("spot", 1),)


def test_a_false_prompt_before_the_first_cue_of_an_escalating_call_counts():
    calls = [call(turn(0, "get me a manager"), turn(100, "sue you", labels=["legal_threat"]), escalates_at=101)]
    level = evaluate_calls(calls, lambda _: Judged([Spotter()], prompts=True), "x").level
    assert (level.false_prompts, level.noticed) == (1, 0)
    assert level.calm_hours == pytest.approx(99 / 3600)


def test_it_is_said_that_calls_without_a_moment_are_taken_as_calm():
    cued, calm = call(turn(0, "sue you", labels=["legal_threat"])), call(turn(0, "a b c"))
    turned = cued.model_copy(update={"escalates_at": 0.5})
    for calls, said in (([cued, calm], True), ([cued, turned], False), ([calm], False)):
        result = evaluate_calls(calls, everyone, "x")
        assert any("escalates_at" in note for note in iter_notes(result)) is said


# --- the written calls


@pytest.mark.parametrize("part", ["dev", "heldout"])
def test_with_words_read_perfectly_the_level_follows_the_written_calls(part):
    calls = read_calls(CALLS / part)
    assert len(calls) >= 8
    result = evaluate_calls(calls, everyone, part)
    level = result.level
    assert (level.false_escalations, level.late) == (0, 0)
    assert level.noticed == level.escalated == level.escalating_calls >= 3
    for labelled, course in zip(calls, result.timelines, strict=True):
        relieved = any("de_escalation" in turn.labels for turn in labelled.turns)
        levels = [name for _, name in course.levels]
        if labelled.escalates_at is None:
            assert "escalated" not in levels
        else:
            assert ("recovering" in levels) == relieved, labelled.call


def in_use(call, detectors=None):
    """The rules, detectors (or these) and coach as shipped."""
    started = CallStarted(0, call.call, "agent", "", "", "", "", "test", ("agent", "customer"), {})
    return Session(started, detectors or build_detectors(RULES), Escalation(), Coach(BOOK, agent=AgentProfile("agent")))


@pytest.mark.parametrize(
    ("part", "escalating", "late", "false_escalations", "false_prompts"),
    [pytest.param("heldout2", 20, 3, 2, 14, marks=pytest.mark.slow), ("heldout3", 10, 2, 1, 5)],
)
def test_the_rules_in_use_notice_the_written_escalations_and_leave_the_calm_calls_alone(
    part, escalating, late, false_escalations, false_prompts
):
    """A floor under what is measured (tests/figures.md): all noticed, 1 and 0 later than 5 s, 12 and 4 false in calm
    talk most of which is near misses, when this was last measured."""
    level = evaluate_calls(read_calls(CALLS / part), in_use, "written calls").level
    assert level.escalating_calls == escalating
    assert level.noticed >= escalating - 1
    assert level.late <= late
    assert level.delay_median_s <= 2.0
    assert level.false_escalations <= false_escalations
    assert level.false_prompts <= false_prompts


def test_every_step_of_the_level_in_the_written_calls_is_explained():
    for labelled in [*read_calls(CALLS / "dev"), *read_calls(CALLS / "heldout")]:
        for event in play_call(labelled, everyone(labelled)):
            if isinstance(event, LevelChange) and event.level in (Level.TENSE, Level.ESCALATED):
                assert event.because and all(
                    signal.evidence.quote or signal.evidence.summary for signal in event.because
                )
                assert not {signal.id for signal in event.because} & set(AGENT_STEPS)


class Failing:
    """Fails at the second utterance, or at the word "boom"."""

    name = "failing"

    def __call__(self, window):
        if len(window.utterances) > 1 or (window.latest and "boom" in window.latest.text):
            raise KeyError("private")
        return ()


def test_nothing_is_measured_without_a_detector_that_fails(tmp_path):
    calls, lines = tmp_path / "calls.jsonl", tmp_path / "lines.jsonl"
    calls.write_text(call(turn(0, "good morning"), turn(4, "it is about my bill")).model_dump_json() + "\n")
    lines.write_text('{"speaker": "customer", "text": "hello"}\n{"speaker": "customer", "text": "boom"}\n')

    for measure, place in (
        (lambda: evaluate_calls(read_calls(calls), lambda each: in_use(each, [Failing()]), "x"), "call 'x'"),
        (lambda: evaluate_cases(read_cases(lines), lambda: [Failing()], "x"), "line 'boom'"),
    ):
        with pytest.raises(AssistError, match=f"{place}.*detector failing stopped .KeyError") as refused:
            measure()
        assert refused.value.code == "detector-off" and "private" not in str(refused.value)


def test_the_page_shows_each_call():
    result = evaluate_calls(read_calls(CALLS / "dev"), everyone, "dev")
    html = page([result])
    assert html.count('class="mark"') == result.level.escalating_calls
    for course in result.timelines:
        assert course.call[:22] in html
