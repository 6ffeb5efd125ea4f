from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assist.coach.coach import AgentProfile, Coach
from assist.coach.playbook import load_playbook
from assist.events import (
    SCREEN_ONLY,
    Action,
    AlertRaised,
    CallEnded,
    CallStarted,
    FollowUpNoted,
    HandOffNoted,
    PlanOffered,
    PromptEnded,
    PromptShown,
    PromptsWaiting,
    Recovery,
    SignalRaised,
    SignalWithdrawn,
)
from assist.live.resuming import rebuild
from assist.live.session import Session
from assist.privacy.autopause import AutoPause
from assist.privacy.consent import UTTERANCE_LEAD_MS, Consent, ConsentPolicy, Gate
from assist.privacy.pauses import AUTO_PAUSE_USER
from assist.records.folding import fold
from audio.activity import VoiceActivityDetector
from audio.events import SAMPLE_RATE, Gap, Hypothesis, Speaker, SpeechActivity, Trouble, Utterance
from audio.segmentation import UtteranceSegmenter, UtteranceStart
from detectors.escalation import Escalation
from detectors.factory import build_detectors
from detectors.phrases import PhraseDetector
from detectors.replay import ReplayDetector
from detectors.rulebook import load_rules
from detectors.signals import Evidence, Level, LevelChange, Severity, Signal, Window
from detectors.silence import Silence
from tests.heard import of, words

STARTED = CallStarted(0, "k1", "Dana", "", "", "", "2026-11-24T10:00:00+00:00", "t", ("agent", "customer"), {})
DATA = Path(__file__).parent / "data"
RULES, BOOK = load_rules(), load_playbook("default")


@dataclass
class Watching:
    """Keeps the windows it was shown."""

    name: str = "watching"
    version: str = "1"

    def __post_init__(self):
        self.windows: list[Window] = []

    def __call__(self, window):
        self.windows.append(window)
        return ()


class Broken:
    name, version = "broken", "1"

    def __call__(self, window):
        raise RuntimeError("the caller said something private")


def session(*extra):
    coach = Coach(BOOK, agent=AgentProfile("Dana"))
    return Session(STARTED, [PhraseDetector(RULES), *extra], Escalation(), coach)


def said(text, start_ms=1_000, speaker=Speaker.CUSTOMER, name=None):
    spoken = words(text, start_ms)
    return Utterance(name or f"u{start_ms}", speaker, start_ms, spoken[-1].end_ms, spoken)


def saying(text, start_ms=1_000, name=None, tentative=""):
    agreed = words(text, start_ms)
    then = words(tentative, agreed[-1].end_ms + 50 if agreed else start_ms)
    return Hypothesis(name or f"u{start_ms}", Speaker.CUSTOMER, start_ms, agreed, then)


CLAIM = "I am going to call my guy and he will take care of it"
DEMAND = "I want to speak to your manager right now"


def test_agreed_words_act_early_and_settle_under_the_same_key():
    call = session()
    [early] = of(call.hear(saying(CLAIM)), SignalRaised)
    assert early.signal.id == "influence_claim" and not early.signal.settled
    assert of(call.hear(saying(CLAIM + " okay")), SignalRaised) == []
    [late] = of(call.hear(said(CLAIM + " okay")), SignalRaised)
    assert late.signal.settled and late.signal.key == early.signal.key


def test_a_correction_withdraws_the_signal_its_level_and_its_prompt():
    call = session()
    events = call.hear(saying(DEMAND)) + call.hear(saying(CLAIM, 6_000))
    shown = of(events, PromptShown)
    assert shown
    events = call.hear(said("I am going to call by nine", 6_000)) + call.hear(said("I want to eat your mango", 1_000))
    assert len(of(events, SignalWithdrawn)) >= 2
    assert call.escalation.level == "calm"


def test_a_rebuilt_session_has_the_signals_of_its_log_and_looks_for_none_in_its_words():
    live = session()
    heard = [
        saying("I will kill you", 1_000),
        said("I will call you", 1_000),
        said(CLAIM, 5_000),
        said(DEMAND, 20_000),
    ]
    events = [*live.begin(), *(event for each in heard for event in live.hear(each))]
    log = [event for event in events if not isinstance(event, SCREEN_ONLY)]
    watching = Watching()
    watching.memory_ms = 10_000
    rebuilt = Session(STARTED, [watching], Escalation(), Coach(BOOK, agent=AgentProfile("Dana")))
    rebuild(rebuilt, log)
    assert len(live.escalation.contributions()) == 2
    assert rebuilt.escalation.contributions() == live.escalation.contributions()
    assert rebuilt.escalation.level is live.escalation.level is Level.ESCALATED
    assert rebuilt.detectors == [watching]
    assert {window.latest.id for window in watching.windows if window.latest is not None} == {"u20000"}


def test_what_settles_as_a_note_takes_back_the_level_the_alert_and_the_prompt_of_the_cue():
    call = session()
    cues = "get me your manager and my lawyer will sue you"
    early = call.hear(saying(cues, tentative="for it"))
    [alert], [prompt] = of(early, AlertRaised), of(early, PromptShown)
    settled = call.hear(said(cues + " haha lovely thank you you have been brilliant"))
    assert [event.how for event in of(settled, PromptEnded) if event.id == prompt.id] == ["withdrawn"]
    assert set(alert.signals) <= {event.key for event in of(settled, SignalWithdrawn)}
    assert {event.signal.severity for event in of(settled, SignalRaised)} == {Severity.NOTE}
    assert call.escalation.level == "calm" and of(settled, PromptShown) == []
    assert of(call.hear(said(DEMAND, 60_000)), PromptShown)


def test_what_becomes_more_severe_while_it_is_said_is_acted_on_at_once():
    call = session()
    early = call.hear(saying("I would need a refund for this one and", tentative="for that"))
    assert {event.signal.severity for event in of(early, SignalRaised)} == {Severity.NOTE}
    later = call.hear(saying("I would need a refund for this one and you keep charging me", tentative="for it"))
    assert [event.signal.severity for event in of(later, SignalRaised)] == [Severity.HELP]
    assert of(later, LevelChange)


def test_a_card_stands_until_the_words_under_it_have_settled():
    """As the embedded recogniser hears the first complaint of `spoken-call.flac`."""
    coach = Coach(BOOK, agent=AgentProfile("Dana"))
    call = Session(STARTED, build_detectors(RULES), Escalation(), coach)
    events = []
    for agreed, tentative in (
        ("this is the third time", "i and"),
        ("this is the third time i", "am calling it an"),
        ("this is the third time i am calling it", "out this"),
    ):
        events += call.hear(saying(agreed, tentative=tentative))
    events += call.hear(said("this is the third time i am calling about this"))
    [prompt] = of(events, PromptShown)
    assert prompt.play == "passed-around" and of(events, (PromptEnded, SignalWithdrawn)) == []


def test_words_that_are_never_known_are_taken_back_however_late_that_is_told():
    """A recogniser was lost in mid-sentence, and the sound was held for another one as long as there was room."""
    call = session()
    call.hear(saying(DEMAND, tentative="or else"))
    call.tick(200_000)
    nothing = Utterance("u1000", Speaker.CUSTOMER, 1_000, 6_000, ())
    events = call.hear(nothing)
    assert of(events, Utterance) == [nothing]
    assert [gone.key.partition("@")[2] for gone in of(events, SignalWithdrawn)] == ["u1000"]
    assert call.hear(nothing) == []


def test_two_cues_escalate_alert_once_and_are_explained():
    call = session()
    events = call.hear(said(CLAIM)) + call.hear(said(DEMAND, 8_000))
    assert [change.level for change in of(events, LevelChange)] == ["tense", "escalated"]
    [alert] = of(events, AlertRaised)
    assert "manager" in alert.reason or "my guy" in alert.reason
    assert of(call.hear(said("I will get my lawyer on this", 14_000)), AlertRaised) == []


def test_urgent_words_that_two_rules_hear_are_quoted_once():
    call, text = session(), "I'm going to kill myself"
    found = PhraseDetector(RULES).find(text)
    assert {signal.rule for signal in found} == {"vulnerable.self-harm", "vulnerable.self-harm-said"}
    events = call.hear(saying(text)) + call.hear(said(text))
    assert {raised.signal.evidence.quote for raised in of(events, SignalRaised)} == {text}
    assert len({raised.signal.key for raised in of(events, SignalRaised)}) == 1 and of(events, SignalWithdrawn) == []
    assert {alert.reason for alert in of(events, AlertRaised)} == {f"“{text}”"}
    both = call.hear(said("I will find you and kill you or I'm going to kill myself", 9_000))
    assert {raised.signal.id for raised in of(both, SignalRaised)} == {"personal_threat", "vulnerable"}


def test_a_call_that_escalates_after_an_alert_was_taken_back_alerts_again():
    call = session()
    call.hear(said(DEMAND))
    [urgent] = of(call.hear(saying("I will find you and kill you", 8_000)), AlertRaised)
    assert urgent.tier == Severity.URGENT
    events = call.hear(said("I will find the bill you sent", 8_000))
    assert of(events, SignalWithdrawn) and call.escalation.level == "tense"
    [alert] = of(call.hear(said(CLAIM, 14_000)), AlertRaised)
    assert (alert.id, alert.tier) == ("a2", 2) and "my guy" in alert.reason


def test_one_urgent_cue_that_escalates_the_call_raises_its_alert_once():
    call = session()
    events = call.hear(said("if nobody helps me today I am going to kill myself I mean it"))
    assert [change.level for change in of(events, LevelChange)] == ["escalated"]
    [alert] = of(events, AlertRaised)
    assert alert.tier == Severity.URGENT and "kill myself" in alert.reason


def test_an_escalation_that_is_taken_back_is_no_recovery():
    call = session()
    [started] = of(call.hear(saying("I will find you and kill you", 8_000)), Recovery)
    events = call.hear(said("I will find the bill you sent", 8_000))
    assert [(change.before, change.level) for change in of(events, LevelChange)] == [("escalated", "calm")]
    assert (started.what, [clock.what for clock in of(events, Recovery)]) == ("started", ["stopped"])


def test_an_alert_whose_finding_goes_under_another_key_stays_one_alert():
    call = Session(STARTED, build_detectors(RULES), Escalation(), Coach(BOOK, agent=AgentProfile("Dana")))
    events = call.hear(saying(DEMAND)) + call.hear(saying("I'll report this theft to the", 8_000))
    [alert] = of(events, AlertRaised)
    assert of(call.hear(said("I want to speak to your mango right now")), AlertRaised) == [], "one of two still stands"
    late = call.hear(said("I'll report this theft to the police", 8_000))
    [found], [gone], [again] = of(late, SignalRaised), of(late, SignalWithdrawn), of(late, AlertRaised)
    assert gone.key in alert.signals and again.id == alert.id
    assert again.signals == (found.signal.key,) and "to the police" in again.reason


def test_help_and_permission_are_alerts_of_their_own():
    call = session()
    [help_wanted] = of(call.act(Action(0, "Dana", "agent", "help")), AlertRaised)
    [asked] = of(call.act(Action(0, "Dana", "agent", "plan-asked", "month-credit", "One month free")), AlertRaised)
    assert (help_wanted.kind, asked.kind, asked.target) == ("help", "ask", "month-credit")
    assert help_wanted.id != asked.id


def test_a_broken_detector_is_switched_off_visibly_and_the_call_goes_on():
    call = session(Broken())
    events = call.hear(said(CLAIM))
    [trouble] = of(events, Trouble)
    assert trouble.code == "detector-off:broken" and "private" not in trouble.text
    assert of(events, SignalRaised)
    assert of(call.hear(said(DEMAND, 8_000)), Trouble) == []
    sound = Signal("humming", "humming", "1", Speaker.CUSTOMER, 0, 0.9, Severity.NOTE, Evidence(0, 1))
    events = session(ReplayDetector([sound])).hear(said(CLAIM))
    assert "'humming' is none of SIGNAL_IDS" in of(events, Trouble)[0].text
    assert [raised.signal.id for raised in of(events, SignalRaised)] == ["influence_claim"]


def test_numbers_are_masked_before_detectors_screens_and_log():
    watching = Watching()
    call = session(watching)
    spoken = said("four one one one one one one one one one one one one one one one thanks")
    [utterance] = of(call.hear(spoken), Utterance)
    assert utterance.text == "[card number] thanks"
    assert all("one" not in word.text for word in watching.windows[-1].latest.words)


def test_a_pause_takes_back_what_is_being_said_and_keeps_nothing_until_resumed():
    call = session()
    call.hear(saying("so my card number is", 10_000))
    paused = call.act(Action(11_000, "Dana", "agent", "pause"))
    assert of(paused, Utterance) == [Utterance("u10000", Speaker.CUSTOMER, 10_000, 11_450, ())]
    assert call.hear(said("it is nine nine", 12_000)) == []
    call.tick(30_000)
    call.act(Action(30_000, "Dana", "agent", "resume"))
    assert call.hear(said("still from before", 29_000)) == []
    assert of(call.hear(said("and now go on", 31_000)), Utterance)


@pytest.mark.parametrize(
    ("paused_ms", "start_ms", "kept"),
    [(11_000, 29_768, True), (11_000, 29_700, False), (29_900, 29_900, True), (29_900, 29_850, False)],
)
def test_who_speaks_as_a_pause_ends_is_heard_and_nothing_that_began_before_the_pause(paused_ms, start_ms, kept):
    call = session()
    call.tick(paused_ms)
    call.act(Action(paused_ms, "Dana", "agent", "pause"))
    call.tick(30_000)
    call.act(Action(30_000, "Dana", "agent", "resume"))
    events = [*call.hear(saying(DEMAND, start_ms)), *call.hear(said(DEMAND, start_ms))]
    assert [each.text for each in of(events, Utterance) if each.words] == [DEMAND] * kept
    assert bool(of(events, SignalRaised)) == kept


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(("start_ms", "kept"), [(12_000, True), (26_000, False), (30_500, False)])
def test_a_pause_takes_no_late_words_from_long_before_it_and_what_it_takes_is_a_gap(start_ms, kept, resumed):
    call = session()
    call.tick(30_000)
    call.act(Action(30_000, "Dana", "agent", "pause"))
    call.tick(33_000)
    if resumed:
        call.act(Action(33_000, "Dana", "agent", "resume"))
    late = said(DEMAND, start_ms)
    events = call.hear(late)
    assert [each.text for each in of(events, Utterance)] == [DEMAND] * kept
    gap = Gap(Speaker.CUSTOMER, start_ms, min(late.end_ms, 30_000), "paused")
    assert of(events, Gap) == [gap] * (start_ms == 26_000), "in the pause itself nobody listened anyway"


def test_what_earlier_pauses_took_does_not_come_after_the_next_one_nor_in_it():
    call = session()
    for at_ms in (10_000, 20_000, 30_000):
        call.tick(at_ms)
        call.act(Action(at_ms, "Dana", "agent", "pause"))
        assert not of(call.hear(said("do that", 8_600)), Utterance)
        call.tick(at_ms + 5_000)
        call.act(Action(at_ms + 5_000, "Dana", "agent", "resume"))
        assert not of(call.hear(said("do that", 8_600)), Utterance)
    assert of(call.hear(said("between two of them", 16_000)), Utterance)


def test_a_pause_soon_after_an_automatic_one_takes_what_was_said_before_that_and_does_not_end_by_itself():
    call = session()
    call.auto_pause = AutoPause(10_000)
    call.tick(5_000)
    call.hear(said("my mothers maiden name is Smith", 5_000))
    call.act(Action(call.now_ms, AUTO_PAUSE_USER, "system", "pause"))
    call.tick(7_500)
    [shorter] = of(call.act(Action(7_500, "api", "system-api", "pause")), Utterance)
    assert shorter.text == "my"
    call.tick(60_000)
    assert call.suspended


def test_the_silence_of_a_pause_leads_an_utterance_in_for_no_longer_than_is_allowed_for():
    speech = soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0][:, 1]
    begun = []
    for at in range(13 * SAMPLE_RATE, 14 * SAMPLE_RATE, 1_234):  # in mid-sentence
        segmenter = UtteranceSegmenter()
        call = np.concatenate([np.zeros(SAMPLE_RATE + at % 512, np.float32), speech[at : at + SAMPLE_RATE]])
        events = [each for frame in VoiceActivityDetector().push(call) for each in segmenter.push(frame)]
        begun += [each.start - SAMPLE_RATE - at % 512 for each in events if isinstance(each, UtteranceStart)]
    assert len(begun) >= 12 and -UTTERANCE_LEAD_MS <= min(begun) * 1000 // SAMPLE_RATE <= -200


def test_a_resumption_where_nothing_is_paused_loses_nothing_of_what_is_being_said():
    call = session()
    threat = "if nobody helps me today I am going to kill myself I mean it"
    call.hear(saying("if nobody helps me", 2_000))
    call.tick(3_500)
    assert of(call.act(Action(3_500, "Dana", "agent", "resume")), Utterance) == []
    events = call.hear(said(threat, 2_000))
    assert [each.text for each in of(events, Utterance)] == [threat]
    assert of(events, AlertRaised)[-1].tier == Severity.URGENT


@pytest.mark.parametrize("agreed", ["", "so"])
def test_a_pause_takes_back_words_that_are_not_agreed_on_yet(agreed):
    call = session()
    private = "my mothers maiden name is Smith and Jones"
    call.hear(saying(agreed, tentative=private))
    call.tick(4_500)
    gone = Utterance("u1000", Speaker.CUSTOMER, 1_000, 3_350 + 300 * bool(agreed), ())
    assert of(call.act(Action(4_500, "Dana", "agent", "pause")), (Hypothesis, Utterance)) == [gone]
    assert call.hear(saying(agreed, tentative=private + " from Leeds")) == [], "nor do they come again"


def test_tentative_words_in_which_nothing_was_recognised_leave_the_page():
    call = session()
    nothing = Utterance("u1000", Speaker.CUSTOMER, 1_000, 3_000, ())
    assert call.hear(nothing) == [], "nothing was shown"
    call.hear(saying("", tentative="thank you for watching"))
    assert of(call.hear(nothing), Utterance) == [nothing]


def test_a_refusal_takes_back_words_that_are_not_agreed_on_yet():
    call = session()
    call.hear(saying("", tentative="thank you for watching"))
    [gone] = of(call.act(Action(2_000, "Dana", "agent", "consent", detail="refused")), Utterance)
    assert (gone.id, gone.words) == ("u1000", ())


def unconsented():
    call = session()
    call.gate = Gate(ConsentPolicy.ALL_PARTY, Consent.UNKNOWN)
    return call


def test_level_and_alert_after_consent_rest_on_what_was_said_before_it_and_do_not_quote_it():
    call = unconsented()
    call.hear(said("this is fucking useless"))
    call.act(Action(4_000, "Dana", "agent", "consent", detail="granted"))
    events = call.hear(said(DEMAND, 5_000))
    [change], [alert] = of(events, LevelChange), of(events, AlertRaised)
    assert (change.level, [each.evidence.quote for each in change.because]) == ("escalated", ["speak to your manager"])
    assert alert.reason == "“speak to your manager”"


@pytest.mark.parametrize("offered", [False, True])
def test_what_is_on_screen_when_consent_comes_is_in_the_record_with_what_becomes_of_it(offered):
    call = unconsented()
    events = call.hear(said("this is fucking useless you charged me a late fee")) + call.hear(said(DEMAND, 5_000))
    option = of(events, PlanOffered)[-1].options[0]
    if offered:
        events += call.act(Action(8_000, "Dana", "agent", "plan-offered", option.id))
    events += call.tick(9_000)
    prompt = of(events, PromptShown)[-1]
    assert offered or (prompt.why and prompt.signals)
    call.act(Action(9_000, "Dana", "agent", "seen", prompt.id))
    kept = call.act(Action(9_000, "Dana", "agent", "consent", detail="granted"))
    [shown] = of(kept, PromptShown)
    assert (shown.id, shown.say, shown.why, shown.signals) == (prompt.id, prompt.say, (), ()), "without words"
    for what, target in (("used", prompt.id), ("plan-accepted", option.id)):
        kept += call.act(Action(10_000, "Dana", "agent", what, target))
    record = fold([STARTED, *kept, *call.end(11_000, "hang-up", {})])
    told, given = record.prompts[0], next(each for each in record.plan if each.id == option.id)
    assert (told.id, told.how, told.seen_ms) == (prompt.id, "used", 9_000)
    assert (given.answer, given.cost, given.answered_ms) == ("accepted", option.cost, 10_000)
    assert given.offered_ms == (9_000 if offered else 10_000)
    assert [run.by for run in record.recovery] == ["remedy"]


def test_a_card_that_waits_across_consent_does_not_quote_what_it_answers():
    call = unconsented()
    call.hear(SpeechActivity(Speaker.AGENT, 500, True))
    events = call.hear(said(DEMAND)) + call.act(Action(3_400, "Dana", "agent", "consent", detail="granted"))
    assert of(events, PromptShown) == []
    call.hear(SpeechActivity(Speaker.AGENT, 3_500, False))
    [prompt] = [event for now_ms in range(3_500, 7_000, 500) for event in of(call.tick(now_ms), PromptShown)]
    assert prompt.why == ("00:01: said before consent",)


def test_a_hand_over_tells_nothing_from_before_consent_and_a_promise_made_again_is_noted():
    call, promise = unconsented(), "I will call you back by Friday"
    [first] = of(call.hear(said(promise, 1_000, Speaker.AGENT)), FollowUpNoted)
    call.hear(said("get me your manager I have waited three weeks", 4_000))
    call.act(Action(8_000, "Dana", "agent", "consent", detail="granted"))
    assert of(call.act(Action(8_000, "Sam", "supervisor", "claim")), HandOffNoted) == [], "there is nothing to tell"
    call.hear(said("you charged me twice and nobody called", 9_000))
    [told] = of(call.act(Action(12_000, "Sam", "supervisor", "claim")), HandOffNoted)
    assert [words for _, words in told.said] == ["you charged me twice and nobody called"]
    assert told.done == () and "supervisor_demand" not in told.signals
    [again] = of(call.hear(said(promise, 13_000, Speaker.AGENT)), FollowUpNoted)
    assert again.id != first.id


HOURS = "my engineer never came on Tuesday and I waited six hours"


def handed_over(call, text, at_ms):
    return [(event.to, event.said[-1][1]) for event in of(call.hear(said(text, at_ms, Speaker.AGENT)), HandOffNoted)]


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("let me put you on hold for a moment while I check", ""),
        ("I am sorry that we put you through this", ""),
        ("I am not going to transfer you again", ""),
        ("I'm afraid I can't get my manager right now", ""),
        ("I am unable to put you through to billing", ""),
        ("they said they would put you through to billing", ""),
        ("I don't want to make this harder so I'll put you to the trouble of one form only", ""),
        ("that would put you to the test", ""),
        ("I'd rather not but it will put you to the expense of a new cable", ""),
        ("I can put you onto a cheaper tariff today", ""),
        ("I'll transfer you the forty pounds tonight", ""),
        ("I am transferring you to the billing team", "another team"),
        ("I'll put you through to billing", "another team"),
        ("I will put you straight through", "another team"),
        ("I'm going to pass you to my colleague in billing", "another team"),
        ("let me put you to the billing team", "another team"),
        ("I'll put you onto billing now", "another team"),
        ("I'm putting you on to our technical support people", "another team"),
        ("let me transfer you", "another team"),
        ("I'm going to put you back through to billing", "another team"),
        ("I'll put you through please hold", "another team"),
        ("I am passing you on to the billing team", "another team"),
        ("let me get my manager", "supervisor"),
        ("I will ask for my manager", "supervisor"),
        ("you can ask for my manager at any time", ""),
        ("If that does not do it, I ask for my manager", ""),
    ],
)
def test_a_hand_over_is_what_the_agent_does_and_no_hold_nor_what_they_deny(text, to):
    call = session()
    call.hear(said(DEMAND))
    call.hear(said(HOURS, 6_000))
    assert handed_over(call, text, 12_000) == ([(to, HOURS)] if to else [])


def test_a_later_hand_over_to_the_same_is_told_again_where_there_is_more_to_tell():
    call, transfer = session(), "I am transferring you to the billing team"
    call.hear(said(DEMAND))
    assert handed_over(call, transfer, 6_000) == [("another team", DEMAND)]
    assert handed_over(call, transfer, 10_000) == [], "nothing new"
    call.hear(said(HOURS, 14_000))
    assert handed_over(call, transfer, 20_000) == [("another team", HOURS)]
    call.act(Action(call.now_ms, "Dana", "agent", "pause"))
    call.act(Action(call.now_ms, "Dana", "agent", "resume"))
    assert handed_over(call, transfer, 24_000) == [("another team", HOURS)], "the pause had taken it back"


def test_the_window_shows_who_is_speaking_and_forgets():
    watching = Watching()
    call = session(watching)
    call.hear(SpeechActivity(Speaker.CUSTOMER, 500, True))
    call.hear(said("hello there", 1_000))
    assert watching.windows[-1].speaking_since == {Speaker.CUSTOMER: 500}
    call.hear(SpeechActivity(Speaker.CUSTOMER, 1_600, False))
    call.tick(200_000)
    last = watching.windows[-1]
    assert last.utterances == () and last.last_speech_end == {Speaker.CUSTOMER: 1_600}


DEAF = [
    (("pause", ""), ("resume", "")),
    (("consent", "refused"), ("consent", "granted")),
]


@pytest.mark.parametrize(("stop", "go_on"), DEAF)
def test_time_in_which_nobody_listened_is_no_silence(stop, go_on):
    call = session(Silence())
    call.hear(SpeechActivity(Speaker.CUSTOMER, 1_000, True))
    call.hear(said("hello there how are you"))
    call.hear(SpeechActivity(Speaker.CUSTOMER, 2_500, False))
    what, detail = stop
    events = call.act(Action(3_000, "Dana", "agent", what, detail=detail))
    for now_ms in range(3_500, 33_500, 500):
        events += call.tick(now_ms)
    what, detail = go_on
    events += call.act(Action(33_000, "Dana", "agent", what, detail=detail))
    for now_ms in range(33_500, 41_000, 500):
        events += call.tick(now_ms)
    assert of(events, SignalRaised) == []
    [quiet] = of(call.tick(41_000), SignalRaised)
    assert (quiet.signal.evidence.start_ms, quiet.signal.rule) == (33_000, "silence.8s")


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("your order is on its way to you", ["silence.8s", "silence.20s"]),
        ("one moment please let me check that with billing", ["silence.20s"]),
    ],
)
@pytest.mark.parametrize("skew_ms", [0, 200])
def test_a_silence_is_noted_once_though_the_words_before_it_are_forgotten(text, rules, skew_ms):
    call = session(Silence())
    last = said(text, speaker=Speaker.AGENT)
    call.hear(SpeechActivity(Speaker.AGENT, 1_000, True))
    call.hear(SpeechActivity(Speaker.AGENT, last.end_ms - skew_ms, False))
    events = call.hear(last)
    for now_ms in range(last.end_ms, last.end_ms + 300_000, 500):
        events += call.tick(now_ms)
    assert [each.signal.rule for each in of(events, SignalRaised) if each.signal.id == "silence"] == rules


def test_a_cough_does_not_end_an_announced_hold_of_minutes_and_words_do():
    call = session(Silence())
    events = call.hear(said("one moment please let me check that with billing", speaker=Speaker.AGENT))
    call.hear(SpeechActivity(Speaker.AGENT, 1_000, True))
    call.hear(SpeechActivity(Speaker.AGENT, 4_000, False))
    for now_ms in range(4_000, 150_000, 500):
        if now_ms == 140_000:
            call.hear(SpeechActivity(Speaker.CUSTOMER, now_ms - 500, True))
            call.hear(saying("", now_ms - 500, name="cough", tentative="mm"))
            call.hear(SpeechActivity(Speaker.CUSTOMER, now_ms, False))
            call.hear(Utterance("cough", Speaker.CUSTOMER, now_ms - 500, now_ms, ()))
        events += call.tick(now_ms)
    call.hear(said("are you still there at all", 150_000))
    for now_ms in range(152_000, 162_000, 500):
        events += call.tick(now_ms)
    noted = [each.signal for each in of(events, SignalRaised) if each.signal.id == "silence"]
    assert [(each.rule, each.evidence.start_ms // 1000) for each in noted] == [("silence.20s", 4), ("silence.8s", 151)]


def test_the_same_call_gives_the_same_events():
    def run():
        call = session()
        events = call.begin()
        for item in (saying(CLAIM), said(CLAIM), said(DEMAND, 8_000), said("Thank you, that works for me", 20_000)):
            events += call.hear(item) + call.tick(item.start_ms + 5_000)
        return events + call.end(60_000, "hang-up", {})

    first, second = run(), run()
    assert first == second
    assert isinstance(first[0], CallStarted) and isinstance(first[-1], CallEnded)


def test_the_end_takes_the_prompt_down():
    call = session()
    call.hear(said(CLAIM))
    ended = call.end(9_000, "hang-up", {"customer.speech": 1})
    assert [type(event).__name__ for event in ended] == ["PromptEnded", "CallEnded"]


def test_a_second_cry_for_help_leaves_the_crisis_card_where_it_is():
    call = session()
    first = call.hear(said("I am going to kill myself tonight"))
    [prompt] = of(first, PromptShown)
    assert prompt.play == "crisis"
    assert not any(waiting.titles for waiting in of(first, PromptsWaiting)), "nothing stands under it either"
    for now_ms in range(3_500, 15_000, 500):
        assert of(call.tick(now_ms), PromptEnded) == []
    again = call.hear(said("I have the pills here and I want to die", 15_000))
    assert of(again, SignalRaised) and not of(again, PromptEnded) and not of(again, PromptShown)


def test_a_card_that_answers_two_findings_stays_with_one_and_goes_with_both():
    call = session()
    call.hear(said(DEMAND))
    for now_ms in range(4_000, 29_000, 500):
        call.tick(now_ms)
    [prompt] = of(call.hear(saying("well fuck you then and all of you there", 29_000)), PromptShown)
    assert len(prompt.signals) == 2
    assert of(call.hear(saying("well fuck stew then and all of you there", 29_000)), PromptEnded) == []
    [ended] = of(call.hear(said("well duck stew then and all of you there", 29_000)), PromptEnded)
    assert (ended.id, ended.how) == (prompt.id, "withdrawn")


def test_a_card_whose_words_did_not_hold_has_cost_nothing_also_where_the_call_is_calm_again():
    call = session()
    [prompt] = of(call.hear(saying(DEMAND)), PromptShown)
    events = call.hear(said("I want to speak to your mango right now"))
    assert [(ended.id, ended.how) for ended in of(events, PromptEnded)] == [(prompt.id, "withdrawn")]
    assert call.escalation.level == "calm"
    for now_ms in range(4_000, 20_000, 500):
        call.tick(now_ms)
    [again] = of(call.hear(said("Get me your manager right now", 20_000)), PromptShown)
    assert (again.play, again.say) == (prompt.play, prompt.say), "neither its cool-down nor its line is spent"


def test_what_only_goes_under_another_key_leaves_level_and_card_as_they_are():
    coach = Coach(BOOK, agent=AgentProfile("Dana"))
    call = Session(STARTED, build_detectors(RULES), Escalation(), coach)
    early = call.hear(saying("I'll report this theft to the"))
    [before], [prompt] = of(early, SignalRaised), of(early, PromptShown)
    late = call.hear(said("I'll report this theft to the police"))
    [after], [gone] = of(late, SignalRaised), of(late, SignalWithdrawn)
    assert (gone.key, after.signal.id) == (before.signal.key, before.signal.id) and after.signal.key != gone.key
    assert of(late, (LevelChange, PromptEnded, PromptShown)) == []
    [ended] = of(call.act(Action(4_000, "Dana", "agent", "pause")), PromptEnded)
    assert (ended.id, ended.how) == (prompt.id, "withdrawn"), "it stands on the new one"
