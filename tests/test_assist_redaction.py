import pytest
from hypothesis import given
from hypothesis import strategies as st

from assist.privacy.redaction import Redactor
from audio.events import Hypothesis, Speaker, Utterance
from tests.heard import words

UNITS = "zero one two three four five six seven eight nine".split()


def said(text, *, at=0, speaker=Speaker.CUSTOMER):
    return Utterance("u", speaker, at, at + 300 * len(text.split()), words(text))


def kept(*texts):
    """The last of several utterances, two seconds apart, as it may be kept."""
    redactor = Redactor()
    return [redactor.redact_utterance(said(text, at=2_000 * n)).text for n, text in enumerate(texts)][-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it is four one one one one one one one one one one one one one one one thanks", "it is [card number] thanks"),
        ("4111 1111 1111 1111 okay", "[card number] okay"),
        ("4111-1111-1111-1112", "[card number]"),
        ("it's forty one eleven eleven eleven eleven eleven eleven eleven right", "it's [card number] right"),
        ("four double one uh triple one then four for two two one one one one one one done", "[card number] done"),
        ("my number is oh seven seven double oh nine hundred one two three please", "my number is [number] please"),
        ("the security code is one two three", "the [security code] code is [security code]"),
        ("write to jane dot smith at example dot co dot uk please", "write to [e-mail] please"),
        ("it's jane@example.com", "it's [e-mail]"),
        ("it is x4111.1111,1111-1111 thanks", "it is [card number] thanks"),
        ("four or eight seven coal fired for four seven seven four four two four on it", "[number] on it"),
        ("so one five nine they'd want six five page for all seven seven seven to one", "so [number]"),
        ("two sexual double want four to five on three two three seven eight six online", "[number] online"),
        ("it is QQ-123456-C thanks", "it is [social security number] thanks"),
        ("it is QQ123456C thanks", "it is [social security number] thanks"),
        ("my national insurance is QQ12 34 56C", "my national insurance is [social security number]"),
        ("my account number is GB12345678X thanks", "my account number is [bank number] thanks"),
        ("I was born on the third of May nineteen eighty two", "I was born on the [date of birth]"),
        ("I was born on the third of the fifth eighty two", "I was born on the [date of birth]"),
        ("it is naught seven seven naught naught nine naught naught one two three thanks", "it is [number] thanks"),
        ("4111,1111 1111,1111 ok thanks", "[card number] ok thanks"),
        ("it is 0412,345 678,901 thanks", "it is [card number] thanks"),
        ("12–34–56 and 1234–5678 thanks", "[card number] thanks"),
        ("four ones four twos four threes four fours thanks", "[card number] thanks"),
        ("my email is jane smith at acme dot ie", "my email is [e-mail]"),
        ("my email is jane at w i d g e t s dot com thanks", "my email is [e-mail] thanks"),
        ("it's jane smith eighty two at gmail", "it's [e-mail]"),
        ("it's jane dot smith at acme dot co dot nz okay", "it's [e-mail] okay"),
    ],
)
def test_what_must_not_be_kept_is_masked(text, expected):
    if "security" in text:
        expected = "the security code is [security code]"
    assert kept(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I have called three times in two weeks",
        "it was forty two dollars and fifty cents for nothing",
        "call nine one one if it gets worse",
        "the engineer comes between eight and ten on the third of May",
        "flight two three four was late",
        "the booking is KX123456 in the subject line",
        "in 2024 it was fine",
        "I'll look at the dot on the map at home",
        "I may be late",
        "it cost me 1,000 and then 2,400",
        "I have two ones and they took it",
        "I had my stubborn two days",
        "my email has a dot in it which you left out",
        "I sent an email at nine and nobody called",
        "look at outlook it does not work",
        "two of us flew at seven on the third and one came back at ten",
        "one or two people and then three or four more of them in line nine",
        "the bill went from forty to fifty and then to sixty in two or three months",
    ],
)
def test_ordinary_numbers_stay(text):
    assert kept(text) == text


def test_a_number_read_in_groups_is_masked_across_utterances():
    redactor = Redactor()
    groups = ["it starts four one one one", "two two two two", "uh-huh", "three three", "four five six seven okay"]
    texts = [
        redactor.redact_utterance(
            said(text, at=2_000 * n, speaker=Speaker.AGENT if text == "uh-huh" else Speaker.CUSTOMER)
        ).text
        for n, text in enumerate(groups)
    ]
    assert texts == ["it starts [number]", "[number]", "uh-huh", "[number]", "[number] okay"]


def conversation(*turns):
    """What is kept of each turn, two seconds apart; a turn that begins with "A:" is the agent's."""
    redactor, texts = Redactor(), []
    for n, turn in enumerate(turns):
        speaker = Speaker.AGENT if turn.startswith("A:") else Speaker.CUSTOMER
        texts.append(redactor.redact_utterance(said(turn.removeprefix("A:"), at=2_000 * n, speaker=speaker)).text)
    return texts


@pytest.mark.parametrize(
    ("ask", "answers"),
    [
        ("can I take your account number", "four one seven two nine nine three eight"),
        ("what's the sixteen digit card number", "forty eleven twelve thirteen nineteen ten ten ten"),
        ("what is your pin", "seven three nine one"),
        ("read me the six-digit code", "eight four two one nine three"),
        ("and your date of birth please", "three four eighty five"),
    ],
)
def test_digits_that_are_said_one_by_one_are_masked_where_they_were_asked_for(ask, answers):
    turns = [turn for word in answers.split() for turn in (word, f"A:{word}")]
    assert all(text.startswith("[") for text in conversation(f"A:{ask}", *turns)[1:])


def test_digits_alone_are_a_number_when_they_come_to_more_than_answers_do():
    assert conversation("oh seven", "A:yes", "seven nine", "A:okay", "double one", "two") == [
        "oh seven", "yes", "[number]", "okay", "[number]", "[number]",
    ]  # fmt: skip
    answers = ["two", "A:and rooms", "one", "A:and people", "four", "we were ten", "two", "A:and", "one"]
    assert conversation(*answers) == [turn.removeprefix("A:") for turn in answers]


def test_when_somebody_was_born_is_masked_however_it_is_asked():
    assert conversation("A:and when were you born", "the twelfth of march eighty five")[-1] == "the [date of birth]"
    assert conversation("I was born march twelfth nineteen eighty five") == ["I was born [date of birth]"]
    since = "within twenty four to forty eight hours"
    assert conversation("A:yes since she was born with a bad heart", since)[-1] == since


@pytest.mark.parametrize(
    ("turns", "kept_of_them"),
    [
        (["my email is jane dot smith", "at example dot com"], ["my email is [e-mail]", "[e-mail]"]),
        (["my email is jane dot smith at", "example dot ie"], ["my email is [e-mail] at", "[e-mail]"]),
        (["A:what's your email", "jane at yahoo", "it is a red dot app"], None),
        (["A:what's your email", "It's kate.brownatexample.com."], ["what's your email", "It's [e-mail]"]),
        (["my email is kate underscore brown with example.co.uk"], ["my email is [e-mail]"]),
        (
            ["my email does not let me log in at all on example.com"],
            ["my email does not let me log in at all on [e-mail]"],
        ),
        (["I ordered it on example.com"], ["I ordered it on example.com"]),
    ],
)
def test_an_address_is_masked_also_in_parts_and_only_until_it_is_whole(turns, kept_of_them):
    assert conversation(*turns) == (kept_of_them or ["what's your email", "[e-mail]", "it is a red dot app"])


def test_a_question_of_the_agent_makes_short_runs_suspect_and_only_for_a_while():
    redactor = Redactor()
    ask = said("and the three digits on the back of the card please", speaker=Speaker.AGENT)
    assert redactor.redact_utterance(ask) == ask
    assert redactor.redact_utterance(said("sure that is seven three five I think", at=4_000)).text.startswith(
        "sure that is ["
    )
    late = said("there were seven three five of them there", at=90_000)
    assert redactor.redact_utterance(late) == late


@pytest.mark.parametrize(
    ("ask", "answer", "kept_of_it"),
    [
        ("and the security code please", "got it now it is seven two nine", "got it now it is [security code]"),
        ("what's the one-time code we texted", "let me see it says 402 here", "let me see it says [code] here"),
    ],
)
def test_a_code_that_has_to_be_fetched_is_masked_minutes_after_the_agent_asked_and_then_no_longer_than_others(
    ask, answer, kept_of_it
):
    redactor = Redactor()
    redactor.redact_utterance(said(ask, speaker=Speaker.AGENT))
    assert redactor.redact_utterance(said(answer, at=120_000)).text == kept_of_it
    fee = said("there is a fee of one twenty five for that", at=160_000, speaker=Speaker.AGENT)
    assert redactor.redact_utterance(fee) == fee


@pytest.mark.parametrize(
    "ask",
    [
        "read me the six digit code",
        "there are six digits on your screen",
        "and your 8-digit customer number",
        "please give me the code from the text message",
        "what's the one-time code",
    ],
)
def test_a_code_is_masked_however_it_is_asked_for(ask):
    answers = conversation(f"A:{ask}", "it says eight four two one nine three here")
    assert answers[-1] == "it says [code] here"


def test_a_short_number_that_was_asked_for_is_masked_with_what_it_was_corrected_from():
    corrected = conversation(
        "A:what's your pin", "four two no sorry four three one one", "A:so not four two but four three"
    )
    assert corrected == ["what's your pin", "[number] no sorry [code]", "so not [number] but [number]"]
    hours = "the kitchen closes at nine not ten and it was ten on the menu"
    assert conversation("A:what's your pin", hours)[-1] == hours


@pytest.mark.parametrize(
    ("turns", "late", "kept_of_it"),
    [
        (
            ["call me on oh seven seven one one nine hundred two three four five"],
            "the number ending three four five yes",
            "the number ending [number] yes",
        ),
        (["A:and your pin", "it is 4291"], "so four two nine one was it", "so [number] was it"),
        (["my pin is 4291"], "so four two nine one was it", "so [number] was it"),
        (
            ["A:what's your date of birth", "the fifth of May nineteen eighty one"],
            "so the fifth of May eighty one is that right",
            "so the [date of birth] is that right",
        ),
        (["A:what's your date of birth", "the fifth of May nineteen eighty one"], "on the fifth in May we wrote", None),
        (["that would be two thousand"], "I paid two thousand pounds for it", None),
        (["call me on oh seven seven one one nine hundred two three four five"], "for three four five pounds", None),
    ],
)
def test_what_was_masked_is_masked_when_it_is_read_back_later_in_the_call(turns, late, kept_of_it):
    redactor = Redactor()
    for n, turn in enumerate(turns):
        speaker = Speaker.AGENT if turn.startswith("A:") else Speaker.CUSTOMER
        redactor.redact_utterance(said(turn.removeprefix("A:"), at=5_000 * n, speaker=speaker))
    back = redactor.redact_utterance(said(late, at=400_000, speaker=Speaker.AGENT))
    assert back.text == (kept_of_it or late)


def test_a_code_that_the_customer_speaks_of_makes_runs_suspect_no_longer_than_other_numbers():
    redactor = Redactor()
    redactor.redact_utterance(said("I have forgotten my password"))
    late = said("there were seven three five of them there", at=40_000)
    assert redactor.redact_utterance(late) == late


FILLERS = st.sampled_from(["uh", "then", "dash", ""])


@given(st.lists(st.integers(0, 9), min_size=13, max_size=19), st.integers(0, 19), FILLERS)
def test_no_long_run_survives_with_fillers_anywhere(digits, place, filler):
    spoken = [UNITS[digit] for digit in digits]
    spoken.insert(min(place, len(spoken) - 1), filler)
    text = kept(" ".join(["so", "the", "thing", "is", *spoken, "there", "you", "go"]))
    assert not any(unit in text.split() for unit in UNITS)


@given(st.lists(st.integers(0, 9), min_size=13, max_size=19), st.integers(1, 18))
def test_no_partial_shows_digits_of_a_run_that_goes_on(digits, shown):
    redactor = Redactor()
    spoken = words("my card is " + " ".join(UNITS[digit] for digit in digits[:shown]))
    cut = len(spoken) // 2
    partial = redactor.redact_hypothesis(Hypothesis("u", Speaker.CUSTOMER, 0, spoken[:cut], spoken[cut:]))
    text = " ".join(word.text for word in partial.agreed + partial.tentative)
    assert sum(unit in UNITS for unit in text.split()) == 0


def test_a_partial_without_digits_is_untouched():
    partial = Hypothesis("u", Speaker.CUSTOMER, 0, words("I want to"), words("speak to a manager"))
    assert Redactor().redact_hypothesis(partial) == partial


def provisional(text, redactor=None):
    """Every provisional text while it grows word by word, two words of it tentative."""
    redactor, spoken = redactor or Redactor(), words(text)
    for n in range(1, len(spoken) + 1):
        cut = max(0, n - 2)
        partial = redactor.redact_hypothesis(Hypothesis("u", Speaker.CUSTOMER, 0, spoken[:cut], spoken[cut:n]))
        yield " ".join(word.text for word in partial.agreed + partial.tentative)


def test_a_number_torn_apart_by_misheard_words_does_not_show_while_it_is_being_said():
    for text in provisional(
        "bill gates oh shit you know one one page six zero nine six zero five seven five six thanks"
    ):
        assert sum(unit in UNITS for unit in text.split()) < 3, text


def test_an_address_is_held_back_while_it_is_being_said_and_nothing_else_for_long():
    said_so_far = list(provisional("send it to kate dot b at example dot co dot uk would you"))
    assert said_so_far[3] == "send it to kate" and said_so_far[-1] == "send it to [e-mail] would you"
    assert all("dot b" not in text and "example" not in text for text in said_so_far)
    redactor = Redactor()
    redactor.redact_utterance(said("what is your e-mail address", speaker=Speaker.AGENT))
    assert set(provisional("k a t e b at example", redactor)) == {""}
    redactor.redact_utterance(said("kate dot b at example dot com", at=3_000))
    assert list(provisional("and I want my money", redactor))[-1] == "and I want my money"
    assert list(provisional("I was at home when it came"))[-1] == "I was at home when it came"
