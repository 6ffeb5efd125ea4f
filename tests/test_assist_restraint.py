"""The prompt place is restrained whatever happens: one prompt, two chips, nothing late, nothing twice, nothing while
the agent speaks."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assist.coach.coach import AWAIT_REPLY_STEPS, AgentProfile, Coach
from assist.coach.parts import Play
from assist.coach.playbook import load_playbook
from assist.coach.prompting import MAX_DEFERRED_MS, STALE_MS
from assist.events import Action, PlanOffered, PromptEnded, PromptShown, PromptsWaiting, StepTicked
from audio.events import Speaker, SpeechActivity, Utterance
from detectors.signals import AGENT_STEPS, SIGNAL_IDS, Evidence, Level, LevelChange, Severity, Signal
from tests.heard import of, words

BOOK = load_playbook("default")


def signal(name, at_ms, *, severity=Severity.HELP, settled=True, heard_ms=None):
    speaker = Speaker.AGENT if name in AGENT_STEPS else Speaker.CUSTOMER
    at = at_ms if heard_ms is None else heard_ms
    evidence = Evidence(at - 500, at, f"words of {name}", f"u{at}", 0, 2)
    return Signal(name, f"rule.{name}", "1", speaker, at, 0.9, severity, evidence, settled)


def said(text, start_ms, speaker=Speaker.AGENT):
    spoken = words(text, start_ms)
    return Utterance(f"u{start_ms}", speaker, start_ms, spoken[-1].end_ms, spoken)


def coach(book=BOOK, **profile):
    return Coach(book, AgentProfile("Dana", **profile))


def turned(level=Level.ESCALATED, at_ms=1_000, book=BOOK):
    subject = coach(book)
    subject.level_changed(LevelChange(at_ms, level, Level.CALM, 60.0, ()))
    return subject


def speaking(subject, at_ms, on, speaker=Speaker.AGENT):
    return subject.speech_changed(SpeechActivity(speaker, at_ms, on))


def test_while_the_agent_speaks_a_card_waits_and_comes_at_the_pause():
    subject = turned()
    speaking(subject, 9_000, True)
    held = subject.hear(10_000, [signal("cancel_threat", 10_000)], None)
    assert of(held, PromptShown) == [] and of(subject.tick(11_000), PromptShown) == []
    assert of(speaking(subject, 12_000, False), PromptShown) == [], "the last words are not known yet"
    [prompt] = of(subject.hear(12_700, [], said("I am opening your account", 9_000)), PromptShown)
    assert prompt.play == "cancel-threat"


def test_what_the_agent_has_meanwhile_done_by_themselves_is_not_suggested_any_more():
    subject = turned()
    speaking(subject, 9_000, True)
    subject.hear(10_000, [signal("cancel_threat", 10_000)], None)
    speaking(subject, 12_000, False)
    done = subject.hear(12_700, [signal("remedy", 12_700, heard_ms=11_500)], said("I can waive it", 11_000))
    for now in range(13_000, 30_000, 500):
        done += subject.tick(now)
    assert "cancel-threat" not in [prompt.play for prompt in of(done, PromptShown)]


def test_where_no_words_settle_the_card_comes_all_the_same():
    subject = turned()
    speaking(subject, 9_000, True)
    subject.hear(11_000, [signal("cancel_threat", 11_000)], None)
    speaking(subject, 12_000, False)
    assert [prompt.play for prompt in of(subject.tick(14_500), PromptShown)] == ["cancel-threat"]


def test_what_waited_too_long_for_the_agents_pause_is_not_shown():
    subject = turned()
    speaking(subject, 9_000, True)
    subject.hear(10_000, [signal("cancel_threat", 10_000)], None)
    late = speaking(subject, 10_500 + STALE_MS, False)
    assert "cancel-threat" not in [prompt.play for prompt in of(late + subject.tick(14_000 + STALE_MS), PromptShown)]


def test_an_urgent_card_does_not_wait_for_a_pause():
    subject = turned()
    speaking(subject, 9_000, True)
    assert of(subject.hear(10_000, [signal("personal_threat", 10_000, severity=Severity.URGENT)], None), PromptShown)


def test_a_microphone_that_never_falls_silent_does_not_hold_cards_for_ever():
    subject = turned()
    speaking(subject, 2_000, True)
    assert of(
        subject.hear(2_000 + MAX_DEFERRED_MS, [signal("cancel_threat", 2_000 + MAX_DEFERRED_MS)], None), PromptShown
    )


def test_a_card_does_not_leave_by_itself_while_it_is_being_read_out():
    subject = turned()
    subject.hear(10_000, [signal("cancel_threat", 10_000)], None)
    speaking(subject, 33_000, True)
    assert of(subject.tick(36_000), PromptEnded) == []
    speaking(subject, 37_000, False)
    assert of(subject.tick(40_000), PromptEnded)


def test_what_was_said_long_ago_is_not_answered():
    subject = turned()
    late = subject.hear(20_000, [signal("cancel_threat", 20_000, heard_ms=20_000 - STALE_MS - 1)], None)
    assert of(late, PromptShown) == [] == of(late, PromptsWaiting)


def test_saying_the_line_in_ones_own_order_is_acting_on_it():
    subject = turned(Level.TENSE)
    [prompt] = of(subject.hear(10_000, [signal("review_threat", 10_000)], None), PromptShown)
    assert prompt.say == "You can write what you like. I would like to give it a better ending."
    events = subject.hear(15_000, [], said("well I would like to write a better ending to this with you", 11_000))
    [ended] = of(events, PromptEnded)
    assert ended.how == "acted"


def test_an_unrelated_sentence_is_not():
    subject = turned(Level.TENSE)
    subject.hear(10_000, [signal("review_threat", 10_000)], None)
    assert of(subject.hear(15_000, [], said("let me open your account", 11_000)), PromptEnded) == []


def test_a_steps_own_words_tick_it_and_are_kept():
    subject = turned()
    [ticked] = of(subject.hear(5_000, [], said("please go on", 4_000)), StepTicked)
    assert (ticked.step, ticked.by, ticked.words) == ("just-calm", "words", "go on")


def test_a_step_that_has_just_been_said_is_not_prompted_before_its_words_settle():
    subject = turned()
    speaking(subject, 8_000, True)
    speaking(subject, 10_000, False)
    assert of(subject.tick(10_500), PromptShown) == []
    subject.hear(11_000, [], said("please go on", 9_000))
    [prompt] = of(subject.tick(11_500), PromptShown)
    assert prompt.play == "step-empathize"


def test_the_next_step_is_the_one_that_fits_what_was_just_heard():
    subject = turned()
    subject.hear(5_000, [signal("negative_sentiment", 5_000)], None)
    [prompt] = of(subject.act(Action(6_000, "Dana", "agent", "dismissed", "p1")), PromptEnded)
    assert prompt.how == "dismissed"
    [prompt] = of(subject.tick(13_000), PromptShown)
    assert prompt.play == "step-empathize", "feelings were heard: understanding goes before an apology"


@pytest.mark.parametrize("name", sorted(AWAIT_REPLY_STEPS))
def test_the_next_step_leaves_the_customer_time_to_answer_what_was_given(name):
    subject = turned()
    subject.hear(20_000, [signal(name, 20_000)], None)
    assert of([event for now in range(20_500, 34_000, 500) for event in subject.tick(now)], PromptShown) == []
    [prompt] = of([event for now in range(34_000, 40_000, 500) for event in subject.tick(now)], PromptShown)
    assert prompt.play == "step-just-calm"


@pytest.mark.parametrize(("name", "severity"), [("supervisor_demand", Severity.HELP), ("raised_voice", Severity.NOTE)])
def test_who_escalates_again_has_answered_what_was_given_and_the_next_step_comes(name, severity):
    subject = turned()
    subject.hear(10_000, [signal(name, 10_000)], None)
    subject.act(Action(12_000, "Dana", "agent", "used", "p1"))
    subject.hear(20_000, [signal("ownership", 20_000)], None)
    again = subject.hear(23_000, [signal(name, 23_000, severity=severity)], None)
    assert of(again, PromptShown) == [], "it has its prompt"
    [prompt] = of(subject.tick(23_500), PromptShown)
    assert prompt.play.startswith("step-")


def test_a_cue_takes_the_place_of_a_step_that_nothing_called_for():
    subject = turned()
    [step] = of(subject.tick(8_000), PromptShown)
    assert step.play.startswith("step-")
    events = subject.hear(10_000, [signal("cancel_threat", 10_000)], None)
    assert [event.how for event in of(events, PromptEnded)] == ["superseded"]
    assert of(events, PromptShown)[0].play == "cancel-threat"


def test_what_was_marked_wrong_does_not_come_again_in_this_call():
    subject = turned()
    [prompt] = of(subject.hear(10_000, [signal("cancel_threat", 10_000)], None), PromptShown)
    subject.act(Action(12_000, "Dana", "agent", "wrong", prompt.id))
    for at in range(100_000, 400_000, 100_000):
        assert of(subject.hear(at, [signal("cancel_threat", at)], None), PromptShown) == []


def test_the_abuse_ladder_goes_up_only_when_the_rung_below_was_really_said():
    subject = turned(Level.TENSE)
    shown = []
    for at in (10_000, 80_000, 150_000):
        shown += of(subject.hear(at, [signal("derogatory", at)], None), PromptShown)
        subject.act(Action(at + 5_000, "Dana", "agent", "dismissed", shown[-1].id))
    assert [prompt.play for prompt in shown] == ["derogatory", "abuse-warning", "abuse-warning"]
    subject = turned(Level.TENSE)
    shown = []
    for at in (10_000, 80_000, 150_000, 220_000):
        shown += of(subject.hear(at, [signal("derogatory", at)], None), PromptShown)
        subject.act(Action(at + 5_000, "Dana", "agent", "used", shown[-1].id))
    assert [prompt.play for prompt in shown] == [
        "derogatory", "abuse-warning", "abuse-second-warning", "abuse-hang-up",
    ]  # fmt: skip


def test_words_aimed_at_the_agent_count_by_utterance_and_where_they_are_clear():
    subject = turned(Level.TENSE)
    noted = subject.hear(5_000, [signal("derogatory", 5_000, severity=Severity.NOTE)], None)
    once = signal("derogatory", 80_000)
    shown = of(noted + subject.hear(80_000, [once, replace(once, rule="rule.other")], None), PromptShown)
    assert "abuse-warning" not in {prompt.play for prompt in shown}
    [warning] = of(subject.hear(90_000, [signal("derogatory", 90_000)], None), PromptShown)
    assert warning.play == "abuse-warning"


@pytest.mark.parametrize("name", ["derogatory", "personal_threat"])
def test_what_was_only_noted_to_be_aimed_at_the_agent_is_no_reason_to_warn_anybody_or_fetch_help(name):
    subject = turned()
    for at in (5_000, 70_000, 140_000, 210_000):
        for prompt in of(subject.hear(at, [signal(name, at, severity=Severity.NOTE)], None), PromptShown):
            assert prompt.tier < Severity.URGENT
            subject.act(Action(at + 5_000, "Dana", "agent", "used", prompt.id))
    assert of(subject.hear(280_000, [signal("personal_threat", 280_000)], None), PromptShown)


def test_after_a_crisis_nothing_else_is_offered_but_what_is_urgent():
    subject = turned(Level.TENSE)
    subject.hear(5_000, [signal("passed_around", 5_000)], None)
    events = subject.hear(10_000, [signal("vulnerable", 10_000, severity=Severity.URGENT)], None)
    assert [prompt.play for prompt in of(events, PromptShown)] == ["crisis"]
    assert of(events, PlanOffered)[-1].options == ()
    subject.act(Action(12_000, "Dana", "agent", "used", of(events, PromptShown)[0].id))
    subject.level_changed(LevelChange(13_000, Level.ESCALATED, Level.TENSE, 90.0, ()))
    later = subject.hear(30_000, [signal("cancel_threat", 30_000)], None)
    for now in range(30_500, 80_000, 500):
        later += subject.tick(now)
    assert of(later, PromptShown) == []


def test_after_a_crisis_that_was_marked_as_wrong_help_goes_on():
    subject = turned(Level.TENSE)
    [prompt] = of(subject.hear(10_000, [signal("vulnerable", 10_000, severity=Severity.URGENT)], None), PromptShown)
    subject.act(Action(12_000, "Dana", "agent", "wrong", prompt.id))
    subject.level_changed(LevelChange(13_000, Level.ESCALATED, Level.TENSE, 90.0, ()))
    events = subject.hear(30_000, [signal("cancel_threat", 30_000)], None)
    assert [prompt.play for prompt in of(events, PromptShown)] == ["cancel-threat"]


@pytest.mark.parametrize(("relieved_ms", "plays"), [(8_000, ["dead-air"]), (12_000, [])])
def test_silence_after_thanks_is_no_dead_air(relieved_ms, plays):
    subject = turned(Level.TENSE)
    subject.hear(8_000, [signal("de_escalation", relieved_ms, severity=Severity.NOTE)], None)
    subject._signals["upset"] = {"u": signal("upset", 10_000)}
    events = subject.hear(22_000, [signal("silence", 22_000, severity=Severity.NOTE)], None)
    assert [prompt.play for prompt in of(events, PromptShown)] == plays


def test_silence_that_is_over_is_not_answered():
    subject = turned()
    subject.hear(10_000, [signal("cancel_threat", 10_000)], None)
    subject.hear(12_000, [signal("silence", 12_000, severity=Severity.NOTE)], None)
    over = speaking(subject, 12_500, True, Speaker.CUSTOMER)
    assert of(over, PromptsWaiting) == [PromptsWaiting(12_500, ())]


@pytest.mark.parametrize(
    ("name", "at_ms", "level", "shown"),
    [
        ("silence", 39_000, Level.TENSE, True),
        ("silence", 42_000, Level.TENSE, False),
        ("fast_speech", 42_000, Level.TENSE, False),
        ("policy", 42_000, Level.TENSE, True),
        ("swearing", 42_000, Level.TENSE, True),
    ],
)
def test_what_only_supports_makes_no_prompt_long_after_the_cue(name, at_ms, level, shown):
    subject = coach()
    subject.level_changed(LevelChange(10_000, level, Level.CALM, 60.0, (signal("influence_claim", 10_000),)))
    for now in range(10_500, at_ms, 500):
        for prompt in of(subject.tick(now), PromptShown):
            subject.act(Action(now, "Dana", "agent", "used", prompt.id))
    severity = Severity.HELP if name == "swearing" else Severity.NOTE
    events = subject.hear(at_ms, [signal(name, at_ms, severity=severity)], None)
    assert bool([p for p in of(events, PromptShown) if p.signals == (f"rule.{name}@u{at_ms}",)]) is shown


@pytest.mark.parametrize("word", ["title", "say", "avoid"])
def test_the_names_of_calls_and_people_never_stand_in_a_shipped_playbook(word):
    for play in BOOK.plays:
        assert isinstance(play, Play)
        value = getattr(play, word)
        for text in value if isinstance(value, list) else [value]:
            assert "Dana" not in text


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.sampled_from(sorted(SIGNAL_IDS)), st.sampled_from(list(Severity))),
        st.tuples(st.just("late"), st.sampled_from(sorted(SIGNAL_IDS)), st.integers(0, 20_000)),
        st.tuples(st.just("withdraw"), st.none(), st.none()),
        st.tuples(st.just("level"), st.sampled_from(list(Level)), st.none()),
        st.tuples(st.just("speak"), st.sampled_from(list(Speaker)), st.booleans()),
        st.tuples(st.just("say"), st.sampled_from(["I am sorry", "please go on", "I can waive the fee"]), st.none()),
        st.tuples(
            st.just("act"),
            st.sampled_from(["used", "dismissed", "wrong", "plan-offered", "plan-accepted", "plan-refused"]),
            st.sampled_from(["late-fee", "direct-line", "named-callback", "nothing"]),
        ),
        st.tuples(st.just("wait"), st.integers(1, 60), st.none()),
    ),
    min_size=20,  # of few happenings hardly any meet: the agent speaks while a prompt is on screen and another waits
    max_size=80,
)


@settings(max_examples=80)
@given(HAPPENINGS, st.booleans(), st.sampled_from(["default", "sixty-seconds", "send", "turn-around"]))
def test_whatever_happens_the_place_is_restrained(happenings, experienced, name):
    subject = Coach(load(name), AgentProfile("Dana", experienced=experienced))
    now, level, speaks_since, customer_until = 10_000, Level.CALM, None, 0
    shown, said_lines, raised, known = None, set(), {}, []
    for kind, what, more in happenings:
        now += 700
        events = []
        if kind in ("hear", "late"):
            new = signal(what, now, severity=more if kind == "hear" else Severity.HELP,
                         heard_ms=now if kind == "hear" else now - more)  # fmt: skip
            raised[new.key] = new.at_ms
            known.append(new.key)
            events = subject.hear(now, [new], None)
        elif kind == "withdraw" and known:
            events = subject.withdraw(known.pop(), now)
        elif kind == "level":
            events, level = subject.level_changed(LevelChange(now, what, level, 50.0, ())), what
        elif kind == "speak":
            if what is Speaker.AGENT:
                speaks_since = (speaks_since if speaks_since is not None else now) if more else None
            else:
                customer_until = None if more else now
            events = subject.speech_changed(SpeechActivity(what, now, more))
        elif kind == "say":
            events = subject.hear(now, [], said(what, now - 1_000))
        elif kind == "act":
            target = shown.id if shown and not what.startswith("plan") else more
            events = subject.act(Action(now, "Dana", "agent", what, target))
        elif kind == "wait":
            for _ in range(what):
                now += 500
                events += [(now, event) for event in subject.tick(now)]
        for at, event in [each if isinstance(each, tuple) else (now, each) for each in events]:
            match event:
                case PromptShown():
                    assert shown is None, "two prompts at once"
                    shown = event
                    assert event.say not in said_lines, "a line twice"
                    said_lines.add(event.say)
                    assert len(event.say.split()) <= 20 and len(event.title.split()) <= 6
                    if event.signals:
                        newest = max(raised[key] for key in event.signals)
                        until = at if customer_until is None else customer_until
                        assert at - max(newest, until) <= STALE_MS, "a prompt that comes too late"
                    asked_for = event.play.startswith(("offer-", "then-"))
                    if event.tier is not Severity.URGENT and not asked_for and speaks_since is not None:
                        assert at - speaks_since >= MAX_DEFERRED_MS, "a prompt while the agent speaks"
                    if not asked_for and event.tier is not Severity.URGENT:
                        assert level is not Level.CALM, "a prompt in a calm call"
                case PromptEnded():
                    assert shown is not None and shown.id == event.id
                    if event.how == "withdrawn":
                        said_lines.discard(shown.say)
                    shown = None
                case PromptsWaiting():
                    assert len(event.titles) <= 2
                    assert not event.titles or shown is not None, "chips without a prompt"
                case PlanOffered():
                    assert len(event.options) <= 3
                    assert sum(option.authority == "ask" for option in event.options) <= 1
                case _:
                    pass
    assert len(of(subject.end(now), PromptEnded)) == (shown is not None)


def load(name, cache={}):  # noqa: B006
    return cache.setdefault(name, load_playbook(name))


def test_an_answer_is_late_only_once_the_customer_has_stopped():
    subject = turned()
    speaking(subject, 10_000, True, Speaker.CUSTOMER)
    speaking(subject, 19_000, False, Speaker.CUSTOMER)
    long_turn = subject.hear(20_000, [signal("cancel_threat", 20_000, heard_ms=11_000)], None)
    assert [prompt.play for prompt in of(long_turn, PromptShown)] == ["cancel-threat"]
    speaking(subject, 60_000, True, Speaker.CUSTOMER)
    speaking(subject, 62_000, False, Speaker.CUSTOMER)
    before_that_turn = subject.hear(63_000, [signal("legal_threat", 63_000, heard_ms=50_000)], None)
    assert of(before_that_turn, PromptShown) == []


@pytest.mark.parametrize(("pause_ms", "shown"), [(1_400, True), (1_700, True), (6_000, False)])
def test_a_turn_whose_words_settle_when_the_next_has_begun_counts_from_its_end(pause_ms, shown):
    subject = turned()
    speaking(subject, 10_000, True, Speaker.CUSTOMER)
    speaking(subject, 19_000, False, Speaker.CUSTOMER)
    speaking(subject, 19_000 + pause_ms, True, Speaker.CUSTOMER)
    late = subject.hear(19_100 + pause_ms, [signal("cancel_threat", 19_100, heard_ms=11_000)], None)
    assert bool(of(late, PromptShown)) is shown


def test_what_is_said_again_while_its_card_waits_does_not_become_stale_with_the_first():
    subject = turned()
    speaking(subject, 9_000, True)
    subject.hear(10_000, [signal("cancel_threat", 10_000)], None)
    subject.hear(14_000, [signal("cancel_threat", 14_000)], None)
    assert of(subject.tick(16_000), PromptShown) == []
    speaking(subject, 16_200, False)
    [prompt] = of(subject.hear(16_900, [], said("I am opening your account", 9_000)), PromptShown)
    assert prompt.play == "cancel-threat"
    assert prompt.why[0].startswith("Heard at 00:13")


def test_what_waits_takes_its_turn_when_the_card_has_been_read():
    subject = turned()
    subject.hear(10_000, [signal("calm_down", 10_000)], None)
    subject.hear(15_000, [signal("supervisor_demand", 15_000)], None)
    [prompt] = of(subject.tick(18_500), PromptShown)
    assert prompt.play == "supervisor-demand"


@pytest.mark.parametrize("cue", ["", "legal_threat"])
def test_in_a_tense_call_what_is_only_noted_makes_a_prompt_after_a_clear_cue_only(cue):
    """Several notes may make a call tense: the supervisor sees it, the agent is left alone."""
    subject = turned(Level.TENSE)
    if cue:
        [prompt] = of(subject.hear(5_000, [signal(cue, 5_000)], None), PromptShown)
        subject.act(Action(6_000, "Dana", "agent", "dismissed", prompt.id))
    noted = subject.hear(20_000, [signal("cancel_threat", 20_000, severity=Severity.NOTE)], None)
    assert [event.play for event in of(noted, PromptShown)] == (["cancel-threat"] if cue else [])
