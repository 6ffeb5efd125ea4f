"""What words mean: the sentence model, and how it stands beside the phrase rules."""

from dataclasses import replace

import numpy as np
import pytest

from audio.events import Hypothesis, Speaker, Utterance
from detectors.dialogue_context import NO_CONTEXT, DialogueContext
from detectors.factory import DetectorSettings, build_detectors
from detectors.meaning import COMPLAINT, MAX_WORDS, SELF_HARM, UPSET, UPSET_REPEAT_MS, MeaningDetector
from detectors.phrase_pattern import compile_phrase
from detectors.phrases import PhraseDetector
from detectors.rulebook import Rulebook, SignalException, load_rules
from detectors.sentence_model import Network, Prediction, Thresholds, shipped_model
from detectors.signals import AGENT_SIGNALS, SIGNAL_IDS, Severity, Window
from tests.heard import words

VEILED = "I just don't see the point in waking up any more if I'm honest"
UNHELPFUL = DialogueContext(
    tuple("I had a plumber out and he said there's nothing wrong".split()),
    tuple("It would be the meter then, but the meter was replaced so it can't be the meter.".split()),
)
ORDINARY = "so then we drove down to the coast with the dog and had our lunch by the harbour and it was lovely "


@pytest.fixture(scope="module")
def model():
    return shipped_model()


@pytest.fixture(scope="module")
def rules():
    return load_rules()


@pytest.fixture
def judge(model, rules):
    return MeaningDetector(PhraseDetector(rules), model)


@pytest.mark.parametrize(
    ("line", "self_harm", "upset"),
    [
        ("I do not want to live any longer next to that building site", 0.196, 3.322),
        ("Oh wonderful, another two weeks, that is just brilliant service", -4.154, -0.692),
    ],
)
def test_scores_are_the_same_on_every_processor(model, line, self_harm, upset):
    """With weights of 8 bits the first line's self-harm was 1.6 higher where a processor has no VNNI."""
    [caller] = (network for network in model.networks if network.uses_context)
    scores = dict(zip(caller.labels, caller(line.split()).scores, strict=True))
    assert scores[SELF_HARM] == pytest.approx(self_harm, abs=0.02) and scores[UPSET] == pytest.approx(upset, abs=0.02)


def nothing(network, words):
    return Prediction(
        np.full(len(network.labels), -9.0, np.float32), np.zeros((len(network.labels), len(words)), np.float32)
    )


def said(text, at_ms=0, who=Speaker.CUSTOMER, name="u1", before=()):
    spoken = words(text, at_ms)
    one = Utterance(name, who, at_ms, spoken[-1].end_ms, spoken)
    return Window(one.end_ms, (*before, one), one)


def saying(text, name="u1"):
    spoken = words(text)
    one = Hypothesis(name, Speaker.CUSTOMER, 0, spoken, ())
    return Window(spoken[-1].end_ms, (one,), one)


def ids(signals):
    return {signal.id for signal in signals}


def acted(signals):
    return {signal.id for signal in signals if signal.severity >= Severity.HELP}


def test_every_signal_of_the_rules_has_a_label_and_ordered_thresholds(model, rules):
    assert set(model.labels) == {SELF_HARM, COMPLAINT, UPSET, *(rule.signal for rule in rules.rules)}
    assert set(model.labels) - {SELF_HARM, COMPLAINT} <= SIGNAL_IDS
    for name, threshold in model.thresholds.items():
        assert threshold.doubt <= threshold.least <= threshold.sure, name


@pytest.mark.parametrize(
    ("label", "context"), [("supervisor_demand", NO_CONTEXT), (UPSET, NO_CONTEXT), (UPSET, UNHELPFUL)]
)
def test_contributions_of_words_add_up_to_the_score(model, label, context):
    (network,) = [each for each in model.networks if label in each.labels]
    words = "I can't do this any more, three weeks of excuses, I want somebody above you.".split()
    prediction, other = network(words, context), network(["hello", "there"], context)
    assert prediction.contributions.shape == (len(network.labels), len(words))
    apart = prediction.scores - prediction.contributions.sum(axis=1) - (other.scores - other.contributions.sum(axis=1))
    row = network.labels.index(label)
    assert prediction.scores[row] > other.scores[row]
    assert np.abs(apart).max() < 0.9, "the markers at both ends add little"


def test_only_what_hears_how_a_caller_is_reads_what_was_said_before(model):
    words = "So it's not the house and it's not the meter.".split()
    for network in model.networks:
        assert (network(words).scores != network(words, UNHELPFUL).scores).any() == network.uses_context


def test_an_agents_words_are_read_by_what_knows_of_agents_only(rules, model, monkeypatch):
    read = []
    monkeypatch.setattr(Network, "__call__", lambda self, words, context: read.append(self) or nothing(self, words))
    judge = MeaningDetector(PhraseDetector(rules), model)
    judge.find("That is what the system says here.", Speaker.AGENT)
    assert [AGENT_SIGNALS.isdisjoint(each.labels) for each in read] == [False]


def test_a_veiled_hint_is_heard_and_quoted(judge):
    (signal,) = [each for each in judge.find(VEILED) if each.rule == f"meaning.{SELF_HARM}"]
    assert signal.id == "vulnerable"
    assert signal.severity >= Severity.HELP
    assert signal.evidence.quote in VEILED
    assert signal.evidence.quote == " ".join(VEILED.split()[signal.evidence.first_word : signal.evidence.last_word + 1])


def test_business_is_no_hint(judge):
    for text in ("could you send the invoice to my new address please", "the parcel should arrive on friday morning"):
        assert not judge.find(text)


@pytest.mark.parametrize("who", [Speaker.AGENT, Speaker.CUSTOMER])
def test_a_side_is_judged_by_its_own_labels_only(judge, who):
    lines = ("I'm so sorry, leave it with me, I'll refund you today and ring you at four.", VEILED)
    found = set().union(*(ids(judge.find(line, who)) for line in lines))
    assert found
    assert all((each in AGENT_SIGNALS) is (who is Speaker.AGENT) for each in found)


def test_what_the_rules_heard_is_not_raised_twice(judge):
    found = list(judge(said("I want to speak to your manager right now.")))
    assert [signal.id for signal in found].count("supervisor_demand") == 1


@pytest.mark.parametrize(
    ("text", "rule", "left"),
    [
        ("they've made me team leader so i need my title changed on the email thing", "supervisor.demand", []),
        ("And could I speak to whoever manages the parking, it's a van.", "supervisor.demand", []),
        (
            "I'll be coming down there about three to pick up the parcel, is the back door open?",
            "threat.personal",
            [Severity.NOTE],
        ),
        (
            "She was ready to go, she said so herself, and then the taxi came.",
            "vulnerable.self-harm",
            [Severity.NOTE],
        ),
    ],
)
def test_a_shipped_rule_is_doubted_and_a_deployments_own_is_not(model, rules, text, rule, left):
    """What is urgent is noted all the same."""

    def found(book):
        return [each.severity for each in MeaningDetector(PhraseDetector(book), model).find(text) if each.rule == rule]

    own = Rulebook(tuple(replace(each, shipped=False) for each in rules.rules), rules.misheard, rules.version)
    alone = [each.severity for each in PhraseDetector(rules).find(text) if each.rule == rule]
    assert alone, "the rule fires by itself, or nothing is tried here"
    assert found(own) == alone
    assert found(rules) == left


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("I'll kill myself if the bailiffs come again", Severity.URGENT),
        ("I was suicidal last month and now you send me this", Severity.URGENT),
        ("I'm going to hurt myself if you don't stop", Severity.URGENT),
        ("up yours", Severity.HELP),
        ("I'd top myself if I had to watch that again", Severity.NOTE),
        ("I'll kill myself if I have to hear that song again", Severity.NOTE),
    ],
)
def test_what_is_plainly_said_is_believed_whatever_the_model_hears_and_an_idiom_is_not(
    rules, model, monkeypatch, text, severity
):
    monkeypatch.setattr(Network, "__call__", lambda self, words, context: nothing(self, words))
    found = MeaningDetector(PhraseDetector(rules), model).find(text)
    assert max(each.severity for each in found) is severity


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("I want to end it all because your service is rubbish", Severity.NOTE),
        ("I want to end it all because nobody listens and your service is rubbish", Severity.URGENT),
        ("I do not want to live any longer next to that building site", Severity.NOTE),
        ("I do not want to live any longer in this pain", Severity.URGENT),
        ("can I take all my pills at once is that okay", Severity.NOTE),
        ("I will take all my tablets tonight if you hang up", Severity.URGENT),
        ("I'm going to hang myself if I climb this ladder", Severity.NOTE),
        ("I'm going to hang myself if I lose this house", Severity.URGENT),
        ("I'm going to hang myself on that hook in the loft", Severity.URGENT),
        ("I'm going to overdose on vitamins if I take both", Severity.NOTE),
        ("I'm going to overdose on vitamins and sleeping tablets", Severity.URGENT),
        ("I'll gas myself if the boiler leaks again", Severity.NOTE),
        ("I'm going to gas myself in the car", Severity.URGENT),
    ],
)
def test_what_only_looks_like_a_plain_statement_of_self_harm_is_doubted_but_noted(judge, text, severity):
    assert max(each.severity for each in judge.find(text) if each.id == "vulnerable") is severity


@pytest.mark.parametrize(
    "text",
    [
        "i rang on monday and they said thursday and i hope you die and my daughter was crying because there was no "
        "hot water",
        "the box was open and the lamp was broken and i know where you live and then i rang again on monday",
    ],
)
def test_a_threat_in_a_sentence_that_runs_on_is_urgent(judge, text):
    assert Severity.URGENT in {each.severity for each in judge.find(text) if each.id == "personal_threat"}


@pytest.mark.parametrize(
    "text",
    [
        "someone could get seriously hurt with that exposed wire",
        "people are going to get hurt if you don't recall that heater",
        "if that boiler goes up people will be killed",
        "somebody will die if you don't fix those brakes",
        "the whole building could burn down because of your charger",
        "I'll be waiting outside your office at ten to sign the papers",
        "you're dead right",
    ],
)
def test_a_worry_or_a_meeting_is_no_threat(judge, text):
    assert "personal_threat" not in acted(judge.find(text))


@pytest.mark.parametrize(
    ("text", "signal_id"),
    [
        ("you'll hear from my layer", "legal_threat"),
        ("I'm calling my lauer about this", "legal_threat"),
        ("I'm going to call my guide", "influence_claim"),
    ],
)
def test_what_a_rule_finds_in_misheard_words_is_judged_in_the_words_meant(judge, text, signal_id):
    assert signal_id in ids(judge.find(text))


@pytest.mark.parametrize(
    ("text", "signal_id", "severity"),
    [
        ("could I ask for your manager please", "supervisor_demand", Severity.HELP),
        ("can I ask for a supervisor now", "supervisor_demand", Severity.HELP),
        ("watch your back on the street", "personal_threat", Severity.URGENT),
        ("you can all get stuffed", "swearing", Severity.HELP),
    ],
)
def test_what_a_rule_finds_is_acted_on_where_the_model_hears_it_or_may_not_doubt_it(judge, text, signal_id, severity):
    assert max(each.severity for each in judge.find(text) if each.id == signal_id) is severity


@pytest.mark.parametrize(
    "text", ["a bear that can get stuffed", "which screw you need is in bag C", "I jog off the weekend on Mondays"]
)
def test_an_everyday_word_is_no_swearing(judge, text):
    assert "swearing" not in ids(judge.find(text))


def test_what_is_said_with_a_complaint_is_believed_of_a_rule(judge):
    """The model alone takes "I want to cancel" for business as usual."""
    assert "cancel_threat" in acted(judge.find("I've rung four times about this, I want to cancel."))
    assert "cancel_threat" not in acted(judge.find("I'm ringing because I want to cancel."))


def test_a_long_complaint_does_not_drown_what_a_rule_found_in_the_next_sentence(judge):
    text = "An engineer was supposed to come on Monday and nobody came, I waited all day. I'm going to call my guy."
    (claim,) = [each for each in judge.find(text) if each.id == "influence_claim"]
    assert claim.severity >= Severity.HELP and claim.rule == "influence.my-guy"


def test_a_plain_complaint_is_noted_once_the_sentence_is_over(judge):
    text = "Your driver left it in the rain and now it is ruined."
    (complaint,) = [each for each in judge(said(text)) if each.id == COMPLAINT]
    assert complaint.severity is Severity.NOTE
    assert complaint.evidence.quote in text
    assert COMPLAINT not in ids(judge(saying(text, name="u2")))
    assert COMPLAINT not in ids(judge.find("My number has changed, could you make a note of the new one?"))


@pytest.mark.parametrize(
    "text",
    [
        "Three weeks I have sat here without hot water and you are reading me a script?",
        "So you took my money, you lost my parcel, and now you want me to prove it?",
    ],
)
def test_whoever_is_upset_is_heard_to_be_in_whatever_words(judge, text):
    (upset,) = [each for each in judge(said(text)) if each.id == UPSET]
    assert upset.severity is Severity.HELP and upset.evidence.quote in text
    assert UPSET not in ids(judge.find("I stayed in all day for my brother and he never even rang the bell."))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("My bill is wrong again so I'm closing my account.", "cancel.threat"),
        ("I'll sue you over my car insurance.", "legal.threat"),
        ("My daughter's delivery never came so I'm reporting you to the ombudsman.", "regulator.threat"),
    ],
)
def test_the_reason_of_a_threat_does_not_drown_it(judge, text, rule):
    assert Severity.HELP in {each.severity for each in judge.find(text) if each.rule == rule}


def test_an_agent_s_step_counts_each_time(judge):
    sorry = (
        (Speaker.AGENT, 0, "We let you down there and I feel bad about it."),
        (Speaker.CUSTOMER, 500, "Nobody rang me back."),
        (Speaker.AGENT, 500, "We let you down there and I feel awful about it."),
    )
    assert "apology" in {each.id for each in in_turn(judge, *sorry[:1])}
    assert "apology" in {each.id for each in in_turn(judge, *sorry)}


@pytest.mark.parametrize(("probability", "is_acted_on"), [(0.55, False), (0.95, True)])
def test_a_swear_word_that_the_recogniser_doubts_is_a_note_and_turns_no_meaning_round(judge, probability, is_acted_on):
    """Whisper base's words in a recorded call, in which they ask how orders are shipped."""
    window = said("How do you shit my orders?")
    heard = [replace(word, probability=probability) if word.text == "shit" else word for word in window.latest.words]
    latest = replace(window.latest, words=tuple(heard))
    found = list(judge(replace(window, utterances=(latest,), latest=latest)))
    assert "swearing" in ids(found)
    assert ("swearing" in acted(found)) is is_acted_on
    assert is_acted_on or not acted(found)


def hardly_heard(window, probability):
    """The same words, each of this probability."""
    said = window.latest
    latest = replace(said, words=tuple(replace(word, probability=probability) for word in said.words))
    return Window(window.now_ms, (latest,), latest)


def test_in_words_that_were_hardly_heard_the_model_finds_nothing_but_hints_of_self_harm(judge, rules, model):
    accused = said("So you took my money, you lost my parcel, and now you want me to prove it?")
    assert UPSET in ids(judge(hardly_heard(accused, 0.7)))
    another = MeaningDetector(PhraseDetector(rules), model)
    assert not [each for each in another(hardly_heard(accused, 0.5)) if each.rule.startswith("meaning.")]
    for text, probability, severity in (
        ("I sit here at night and I think about stopping", 0.7, Severity.HELP),
        ("I sit here at night and I think about stopping", 0.3, Severity.NOTE),
        (VEILED, 0.3, Severity.URGENT),
    ):
        another = MeaningDetector(PhraseDetector(rules), model)
        (hint,) = [each for each in another(hardly_heard(said(text), probability)) if each.id == "vulnerable"]
        assert hint.severity is severity


def in_turn(judge, *told):
    """What is found in the last of some utterances: (speaker, ms after the one before, text)."""
    windows, at_ms = [], 0
    for number, (who, pause_ms, text) in enumerate(told):
        before = tuple(each.latest for each in windows)
        windows.append(said(text, at_ms + pause_ms, who, f"u{number}", before))
        at_ms = windows[-1].now_ms
    return [list(judge(window)) for window in windows][-1]


@pytest.mark.parametrize("pause_ms", [1000, 60_000])
@pytest.mark.parametrize(
    "text",
    ["I don't want to be here any more, I just want to sleep and never wake up.", "So either he's lying or you are."],
)
def test_what_was_said_before_is_not_heard_again_in_the_next_words(judge, text, pause_ms):
    call = ((Speaker.AGENT, 0, "How can I help?"), (Speaker.CUSTOMER, 500, text))
    assert ids(in_turn(judge, *call)) & {"vulnerable", UPSET}
    after = in_turn(judge, *call, (Speaker.CUSTOMER, pause_ms, "The order number is four five six seven."))
    assert not ids(after) & {"vulnerable", UPSET}


def test_what_is_said_again_over_a_short_pause_is_acted_on(judge):
    mentioned = (Speaker.CUSTOMER, 0, "thanks for that my lawyer will look at it")
    assert "legal_threat" not in acted(in_turn(judge, mentioned))
    meant = (Speaker.CUSTOMER, 900, "my lawyer will sue you this is a disgrace")
    assert "legal_threat" in acted(in_turn(judge, mentioned, meant))


def test_a_rule_is_taken_at_its_word_where_the_place_alone_speaks_against_it(judge):
    lost = (Speaker.AGENT, 0, "Haha, so your team lost again, did they?")
    found = in_turn(judge, lost, (Speaker.CUSTOMER, 500, "I feel like killing myself"))
    assert Severity.URGENT in {each.severity for each in found if each.id == "vulnerable"}


def test_what_is_harmless_elsewhere_is_heard_where_it_turns_a_call(judge):
    """The customer's last words are the same; what both said before is not."""

    def course(before, answer):
        told = (
            (Speaker.CUSTOMER, 0, before),
            (Speaker.AGENT, 500, answer),
            (Speaker.CUSTOMER, 500, "Send it. I can burn it."),
        )
        return [each for each in in_turn(judge, *told) if each.id == UPSET]

    (upset,) = course(
        "Three weeks I've been sat here with no heating and two little ones.",
        "I can send you a leaflet about keeping warm.",
    )
    assert upset.severity is Severity.HELP and upset.evidence.quote in "Send it. I can burn it."
    assert not course(
        "I've ordered wood for the stove, do you do kindling as well?", "We do, and there is a catalogue, too."
    )


def test_that_somebody_is_upset_is_not_raised_beside_what_says_more(judge):
    text = "So you took my money, you lost my parcel, and now you want me to prove it? I want to speak to your manager."
    assert acted(judge.find(text)) >= {"supervisor_demand"}
    assert UPSET not in ids(judge.find(text))


class ByWord:
    """A model that hears something in six words only."""

    version, labels, uses_context = "t", (UPSET, COMPLAINT, "legal_threat", "policy", "apology"), False
    thresholds = dict.fromkeys(labels, Thresholds(least=1.0, sure=3.0, doubt=-9.0, agree=0.0))
    heard = {
        "tired": (UPSET, 2.0),
        "furious": (UPSET, 6.0),
        "useless": (COMPLAINT, 9.0),
        "court": ("legal_threat", 6.0),
        "rules": ("policy", 6.0),
        "sorry": ("apology", 6.0),
    }

    @property
    def networks(self):
        return (self,)

    def __call__(self, words, context):
        scores = dict.fromkeys(self.labels, -9.0) | dict(self.heard[word] for word in words if word in self.heard)
        return Prediction(
            np.array(list(scores.values()), np.float32), np.ones((len(self.labels), len(words)), np.float32)
        )


@pytest.fixture
def by_word():
    return MeaningDetector(PhraseDetector(Rulebook((), {}, "none")), ByWord())


def with_exception(signal, speaker, *phrases, model=None):
    patterns = tuple(compile_phrase(phrase, {}, {}) for phrase in phrases)
    exception = SignalException(
        id="own",
        signal=signal,
        speaker=speaker,
        patterns=patterns,
        fires=(),
        silent=(),
        owner="me",
        review_by=None,
        source="own.toml:1",
        shipped=False,
    )
    return MeaningDetector(PhraseDetector(Rulebook((), {}, "none", (exception,))), model or ByWord())


def test_clauses_that_an_exception_names_are_not_read_for_its_signal():
    judge = with_exception("policy", Speaker.AGENT, "rules of the game")
    assert [each.id for each in judge.find("I am sorry but those are the rules of the game", "agent")] == ["apology"]
    (heard,) = judge.find("those are the rules of the game but for you there are rules", "agent")
    assert (heard.id, heard.evidence.first_word > 6) == ("policy", True)
    assert heard.evidence.quote == "but for you there are"
    assert [each.id for each in judge.find("those are the rules", "agent")] == ["policy"]


def test_what_the_model_hears_as_urgent_is_no_exception():
    model = ByWord()
    model.thresholds = {
        **model.thresholds,
        "policy": Thresholds(least=1.0, sure=3.0, doubt=-9.0, agree=0.0, urgent=5.0),
    }
    judge = with_exception("policy", Speaker.AGENT, "rules of the game", model=model)
    assert [each.severity for each in judge.find("those are the rules of the game", "agent")] == [Severity.URGENT]


def course(judge, *told):
    """Severities found in each: (utterance, ms, text; what is still being said ends in "-", no text: nothing was; "a1"
    is the agent's)."""
    found = []
    for name, at_ms, text in told:
        who = Speaker.AGENT if name.startswith("a") else Speaker.CUSTOMER
        spoken, end_ms = words(text.removesuffix("-"), at_ms), at_ms + 3_000
        going_on = text.endswith("-")
        latest = Hypothesis(name, who, at_ms, spoken, ()) if going_on else Utterance(name, who, at_ms, end_ms, spoken)
        found.append([each.severity for each in judge(Window(end_ms, (latest,), latest))])
    return found


@pytest.mark.parametrize(
    ("second_ms", "severity"), [(20_000, Severity.HELP), (UPSET_REPEAT_MS + 20_000, Severity.NOTE)]
)
def test_upset_twice_within_a_minute_is_clear(by_word, second_ms, severity):
    found = course(by_word, ("u1", 0, "I am tired"), ("u2", second_ms, "I am tired"))
    assert found == [[Severity.NOTE], [severity]]


@pytest.mark.parametrize(
    ("agent", "second_ms", "severity"),
    [
        ("those are the rules", 9_000, Severity.HELP),
        ("I am sorry", 9_000, Severity.NOTE),
        ("those are the rules", UPSET_REPEAT_MS + 20_000, Severity.NOTE),
    ],
)
def test_upset_after_a_wrong_move_of_the_agents_is_clear(by_word, agent, second_ms, severity):
    assert course(by_word, ("a1", 0, agent), ("u1", second_ms, "I am tired"))[-1] == [severity]


def test_a_wrong_move_made_later_makes_nothing_clear(by_word):
    assert course(by_word, ("a1", 20_000, "those are the rules"), ("u1", 0, "I am tired"))[-1] == [Severity.NOTE]


@pytest.mark.parametrize("settled", ["", "well now those are of no use"])
def test_a_wrong_move_that_did_not_hold_makes_nothing_clear(by_word, settled):
    told = ("a1", 0, "well now those are the rules-"), ("a1", 0, settled), ("u1", 9_000, "I am tired")
    assert [found and found[-1] for found in course(by_word, *told)][0::2] == [Severity.HELP, Severity.NOTE]


@pytest.mark.parametrize("settled", ["", "right now I am really curious"])
def test_upset_that_did_not_hold_is_not_the_first_time(by_word, settled):
    found = course(
        by_word, ("u1", 0, "right now I am really furious-"), ("u1", 0, settled), ("u2", 9_000, "I am tired")
    )
    assert found == [[Severity.HELP], [], [Severity.NOTE]]


def test_upset_the_second_time_is_clear_however_often_it_is_read(by_word):
    found = course(
        by_word,
        ("u1", 0, "I am tired"),
        ("u2", 9_000, "right now I am really furious-"),
        ("u2", 9_000, "right now I am really tired"),
    )
    assert found == [[Severity.NOTE], [Severity.HELP], [Severity.HELP]]


@pytest.mark.parametrize("settled", ["", "all of it is plainly used less"])
def test_a_complaint_that_did_not_hold_carries_no_other_cue(by_word, settled):
    said, step = ("u1", 0, "all of it is plainly useless-"), ("u2", 9_000, "then to court")
    assert course(by_word, said, ("u1", 0, "all of it is plainly useless"), step)[-1] == [Severity.HELP]
    by_word = MeaningDetector(PhraseDetector(Rulebook((), {}, "none")), ByWord())
    assert course(by_word, said, ("u1", 0, settled), step)[-1] == [Severity.NOTE]


def test_a_meaning_is_not_raised_again_within_its_cool_down(judge):
    heard = [
        any(signal.rule == f"meaning.{SELF_HARM}" for signal in judge(said(VEILED, at_ms, name=f"u{at_ms}")))
        for at_ms in (0, 20_000, 90_000)
    ]
    assert heard == [True, False, True]


PARAPHRASE = "Fetch whoever is running this place and put them on the phone to me this minute"


@pytest.mark.parametrize("settled", ["", "I want to speak to your mandate right now please"])
def test_what_did_not_hold_cools_nothing_down(judge, settled):
    mistaken = ("u1", 0, "I want to speak to your manager right now please-")
    found = course(judge, mistaken, ("u1", 0, settled), ("u2", 20_000, PARAPHRASE))
    first, left, again = (max(each, default=0) for each in found)
    assert first == again == Severity.HELP and left < Severity.HELP


def test_what_settles_in_other_words_of_the_same_meaning_stands(judge):
    assert "supervisor_demand" in acted(judge(saying("I want to speak to your manager right now please")))
    assert "supervisor_demand" in acted(judge(said(PARAPHRASE)))


def test_a_rule_that_was_doubted_cools_nothing_down(judge):
    asked = (Speaker.CUSTOMER, 0, "And could I speak to whoever manages the parking, it's a van.")
    assert in_turn(judge, asked) == []
    found = in_turn(judge, asked, (Speaker.CUSTOMER, 8_000, "I want to speak to your manager."))
    assert "supervisor.demand" in {each.rule for each in found}


@pytest.mark.parametrize(
    ("end", "signal_id"),
    [("and now I want to talk to whoever is above you", "supervisor_demand"), (VEILED, "vulnerable")],
)
def test_a_cue_at_the_end_of_a_very_long_turn_is_heard(judge, end, signal_id):
    text = ORDINARY * 6 + end
    assert len(text.split()) > 2 * MAX_WORDS
    (signal,) = [each for each in judge(said(text)) if each.id == signal_id]
    assert signal.evidence.first_word > 2 * MAX_WORDS
    assert signal.at_ms > 300 * 2 * MAX_WORDS


def test_a_sentence_that_runs_over_a_pause_is_read_as_one(model):
    """Without any rules, which look over pauses by themselves."""
    begun, rest = "everyone in my facebook group", "will be told what you did to us"
    (before,) = said(begun, name="u1").utterances
    soon = said(rest, before.end_ms + 900, name="u2", before=(before,))
    late = said(rest, before.end_ms + 60_000, name="u3", before=(before,))
    none = Rulebook((), {}, "none")
    assert "review_threat" in ids(MeaningDetector(PhraseDetector(none), model)(soon))
    assert "review_threat" not in ids(MeaningDetector(PhraseDetector(none), model)(late))


def test_numbers_do_not_push_out_what_is_said_after_them(judge):
    numbers = (
        "02079460958, my email is j.smith-84@example.co.uk, and the order was 4471-9982-1173 placed on 12/03/2024 "
    )
    more = "for £1,249.99, the second was 5518-2290-7741-0093 and the third 5518-2290-7741-0094, and honestly "
    found = judge.find(f"07700900123 or {numbers}{more}{VEILED}")
    assert f"meaning.{SELF_HARM}" in {each.rule for each in found}


def test_a_clear_finding_does_not_wait_for_the_end_of_the_turn(judge):
    text = "I have had enough of this put me through to somebody who is above you this minute"
    assert "supervisor_demand" in ids(judge(saying(text)))
    assert "supervisor_demand" in ids(judge(saying(text + " and"))), "still there with one word more"
    (settled,) = [each for each in judge(said(text)) if each.id == "supervisor_demand"]
    assert settled.settled


def test_it_is_on_unless_turned_off():
    assert any(isinstance(one, MeaningDetector) for one in build_detectors(load_rules()))
    assert not any(
        isinstance(one, MeaningDetector) for one in build_detectors(load_rules(), DetectorSettings(meaning=False))
    )
