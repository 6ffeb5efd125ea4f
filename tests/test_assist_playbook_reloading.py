"""A playbook is read again when a call begins; a bad edit leaves the one before in force and says so."""

import asyncio

import pytest

from assist.coach.playbook import PlaybookError, copy_playbook
from assist.coach.reloading import ReloadingPlaybook
from assist.events import CallStarted
from audio.events import Trouble
from tests.scripted_call import Source, on_stage


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    copy_playbook("jerk", path)
    return path


def test_an_edit_counts_from_the_next_call(mine):
    playbooks = ReloadingPlaybook(mine)
    before, problem = playbooks.current()
    assert (before.release, problem) == ("1.0", "")
    assert playbooks.current()[0] is before, "unchanged, it is not made again"
    mine.write_text(mine.read_text().replace('release = "1.0"', 'release = "1.1"'))
    assert playbooks.current()[0].release == "1.1"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (('ticked_by = ["remedy"', 'ticked_by = ["remidy"'), "'remidy' is none of the agent steps"),
        (('release = "1.0"', 'release = "1.0'), "not valid TOML"),
        (('"shared/care"', '"shared/cure"'), "no playbook 'shared/cure'"),
    ],
)
def test_a_bad_edit_leaves_the_one_before_in_force_and_is_said_at_every_call(mine, edit, says):
    playbooks = ReloadingPlaybook(mine)
    good = mine.read_text()
    assert edit[0] in good
    mine.write_text(good.replace(*edit, 1))
    for _ in range(2):
        book, problem = playbooks.current()
        assert book.release == "1.0" and says in problem and problem.endswith(f"{book.version} stays in force")
    mine.write_text(good.replace('release = "1.0"', 'release = "1.2"'))
    assert (playbooks.current()[0].release, playbooks.current()[1]) == ("1.2", "")


@pytest.mark.parametrize("broken", ["[[plays\n", None], ids=["typo", "gone for a moment"])
def test_an_edit_that_is_undone_is_no_trouble_any_more(mine, broken):
    playbooks = ReloadingPlaybook(mine)
    good = mine.read_text()
    mine.unlink() if broken is None else mine.write_text(good + broken)
    assert playbooks.current()[1]
    mine.write_text(good)
    book, problem = playbooks.current()
    assert (book.release, problem) == ("1.0", "")


def test_a_file_that_is_gone_leaves_the_one_before_in_force(mine):
    playbooks = ReloadingPlaybook(mine)
    mine.unlink()
    book, problem = playbooks.current()
    assert book.release == "1.0" and "No such file" in problem


def test_an_edit_of_an_included_file_counts_too(tmp_path, mine):
    extra = '[[plays]]\nid = "x"\nsignals = ["police"]\ntitle = "One"\nsay = ["One line."]\n'
    (tmp_path / "extra.toml").write_text(extra)
    mine.write_text(mine.read_text().replace('"shared/options"]', '"shared/options", "extra.toml"]'))
    playbooks = ReloadingPlaybook(mine)
    first, _ = playbooks.current()
    (tmp_path / "extra.toml").write_text(extra.replace("One line.", "Another line."))
    second, _ = playbooks.current()
    assert second.version != first.version
    assert next(play for play in second.plays if play.id == "x").say == ["Another line."]


def test_without_a_sound_first_reading_there_is_no_playbook(tmp_path):
    with pytest.raises(PlaybookError):
        ReloadingPlaybook(tmp_path / "gone.toml")


def test_the_running_program_reads_it_at_each_call_and_keeps_the_version_in_the_record(tmp_path, mine):
    async def scenario():
        stage = await on_stage(tmp_path / "data", playbooks=ReloadingPlaybook(mine), consent="granted")
        await stage.end()
        versions, steps = [], []
        first = mine.read_text()
        second = first.replace('release = "1.0"', 'release = "2.0"')
        for text in (first, second, second + "[["):
            mine.write_text(text)
            heard, source = [], Source()
            call, task = stage.service.start(source, on_event=heard.append)
            source.play(1000)
            source.stop()
            await task
            assert isinstance(heard[0], CallStarted)
            said = [event.text for event in heard if isinstance(event, Trouble) and event.code == "playbook-kept"]
            assert bool(said) == text.endswith("[[")
            versions.append(stage.service.store.record(call)["versions"]["playbook"])
            steps.append(stage.shown("steps").method)
        assert versions[0].startswith("jerk 1.0 (") and versions[1].startswith("jerk 2.0 (")
        assert versions[2] == versions[1]
        assert steps == ["J.E.R.K."] * 3
        await stage.close()

    asyncio.run(scenario())
