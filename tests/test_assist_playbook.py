from pathlib import Path

import pytest
from typer.testing import CliRunner

from assist.coach.differences import diff_playbooks
from assist.coach.playbook import (
    PlaybookError,
    check_playbook,
    copy_playbook,
    list_playbooks,
    load_playbook,
)
from assist.commands.main import app
from detectors.rulebook import RuleError, load_rules

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
    assert 5 <= len(book.options) <= 10, "five to ten things to give (Tschohl)"
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


@pytest.mark.parametrize("kind", ["steps", "plays", "options"])
def test_another_order_and_another_reason_to_choose_it_are_differences(tmp_path, kind):
    default = load_playbook("default")
    changed = default.model_copy(update={kind: [*reversed(getattr(default, kind))], "about": "For calm teams."})
    order = ", ".join(part.id for part in getattr(changed, kind))
    assert diff_playbooks(default, changed) == [
        f"~ about: {default.about} -> For calm teams.",
        f"~ {kind}: in another order: {order}",
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
        (
            ('say = ["I will see to it."]', 'say = ["I will see to it.", ""]'),
            "steps.own.say.1: empty: expected some text",
        ),
        (
            ('say = ["I will see to it."]', 'say = ["   "]'),
            "steps.own.say.0: expected one line of text that can be read",
        ),
        (("This is mine now.", r"This is \u202Emine now."), "say.0: expected one line of text that can be read"),
        (("This is mine now.", r"This is\u0007 mine now."), "say.0: expected one line of text that can be read"),
        (("I'm {agent}. This is mine now.", "\\u200B ..."), "has no words: expected some that can be read"),
        (("This is mine now.", "This is " + "m" * 3_000), "has 3,021 characters: expected at most 200"),
        (('title = "Be the one"', f'title = "Be {"x" * 90}"'), "has 93 characters: expected at most 60"),
        (('title = "Be the one"', f'title = "Be the one"\navoid = "{"x" * 300}"'), "avoid: 'xxx"),
        (
            ('title = "Be the one"', r'title = "Be the one"' + "\n" + r'avoid = "\u202E"'),
            "avoid: expected one line of text",
        ),
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


def test_a_comment_behind_the_head_of_a_table_moves_no_lines(tmp_path):
    path = tmp_path / "bad.toml"
    two = SOUND.replace("[[plays]]", '[[steps]]\nid = "more"\ntitle = "More"\nticked_by = ["apology"]\n\n[[plays]]')
    path.write_text(two.replace("[[steps]]", "[[steps]]  # they come first", 1).replace('"ownership"', '"swearing"'))
    line = two.splitlines().index('ticked_by = ["ownership"]') + 1
    assert check_playbook(path)[0].startswith(f"{path}:{line}: steps.own.ticked_by")


@pytest.mark.parametrize("kind", ["steps", "plays", "options"])
def test_an_id_stands_once(kind, tmp_path):
    table = SOUND[SOUND.index(f"[[{kind}]]") :].split("\n\n")[0]
    path = tmp_path / "twice.toml"
    path.write_text(f"{SOUND}\n{table}\n")
    assert any("stands twice" in line for line in check_playbook(path))


def test_a_byte_order_mark_as_editors_on_windows_write_it_is_no_part_of_the_text(tmp_path):
    for name, text in (("mine.toml", SOUND), ("own.toml", RULES)):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_playbook(tmp_path / "mine.toml").id == "mine"
    assert load_rules(extra=[tmp_path / "own.toml"]).rules[-1].id == "own.portal"
    (tmp_path / "wide.toml").write_text(SOUND, encoding="utf-16")
    assert check_playbook(tmp_path / "wide.toml")[0].endswith("wide.toml: not a text file in UTF-8: save it as UTF-8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('id = "own"', 'id = "Own it"'), ":8: steps.Own it.id: 'Own it': expected small letters (a-z), digits and"),
        (('id = "own"', 'id = ""'), ":8: steps.#1.id: '': expected small letters"),
        (('id = "own"', "id = 5"), ":8: steps.#1.id: expected text in quotes"),
        (('id = "own"\n', ""), ":7: steps.#1.id: missing: expected it here"),
        (('id = "own"', f'id = "{"a" * 41}"'), "too long: expected at most 40 characters"),
        (('id = "mine"', 'id = "Our Team"'), ":2: id: 'Our Team': expected small letters"),
        (('name = "Mine"', 'name = " "'), ":3: name: expected one line of text"),
        (('release = "1.0"', "release = 1.4"), ":4: release: expected text in quotes"),
        (('method = "M"', 'method = ""'), ":5: method: empty: expected some text"),
        (
            ('title = "Waive the fee"', r'title = "Waive\u0007the fee"'),
            ":23: options.fee.title: expected one line of text",
        ),
        (('title = "Own it"', '  titel = "Own it"'), ":9: steps.own.titel: unknown key"),
        (("[[steps]]", "[[step]]"), ":7: step: unknown key: expected one of about"),
        (("[[steps]]", "[steps]"), ":7: steps: expected tables that begin with [[steps]]"),
        (('id = "mine"', '"a\\nb" = 1\nid = "mine"'), "a?b: unknown key"),
    ],
)
def test_an_odd_name_is_one_line_with_its_place_and_what_was_expected(change, says, tmp_path):
    path = tmp_path / "bad.toml"
    assert change[0] in SOUND
    path.write_text(SOUND.replace(*change, 1))
    problems = check_playbook(path)
    assert any(says in line for line in problems), problems
    assert all(line.startswith(str(path)) and line.isprintable() and "String should" not in line for line in problems)


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Waive the fee, 12\u00a0€", "Waive the fee, 12\u00a0€"),
        ("می\u200cبخشیم", "می\u200cبخشیم"),
        (r"Waive\n\tthe fee\n", "Waive the fee"),
    ],
)
def test_a_title_as_people_write_it_is_one_line(written, title, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(SOUND.replace("Waive the fee", written, 1), encoding="utf-8")
    assert load_playbook(path).options[0].title == title


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "no playbook '': expected one of default"),
        ("Default", "no playbook 'Default': expected one of default"),
        ("a\nb.toml", "a?b.toml: No such file"),
        ("a\0b.toml", "a?b.toml: no name that a file can have"),
        ("x" * 5000, "File name too long"),
        (".", ".: Is a directory"),
    ],
)
def test_a_name_that_names_no_playbook_is_one_clear_line(name, says):
    [problem] = check_playbook(name)
    assert says in problem and problem.isprintable() and len(problem) < 600


def test_a_line_to_say_is_one_line_however_it_is_written(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(SOUND.replace("This is mine now.", r"This is\nmine now.\n"))
    assert load_playbook(path).plays[0].say[0] == "I'm {agent}. This is mine now."


def test_what_is_not_there_is_said(tmp_path):
    assert "expected one of default" in check_playbook("no-such-book")[0]
    assert "No such file" in check_playbook(tmp_path / "gone.toml")[0]
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "not a text file in UTF-8" in check_playbook(tmp_path / "binary.toml")[0]


def test_copying_never_overwrites(tmp_path):
    copy_playbook("default", tmp_path / "mine.toml")
    with pytest.raises(PlaybookError, match="is there already"):
        copy_playbook("default", tmp_path / "mine.toml")


@pytest.mark.parametrize("name", ["mine", "mine.test.toml", "", "."])
def test_a_copy_has_a_name_that_check_and_serve_know_as_a_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlaybookError, match=r"expected a file name such as my-team\.toml"):
        copy_playbook("default", Path(name))
    assert list(tmp_path.iterdir()) == []


def test_a_copy_is_made_with_its_written_calls_or_not_at_all(tmp_path):
    (tmp_path / "mine.test.toml").touch()
    with pytest.raises(PlaybookError, match="mine.test.toml is there already"):
        copy_playbook("default", tmp_path / "mine.toml")
    assert not (tmp_path / "mine.toml").exists()


SHARED = """
[[plays]]
id = "swear"
signals = ["swearing"]
title = "Let it pass"
say = ["I hear you."]
"""


@pytest.fixture
def team(tmp_path):
    (tmp_path / "shared.toml").write_text(SHARED)
    path = tmp_path / "team.toml"
    path.write_text('include = ["shared.toml"]\n' + SOUND)
    return path


def plays(path):
    return {play.id: play for play in load_playbook(path).plays}


def test_an_include_brings_its_parts_after_the_files_own(team):
    assert check_playbook(team) == []
    assert list(plays(team)) == ["claim", "swear"]


def test_a_part_of_ones_own_takes_the_place_of_an_included_one(team):
    team.write_text(team.read_text() + SHARED.replace("I hear you.", "I am with you."))
    assert check_playbook(team) == []
    assert plays(team)["swear"].say == ["I am with you."]


def test_an_included_part_can_be_left_out(team):
    team.write_text('leave_out = ["plays.swear"]\n' + team.read_text())
    assert check_playbook(team) == [] and list(plays(team)) == ["claim"]


def test_the_version_and_the_difference_see_into_includes(team):
    before = load_playbook(team)
    shared = team.parent / "shared.toml"
    shared.write_text(SHARED.replace("I hear you.", "I am with you."))
    after = load_playbook(team)
    assert before.version != after.version
    assert diff_playbooks(before, after) == ["~ plays.swear.say: ['I hear you.'] -> ['I am with you.']"]


def test_a_problem_in_an_included_file_names_that_file_and_line(team):
    shared = team.parent / "shared.toml"
    shared.write_text(SHARED.replace('["swearing"]', '["swering"]'))
    [problem] = check_playbook(team)
    line = SHARED.splitlines().index('signals = ["swearing"]') + 1
    assert problem.startswith(
        f"{shared}:{line}: plays.swear.signals: 'swering' is none of the signals: did you mean swearing?"
    )


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (
            'include = ["gone.toml"]',
            "gone.toml: No such file or directory; expected a file beside it, or one of shared/abuse",
        ),
        ('include = ["shared/gone"]', "team.toml:1: include: no playbook 'shared/gone': expected one of shared/abuse,"),
        ('include = ["Shared/Care"]', "team.toml:1: include: "),
        ('include = [""]', "team.toml:1: include: no playbook '': expected one of"),
        ('include = ["."]', "team.toml:1: include: "),
        (r'include = ["a\u0000b.toml"]', "a?b.toml: no name that a file can have"),
        (f'include = ["{"x" * 5000}"]', "team.toml:1: include: "),
        ('include = ["shared.toml", "shared.toml"]', "team.toml:1: include: 'shared.toml' stands twice"),
        ('include = ["team.toml"]', "includes itself"),
        ('include = "shared.toml"', "expected a list of names in quotes"),
        ('include = ["shared.toml", "twin.toml"]', "expected it once; include one of them"),
        ('include = ["shared.toml"]\nleave_out = ["plays.swaer"]', "'plays.swaer' is not included: expected one of"),
        ('incldue = ["shared.toml"]', "incldue: unknown key: expected one of about, id, include"),
    ],
)
def test_a_bad_include_is_refused_with_its_place(team, head, says):
    (team.parent / "twin.toml").write_text(SHARED)
    team.write_text(f"{head}\n{SOUND}")
    problems = check_playbook(team)
    assert any(says in line and ".toml" in line for line in problems), problems
    assert len(problems) == 1 and len(problems[0]) < 800


def test_a_part_of_a_playbook_is_none_by_itself():
    assert check_playbook("shared/care") == [
        "shared/care.toml: expected a playbook: id, name, release, method, steps; a part of one is named in an include"
    ]


def test_includes_that_go_round_over_folders_are_refused_with_both_files(tmp_path):
    first, second = tmp_path / "a" / "one.toml", tmp_path / "b" / "two.toml"
    for path, other in ((first, "../b/two.toml"), (second, "../a/one.toml")):
        path.parent.mkdir()
        path.write_text(f'include = ["{other}"]\n{SOUND}')
    assert check_playbook(first) == [f"{second}:1: include: {first} includes itself: leave one of them out"]


STEP = 'id = "own"\ntitle = "Own it"'
PLAY = 'id = "claim"\nsignals = ["influence_claim"]'
OPTION = 'id = "fee"'


@pytest.mark.parametrize(
    ("after", "added", "says"),
    [
        (STEP, 'after = ["gone"]', "steps.own.after: no step 'gone': expected one of own"),
        (STEP, 'after = ["own"]', "'own' waits for itself"),
        (STEP, 'levels = ["calm"]', "cannot be reached: a calm call gets no card"),
        (STEP, 'levels = ["furious"]', "steps.own.levels.0"),
        (STEP, 'words = ["(open"]', "'(open' is no phrase: ( is not closed"),
        (STEP, 'words = ["[good] [morning]"]', "'[good] [morning]' is no phrase: it needs no word"),
        (STEP, 'fits = ["anger"]', "'anger' is none of the signals"),
        (STEP, 'avoid = "see to it"', "'see to it' is what not to say, but 'I will see to it.' says it"),
        (PLAY, 'after = ["claim"]', "'claim' waits for itself"),
        (PLAY, 'after = ["gone"]', "plays.claim.after: no play 'gone'"),
        (PLAY, 'levels = ["calm"]', "a calm call gets no card"),
        (PLAY, 'least = "urgent"', "answers only urgent signals, but its tier is not urgent"),
        (PLAY, "at_least = 0", "plays.claim.at_least"),
        (OPTION, 'reasons = ["a|b"]', "options.fee.reasons: 'a|b' is no phrase: | stands outside ( )"),
        (OPTION, 'signals = ["anger"]', "options.fee.signals: 'anger' is none of the signals"),
        (OPTION, 'expires = "some day"', "options.fee.expires"),
        (OPTION, 'say = ["One month free!"]', "expected no exclamation mark"),
    ],
)
def test_what_contradicts_itself_or_cannot_be_reached_is_refused_at_its_line(tmp_path, after, added, says):
    path = tmp_path / "bad.toml"
    assert after in SOUND
    text = SOUND.replace(after, f"{after}\n{added}", 1)
    path.write_text(text)
    problems = check_playbook(path)
    assert any(says in line for line in problems), problems
    line = text.splitlines().index(added) + 1
    assert any(each.startswith(f"{path}:{line}: ") for each in problems), problems


def test_steps_that_wait_for_each_other_are_refused(tmp_path):
    path = tmp_path / "circle.toml"
    second = STEP.replace("own", "other").replace("Own it", "Other") + '\nafter = ["own"]\nticked_by = ["apology"]\n'
    path.write_text(SOUND.replace(STEP, f'{STEP}\nafter = ["other"]') + "\n[[steps]]\n" + second)
    assert sum("waits for itself" in line for line in check_playbook(path)) == 2


def test_with_the_rules_examples_and_lines_are_tried(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        SOUND.replace(STEP, STEP + '\nexamples = ["I will see to it", "good morning"]').replace(
            "This is mine now.", "That is our policy."
        )
    )
    first, second = check_playbook(path, rules=load_rules())
    assert "steps.own.examples: 'good morning' does not tick it: expected ownership" in first
    assert "plays.claim.say" in second and "would be heard as policy" in second


RULES = """version = "1"
owner = "team"
language = "en"
[[rule]]
id = "own.portal"
signal = "supervisor_demand"
phrases = ["your portal is down"]
fires = ["your portal is down"]
"""


def test_rules_of_ones_own_are_checked_beside_the_shipped_ones(tmp_path):
    own, book = tmp_path / "own.toml", tmp_path / "mine.toml"
    own.write_text(RULES)

    def check(playbook):
        return CliRunner().invoke(app, ["playbook", "check", str(playbook), "--rules", str(own)])

    good = check("default")
    assert good.exit_code == 0 and "playbooks ok: default; rules ok (" in good.output, good.output
    assert "; 1 are your own: a server that runs takes changed rules in when it is started again" in good.output
    settings = tmp_path / "assist.toml"
    settings.write_text('rules = ["own.toml"]')
    for more in ([], ["--rules", str(own)]):
        found = CliRunner().invoke(app, ["playbook", "check", "default", "--config", str(settings), *more])
        assert found.exit_code == 0 and found.output == good.output
    book.write_text(SOUND.replace("This is mine now.", "That is our policy."))
    wrong = check(book)
    assert wrong.exit_code == 1 and "would be heard as policy" in wrong.output
    taken = load_rules().rules[0].id
    own.write_text(RULES.replace("own.portal", taken))
    error = check("default").exception
    assert isinstance(error, RuleError) and f"id: {taken!r} is taken by the shipped" in str(error)


def test_only_a_whole_playbook_is_copied(tmp_path):
    for name in ("shared/care", "mine.toml"):
        with pytest.raises(PlaybookError, match="no playbook .*: expected one of default, .*, turn-around$"):
            copy_playbook(name, tmp_path / "copy.toml")
    assert list(tmp_path.iterdir()) == []


def test_without_names_the_playbook_and_the_options_in_force_are_checked_and_tried_too(tmp_path, monkeypatch):
    """All shipped ones are sound whatever a team has made of its own."""
    monkeypatch.setattr("assist.coach.playbook.list_playbooks", lambda: ["default"])
    monkeypatch.setattr("detectors.examples.failing_examples", lambda rulebook: [])  # they cost seconds
    settings, mine, options = tmp_path / "s.toml", tmp_path / "mine.toml", tmp_path / "ours.toml"
    mine.write_text(SOUND.replace("This is mine now.", "This is mine now!"))
    options.write_text(SOUND[SOUND.index("[[options]]") :])

    def run(command, *more):
        return CliRunner().invoke(app, ["playbook", command, *more, "--config", str(settings)])

    settings.write_text('playbook = "mine.toml"')
    broken = run("check")
    assert broken.exit_code == 1 and f"{mine}:" in broken.output and "no exclamation mark" in broken.output
    assert isinstance(run("test").exception, PlaybookError)
    settings.write_text('options = "ours.toml"')
    sound = run("check", "default")
    assert sound.exit_code == 0 and f"playbooks ok: default with {options}; rules ok" in sound.output, sound.output
    options.write_text(options.read_text().replace("cost = 4", "cost = 40"))
    for names in ([], ["default"]):
        assert f"{options}:6: options.fee.cost: 40 is over every limit" in run("check", *names).output


def test_every_method_has_steps_plays_of_its_own_and_enough_to_give():
    for name in list_playbooks():
        book = load_playbook(name)
        assert 4 <= len(book.steps) <= 6 and book.about
        assert 5 <= len(book.options) <= 10, "five to ten things to give (Tschohl)"
        for step in book.steps:
            assert len(step.say) >= 3 and step.examples and step.looks_like and step.avoid, f"{name}: {step.id}"
        for play in book.plays:
            assert len(play.say) >= 2 and play.avoid, f"{name}: {play.id}"


@pytest.mark.parametrize(
    "words",
    ["be passed on again", "last call about", "for the last time", "my manager is yours", "you get my manager",
     "have my manager", "can speak to my manager", "can bring in my manager"],
)  # fmt: skip
def test_no_line_promises_what_others_decide(words):
    assert [line for line in _lines() if words in line] == []


@pytest.mark.parametrize(
    "words",
    ["how worn out", "before you go, let me do", "from the beginning", "see what i can give back", "what brought you"],
)
def test_no_line_of_a_play_or_step_says_of_the_caller_what_its_signal_does_not_tell(words):
    """Scorn is no weariness, "I give up" is not hanging up, who withholds a payment wants nothing back, who has told it
    all does not begin again."""
    assert [line for line in _lines() if words in line] == []


def test_no_method_tells_who_asks_for_somebody_else_that_nobody_else_is_needed():
    for name in list_playbooks():
        book = load_playbook(name)
        plays = [play for play in book.plays if "supervisor_demand" in play.signals]
        assert plays and all("that is me" not in line for play in plays for line in play.say), name


def _lines():
    books = [load_playbook(name) for name in list_playbooks()]
    return [line.lower() for book in books for part in (*book.plays, *book.steps) for line in part.say]


def test_other_options_take_the_place_of_those_the_playbook_has(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(SOUND[SOUND.index("[[options]]") :])
    book = load_playbook("default", options=path)
    assert [option.id for option in book.options] == ["fee"]
    assert book.version != load_playbook("default").version
    path.write_text(path.read_text().replace("cost = 4", "cost = 40"))
    assert check_playbook("default", options=path)[0].startswith(f"{path}:6: options.fee.cost: 40 is over every limit")
