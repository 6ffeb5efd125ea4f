"""Phrases found in words as they come: provisional, final, over a pause, misheard, unsure."""

from dataclasses import replace

import pytest

from audio.events import Hypothesis, Speaker, Utterance
from detectors.normalisation import MAX_CENSORED_LENGTH, normalise_word
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.signals import Severity, Window
from tests.heard import words


@pytest.fixture(scope="module")
def rulebook():
    return load_rules()


def said(text, id="c1", at=0, probability=1.0):
    heard = words(text, at, probability)
    return Utterance(id, Speaker.CUSTOMER, at, heard[-1].end_ms, heard)


def demands_a_supervisor(rulebook, text):
    return "supervisor_demand" in {signal.id for signal in PhraseDetector(rulebook).find(text)}


def test_a_rule_of_ones_own_may_hinge_on_a_word_that_must_be_heard_clearly(tmp_path):
    (tmp_path / "own.toml").write_text(
        """version = "1"
owner = "me"
language = "en"
[[rule]]
id = "own.lamp"
signal = "supervisor_demand"
severity = "help"
phrases = ["blue (light|lamp)"]
hinges_on = ["lamp"]
fires = ["the blue lamp"]
""",
        encoding="utf-8",
    )
    rules = load_rules(tmp_path / "own.toml")
    for text, probability, severity in (
        ("the blue lamp", 0.5, Severity.NOTE),
        ("the blue lamp", 0.7, Severity.HELP),
        ("the blue light", 0.5, Severity.HELP),
    ):
        heard = said(text, probability=probability)
        (found,) = PhraseDetector(rules)(Window(heard.end_ms, (heard,), heard))
        assert found.severity is severity


def test_the_key_is_the_same_on_provisional_and_final_words(rulebook):
    judge = PhraseDetector(rulebook)
    early = Hypothesis("c1", Speaker.CUSTOMER, 0, words("i want your manager today and"), ())
    final = said("i want your manager today and now")
    [one] = judge(Window(1200, (early,), early))
    [two] = [s for s in judge(Window(2100, (final,), final)) if s.id == "supervisor_demand"]
    assert one.key == two.key
    assert not one.settled and two.settled


def test_a_phrase_over_a_pause_is_heard_and_stands_in_the_later_utterance(rulebook):
    first = said("let me speak to")
    for gap, expected in ((1500, ["supervisor_demand"]), (4000, [])):
        second = said("manager about it", "c2", first.end_ms + gap)
        found = PhraseDetector(rulebook)(Window(second.end_ms, (first, second), second))
        assert [s.id for s in found if s.rule == "supervisor.demand"] == expected


@pytest.mark.parametrize(
    ("before", "text", "rule", "quote"),
    [
        (
            "thanks for that my lawyer will look at it",
            "my lawyer will sue you this is a disgrace",
            "legal.threat",
            "my lawyer will",
        ),
        (
            "lovely thank you could I speak to your manager",
            "no I want to speak to your manager this is ridiculous",
            "supervisor.demand",
            "speak to your manager",
        ),
        ("my sollicitor is Mrs Osei", "I will call my sollicitor now", "legal.threat", "my sollicitor"),
    ],
)
def test_a_phrase_said_again_after_a_pause_is_heard_again(rulebook, before, text, rule, quote):
    first = said(before)
    second = said(text, "c2", first.end_ms + 900)
    judge = PhraseDetector(rulebook)
    assert {each.severity for each in judge(Window(first.end_ms, (first,), first))} <= {Severity.NOTE}
    [again] = [s for s in judge(Window(second.end_ms, (first, second), second)) if s.rule == rule]
    assert again.severity is Severity.HELP and again.evidence.quote == quote


@pytest.mark.parametrize(
    ("before", "text", "quotes"),
    [
        ("could I speak to your manager look I want to", "speak to your manager today", ["speak to your manager"]),
        ("could I speak to your manager look I want to speak", "to your manager", ["speak to your manager"]),
        ("could I speak to your manager look I do not want to", "speak to your manager today", []),
        ("could I speak to your manager look I do not want to speak", "to your manager", []),
        ("could I speak to your manager", "about the bill", []),
    ],
)
def test_what_is_said_again_over_a_pause_is_judged_with_the_words_before_it(rulebook, before, text, quotes):
    first = said(before)
    second = said(text, "c2", first.end_ms + 900)
    found = PhraseDetector(rulebook)(Window(second.end_ms, (first, second), second))
    assert [s.evidence.quote for s in found if s.rule == "supervisor.demand"] == quotes


@pytest.mark.parametrize(
    "text", ["No it is not 12 Mill St. Get me your manager", "he said it was Mill St. I want your manager"]
)
def test_the_full_stop_behind_a_street_ends_a_denial_and_what_is_told_of_others(rulebook, text):
    assert demands_a_supervisor(rulebook, text)


@pytest.mark.parametrize(
    ("text", "demanded"),
    [
        ("the lady said nobody could help i want to speak to a supervisor", True),
        ("she told the man no i need to speak to a supervisor", True),
        ("she said it was fine i could speak to a supervisor", False),
        ("the lady said i want to speak to a supervisor", False),
    ],
)
def test_what_is_told_of_others_ends_where_the_speaker_says_what_they_want(rulebook, text, demanded):
    assert demands_a_supervisor(rulebook, text) is demanded


@pytest.mark.parametrize(
    ("text", "demanded"),
    [
        ("I don't care what he said, I want to speak to your supervisor", True),
        ("i do not care what he said i want to speak to your supervisor", True),
        ("That's what they told me yesterday, put me through to your manager", True),
        ("Whatever your colleague told me, I want to speak to a manager", True),
        ("It's like the man said, get me a manager", True),
        ("I don't care what your website says, I want to speak to your supervisor", True),
        ("That's what he said: I want to speak to your supervisor", False),
        ('That\'s what he said, "I want to speak to your supervisor"', False),
        ("This is what she said, I want to speak to your supervisor", False),
        ("What she said was, I want to speak to a supervisor", False),
        ("You won't believe what she said, I want to speak to a supervisor", False),
        ("I heard what he told you, get me a manager", False),
        ("I can't repeat what he said, put me through to a manager", False),
        ("I asked what it was and she said, get me a manager", False),
        ("The lady looked like my mum and said, I want to speak to a manager", False),
        ("He asked for a seat like a king she said, I want to speak to a manager", False),
        ("She said, I want to speak to a supervisor", False),
    ],
)
def test_what_was_told_before_its_teller_is_not_what_comes_next(rulebook, text, demanded):
    assert demands_a_supervisor(rulebook, text) is demanded


@pytest.mark.parametrize(
    ("text", "believed"),
    [("I'll kill myself if you play that song again", False), ("I'll kill myself. I can't bear that song", True)],
)
def test_an_exception_with_a_gap_ends_where_the_sentence_ends(rulebook, text, believed):
    found = {each.rule for each in PhraseDetector(rulebook).find(text)}
    assert ("vulnerable.self-harm-said" in found) is believed


def test_evidence_is_exact(rulebook):
    [signal] = PhraseDetector(rulebook)(Window(0, (), said("hello I know where you live, OK?", at=500)))
    place = signal.evidence
    assert signal.severity is Severity.URGENT
    assert (place.quote, place.first_word, place.last_word) == ("I know where you live", 1, 5)
    assert (place.start_ms, place.end_ms, signal.at_ms) == (800, 2250, 2250)


@pytest.mark.parametrize("text", ["get me your super visor", "give me a supervizor", "GET ME YOUR SUPERVISOR!"])
def test_split_and_misheard_words_are_found(rulebook, text):
    assert demands_a_supervisor(rulebook, text)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("I want a re fund", "want a re fund"),
        ("I want a full re fund today", "want a full re fund"),
        ("I am talking to my soli citor.", "my soli citor"),
    ],
)
def test_a_split_word_is_quoted_whole(rulebook, text, quote):
    [signal] = PhraseDetector(rulebook).find(text)
    place = signal.evidence
    assert place.quote == quote
    assert " ".join(text.split()[place.first_word : place.last_word + 1]).strip(".,") == quote
    assert signal.at_ms == place.end_ms == 300 * (place.last_word + 1)


def test_a_word_split_by_a_pause_is_heard_in_the_later_utterance(rulebook):
    first = said("I will call my soli")
    second = said("citor", "c2", first.end_ms + 900)
    judge = PhraseDetector(rulebook)
    assert list(judge(Window(first.end_ms, (first,), first))) == []
    [signal] = judge(Window(second.end_ms, (first, second), second))
    assert (signal.id, signal.evidence.quote, signal.evidence.first_word) == ("legal_threat", "my soli citor", 0)


def test_unsure_words_weigh_less_and_very_unsure_ones_nothing(rulebook):
    def heard(probability):
        one = said("get me your manager", probability=probability)
        return [s.strength for s in PhraseDetector(rulebook)(Window(0, (), one))]

    assert heard(1.0)[0] > heard(0.6)[0]
    assert heard(0.1) == []


def line(text, id, at, who=Speaker.CUSTOMER):
    heard = words(text, at)
    return Utterance(id, who, at, heard[-1].end_ms, heard)


@pytest.mark.parametrize(
    ("answer", "raised"),
    [("I will see what I can do", 2), ("okay, I see", 1), ("", 1)],
)
def test_said_again_after_an_answer_is_a_finding_of_its_own(rulebook, answer, raised):
    judge = PhraseDetector(rulebook)
    turns = [line("get me your manager", "c1", 0)]
    turns += [line(answer, "a1", 5_000, Speaker.AGENT)] if answer else []
    turns += [line("I want your manager", "c2", 10_000)]
    found = [s for n, turn in enumerate(turns) for s in judge(Window(turn.end_ms, tuple(turns[: n + 1]), turn))]
    assert [s.rule for s in found if s.speaker is Speaker.CUSTOMER] == ["supervisor.demand"] * raised


def test_cool_down_holds_a_second_finding_back(rulebook):
    judge = PhraseDetector(rulebook)
    found = []
    for number, at in enumerate((0, 10_000, 60_000)):
        one = said("get me your manager", f"c{number}", at)
        found.append(len(list(judge(Window(at, (), one)))))
    assert found == [1, 0, 1]


# --- unfinished sentences


def growing(judge, text, *, tentative=0, upto=None):
    """What is raised while a sentence comes word by word, the last ones not agreed on: rule -> words heard by then."""
    heard, raised = words(text), {}
    for n in range(1, (upto or len(heard)) + 1):
        agreed = heard[: max(0, n - tentative)]
        latest = Hypothesis("c1", Speaker.CUSTOMER, 0, agreed, heard[len(agreed) : n])
        for signal in judge(Window(heard[n - 1].end_ms, (latest,), latest)) if agreed else ():
            assert not signal.settled
            raised.setdefault(signal.rule, n)
    return raised


@pytest.mark.parametrize("tentative", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "text",
    [
        "my lawyer is buying the flat for me so it's in her name",
        "i've had it for six weeks and it works",
        "i know someone who bought the same one",
        "your manager was very helpful yesterday",
    ],
)
def test_half_a_sentence_is_not_acted_on_where_the_rest_makes_it_harmless(rulebook, text, tentative):
    judge = PhraseDetector(rulebook)
    assert [s for s in judge.find(text) if s.severity >= Severity.HELP] == []
    assert growing(judge, text, tentative=tentative) == {}


def test_it_is_acted_on_when_two_words_have_followed_whether_agreed_or_not(rulebook):
    text = "get me your manager because this is not on"
    for tentative in (0, 1, 2):
        assert growing(PhraseDetector(rulebook), text, tentative=tentative)["supervisor.demand"] == 6
    # Words that are not agreed on never make a finding of their own.
    assert growing(PhraseDetector(rulebook), text, tentative=3)["supervisor.demand"] == 7


def test_what_connects_announces_that_the_object_is_still_to_come(rulebook):
    text = "help me to cancel my subscription to your company newsletter"
    assert PhraseDetector(rulebook).find(text) == []
    assert growing(PhraseDetector(rulebook), text) == {}


def test_a_finished_sentence_is_acted_on_at_once(rulebook):
    judge = PhraseDetector(rulebook)
    assert growing(judge, "get me your manager") == {}
    final = said("get me your manager")
    assert "supervisor.demand" in {s.rule for s in judge(Window(final.end_ms, (final,), final))}


@pytest.mark.parametrize("text", ["i know where you live", "i am going to kill myself"])
def test_what_is_urgent_waits_for_nothing(rulebook, text):
    raised = growing(PhraseDetector(rulebook), text)
    assert raised and set(raised.values()) == {len(text.split())}


def test_what_was_raised_stands_though_unagreed_words_come_and_go(rulebook):
    judge = PhraseDetector(rulebook)
    agreed, more = words("get me your manager"), words("get me your manager now please")[4:]
    for tentative, expected in (((), 0), (more, 1), ((), 1), (more[:1], 1)):
        latest = Hypothesis("c1", Speaker.CUSTOMER, 0, agreed, tentative)
        assert len(list(judge(Window(1800, (latest,), latest)))) == expected


@pytest.mark.parametrize("settled", ["get me your banana now please", ""])
def test_what_did_not_hold_cools_nothing_down(rulebook, settled):
    judge = PhraseDetector(rulebook)
    mistaken = Hypothesis("c1", Speaker.CUSTOMER, 0, words("get me your manager now please"), ())
    assert [s.rule for s in judge(Window(1800, (mistaken,), mistaken))] == ["supervisor.demand"]
    final = Utterance("c1", Speaker.CUSTOMER, 0, 1800, words(settled))
    assert list(judge(Window(1800, (final,), final))) == []
    later = said("get me your manager", "c2", 10_000)
    assert [s.rule for s in judge(Window(12_000, (final, later), later))] == ["supervisor.demand"]


def test_what_settles_as_a_note_cools_no_demand_down(rulebook):
    judge = PhraseDetector(rulebook)
    early = Hypothesis("c1", Speaker.CUSTOMER, 0, words("get me your manager so that"), ())
    final = said("get me your manager so that I can thank you both, that was lovely")
    later = said("get me your manager", "c2", 25_000)
    found = [
        [s for s in judge(Window(0, (each,), each)) if s.id == "supervisor_demand"] for each in (early, final, later)
    ]
    assert [[s.severity for s in each] for each in found] == [[Severity.HELP], [Severity.NOTE], [Severity.HELP]]


# --- friendly talk


def severities(rulebook, *turns, apart_ms=4_000):
    """Severity of each finding of the last turn, by rule."""
    said = tuple(line(text, f"c{n}", apart_ms * n) for n, text in enumerate(turns))
    judge = PhraseDetector(rulebook)
    found = [list(judge(Window(each.end_ms, said[: n + 1], each))) for n, each in enumerate(said)][-1]
    return {s.rule: s.severity for s in found if s.id != "de_escalation"}


@pytest.mark.parametrize(
    ("turns", "severity"),
    [
        (["Oh lovely, that's very kind of you.", "I will call my lawyer about it"], Severity.NOTE),
        (["I will call my lawyer about it"], Severity.HELP),
        (["Great. You've lost it again.", "I will call my lawyer about it"], Severity.HELP),
        (["No thank you.", "I will call my lawyer about it"], Severity.HELP),
        (["you absolute legend, that's brilliant", "get me your manager, I want to thank you both"], Severity.NOTE),
    ],
)
def test_a_cue_among_friendly_words_is_only_noted(rulebook, turns, severity):
    found = severities(rulebook, *turns)
    assert found and set(found.values()) == {severity}


@pytest.mark.parametrize(
    "text",
    [
        "I'm not joking, get me your manager",
        "I am not even kidding, get me your manager",
        "No joking, get me your manager",
        "I have no problem waiting, get me your manager",
        "You are joking, get me your manager",
        "You must be joking. Get me your manager",
        "Are you kidding me, get me your manager",
        "This is not great, get me your manager",
        "It's not that brilliant, get me your manager",
        "I am not at all impressed, get me your manager",
        "That does not make me feel better, get me your manager",
        "You are not helpful, get me your manager",
    ],
)
def test_what_is_denied_is_not_friendly(rulebook, text):
    assert severities(rulebook, text)["supervisor.demand"] is Severity.HELP


@pytest.mark.parametrize(
    "text",
    [
        "I'm only joking, get me your manager",
        "Get me your manager! Joking.",
        "You're joking! That's wonderful. Get me your manager",
        "Isn't that lovely, get me your manager",
        "I've never been so impressed, get me your manager",
        "No, that's brilliant, get me your manager",
        "Not really, thanks. Get me your manager",
        "It's not just quick, it's brilliant, get me your manager",
        "I can't thank you enough, get me your manager",
        "You are very helpful, get me your manager",
    ],
)
def test_a_denial_of_something_else_leaves_talk_friendly(rulebook, text):
    assert severities(rulebook, text)["supervisor.demand"] is Severity.NOTE


def test_friendly_words_do_not_soften_what_is_urgent(rulebook):
    for text in ("thanks, that's lovely, but I am going to kill myself", "thanks mate. I know where you live"):
        assert Severity.URGENT in severities(rulebook, text).values()


def test_friendly_words_of_long_ago_and_of_the_agent_do_not_count(rulebook):
    judge = PhraseDetector(rulebook)
    early = line("oh lovely, thank you so much", "c1", 0)
    agent = line("lovely, thank you so much", "a1", 28_000, Speaker.AGENT)
    late = line("I will call my lawyer about it", "c2", 32_000)
    found = judge(Window(late.end_ms, (early, agent, late), late))
    assert {s.severity for s in found} == {Severity.HELP}


def test_a_note_among_friendly_words_does_not_cool_the_real_demand_down(rulebook):
    judge = PhraseDetector(rulebook)
    said = (
        line("lovely, get me your manager, I want to thank you", "c1", 0),
        line("get me your manager", "c2", 30_000),
    )
    found = [s for n, each in enumerate(said) for s in judge(Window(each.end_ms, said[: n + 1], each))]
    assert [s.severity for s in found if s.rule == "supervisor.demand"] == [Severity.NOTE, Severity.HELP]


@pytest.mark.parametrize(
    ("turns", "severity"),
    [
        (["my lawyer is Mrs Smith, she handles our sale"], Severity.NOTE),
        (["you never sent it", "my lawyer is Mrs Smith, she handles our sale"], Severity.HELP),
        (["my lawyer will be in touch"], Severity.HELP),
        (["I will report you to the ombudsman"], Severity.HELP),
        (["the members say we should report them to the regulator"], Severity.NOTE),
        (["this damn thing", "my lawyer is Mrs Smith and you are a liar"], Severity.HELP),
        (["get me your manager"], Severity.HELP),
        (["I would need a refund for this one"], Severity.NOTE),
        (["you keep charging me", "I would need a refund for this one"], Severity.HELP),
        (["give me my money back"], Severity.HELP),
        (["I want to cancel my contract"], Severity.HELP),
    ],
)
def test_what_is_only_mentioned_is_noted(rulebook, turns, severity):
    found = severities(rulebook, *turns)
    assert found and max(found.values()) is severity


@pytest.mark.parametrize(("said_before", "text"), [("and you will be hearing", "from my solicitor on Monday morning")])
def test_an_intent_that_was_stated_before_a_pause_counts(rulebook, said_before, text):
    assert severities(rulebook, said_before, text, apart_ms=2_000) == {"legal.threat": Severity.HELP}
    assert severities(rulebook, said_before, text) == {"legal.threat": Severity.NOTE}


def test_a_doubtful_word_does_not_hide_a_clear_one_of_the_same_rule(rulebook):
    heard = words("when did you shit my order and why is the fucking thing not here")
    unsure = tuple(replace(word, probability=0.3) if word.text == "shit" else word for word in heard)
    for spoken, severity, quote in ((unsure, Severity.HELP, "fucking"), (heard, Severity.HELP, "shit")):
        latest = Utterance("c1", Speaker.CUSTOMER, 0, spoken[-1].end_ms, spoken)
        found = {each.rule: each for each in PhraseDetector(rulebook)(Window(latest.end_ms, (latest,), latest))}
        assert (found["swearing.strong"].severity, found["swearing.strong"].evidence.quote) == (severity, quote)


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("I'm going to, you know, cancel my contract with you", {"cancel.threat"}),
        ("get me your like you know manager", {"supervisor.demand"}),
        ("I would like to I mean speak to your manager", {"supervisor.demand"}),
        ("do you know who I am", {"influence.who-i-am"}),
        ("I will put it on like TikTok", {"review.threat"}),
        ("I will take legal ac- action against you", {"legal.threat"}),
        ("get me like a manager", {"supervisor.demand"}),
        ("you'll be hearing from my soli- my solicitor", {"legal.threat"}),
        ("you'll be hearing from my bloody solicitor", {"legal.threat", "swearing.mild"}),
        ("I used to like a manager of yours", set()),
    ],
)
def test_what_is_said_while_looking_for_words_is_no_part_of_a_phrase(rulebook, text, cues):
    assert set(severities(rulebook, text)) == cues


@pytest.mark.parametrize("amount", ["£200", "$50", "€30.50", "200 pounds"])
def test_a_sum_is_the_same_with_a_sign_as_in_words(rulebook, amount):
    assert severities(rulebook, f"I want my {amount} back.") == {"refund.chargeback": Severity.HELP}


def test_the_next_clause_does_not_excuse_an_insult(rulebook):
    assert severities(rulebook, "you are all idiots and my internet is slow") == {"derogatory.person": Severity.HELP}


@pytest.mark.parametrize("word", ["BULL$HIT", "$h!t", "a$$holes", "#$%!"])
def test_marks_in_place_of_letters_hide_no_swear_word(rulebook, word):
    assert {signal.id for signal in PhraseDetector(rulebook).find(f"this is {word}")} == {"swearing"}


def test_no_endless_row_of_marks_is_looked_at_as_a_censored_word():
    """The time it takes grows with the square of its length."""
    assert normalise_word("*" * MAX_CENSORED_LENGTH) == ["expletive"]
    assert normalise_word("*" * (MAX_CENSORED_LENGTH + 1)) == []


@pytest.mark.parametrize(
    ("before", "severity"),
    [
        ("hello it's me again", Severity.NOTE),
        ("there is nothing wrong with it, nobody has worn it", Severity.NOTE),
        ("it's still broken and nobody has been", Severity.HELP),
        ("this is unacceptable", Severity.HELP),
    ],
)
def test_one_word_that_calm_callers_say_as_well_is_no_complaint(rulebook, before, severity):
    assert severities(rulebook, before, "I'd like a full refund please") == {"refund.chargeback": severity}


def test_what_is_plain_needs_no_complaint(rulebook):
    assert severities(rulebook, "that's the fourth person I've spoken to today") == {
        "passed.around": Severity.NOTE,
        "passed.plainly": Severity.HELP,
    }


def test_what_sounds_like_self_harm_waits_for_its_object(rulebook):
    text = "I am thinking of ending it when the contract is up"
    assert set(growing(PhraseDetector(rulebook), text).values()) == {text.split().index("it") + 5}
