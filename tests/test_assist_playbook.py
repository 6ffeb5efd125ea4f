import pytest

from assist.coach.differences import diff_playbooks
from assist.coach.playbook import (
    PlaybookError,
    check_playbook,
    copy_playbook,
    list_playbooks,
    load_playbook,
)

SOUND = """
id = "mine"
name = "Mine"
release = "1.0"
method = "M"

[[steps]]
id = "own"
title = "Own it"
ticked_by = ["ownership"]
prompt = "Own it"
say = ["I will see to it."]

[[plays]]
id = "claim"
signals = ["influence_claim"]
step = "own"
title = "Be the one"
say = ["I'm {agent}. This is mine now."]

[[options]]
id = "fee"
title = "Waive the fee"
worth = "worth 12"
value = 12
cost = 4
limits = { agent = 20 }
"""


def test_every_shipped_playbook_is_sound():
    assert "default" in list_playbooks()
    for name in list_playbooks():
        assert check_playbook(name) == []


def test_the_default_answers_every_threat_and_offers_enough():
    book = load_playbook("default")
    answered = {signal for play in book.plays for signal in play.signals}
    assert {
        "influence_claim", "supervisor_demand", "cancel_threat", "legal_threat", "regulator_threat", "press_threat",
        "review_threat", "police", "personal_threat", "refund_chargeback", "passed_around", "vulnerable", "giving_up",
        "swearing", "derogatory", "raised_voice", "calm_down", "policy",
    } <= answered  # fmt: skip
    assert 5 <= len(book.options) <= 10, "M2: five to ten things to give"
    for play in book.plays:
        assert len(play.say) >= 2, f"{play.id}: several variants keep it sincere"


def test_a_sound_file_loads_with_a_version_that_follows_its_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SOUND)
    first = load_playbook(path)
    assert first.version.startswith("mine 1.0 (")
    path.write_text(SOUND.replace("This is mine now", "It is mine now"))
    assert load_playbook(path).version != first.version
    assert diff_playbooks(first, load_playbook(path)) == [
        '~ plays.claim.say: ["I\'m {agent}. This is mine now."] -> ["I\'m {agent}. It is mine now."]'
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[[plays]]", "[[plays"), "not valid TOML"),
        (('signals = ["influence_claim"]', 'signals = ["influense"]'), "'influense' is none of the signals"),
        (('ticked_by = ["ownership"]', 'ticked_by = ["swearing"]'), "'swearing' is none of the agent steps"),
        (('step = "own"', 'step = "gone"'), "no step 'gone': expected one of own"),
        (("limits = { agent = 20 }", "limits = { }"), "nobody may grant it"),
        (("cost = 4", "cost = 40"), "40 is over every limit"),
        (("This is mine now.", "word " * 20), "expected at most 20"),
        (('title = "Be the one"', 'title = "one two three four five six seven"'), "expected at most 6"),
        (("{agent}", "{customer}"), "{customer} is no placeholder: expected {agent}"),
        (("This is mine now.", "This is mine now!"), "expected no exclamation mark"),
        (('ticked_by = ["ownership"]\nprompt = "Own it"\nsay = ["I will see to it."]', ""), "cannot be reached"),
        (('prompt = "Own it"\n', ""), "has lines to say but no prompt"),
        (
            ('title = "Own it"', 'title = "Own it"\ncolour = "red"'),
            "steps.own.colour: unknown key: expected one of id,",
        ),
        (('release = "1.0"', "release = 1"), "release"),
        (("value = 12", "value = -1"), "options.fee.value"),
    ],
)
def test_bad_input_is_one_line_with_its_place(change, says, tmp_path):
    path = tmp_path / "bad.toml"
    assert change[0] in SOUND
    path.write_text(SOUND.replace(*change, 1))
    problems = check_playbook(path)
    assert any(says in line for line in problems), problems
    assert all(line.startswith(str(path)) for line in problems)
    with pytest.raises(PlaybookError):
        load_playbook(path)


def test_a_problem_in_a_table_names_its_line(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(SOUND.replace('title = "Be the one"', 'title = "Be the one"\nwrong = 1'))
    line = SOUND.splitlines().index("[[plays]]") + 1
    assert check_playbook(path)[0].startswith(f"{path}:{line + 5}: plays.claim.wrong")


@pytest.mark.parametrize("kind", ["steps", "plays", "options"])
def test_an_id_stands_once(kind, tmp_path):
    table = SOUND[SOUND.index(f"[[{kind}]]") :].split("\n\n")[0]
    path = tmp_path / "twice.toml"
    path.write_text(f"{SOUND}\n{table}\n")
    assert any("stands twice" in line for line in check_playbook(path))


def test_what_is_not_there_is_said(tmp_path):
    assert "expected one of default" in check_playbook("no-such-book")[0]
    assert "No such file" in check_playbook(tmp_path / "gone.toml")[0]
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "not a text file in UTF-8" in check_playbook(tmp_path / "binary.toml")[0]


def test_copying_never_overwrites(tmp_path):
    copy_playbook("default", tmp_path / "mine.toml")
    with pytest.raises(PlaybookError, match="is there already"):
        copy_playbook("default", tmp_path / "mine.toml")
