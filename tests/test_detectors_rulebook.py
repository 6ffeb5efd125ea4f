"""Rule files are read, and refused with one line that says where and what was expected."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from detectors.examples import failing_examples
from detectors.phrases import PhraseDetector
from detectors.rulebook import Rule, RuleError, SignalException, load_rules

GOOD = """version = "1"
owner = "me"
language = "en"
[[rule]]
id = "a.b"
signal = "police"
phrases = ["blue [flashing] (light|lamp)"]
fires = ["a blue flashing lamp"]
"""


def written(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return path


def refusal(tmp_path, text):
    """The one line with which the file is refused."""
    with pytest.raises(RuleError, match="own.toml") as refused:
        load_rules(written(tmp_path, text))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_file_of_ones_own_is_read_and_checked(tmp_path):
    book = load_rules(written(tmp_path, GOOD))
    assert [rule.id for rule in book.rules] == ["a.b"]
    assert failing_examples(book) == []
    broken = load_rules(written(tmp_path, GOOD.replace("a blue flashing lamp", "a red lamp")))
    assert len(failing_examples(broken)) == 1
    assert broken.version != book.version


def test_rules_past_their_review_date_are_known_with_their_owner(tmp_path):
    book = load_rules(written(tmp_path, GOOD.replace('language = "en"', 'language = "en"\nreview_by = 2026-01-31')))
    assert [(rule.id, rule.owner) for rule in book.overdue(date(2026, 2, 1))] == [("a.b", "me")]
    assert book.overdue(date(2026, 1, 31)) == []


def test_an_error_names_the_line_of_its_key(tmp_path):
    wrong = GOOD.replace("(light|lamp)", "(light|lamp")
    another = GOOD[GOOD.index("[[rule]]") :].replace("a.b", "a.c")
    for text in (wrong, wrong.replace("[[rule]]", "[[rule]]  # about lamps") + another):
        with pytest.raises(RuleError, match=r"own\.toml:7: a\.b: phrases: expected a phrase pattern"):
            load_rules(written(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('signal = "police"', 'signal = "cops"', "signal: expected one of"),
        ('signal = "police"', 'signal = ["police"]', "signal: expected one of"),
        ('signal = "police"', "signal = { police = true }", "signal: expected one of"),
        ('signal = "police"', 'signal = "police"\nspeaker = ["agent"]', "speaker: expected customer or agent"),
        ('signal = "police"', 'signal = "police"\nseverity = ["help"]', "severity: expected note, help or urgent"),
        ("(light|lamp)", "(light|lamp", "is not closed"),
        ("(light|lamp)", "{nothing}", "no class"),
        ('"blue [flashing] (light|lamp)"', '""', "phrases: expected a phrase pattern; '': it needs no word"),
        ("blue [flashing] (light|lamp)", "[blue] [flashing (light|lamp)]", "it needs no word"),
        ("blue [flashing] (light|lamp)", "((blue|)|lamp) ....", "it needs no word"),
        ("blue [flashing] (light|lamp)", "^ [blue]", "it needs no word"),
        ("blue [flashing] (light|lamp)", "$", "it needs no word"),
        ("blue [flashing] (light|lamp)", "blue...lamp", "dots without spaces around them are no gap"),
        ("blue [flashing] (light|lamp)", r"\\\\bblue\\\\b lamp", "this is no regular expression"),
        ("fires =", 'unless = ["[not]"]\nfires =', "unless: expected a phrase pattern; '[not]': it needs no word"),
        (
            "fires =",
            'hinges_on = ["(light"]\nfires =',
            "hinges_on: expected a phrase pattern; '(light': ( is not closed",
        ),
        ('owner = "me"', "", 'owner: expected texts at the head of the file, such as owner = "Quality team"'),
        (GOOD[: GOOD.index("[[")], "", 'version = "1", owner = "Quality team", language = "en"'),
        ("id =", "colour =", "expected"),
        ("fires =", "certain = 1\nfires =", "certain: expected true or false"),
        ("fires = [", "fires = [[", "not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path, old, new, says):
    assert says in refusal(tmp_path, GOOD.replace(old, new))


EXCEPTION = """version = "1"
owner = "me"
language = "en"
[[exception]]
id = "police.of-a-museum"
signal = "police"
phrases = ["police museum"]
fires = ["I'll call the police"]
silent = ["I'm calling the police museum about tickets"]
"""


def test_an_exception_silences_every_rule_of_its_signal_in_its_own_clause(tmp_path):
    own = load_rules(extra=written(tmp_path, EXCEPTION))
    assert failing_examples(own) == []
    shipped, with_exception = PhraseDetector(load_rules()), PhraseDetector(own)
    museum = "I'm going to call the police museum"
    assert {signal.id for signal in shipped.find(museum)} == {"police"}
    assert with_exception.find(museum) == []
    both = with_exception.find(f"{museum}, and I'm going to call the police about your driver.")
    assert [(signal.id, signal.evidence.first_word > 6) for signal in both] == [("police", True)]


def test_an_exception_does_not_silence_what_is_urgent(tmp_path):
    rules = GOOD.replace('signal = "police"', 'signal = "police"\nseverity = "urgent"')
    exception = EXCEPTION[EXCEPTION.index("[[exception]]") :].replace("police museum", "blue")
    book = load_rules(written(tmp_path, rules + exception))
    assert [signal.id for signal in PhraseDetector(book).find("a blue flashing lamp")] == ["police"]
    calm = load_rules(written(tmp_path, GOOD + exception))
    assert PhraseDetector(calm).find("a blue flashing lamp") == []


def test_a_shipped_exception_leaves_the_rules_of_a_deployment_alone(tmp_path):
    routine = "could you spell the surname for me"
    assert PhraseDetector(load_rules()).find(routine, "agent") == []
    rule = GOOD.replace('signal = "police"', 'signal = "question"\nspeaker = "agent"')
    own = rule.replace("blue [flashing] (light|lamp)", "spell the surname").replace("a blue flashing lamp", routine)
    book = load_rules(extra=written(tmp_path, own))
    assert failing_examples(book) == []
    assert [signal.rule for signal in PhraseDetector(book).find(routine, "agent")] == ["a.b"]


def test_examples_of_an_exception_are_checked_and_its_review_date_is_kept(tmp_path):
    wrong = EXCEPTION.replace("the police museum about", "the museum about").replace("call the police", "police museum")
    book = load_rules(
        written(tmp_path, wrong.replace('signal = "police"', 'signal = "police"\nreview_by = 2026-01-31'))
    )
    assert [line.partition(": ")[2] for line in failing_examples(book)] == [
        'police.of-a-museum: should not apply but does to "I\'ll police museum"',
        'police.of-a-museum: should apply but does not to "I\'m calling the museum about tickets"',
    ]
    assert [each.id for each in book.overdue(date(2026, 2, 1))] == ["police.of-a-museum"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("phrases =", "unless = []\nphrases =", "unless: expected one of fires, id, "),
        ('silent = ["I\'m calling the police museum about tickets"]', "", "silent: expected at least one text"),
        ('["police museum"]', '["(police"]', "phrases: expected a phrase pattern; '(police': ( is not closed"),
        ('"police.of-a-museum"', "1", "id: expected a text"),
        ("[[exception]]", "[exception]", "exception: expected tables headed [[exception]]"),
        ("[[exception]]", "[[exemption]]", "exemption: unknown"),
    ],
)
def test_a_wrong_exception_is_refused_with_its_place(tmp_path, old, new, says):
    assert says in refusal(tmp_path, EXCEPTION.replace(old, new))


def test_a_file_without_rules_and_exceptions_is_refused(tmp_path):
    with pytest.raises(RuleError, match=r"expected at least one \[\[rule\]\] or \[\[exception\]\]"):
        load_rules(written(tmp_path, EXCEPTION[: EXCEPTION.index("[[exception]]")]))


def test_a_rule_with_the_id_of_a_shipped_one_is_told_which(tmp_path):
    taken = load_rules().rules[0]
    with pytest.raises(RuleError, match=rf"own\.toml:\d+: id: '{taken.id}' is taken by the shipped {taken.source};"):
        load_rules(extra=written(tmp_path, GOOD.replace('id = "a.b"', f'id = "{taken.id}"')))


def test_word_lists_of_ones_own_add_to_the_shipped_ones(tmp_path):
    shipped = load_rules()
    (tmp_path / "classes.toml").write_text('authority = ["team captain"]\ncrew = ["deckhand"]\n')
    (tmp_path / "misheard.toml").write_text('manager = ["mangler"]\n')
    written(tmp_path, GOOD.replace("(light|lamp)", "{crew}").replace("flashing lamp", "flashing deckhand"))
    book = load_rules(extra=tmp_path)
    assert failing_examples(book) == []
    assert book.misheard["manager"] == (*shipped.misheard["manager"], "mangler")
    judge = PhraseDetector(book)
    for who in ("supervisor", "manager", "team captain"):
        assert "supervisor_demand" in {signal.id for signal in judge.find(f"I want to speak to a {who}")}, who
    assert list(PhraseDetector(shipped).find("I want to speak to a team captain")) == []


def test_a_misheard_form_that_no_recogniser_writes_is_refused_with_its_line(tmp_path):
    (tmp_path / "misheard.toml").write_text('crew = ["deckhand"]\nguy = ["gai", "é"]\n')
    with pytest.raises(RuleError, match=r"misheard\.toml:2: guy: expected a list of words$"):
        load_rules(extra=tmp_path)


@pytest.mark.parametrize("name", ["classes.toml", "misheard.toml"])
@pytest.mark.parametrize("words", ['"manager"', "[]", '["boss", " "]', '["..."]', "[1]"])
def test_a_word_list_without_words_is_refused_with_its_line(tmp_path, name, words):
    (tmp_path / name).write_text(f'crew = ["deckhand"]\nmanager = {words}\n')
    with pytest.raises(RuleError, match=rf"{name}:2: manager: expected a list of words$"):
        load_rules(extra=tmp_path)


def test_a_folder_gives_its_rule_files_or_is_refused(tmp_path):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "own.toml").write_text(GOOD)
    with pytest.raises(RuleError, match=r"no rules in this folder: expected NAME\.toml in it, not in one below"):
        load_rules(extra=tmp_path)
    (tmp_path / "OWN.TOML").write_text(GOOD)
    assert [each.id for each in load_rules(extra=tmp_path).own] == ["a.b"]


def test_what_the_readme_shows_of_rules_is_one(tmp_path):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    [shown] = [block for block in readme.split("```") if block.startswith("toml\n") and "[[exception]]" in block]
    book = load_rules(extra=written(tmp_path, shown.removeprefix("toml\n")))
    rule, exception = book.own
    assert isinstance(rule, Rule) and isinstance(exception, SignalException)
    assert failing_examples(replace(book, rules=(rule,), exceptions=(exception,))) == []


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RuleError, match=r"none\.toml"):
        load_rules(tmp_path / "none.toml")
