from datetime import datetime

import pytest

from assist.coach.clock import RECOVERY_MS
from assist.coach.coach import AgentProfile, Coach
from assist.coach.playbook import load_playbook
from assist.coach.prompting import STALE_MS
from assist.events import (
    Action,
    FollowUpNoted,
    HandOffNoted,
    PlanOffered,
    PromptEnded,
    PromptShown,
    PromptsWaiting,
    Recovery,
    StepTicked,
)
from audio.events import Speaker, Utterance, Word
from detectors.signals import Evidence, Level, LevelChange, Severity, Signal
from tests.heard import of

BOOK = load_playbook("default")


def signal(name, at_ms, *, quote="the words", severity=Severity.HELP, settled=True, speaker=Speaker.CUSTOMER):
    evidence = Evidence(at_ms - 500, at_ms, quote, f"u{at_ms}", 0, 1)
    return Signal(name, f"rule.{name}", "1", speaker, at_ms, 0.9, severity, evidence, settled)


def agent_signal(name, at_ms, quote):
    return signal(name, at_ms, quote=quote, speaker=Speaker.AGENT)


def coach(**profile):
    return Coach(BOOK, agent=AgentProfile("Dana", **profile))


def turn(subject, at_ms, level, before=Level.CALM, because=()):
    return subject.level_changed(LevelChange(at_ms, level, before, 60.0, tuple(because)))


def test_a_calm_call_gets_no_card():
    subject = coach()
    assert of(subject.hear(1_000, [signal("swearing", 1_000)], None), PromptShown) == []


def test_an_influence_claim_makes_the_agent_the_person_to_call():
    subject = coach()
    claim = signal("influence_claim", 10_000, quote="call my guy")
    events = turn(subject, 10_000, Level.TENSE, because=[claim])
    [prompt] = of(events, PromptShown)
    assert prompt.play == "influence-claim"
    assert prompt.say.startswith("I'm Dana,")
    assert prompt.why == ("Heard at 00:09: “call my guy”",)
    assert prompt.signals == (claim.key,)
    assert [option.id for option in of(events, PlanOffered)[0].options] == ["direct-line", "named-callback"]


def test_what_was_heard_after_an_hour_is_told_as_on_the_call_s_clock():
    claim = signal("influence_claim", 3_912_500, quote="call my guy")
    [prompt] = of(turn(coach(), 3_912_500, Level.TENSE, because=[claim]), PromptShown)
    assert prompt.why == ("Heard at 1:05:12: “call my guy”",)


def test_words_lead_and_tone_only_supports():
    subject = coach()
    because = [signal("raised_voice", 9_000, quote=""), signal("supervisor_demand", 9_500)]
    [prompt] = of(turn(subject, 10_000, Level.ESCALATED, because=because), PromptShown)
    assert prompt.play == "supervisor-demand"


@pytest.mark.parametrize(
    ("noted", "play"),
    [("passed_around", "feelings"), ("supervisor_demand", "feelings"), ("vulnerable", "vulnerable")],
)
def test_what_was_clear_is_answered_before_what_was_only_noted_but_for_care(noted, play):
    because = [signal(noted, 9_500, severity=Severity.NOTE), signal("upset", 9_500)]
    [prompt] = of(turn(coach(), 10_000, Level.ESCALATED, because=because), PromptShown)
    assert prompt.play == play


def test_anger_is_answered_before_a_note_of_hurry():
    because = [signal("time_pressure", 9_500, severity=Severity.NOTE), signal("upset", 9_500)]
    [prompt] = of(turn(coach(), 10_000, Level.ESCALATED, because=because), PromptShown)
    assert prompt.play == "feelings"


@pytest.mark.parametrize(("severity", "prompts"), [(Severity.NOTE, 0), (Severity.HELP, 1)])
def test_a_call_that_is_tense_because_somebody_was_noted_to_be_upset_gets_no_prompt(severity, prompts):
    because = [signal("upset", 9_500, severity=severity), signal("negative_sentiment", 9_500)]
    assert len(of(turn(coach(), 10_000, Level.TENSE, because=because), PromptShown)) == prompts


def test_the_card_that_comes_most_does_not_open_alike_in_each_call():
    lines = {"feelings": set(), "personal-threat": set()}
    for minute in range(60):
        for cue, severity in (("upset", Severity.HELP), ("personal_threat", Severity.URGENT)):
            subject = Coach(BOOK, AgentProfile("Dana"), began=datetime(2026, 11, 24, 10, minute))
            because = [signal(cue, 9_500, severity=severity)]
            [prompt] = of(turn(subject, 10_000, Level.TENSE, because=because), PromptShown)
            lines[prompt.play].add(prompt.say)
    assert len(lines["feelings"]) == 3 and len(lines["personal-threat"]) == 1


def test_urgent_comes_in_a_calm_call_and_stays():
    subject = coach()
    [prompt] = of(subject.hear(1_000, [signal("vulnerable", 1_000, severity=Severity.URGENT)], None), PromptShown)
    assert prompt.tier is Severity.URGENT
    assert of(subject.tick(200_000), PromptEnded) == []
    ended = subject.act(Action(201_000, "Dana", "agent", "used", prompt.id))
    assert ended == [PromptEnded(201_000, prompt.id, "used")]


def test_the_agents_own_words_tick_steps_and_end_the_prompt():
    subject = coach()
    turn(subject, 10_000, Level.TENSE, because=[signal("influence_claim", 10_000)])
    events = subject.hear(14_000, [agent_signal("ownership", 14_000, "I will take care of it")], None)
    assert of(events, StepTicked) == [StepTicked(14_000, "redirect", True, "words", "I will take care of it")]
    [ended] = of(events, PromptEnded)
    assert (ended.how, ended.words) == ("acted", "I will take care of it")


@pytest.mark.parametrize(
    ("severity", "owned_ms", "prompts"),
    [(Severity.NOTE, 10_000, 0), (Severity.NOTE, -20_000, 1), (Severity.HELP, 10_000, 1)],
)
def test_what_was_only_noted_is_not_answered_with_what_the_agent_has_just_done(severity, owned_ms, prompts):
    subject = coach()
    turn(subject, 1_000, Level.ESCALATED)
    subject.hear(10_000, [agent_signal("ownership", owned_ms, "I'll get you the weekend man")], None)
    doubt = signal("giving_up", 14_000, quote="not get my hopes up", severity=severity)
    assert len(of(subject.hear(14_000, [doubt], None), PromptShown)) == prompts


def test_the_word_police_alone_is_no_sign_of_danger():
    because = [signal("police", 9_500, quote="that's extortion")]
    [prompt] = of(turn(coach(), 10_000, Level.ESCALATED, because=because), PromptShown)
    assert prompt.play == "police" and "danger" not in prompt.say


def test_what_was_said_before_the_prompt_is_not_acting_on_it():
    subject = coach()
    turn(subject, 10_000, Level.TENSE, because=[signal("influence_claim", 10_000)])
    assert of(subject.hear(10_500, [agent_signal("ownership", 9_000, "mine")], None), PromptEnded) == []


def test_a_greeting_ticks_nothing():
    subject = coach()
    assert subject.hear(1_000, [agent_signal("thanks", 1_000, "thank you for calling")], None) == []


def test_steps_by_hand_and_back():
    subject = coach()
    assert subject.act(Action(1, "Dana", "agent", "step", "plan-b", "done")) == [StepTicked(1, "plan-b", True, "hand")]
    assert subject.act(Action(2, "Dana", "agent", "step", "plan-b", "undone")) == [
        StepTicked(2, "plan-b", False, "hand")
    ]
    assert subject.act(Action(3, "Dana", "agent", "step", "no-such", "done")) == []


def test_a_second_cue_waits_as_a_chip_and_is_never_shown_late():
    subject = coach()
    turn(subject, 10_000, Level.TENSE, because=[signal("influence_claim", 10_000)])
    events = subject.hear(11_000, [signal("cancel_threat", 11_000)], None)
    assert of(events, PromptsWaiting) == [PromptsWaiting(11_000, ("Ask before you offer",))]
    late = subject.tick(11_000 + STALE_MS + 500)
    assert PromptsWaiting(11_000 + STALE_MS + 500, ()) in late
    assert of(late, PromptShown) == []


def test_a_card_that_has_stood_long_enough_makes_room_for_a_new_cue():
    subject = coach()
    turn(subject, 10_000, Level.TENSE, because=[signal("passed_around", 10_000)])
    events = subject.hear(19_000, [signal("influence_claim", 19_000)], None)
    assert of(events, PromptEnded)[0].how == "superseded"
    assert of(events, PromptShown)[0].play == "influence-claim"


def test_a_withdrawn_signal_takes_its_prompt_along_and_costs_nothing():
    subject = coach()
    claim = signal("influence_claim", 10_000, settled=False)
    [prompt] = of(turn(subject, 10_000, Level.TENSE, because=[claim]), PromptShown)
    assert subject.withdraw(claim.key, 11_000) == [PromptEnded(11_000, prompt.id, "withdrawn")]
    assert of(subject.hear(11_500, [signal("supervisor_demand", 11_500)], None), PromptShown)


def test_what_waits_for_two_findings_goes_on_waiting_for_the_one_that_stands():
    subject = coach()
    turn(subject, 10_000, Level.TENSE, because=[signal("influence_claim", 10_000)])
    two = [signal("cancel_threat", 11_000), signal("cancel_threat", 11_200)]
    assert of(subject.hear(11_200, two, None), PromptsWaiting) == [PromptsWaiting(11_200, ("Ask before you offer",))]
    assert subject.withdraw(two[0].key, 11_500) == []
    assert subject.withdraw(two[1].key, 11_600) == [PromptsWaiting(11_600, ())]


def test_a_help_prompt_leaves_after_its_time():
    subject = coach()
    [prompt] = of(turn(subject, 10_000, Level.TENSE, because=[signal("influence_claim", 10_000)]), PromptShown)
    assert of(subject.tick(34_000), PromptEnded) == []
    assert of(subject.tick(35_000), PromptEnded) == [PromptEnded(35_000, prompt.id, "expired")]


def test_the_next_undone_step_is_prompted_while_escalated():
    subject = coach()
    turn(subject, 10_000, Level.ESCALATED, because=[signal("influence_claim", 10_000)])
    subject.hear(
        14_000, [agent_signal("apology", 14_000, "I am sorry"), agent_signal("empathy", 14_500, "I see")], None
    )
    subject.act(Action(15_000, "Dana", "agent", "dismissed", "p1"))
    [prompt] = of(subject.tick(22_000), PromptShown)
    assert prompt.play == "step-redirect"


@pytest.mark.parametrize("ending", [Level.RECOVERING, Level.CALM])
def test_the_recovery_clock_is_met_in_time(ending):
    subject = coach()
    assert of(turn(subject, 10_000, Level.ESCALATED), Recovery) == [Recovery(10_000, "started", RECOVERY_MS)]
    met = turn(subject, 50_000, ending, Level.ESCALATED)
    assert of(met, Recovery) == [Recovery(50_000, "met", RECOVERY_MS, 40_000)]


def test_the_recovery_clock_is_missed_once_and_still_says_how_long_it_took():
    subject = coach()
    turn(subject, 10_000, Level.ESCALATED)
    assert of(subject.tick(70_000), Recovery) == []
    assert of(subject.tick(70_500), Recovery) == [Recovery(70_500, "missed", RECOVERY_MS, 60_500)]
    assert of(subject.tick(80_000), Recovery) == []
    assert of(turn(subject, 90_000, Level.RECOVERING, Level.ESCALATED), Recovery) == [
        Recovery(90_000, "missed", RECOVERY_MS, 80_000)
    ]


def test_an_accepted_option_stops_the_clock_and_stays_until_another_is_offered_or_its_yes_is_taken_back():
    subject = coach()
    events = turn(subject, 10_000, Level.ESCALATED, because=[signal("passed_around", 10_000)])
    first, *others = of(events, PlanOffered)[0].options
    events = subject.act(Action(20_000, "Dana", "agent", "plan-accepted", first.id))
    assert of(events, Recovery) == [Recovery(20_000, "met", RECOVERY_MS, 10_000, "remedy")]
    assert of(events, PlanOffered) == [] and subject.refusal(Action(0, "", "agent", "plan-accepted", first.id))
    no = Action(21_000, "Dana", "agent", "plan-refused", first.id)
    assert subject.refusal(no) == ""
    events = subject.act(no)
    assert of(events, Recovery) == [Recovery(21_000, "started", RECOVERY_MS, 11_000)]
    rows = of(events, PlanOffered)[0].options
    assert first.id not in [row.id for row in rows] and list(rows[:2]) == others
    subject.act(Action(22_000, "Dana", "agent", "plan-accepted", rows[0].id))
    events = subject.act(Action(23_000, "Dana", "agent", "plan-offered", "late-fee"))
    assert of(events, PlanOffered) == [PlanOffered(23_000, ())]
    assert subject.refusal(Action(0, "", "agent", "plan-refused", rows[0].id))


@pytest.mark.parametrize("answer", ["plan-accepted", "plan-refused"])
def test_the_customers_answer_ends_the_card_that_offers_and_makes_room_for_what_waits(answer):
    subject = coach()
    turn(subject, 10_000, Level.ESCALATED)
    [prompt] = of(subject.act(Action(20_000, "Dana", "agent", "plan-offered", "direct-line")), PromptShown)
    assert of(subject.hear(25_000, [signal("influence_claim", 25_000)], None), PromptShown) == []
    assert of(subject.act(Action(26_000, "Dana", "agent", "plan-refused", "late-fee")), PromptEnded) == []
    events = subject.act(Action(27_000, "Dana", "agent", answer, "direct-line"))
    assert of(events, PromptEnded) == [PromptEnded(27_000, prompt.id, "ended")]
    events = subject.tick(28_000)
    assert [shown.play for shown in of(events, PromptShown)] == ["influence-claim"] and not of(events, PromptEnded)


def test_plan_b_rows_do_not_change_under_the_eye():
    subject = coach()
    [before] = of(turn(subject, 10_000, Level.TENSE, because=[signal("passed_around", 10_000)]), PlanOffered)
    [after] = of(subject.hear(12_000, [signal("legal_threat", 12_000)], None), PlanOffered)
    assert after.options[: len(before.options)] == before.options
    assert of(subject.hear(14_000, [signal("cancel_threat", 14_000)], None), PlanOffered) == []


def test_a_promise_becomes_a_follow_up():
    words = tuple(Word(w, i * 100, i * 100 + 90) for i, w in enumerate("I will call you back tomorrow at ten".split()))
    events = coach().hear(5_000, [], Utterance("a1", Speaker.AGENT, 0, 5_000, words))
    [noted] = of(events, FollowUpNoted)
    assert (noted.due, noted.owner) == ("tomorrow at ten", "Dana")


def test_experienced_agents_get_fewer():
    counts = []
    for experienced in (False, True):
        subject = coach(experienced=experienced)
        shown = of(turn(subject, 10_000, Level.ESCALATED, because=[signal("influence_claim", 10_000)]), PromptShown)
        for now in range(11_000, 200_000, 500):
            ids = ("cancel_threat", "swearing", "legal_threat", "giving_up", "supervisor_demand")
            heard = [signal(ids[now // 10_000 % 5], now)] if now % 10_000 == 0 else []
            shown += of(subject.hear(now, heard, None) + subject.tick(now), PromptShown)
        counts.append(len(shown))
    assert 0 < counts[1] < counts[0]


def agent_says(subject, text, at_ms, *signals, speaker=Speaker.AGENT):
    words = tuple(Word(w, at_ms + i * 100, at_ms + i * 100 + 90) for i, w in enumerate(text.split()))
    said = Utterance(f"a{at_ms}", speaker, at_ms, at_ms + 5_000, words)
    heard = [signal(name, at_ms + 5_000, quote=text, speaker=speaker) for name in signals]
    return of(subject.hear(at_ms + 5_000, heard, said), FollowUpNoted)


def test_a_promise_said_again_is_the_same_one_and_takes_the_time_that_is_named_later():
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    [first] = agent_says(subject, "I will call you back", 1_000)
    assert (first.id, first.due, first.due_at) == ("f1", "", "")
    [timed] = agent_says(subject, "so I will call you back tomorrow at ten", 10_000)
    assert (timed.id, timed.due, timed.due_at) == ("f1", "tomorrow at ten", "2026-11-25T10:00+00:00")
    assert agent_says(subject, "as I said I will call you back tomorrow at ten", 20_000) == []
    [other] = agent_says(subject, "and I will send you the form by Friday", 30_000)
    assert (other.id, other.due_at) == ("f2", "2026-11-27")


@pytest.mark.parametrize(
    ("says", "noted"),
    [
        (
            ["I'll call you back within two hours", "so I'll call you back in the next two hours"],
            [("f1", "call you back", "2026-11-24T12:00")],
        ),
        (
            ["I'll call you back", "I'll call the courier back by five"],
            [("f1", "call you back", ""), ("f2", "call the courier back", "2026-11-24T17:00")],
        ),
        (
            ["I'll call you", "our engineer will call you by five"],
            [("f1", "call you", ""), ("f2", "our engineer will call you", "2026-11-24T17:00")],
        ),
        (
            ["I'll email you", "I'll email the warehouse today", "I'll email you tomorrow"],
            [("f1", "email you", ""), ("f2", "email the warehouse", "2026-11-24"), ("f1", "email you", "2026-11-25")],
        ),
        (
            ["I'll call the courier by five", "and then I'll call you"],
            [("f1", "call the courier", "2026-11-24T17:00"), ("f2", "call you", "")],
        ),
        (
            ["I'll call you on Thursday", "no I'll call you on Friday", "I'll call you on Friday then"],
            [("f1", "call you", "2026-11-26"), ("f2", "call you", "2026-11-27")],
        ),
        (
            ["I'll send you the form today", "I'll send the form today"],
            [("f1", "send you the form", "2026-11-24")],
        ),
        (
            ["I'll get someone to call you back tomorrow", "somebody will call you back tomorrow"],
            [("f1", "get someone to call you back", "2026-11-25")],
        ),
        (
            ["I'll make sure someone calls you back tomorrow", "someone will call you back tomorrow"],
            [("f1", "make sure someone calls you back", "2026-11-25")],
        ),
        (
            ["I'll arrange a call back tomorrow", "I'll arrange to call you back tomorrow"],
            [("f1", "arrange a call back", "2026-11-25")],
        ),
        (
            ["I'll have my manager call you back tomorrow", "I'll call you back tomorrow"],
            [("f1", "have my manager call you back", "2026-11-25"), ("f2", "call you back", "2026-11-25")],
        ),
        (
            [
                "my manager will call you back tomorrow",
                "I'll ask my manager to call you back tomorrow",
                "a colleague will call you back tomorrow",
            ],
            [
                ("f1", "my manager will call you back", "2026-11-25"),
                ("f2", "a colleague will call you back", "2026-11-25"),
            ],
        ),
    ],
)
def test_each_promise_is_noted_once_and_none_for_another(says, noted):
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    events = [event for n, text in enumerate(says) for event in agent_says(subject, text, 180_000 * n)]
    assert [(each.id, each.what, each.due_at[:16]) for each in events] == noted


def test_a_time_that_is_taken_back_leaves_the_promise_as_it_was():
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    agent_says(subject, "I will call you back", 1_000)
    [timed] = agent_says(subject, "I will call you back tomorrow at ten", 10_000)
    subject.forget(10_500)
    [again] = agent_says(subject, "I will call you back on Friday", 20_000)
    assert (again.id, again.due_at) == (timed.id, "2026-11-27")


def test_a_callback_that_was_accepted_without_a_time_asks_for_one():
    subject = coach()
    turn(subject, 10_000, Level.ESCALATED)
    events = subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback"))
    [prompt] = of(events, PromptShown)
    assert (prompt.title, prompt.say) == ("Name the day and hour", "Which day and which hour? I'm writing it down now.")
    assert of(events, FollowUpNoted)[0].what == "Call back at their time"
    named = agent_signal("callback_time", 25_000, "call you on Monday")
    assert of(subject.hear(25_000, [named], None), PromptEnded)[0].how == "acted"


def test_where_the_time_was_named_nothing_is_asked():
    subject = coach()
    turn(subject, 10_000, Level.ESCALATED)
    assert agent_says(subject, "I can call you on Monday", 10_000, "callback_time") == []
    events = subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback"))
    assert of(events, PromptShown) == []
    [noted] = of(events, FollowUpNoted)
    assert (noted.what, noted.due) == ("Call back at their time", "on Monday")


def offering(option):
    """A coach whose agent has offered this option by hand."""
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    turn(subject, 10_000, Level.ESCALATED)
    subject.act(Action(11_000, "Dana", "agent", "plan-offered", option))
    return subject


def accepted(subject, option, at_ms=60_000):
    events = subject.act(Action(at_ms, "Dana", "agent", "plan-accepted", option))
    return [(each.id, each.what, each.due, each.due_at[:16]) for each in of(events, FollowUpNoted)]


@pytest.mark.parametrize(
    ("speaker", "says", "due", "due_at"),
    [
        (Speaker.AGENT, "I can call you back at 3pm", "at 3pm", "2026-11-24T15:00"),
        (
            Speaker.AGENT,
            "you have waited since Monday so shall we say tomorrow at ten",
            "tomorrow at ten",
            "2026-11-25T10:00",
        ),
        (Speaker.CUSTOMER, "tomorrow at ten would be fine", "tomorrow at ten", "2026-11-25T10:00"),
        (Speaker.CUSTOMER, "nobody came at ten tomorrow is fine", "", ""),
        (Speaker.CUSTOMER, "I have to work tomorrow", "", ""),
    ],
)
def test_a_time_that_is_chosen_with_the_offer_is_the_follow_up_s(speaker, says, due, due_at):
    subject = offering("named-callback")
    agent_says(subject, says, 12_000, speaker=speaker)
    assert accepted(subject, "named-callback") == [("f1", "Call back at their time", due, due_at)]


def test_a_time_is_that_of_the_option_it_was_named_for():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back at 3pm", 12_000, "callback_time")
    subject.act(Action(20_000, "Dana", "agent", "plan-offered", "timed-visit"))
    assert accepted(subject, "timed-visit", 25_000) == [("f1", "Engineer at a fixed time", "", "")]


@pytest.mark.parametrize(
    ("option", "noted"), [("named-callback", []), ("timed-visit", [("f2", "Engineer at a fixed time", "", "")])]
)
def test_the_time_of_a_call_that_was_promised_before_any_offer_is_that_of_a_call_alone(option, noted):
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    [promised] = agent_says(subject, "I will call you back at 3pm", 5_000, "callback_time")
    turn(subject, 10_000, Level.ESCALATED)
    subject.act(Action(11_000, "Dana", "agent", "plan-offered", option))
    assert (promised.id, accepted(subject, option, 20_000)) == ("f1", noted)


def test_another_time_that_is_spoken_of_is_not_the_option_s():
    subject = offering("named-callback")
    agent_says(subject, "your next bill goes out on Friday", 12_000)
    agent_says(subject, "I can call you back at 3pm", 20_000, "callback_time")
    agent_says(subject, "and I am here until the office closes at six", 30_000)
    assert accepted(subject, "named-callback") == [("f1", "Call back at their time", "at 3pm", "2026-11-24T15:00")]


@pytest.mark.parametrize(
    ("customer", "due"),
    [
        ("no three does not work for me", ""),
        ("at three I am still at work five would be better", "at five"),
        ("No, not at three. At half past five would be better.", "At half past five"),
        ("could you make it at five", "at five"),
        ("yes that is no problem I have a meeting at six", "at three"),
        ("could you send me a message as well", "at three"),
        ("could you send me the form by Friday at two", "at three"),
        ("my internet still does not work", "at three"),
        ("could he come at five", "at five"),
        ("not really convenient", ""),
    ],
)
def test_a_time_that_the_customer_turns_down_is_not_the_follow_up_s(customer, due):
    subject = offering("named-callback")
    agent_says(subject, "I can call you back at three", 12_000, "callback_time")
    agent_says(subject, customer, 20_000, speaker=Speaker.CUSTOMER)
    [(_, _, told, _)] = accepted(subject, "named-callback", 30_000)
    assert told == due


@pytest.mark.parametrize(
    ("first", "speaker", "then", "due"),
    [
        ("I can call you back tomorrow", Speaker.CUSTOMER, "At ten please", "tomorrow at ten"),
        ("I can call you back tomorrow", Speaker.AGENT, "at ten", "tomorrow at ten"),
        ("I can call you back on Friday", Speaker.CUSTOMER, "Thursday at ten is better", "Thursday at ten"),
        ("I can call you back within the hour", Speaker.CUSTOMER, "at noon is better", "at noon"),
        ("I can call you back tomorrow", Speaker.AGENT, "the van with your new router comes at six", "tomorrow"),
        ("I can call you back tomorrow", Speaker.AGENT, "we close at six", "tomorrow"),
        ("I can call you back at three", Speaker.CUSTOMER, "I can't do three", ""),
    ],
)
def test_an_hour_that_is_named_after_its_day_is_the_hour_of_that_day(first, speaker, then, due):
    subject = offering("named-callback")
    agent_says(subject, first, 12_000, "callback_time")
    agent_says(subject, then, 20_000, speaker=speaker)
    assert accepted(subject, "named-callback", 30_000)[0][2] == due


@pytest.mark.parametrize(
    "says", ["I finish at six today", "our office closes at six", "I can call you back at three or at five"]
)
def test_hours_and_one_of_two_times_are_not_the_follow_up_s(says):
    subject = offering("named-callback")
    agent_says(subject, says, 12_000, *(["callback_time"] if "call you" in says else []))
    assert accepted(subject, "named-callback", 30_000) == [("f1", "Call back at their time", "", "")]
    assert agent_says(subject, "our office closes at six today", 40_000) == []


@pytest.mark.parametrize(
    ("says", "due", "due_at"),
    [
        ("How about five o'clock?", "at five o'clock", "2026-11-24T17:00"),
        ("Five o'clock, then.", "at five o'clock", "2026-11-24T17:00"),
        ("Shall we say five? Then I can book it.", "at five", "2026-11-24T17:00"),
        ("shall we say five tickets", "", ""),
        ("half past four", "at half past four", "2026-11-24T16:30"),
        ("I can do noon", "at noon", "2026-11-24T12:00"),
        ("he will be with you between eleven and one p.m.", "between eleven and one p.m", "2026-11-24T11:00"),
        ("from two to four", "from two to four", "2026-11-24T14:00"),
        ("would nine tomorrow suit you", "at nine tomorrow", "2026-11-25T09:00"),
        ("I have tomorrow, ten o'clock", "tomorrow, ten o'clock", "2026-11-25T10:00"),
        ("I could do 10:30", "at 10:30", "2026-11-24T10:30"),
        ("eight o'clock is possible", "at eight o'clock", "2026-11-25T08:00"),
        ("any time after four", "after four", "2026-11-24T16:00"),
        ("is eight tomorrow okay for you", "at eight tomorrow", "2026-11-25T08:00"),
        ("the fee is 10.50", "", ""),
        ("you reach us at 0800 123 456", "", ""),
        ("does one suit you", "", ""),
        ("five engineers are out today", "", ""),
        ("about five pounds of it", "", ""),
        ("five o'clock, it is order 1030", "at five o'clock", "2026-11-24T17:00"),
        ("I cannot do five o'clock", "", ""),
        ("between two and four days", "", ""),
        ("at one point nobody knew of it", "", ""),
        ("my colleague is at five five five one two three four", "", ""),
        ("call between nine and five any day", "", ""),
        ("we are here from nine to five", "", ""),
        ("on a scale from one to ten", "", ""),
        ("at five a month it is cheap", "", ""),
        ("tomorrow at five Miss Jones", "tomorrow at five", "2026-11-25T17:00"),
        ("at five Thomas", "at five", "2026-11-24T17:00"),
        ("he can be there at eight at night", "at eight at night", "2026-11-24T20:00"),
        ("five it is then", "at five", "2026-11-24T17:00"),
        ("at 5 30", "at 5 30", "2026-11-24T17:30"),
        ("at twelve midnight", "at twelve midnight", "2026-11-24T23:59"),
        ("the second of December at five", "the second of December at five", "2026-12-02T17:00"),
    ],
)
def test_an_hour_that_is_offered_is_a_time_however_it_is_spoken(says, due, due_at):
    subject = offering("timed-visit")
    agent_says(subject, says, 12_000)
    assert accepted(subject, "timed-visit") == [("f1", "Engineer at a fixed time", due, due_at)]


@pytest.mark.parametrize("says", ["five o'clock", "so between two and four"])
def test_the_card_that_asks_for_a_time_goes_once_an_hour_was_said(says):
    subject = offering("timed-visit")
    [prompt] = of(subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "timed-visit")), PromptShown)
    words = tuple(Word(word, 25_000 + i * 100, 25_090 + i * 100) for i, word in enumerate(says.split()))
    events = subject.hear(26_000, [], Utterance("a1", Speaker.AGENT, 25_000, 26_000, words))
    assert [(each.id, each.how) for each in of(events, PromptEnded)] == [(prompt.id, "acted")]
    assert [each.due_at[:13] for each in of(events, FollowUpNoted)] in (["2026-11-24T17"], ["2026-11-24T14"])


def both_accepted(first, last):
    """A coach whose customer has taken two options without a time; and the events of the second yes."""
    subject = offering(first)
    subject.act(Action(12_000, "Dana", "agent", "plan-offered", last))
    subject.act(Action(20_000, "Dana", "agent", "plan-accepted", first))
    return subject, subject.act(Action(21_000, "Dana", "agent", "plan-accepted", last))


def heard(subject, text, at_ms, *signals, speaker=Speaker.AGENT):
    """All that is decided when somebody has said this."""
    words = tuple(Word(word, at_ms + i * 100, at_ms + i * 100 + 90) for i, word in enumerate(text.split()))
    found = [signal(name, at_ms + 1_000, quote=text, speaker=speaker) for name in signals]
    return subject.hear(at_ms + 1_000, found, Utterance(f"a{at_ms}", speaker, at_ms, at_ms + 1_000, words))


def times_of(events):
    return [(each.what, each.due, each.due_at[:16]) for each in of(events, FollowUpNoted)]


VISIT, CALL = "Engineer at a fixed time", "Call back at their time"


@pytest.mark.parametrize(
    ("says", "signals", "timed"),
    [
        ("so the engineer will be with you tomorrow at ten", [], (VISIT, "tomorrow at ten", "2026-11-25T10:00")),
        ("I will call you back at five", ["callback_time"], (CALL, "at five", "2026-11-24T17:00")),
        ("five o'clock then", [], (CALL, "at five o'clock", "2026-11-24T17:00")),
    ],
)
def test_of_two_that_were_accepted_without_a_time_each_gets_its_own(says, signals, timed):
    subject, asked = both_accepted("timed-visit", "named-callback")
    events = heard(subject, says, 25_000, *signals)
    assert times_of(events) == [timed]
    left, play = (CALL, "then-named-callback") if timed[0] == VISIT else (VISIT, "then-timed-visit")
    prompts = of(events, PromptShown) or of(asked, PromptShown)
    assert [prompt.play for prompt in prompts] == [play], "the prompt goes on asking for the other"
    assert times_of(heard(subject, "and on Friday at three", 32_000)) == [
        (left, "on Friday at three", "2026-11-27T15:00")
    ]


def test_two_times_in_one_breath_are_those_of_two_options():
    subject, _ = both_accepted("timed-visit", "named-callback")
    says = "the engineer will be there tomorrow at ten and I will call you at noon"
    events = heard(subject, says, 25_000, "callback_time")
    assert sorted(times_of(events)) == [
        (CALL, "at noon", "2026-11-24T12:00"),
        (VISIT, "tomorrow at ten", "2026-11-25T10:00"),
    ]


@pytest.mark.parametrize(
    "turns",
    [
        ["the engineer tomorrow at ten and the call at five"],
        ["", "which hour shall I book for the visit", "tomorrow at ten", "and for my call", "at five please"],
        ["for the call five o'clock", "okay and the engineer", "tomorrow at ten please"],
    ],
)
def test_the_customer_names_the_time_of_each_in_any_order(turns):
    subject, _ = both_accepted("timed-visit", "named-callback")
    noted = []
    for number, text in enumerate(turns):
        speaker = Speaker.AGENT if number % 2 else Speaker.CUSTOMER
        noted += times_of(heard(subject, text, 25_000 + 3_000 * number, speaker=speaker) if text else [])
    [(_, _, call_at), (_, _, visit_at)] = sorted(noted)
    assert (call_at, visit_at) == ("2026-11-24T17:00", "2026-11-25T10:00")


def test_the_card_for_the_visit_stays_while_the_time_of_the_call_is_named():
    subject, events = both_accepted("named-callback", "timed-visit")
    [prompt] = of(events, PromptShown)
    events = heard(subject, "I will call you back at five", 25_000, "callback_time")
    assert times_of(events) == [(CALL, "at five", "2026-11-24T17:00")]
    assert prompt.play == "then-timed-visit" and of(events, PromptEnded) == []


@pytest.mark.parametrize(
    ("says", "due"),
    [("Thursday at ten please", "Thursday at ten"), ("my number is the same and I have two dogs at home", "")],
)
def test_the_customer_who_is_asked_which_hour_names_it(says, due):
    subject = offering("timed-visit")
    subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "timed-visit"))
    events = heard(subject, says, 25_000, speaker=Speaker.CUSTOMER)
    assert [each.due for each in of(events, FollowUpNoted)] == ([due] if due else [])


def test_of_several_offers_each_has_its_own_time():
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    turn(subject, 10_000, Level.ESCALATED)
    agent_says(subject, "nobody came for the visit", 11_000, speaker=Speaker.CUSTOMER)
    both = "I can send an engineer to you tomorrow at ten and I can call you back at noon"
    agent_says(subject, both, 12_000, "callback_time")
    agent_says(subject, "the call at noon is fine", 20_000, speaker=Speaker.CUSTOMER)
    assert accepted(subject, "timed-visit", 25_000)[0][2:] == ("tomorrow at ten", "2026-11-25T10:00")
    assert accepted(subject, "named-callback", 26_000)[0][2:] == ("at noon", "2026-11-24T12:00")


@pytest.mark.parametrize(
    ("asks", "answers", "moved"),
    [
        ("actually could we make that Thursday", "of course", ("Thursday", "2026-11-26")),
        (
            "Actually, could we make that Thursday?",
            "Thursday is fine, at eleven.",
            ("Thursday at eleven", "2026-11-26T11:00"),
        ),
        ("could you make it eleven", "Yes, no problem.", ("tomorrow at eleven", "2026-11-25T11:00")),
        (
            "could we move that to Friday at two",
            "so I will call you on Friday at two",
            ("on Friday at two", "2026-11-27T14:00"),
        ),
        ("sorry tomorrow does not work for me", "I can call you on Friday then", ("on Friday", "2026-11-27")),
        (
            "can we change the time",
            "sure would half past three suit you",
            ("tomorrow at half past three", "2026-11-25T15:30"),
        ),
        ("could we make that Thursday", "I am afraid that is not possible", None),
        ("could we make that Thursday", "let me check whether that is okay", None),
        ("could you send me a message as well", "yes of course", None),
        ("could you send me a message as well", "I will text you the number on Friday", None),
        ("I cannot wait", "I will call you tomorrow at ten as I said", None),
        ("could you make it eleven", "eleven it is then", ("tomorrow at eleven", "2026-11-25T11:00")),
        ("would Thursday be possible", "yes of course", ("Thursday", "2026-11-26")),
        ("Thursday would suit me better", "no problem", ("Thursday", "2026-11-26")),
        ("I see", "sorry I mean Thursday at ten", ("Thursday at ten", "2026-11-26T10:00")),
        ("could you send me the invoice by Friday", "yes of course", None),
        ("I would rather have the refund by Friday", "okay I can do that", None),
        ("I had better go my train leaves at five", "okay thanks for calling", None),
        ("could you put it on my account", "your next bill goes out on Friday", None),
        ("the router still does not work", "the new one comes on Friday", None),
        ("I have Friday off", "okay great", None),
        ("could we say Friday", "okay great", ("Friday", "2026-11-27")),
        ("I see", "it is too late today your parcel leaves tomorrow at eight", None),
        ("I see", "how about a text on Friday", None),
    ],
)
def test_a_time_that_is_changed_after_the_yes_moves_its_follow_up(asks, answers, moved):
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    assert accepted(subject, "named-callback", 20_000) == [("f1", CALL, "tomorrow at ten", "2026-11-25T10:00")]
    events = heard(subject, asks, 22_000, speaker=Speaker.CUSTOMER)
    assert times_of(events) == [], "only what the agent agrees to"
    events = heard(subject, answers, 26_000, *(["callback_time"] if "call you" in answers else []))
    told = [(each.id, each.due, each.due_at[:16]) for each in of(events, FollowUpNoted) if each.what == CALL]
    assert told == ([("f1", *moved)] if moved else [])
    assert len(of(events, FollowUpNoted)) == len(told) + ("text you" in answers)


@pytest.mark.parametrize(
    ("turns", "moved"),
    [
        (
            ["can I change the time", "of course when would suit you", "Friday at two", "okay"],
            ("Friday at two", "2026-11-27T14:00"),
        ),
        (
            ["could we do Friday instead", "what time on Friday", "at two", "okay"],
            ("on Friday at two", "2026-11-27T14:00"),
        ),
        (
            ["I am not there tomorrow", "Friday then", "yes", "I will call you on Friday at ten"],
            ("on Friday at ten", "2026-11-27T10:00"),
        ),
    ],
)
def test_another_time_that_is_found_turn_by_turn_moves_the_follow_up(turns, moved):
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    noted = of(subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback")), FollowUpNoted)
    for number, text in enumerate(turns):
        speaker = Speaker.AGENT if number % 2 else Speaker.CUSTOMER
        noted += of(heard(subject, text, 22_000 + 4_000 * number, speaker=speaker), FollowUpNoted)
    assert {each.id for each in noted} == {"f1"}
    assert (noted[-1].due, noted[-1].due_at[:16]) == moved


@pytest.mark.parametrize(
    ("asks", "answers", "due"),
    [
        ("What time suits you?", "Five.", "at five"),
        ("so when would suit you", "fifteen thirty", "at fifteen thirty"),
        ("which hour shall I write down", "about half five please", "about half five"),
        ("what day is good", "ten on Friday", "at ten on Friday"),
        ("what time did they come", "five", ""),
        ("how many of you are there", "five", ""),
        ("what time suits you", "five people live here", ""),
    ],
)
def test_a_number_is_an_hour_where_it_answers_when(asks, answers, due):
    subject = offering("timed-visit")
    subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "timed-visit"))
    assert times_of(heard(subject, asks, 22_000)) == []
    events = heard(subject, answers, 25_000, speaker=Speaker.CUSTOMER)
    assert [each.due for each in of(events, FollowUpNoted)] == ([due] if due else [])


def test_a_number_that_answers_when_is_the_hour_of_the_day_that_stands():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow", 12_000, "callback_time")
    agent_says(subject, "what time suits you", 18_000)
    agent_says(subject, "fifteen thirty", 24_000, speaker=Speaker.CUSTOMER)
    assert accepted(subject, "named-callback") == [("f1", CALL, "tomorrow at fifteen thirty", "2026-11-25T15:30")]


@pytest.mark.parametrize("asks", ["what about Thursday at nine?", "could we make it Thursday at nine"])
@pytest.mark.parametrize(
    ("first", "answers", "due"),
    [
        ("", ["let me look", "yes that works"], ["Thursday at nine"]),
        ("", ["let me look", "I am afraid not"], []),
        ("", ["so I will call you on Thursday at nine"], ["on Thursday at nine"]),
        ("", ["nine it is"], ["Thursday at nine"]),
        ("", ["Friday at ten is all I have"], ["Friday at ten"]),
        ("I can call you back tomorrow at ten", ["let me look", "of course"], ["Thursday at nine"]),
        ("I can call you back tomorrow at ten", ["let me look", "I am afraid that is not possible"], []),
    ],
)
def test_a_time_that_the_customer_only_asks_for_waits_for_the_agent_s_yes(first, asks, answers, due):
    subject = offering("named-callback")
    if first:
        agent_says(subject, first, 12_000, "callback_time")
    subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback"))
    assert times_of(heard(subject, asks, 22_000, speaker=Speaker.CUSTOMER)) == []
    noted = []
    for number, text in enumerate(answers):
        assert noted == [], "not before the yes"
        signals = ["callback_time"] if "call you" in text else []
        noted = of(heard(subject, text, 25_000 + 3_000 * number, *signals), FollowUpNoted)
    assert [(each.id, each.what, each.due) for each in noted] == [("f1", CALL, each) for each in due]


@pytest.mark.parametrize(
    ("says", "at_once"),
    [
        ("Thursday at nine", True),
        ("Thursday at nine?", False),
        ("Thursday at nine and can you send me a message", True),
        ("I can do Thursday at nine", True),
    ],
)
def test_only_a_question_waits(says, at_once):
    subject = offering("named-callback")
    subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback"))
    events = heard(subject, says, 22_000, speaker=Speaker.CUSTOMER)
    assert bool(of(events, FollowUpNoted)) == at_once
    assert bool(of(heard(subject, "of course", 25_000), FollowUpNoted)) != at_once


@pytest.mark.parametrize(
    ("answers", "due", "then"),
    [
        ("let me look", "tomorrow at ten", "Thursday at nine"),
        ("yes that works", "Thursday at nine", None),
        ("nine it is then", "Thursday at nine", None),
        ("I can do Friday at noon", "Friday at noon", None),
    ],
)
def test_a_time_that_is_asked_for_before_the_yes_waits_for_the_agent_s(answers, due, then):
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    heard(subject, "what about Thursday at nine", 15_000, speaker=Speaker.CUSTOMER)
    heard(subject, answers, 18_000)
    events = heard(subject, "oh that is great thank you", 21_000, "de_escalation", speaker=Speaker.CUSTOMER)
    assert [each[:2] for each in times_of(events)] == [(CALL, due)]
    moved = of(heard(subject, "yes of course", 24_000), FollowUpNoted)
    assert [(each.id, each.due) for each in moved] == ([("f1", then)] if then else [])


@pytest.mark.parametrize(
    ("answers", "due"), [("let me write it down", "Thursday at nine"), ("I am afraid not", "tomorrow at ten")]
)
def test_the_yes_that_the_agent_notes_is_theirs_to_what_was_asked_for(answers, due):
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    heard(subject, "what about Thursday at nine", 15_000, speaker=Speaker.CUSTOMER)
    heard(subject, answers, 18_000)
    assert accepted(subject, "named-callback", 21_000)[0][2] == due


@pytest.mark.parametrize(
    ("refuses", "then", "takes", "due"),
    [
        ("no I'm at work", "what about six then", "six is perfect thank you", "tomorrow at six"),
        ("no I'm at work", "what about six then", "perfect thank you", "tomorrow at six"),
        ("I'm away tomorrow", "Thursday at four then", "perfect thank you", "Thursday at four"),
        ("I'm away tomorrow", "I could do Thursday", "perfect thank you", "Thursday"),
        ("no I'm at work", "I see", "thank you but at five please", "tomorrow at five"),
        ("hmm", "okay", "five please thank you", "tomorrow at five"),
        ("hmm", "okay", "tomorrow at four is perfect thank you as I start at nine on Friday", "tomorrow at four"),
        ("hmm", "the shop opens at nine then", "perfect thank you", "tomorrow at four"),
        ("hmm", "I will send you the form on Friday then", "perfect thank you", "tomorrow at four"),
    ],
)
def test_a_time_that_is_proposed_instead_or_named_with_the_yes_is_the_one_that_holds(refuses, then, takes, due):
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at four", 12_000, "callback_time")
    heard(subject, refuses, 14_000, speaker=Speaker.CUSTOMER)
    heard(subject, then, 16_000)
    events = heard(subject, takes, 19_000, "de_escalation", speaker=Speaker.CUSTOMER)
    assert [each[:2] for each in times_of(events)] == [(CALL, due)]


def test_a_time_that_is_asked_for_and_then_not_taken_is_no_follow_up_s():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    heard(subject, "what about Thursday at nine", 15_000, speaker=Speaker.CUSTOMER)
    subject.act(Action(16_000, "Dana", "agent", "plan-refused", "named-callback"))
    assert of(heard(subject, "yes of course", 18_000), FollowUpNoted) == []


def test_a_time_that_is_asked_for_with_the_yes_waits_for_the_agent_s():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    says = "that would be great thank you but what about Thursday at nine"
    events = heard(subject, says, 16_000, "de_escalation", speaker=Speaker.CUSTOMER)
    assert times_of(events) == [(CALL, "tomorrow at ten", "2026-11-25T10:00")]
    assert times_of(heard(subject, "let me look", 20_000)) == []
    assert times_of(heard(subject, "yes of course", 24_000)) == [(CALL, "Thursday at nine", "2026-11-26T09:00")]


def test_a_call_that_goes_on_after_it_was_cut_short_moves_what_its_log_has():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    events = subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback"))
    after = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    for event in events:
        after.restore(event)
    heard(after, "could we make that Thursday", 32_000, speaker=Speaker.CUSTOMER)
    [moved] = of(heard(after, "yes I will call you on Thursday", 36_000, "callback_time"), FollowUpNoted)
    assert (moved.id, moved.what, moved.due_at) == ("f1", CALL, "2026-11-26")


def test_a_time_whose_words_were_taken_back_moves_the_follow_up_when_it_is_said_again():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    accepted(subject, "named-callback", 20_000)
    for at_ms in (22_000, 42_000):
        heard(subject, "could we make that Thursday", at_ms, speaker=Speaker.CUSTOMER)
        [moved] = of(heard(subject, "of course", at_ms + 4_000), FollowUpNoted)
        assert (moved.id, moved.due) == ("f1", "Thursday")
        subject.forget(21_000)


def test_the_hour_of_a_day_that_was_promised_is_no_second_promise():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow", 12_000, "callback_time")
    assert accepted(subject, "named-callback", 20_000) == [("f1", CALL, "tomorrow", "2026-11-25")]
    [noted] = of(heard(subject, "so I will call you tomorrow at ten", 25_000, "callback_time"), FollowUpNoted)
    assert (noted.id, noted.what, noted.due_at[:16]) == ("f1", CALL, "2026-11-25T10:00")
    [noted] = of(heard(subject, "I will call you on Thursday at ten", 30_000, "callback_time"), FollowUpNoted)
    assert noted.id == "f2"


def test_what_is_promised_in_the_breath_that_names_the_time_is_noted_too():
    subject = offering("named-callback")
    subject.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback"))
    says = "I will call you at five and email you the invoice at five"
    events = heard(subject, says, 25_000, "callback_time")
    assert [(each.what, each.due) for each in of(events, FollowUpNoted)] == [
        (CALL, "at five"),
        ("email you the invoice", "at five"),
    ]


def test_a_promise_that_was_the_same_moves_with_what_was_given():
    subject = offering("named-callback")
    agent_says(subject, "I will call you back tomorrow at ten", 12_000, "callback_time")
    assert accepted(subject, "named-callback", 20_000) == []
    heard(subject, "could we make that Thursday", 22_000, speaker=Speaker.CUSTOMER)
    [moved] = of(heard(subject, "yes so I will call you on Thursday at ten", 26_000, "callback_time"), FollowUpNoted)
    assert (moved.id, moved.what, moved.due_at[:16]) == ("f1", "call you back", "2026-11-26T10:00")


def test_what_else_is_promised_for_the_same_time_is_noted_too():
    subject = offering("named-callback")
    assert len(agent_says(subject, "I will send you the credit note tomorrow", 11_500)) == 1
    agent_says(subject, "I can call you back tomorrow", 20_000, "callback_time")
    assert accepted(subject, "named-callback", 30_000) == [("f2", "Call back at their time", "tomorrow", "2026-11-25")]
    [more] = agent_says(subject, "and I will email you the confirmation tomorrow", 40_000)
    assert (more.id, more.what) == ("f3", "email you the confirmation")
    assert agent_says(subject, "so I will ring you tomorrow", 50_000, "callback_time") == []


def test_what_was_given_before_a_cut_and_is_promised_after_it_is_one_follow_up():
    before = offering("named-callback")
    agent_says(before, "I can call you back tomorrow at ten", 12_000, "callback_time")
    [noted] = of(before.act(Action(20_000, "Dana", "agent", "plan-accepted", "named-callback")), FollowUpNoted)
    after = offering("timed-visit")
    after.restore(noted)
    assert agent_says(after, "as I said I will call you tomorrow at ten", 30_000) == []


def test_a_visit_that_is_confirmed_in_words_is_one_follow_up():
    subject = offering("timed-visit")
    agent_says(subject, "we can do tomorrow at ten", 12_000)
    assert len(accepted(subject, "timed-visit", 20_000)) == 1
    assert agent_says(subject, "so the engineer will be with you tomorrow at ten", 30_000) == []
    assert len(agent_says(subject, "I will email you the name of the engineer by tomorrow at ten", 40_000)) == 1


def test_what_is_promised_at_that_time_too_is_one_follow_up():
    subject = offering("named-callback")
    [promised] = agent_says(subject, "I will call you back at 3pm", 12_000, "callback_time")
    assert promised.due_at == "2026-11-24T15:00+00:00"
    assert accepted(subject, "named-callback") == []


def test_a_time_that_is_named_after_the_yes_is_that_follow_up_s_too():
    subject = offering("named-callback")
    assert accepted(subject, "named-callback") == [("f1", "Call back at their time", "", "")]
    [noted] = agent_says(subject, "good so I will call you back on Friday", 65_000, "callback_time")
    assert (noted.id, noted.what, noted.due_at) == ("f1", "Call back at their time", "2026-11-27")


@pytest.mark.parametrize("says", ["I will call you back tomorrow at ten", "so I will call you back then"])
def test_what_was_given_for_a_time_and_is_promised_after_it_is_one_follow_up(says):
    subject = offering("named-callback")
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    assert len(accepted(subject, "named-callback", 20_000)) == 1
    assert agent_says(subject, says, 30_000, "callback_time") == []
    [other] = agent_says(subject, "and I will call the courier back on Friday", 60_000)
    assert other.id == "f2"


def test_a_time_that_was_taken_back_is_no_follow_up_s():
    subject = offering("named-callback")
    agent_says(subject, "I can call you back at 3pm", 12_000, "callback_time")
    subject.forget(11_500)
    assert accepted(subject, "named-callback") == [("f1", "Call back at their time", "", "")]


def test_an_escalation_that_is_taken_back_stops_the_clock():
    subject = coach()
    turn(subject, 10_000, Level.ESCALATED, Level.TENSE)
    assert of(turn(subject, 12_000, Level.TENSE, Level.ESCALATED), Recovery)[0].what == "stopped"


def promising(*turns):
    """The due times of the follow-ups of a calm call, by id: its turns begin with the agent's, "" says nothing."""
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    noted = {}
    for number, text in enumerate(turns):
        speaker = Speaker.CUSTOMER if number % 2 else Speaker.AGENT
        found = ["callback_time"] if "call you" in text and speaker is Speaker.AGENT else []
        events = heard(subject, text, 5_000 + 4_000 * number, *found, speaker=speaker) if text else []
        noted |= {each.id: each.due for each in of(events, FollowUpNoted)}
    return list(noted.values())


@pytest.mark.parametrize(
    ("asks", "answers", "due"),
    [
        ("can you make it Thursday", "yes I will call you back on Thursday at four", ["on Thursday at four"]),
        ("can you make it five", "yes sure five o'clock tomorrow", ["five o'clock tomorrow"]),
        ("can you make it five", "of course", ["tomorrow at five"]),
        ("can you make it five", "I am afraid that is not possible", ["tomorrow at four"]),
        ("okay", "sorry I mean I will call you back on Thursday at ten", ["on Thursday at ten"]),
        ("thanks", "I will call you again on Thursday at ten", ["tomorrow at four", "on Thursday at ten"]),
        ("thanks", "and I will send you the form by Friday", ["tomorrow at four", "by Friday"]),
        ("okay", "your next bill goes out on Friday then", ["tomorrow at four"]),
    ],
)
def test_a_promised_callback_moves_as_an_appointment_does(asks, answers, due):
    assert promising("I will call you back tomorrow at four", asks, answers) == due


def test_a_promised_callback_is_not_moved_by_what_is_arranged_long_after_it():
    long_after = [""] * 9
    turns = ["I will call you back tomorrow at four", *long_after, "would Friday suit you for the delivery", "yes"]
    assert promising(*turns) == ["tomorrow at four"]
    turns = ["I will call you back tomorrow at four", *long_after, "can you make the call on Friday", "yes of course"]
    assert promising(turns[0], *turns[2:]) == ["on Friday"]


def test_of_two_promised_callbacks_the_one_just_spoken_of_moves():
    promised = ["I will call you back tomorrow at nine", "", "and I will call you back on Friday at ten"]
    moved = ["tomorrow at nine", "on Friday at noon"]
    assert promising(*promised, "could you make it noon", "yes of course") == moved


def test_two_promises_that_each_have_a_word_of_their_own_are_two():
    both = "I will refund the delivery charge by Friday and I will refund the late charge by Friday"
    assert promising(both) == ["by Friday", "by Friday"]
    assert len(promising("I will send you a new router tomorrow", "", "I will send you a new bill tomorrow")) == 2
    again = "so I will send you a new router by post tomorrow"
    assert len(promising("I will send you a new router tomorrow", "", again)) == 1


def test_a_promised_callback_moves_after_a_cut_and_not_where_its_words_were_taken_back():
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    [promised] = of(heard(subject, "I will call you back tomorrow at four", 5_000, "callback_time"), FollowUpNoted)
    after = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    after.restore(promised)
    subject.forget(1_000)
    for each, moved in ((after, ["tomorrow at five"]), (subject, [])):
        heard(each, "can you make it five", 10_000, speaker=Speaker.CUSTOMER)
        assert [noted.due for noted in of(heard(each, "of course", 14_000), FollowUpNoted)] == moved


def test_the_clock_that_a_yes_stopped_runs_on_when_it_was_none():
    subject = offering("named-callback")
    heard(subject, "I want to cancel my contract today", 11_500, "cancel_threat", speaker=Speaker.CUSTOMER)
    agent_says(subject, "I can call you back tomorrow at ten", 12_000, "callback_time")
    events = heard(subject, "that is kind thank you", 20_000, "de_escalation", speaker=Speaker.CUSTOMER)
    assert of(events, Recovery)[-1].by == "remedy" and times_of(events) == [
        (CALL, "tomorrow at ten", "2026-11-25T10:00")
    ]
    no = Action(24_000, "Dana", "agent", "plan-refused", "named-callback")
    assert subject.refusal(no) == ""
    [resumed] = of(subject.act(no), Recovery)
    assert (resumed.what, resumed.at_ms - resumed.took_ms) == ("started", 10_000)
    assert subject.refusal(no) != ""
    [missed] = of(subject.tick(71_000), Recovery)
    assert (missed.what, missed.took_ms) == ("missed", 61_000)
    handed = of(subject.act(Action(72_000, "Maria", "supervisor", "claim", "a1")), HandOffNoted)
    assert [each.done for each in handed] == [()], "nothing was given or promised"


def test_of_two_that_were_heard_as_accepted_the_other_keeps_the_clock_stopped():
    subject = offering("named-callback")
    subject.act(Action(11_000, "Dana", "agent", "plan-offered", "timed-visit"))
    heard(subject, "that is kind thank you", 20_000, "de_escalation", speaker=Speaker.CUSTOMER)
    for option, kept in (("named-callback", True), ("timed-visit", False)):
        no = Action(24_000, "Dana", "agent", "plan-refused", option)
        assert subject.refusal(no) == ""
        assert (of(subject.act(no), Recovery) == []) == kept


def test_a_yes_that_was_heard_is_no_longer_corrected_when_something_else_is_offered():
    subject = offering("named-callback")
    heard(subject, "that is kind thank you", 20_000, "de_escalation", speaker=Speaker.CUSTOMER)
    subject.act(Action(24_000, "Dana", "agent", "plan-offered", "timed-visit"))
    assert "answered" in subject.refusal(Action(25_000, "Dana", "agent", "plan-refused", "named-callback"))


@pytest.mark.parametrize(
    ("turns", "due"),
    [
        (["can you make it Thursday", "yes I will call you back on Thursday at four"], ["on Thursday at four"]),
        (["can you make it five", "yes sure five o'clock tomorrow"], ["five o'clock tomorrow"]),
        (["fine", "sorry I mean I will call you back on Thursday at ten"], ["on Thursday at ten"]),
        (["no I'm at work", "what about six then"], ["tomorrow at six"]),
        (["okay", "and I will call you again on Friday at ten"], ["tomorrow at four", "on Friday at ten"]),
    ],
)
def test_a_callback_that_was_promised_and_so_offered_is_one_follow_up_that_moves(turns, due):
    subject = Coach(BOOK, AgentProfile("Dana"), began=datetime.fromisoformat("2026-11-24T10:00:00+00:00"))
    turn(subject, 10_000, Level.ESCALATED)
    noted = {}
    for number, text in enumerate(["I will call you back tomorrow at four", *turns, "oh that is great thank you"]):
        speaker, found = (Speaker.CUSTOMER, ["de_escalation"]) if number == 3 else (Speaker.AGENT, ["callback_time"])
        speaker = Speaker.CUSTOMER if number == 1 else speaker
        found = found if number == 3 or "call you" in text else []
        events = heard(subject, text, 12_000 + 3_000 * number, *found, speaker=speaker)
        noted |= {each.id: each.due for each in of(events, FollowUpNoted)}
    assert list(noted.values()) == due
