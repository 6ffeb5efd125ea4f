"""Recognition in processes of its own: killed, stopped, poisoned and starved ones, with real signals."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from assist.live import loading
from assist.settings import Settings
from audio.decode_queue import DECODE_TIMEOUT_MS, UtteranceTask
from audio.errors import AudioError
from audio.events import Chunk, Gap, Speaker, Utterance
from audio.listener import Listener
from audio.normalisation import normalised
from audio.processes import COMMAND, Pool, WorkerLost, WorkerProcess
from audio.scheduling import Scheduler
from audio.worker import Model

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "models" / "test-recogniser"
DATA = ROOT / "tests" / "data"
BOTH = (Speaker.AGENT, Speaker.CUSTOMER)
WHISPER = Model("audio.whisper:WhisperRecogniser", {"folder": str(FOLDER), "device": "cpu", "floor_frames": 300})
DEADLY = Model("tests.recogniser_faults:Deadly", {})
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Children find `tests`."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def chunks():
    """The first 16 s of a call: two utterances of each side."""
    sound = soundfile.read(DATA / "spoken-call.flac", dtype="float32", frames=16 * 16_000)[0].T.copy()
    return [
        Chunk(at // 16, dict(zip(BOTH, sound[:, at : at + 1600], strict=True))) for at in range(0, sound.shape[1], 1600)
    ]


def texts(heard):
    return [
        (item.speaker, [normalised(word.text) for word in item.words]) for item in heard if isinstance(item, Utterance)
    ]


def listen(scheduler, chunks, at=None, deed=lambda: None):
    """Everything heard; `deed` is done once the chunk number `at` has been pushed."""
    listener = Listener(scheduler, BOTH)
    heard = []
    for number, chunk in enumerate(chunks):
        heard += listener.push(chunk)
        if number == at:
            deed()
    return sorted(texts(heard + listener.finish())), heard


@pytest.fixture(scope="module")
def undisturbed(chunks):
    scheduler = Scheduler(WHISPER.load(), 1)
    said, _ = listen(scheduler, chunks)
    scheduler.close()
    return said


def gone(pid):
    """A descriptor that is readable once this process has ended."""
    return os.pidfd_open(pid)


def ended(descriptor, within_s=30):
    ready, _, _ = select.select([descriptor], [], [], within_s)
    os.close(descriptor)
    return bool(ready)


def request_sent(scheduler, level, answers):
    """An utterance of that loudness, its last words asked for."""
    line = scheduler.open_channel(Speaker.CUSTOMER)
    task = UtteranceTask(line, (), lambda answer: answers.append(answer.words))
    scheduler.submit(task, np.full(800, level, np.float32), final=True)
    return line


def test_processes_hear_what_one_model_here_hears(chunks, undisturbed):
    scheduler = Scheduler(Pool(WHISPER, 2))
    said, _ = listen(scheduler, chunks)
    assert said == undisturbed and len(said) == 4
    assert scheduler.recogniser.cpu_s > 0 and scheduler.recogniser.name == WHISPER.load().name
    scheduler.close()


def test_processes_that_die_while_they_decode_lose_no_word(chunks, undisturbed, caplog):
    """One is killed, the other crashes."""
    pool = Pool(WHISPER, 2)
    scheduler = Scheduler(pool)
    first = [process.pid for process in pool.processes]
    for pid in first:
        os.kill(pid, signal.SIGSTOP)  # so that what is asked next is surely under way when they die

    def die():
        for pid, how in zip(first, (signal.SIGKILL, signal.SIGSEGV), strict=True):
            os.kill(pid, how)
            os.kill(pid, signal.SIGCONT)

    said, heard = listen(scheduler, chunks, at=60, deed=die)
    assert said == undisturbed
    assert not [item for item in heard if isinstance(item, Gap)]
    assert scheduler.crashes == 2 and not scheduler.missing
    assert {process.pid for process in pool.processes}.isdisjoint(first)
    scheduler.close()


def test_a_process_that_hangs_is_ended_and_its_words_come_after_all(chunks, undisturbed, caplog):
    now = [0.0]
    pool = Pool(WHISPER, 1)
    scheduler = Scheduler(pool, clock=lambda: now[0])
    stopped = pool.processes[0].pid
    descriptor = gone(stopped)
    os.kill(stopped, signal.SIGSTOP)

    was_ended = []

    def time_passes():
        now[0] += DECODE_TIMEOUT_MS[1] / 1000
        scheduler.end_hung_processes()
        was_ended.append(ended(descriptor, within_s=10))
        if not was_ended[0]:
            os.kill(stopped, signal.SIGCONT)

    said, _ = listen(scheduler, chunks, at=60, deed=time_passes)
    assert was_ended == [True] and said == undisturbed
    assert scheduler.crashes == 1
    scheduler.close()


def test_processes_that_died_while_nobody_spoke_are_not_what_is_said_next_at_fault(caplog):
    pool = Pool(DEADLY, 2)
    scheduler, answers = Scheduler(pool), []
    for process in pool.processes:
        process.kill()
        process._reader.join()
    scheduler.wait([request_sent(scheduler, 0.1, answers)])
    assert [words and words[0].text for words in answers] == ["800"]
    scheduler.close()


def test_what_two_processes_were_lost_over_for_another_reason_is_heard_by_the_third(caplog):
    pool = Pool(DEADLY, 2)
    scheduler, answers = Scheduler(pool), []
    for process in pool.processes:
        os.kill(process.pid, signal.SIGSTOP)  # so that the request is surely under way
    line = request_sent(scheduler, 0.1, answers)
    for _ in range(2):
        while not (asked := [one for one in pool.processes if one._waiting]):
            pass
        os.kill(asked[0].pid, signal.SIGKILL)
        asked[0]._reader.join()
    scheduler.wait([line])
    assert [words and words[0].text for words in answers] == ["800"] and scheduler.crashes == 2
    for process in pool.processes:
        os.kill(process.pid, signal.SIGCONT)
    scheduler.close()


def test_speech_that_ends_three_processes_is_given_up_and_others_go_on(caplog):
    pool = Pool(DEADLY, 2)
    scheduler, poisoned, well = Scheduler(pool), [], []
    scheduler.wait([request_sent(scheduler, 0.1, well)])
    lines = [request_sent(scheduler, 1.0, poisoned), *(request_sent(scheduler, 0.1, well) for _ in range(5))]
    scheduler.wait(lines)
    assert poisoned == [None]
    assert [words[0].text for words in well] == ["800"] * 6
    assert scheduler.crashes == 3
    scheduler.wait([request_sent(scheduler, 0.1, well)])
    assert well[-1] is not None
    scheduler.close()


def test_a_recogniser_that_raises_in_its_process_loses_only_that_decode(caplog):
    scheduler, bad, well = Scheduler(Pool(DEADLY, 1)), [], []
    scheduler.wait([request_sent(scheduler, -0.5, bad), request_sent(scheduler, 0.1, well)])
    assert bad == [None] and well[0] is not None and scheduler.crashes == 0
    assert "ValueError" in caplog.text
    scheduler.close()


def test_a_process_that_hangs_before_it_has_read_what_it_was_given_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("audio.processes.EXIT_TIMEOUT_S", 0.1)
    pool, lost = Pool(DEADLY, 1), []
    process = pool.processes[0]
    decoding = process.begin()
    decoding.extend(np.zeros(1 << 20, np.float32))  # more than a pipe holds

    def request():
        try:
            decoding.final()
        except WorkerLost as error:
            lost.append(error)

    os.kill(process.pid, signal.SIGSTOP)
    asking = threading.Thread(target=request, daemon=True)
    asking.start()
    while process._send_lock.acquire(blocking=False):
        process._send_lock.release()
    ending = threading.Thread(target=pool.close, daemon=True)
    ending.start()
    ending.join(20)
    held_up = ending.is_alive()
    process.kill()
    asking.join()
    assert not held_up and len(lost) == 1


def test_processes_that_never_answer_are_given_up_and_said_so(monkeypatch, caplog):
    monkeypatch.setattr("audio.scheduling.MIN_RESTART_DELAY_S", 0.01)
    scheduler, answers = Scheduler(Pool(DEADLY, 1)), []
    for _ in range(2):
        scheduler.wait([request_sent(scheduler, 1.0, answers)])
    assert answers == [None, None]
    assert "no words are heard" in scheduler.missing and scheduler.recogniser is None
    scheduler.adopt(Pool(DEADLY, 1))
    scheduler.wait([request_sent(scheduler, 0.1, answers)])
    assert answers[-1] is not None and not scheduler.missing
    scheduler.close()


def test_a_process_whose_pipe_is_closed_already_is_lost_and_not_a_decode_that_failed():
    pool = Pool(DEADLY, 1)
    process = pool.processes[0]
    decoding = process.begin()
    process._child.stdin.close()  # as its reader does a moment before it tells so
    with pytest.raises(WorkerLost):
        process.request("hypothesis", [decoding])
    pool.close()


def test_a_process_that_cannot_be_started_again_is_said_so_and_another_recogniser_goes_on(caplog):
    import resource

    pool, answers, told = Pool(DEADLY, 1), [], threading.Event()
    scheduler = Scheduler(pool)

    def tell(answer):
        answers.append(answer.words)
        told.set()

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # not one more file, nor pipe
    try:
        os.kill(pool.processes[0].pid, signal.SIGKILL)
        task = UtteranceTask(scheduler.open_channel(Speaker.CUSTOMER), (), tell)
        scheduler.submit(task, np.full(800, 0.1, np.float32), final=True)
        assert told.wait(20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert answers == [None] and "could not be started: Too many open files" in scheduler.missing
    scheduler.adopt(Pool(DEADLY, 1))
    scheduler.wait([request_sent(scheduler, 0.1, answers)])
    assert answers[-1] is not None and not scheduler.missing
    scheduler.close()


def test_what_ends_the_program_leaves_its_recogniser_to_the_last_words():
    """Ctrl-C, a terminal that is closed and a service that is stopped are told to every process of the program."""
    one = WorkerProcess(DEADLY)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(one.pid, number)
    decoding = one.begin()
    decoding.extend(np.full(800, 0.1, np.float32))
    assert [word.text for word in decoding.final()] == ["800"]
    one.close()


def test_a_program_that_hears_one_call_loads_a_recogniser_again_that_was_given_up(monkeypatch, caplog):
    monkeypatch.setattr(loading, "load_recogniser", lambda *_, **__: (Pool(DEADLY, 1), "deadly"))
    hearing = loading.load_hearing(Settings(), Console(quiet=True))
    told, back = threading.Event(), threading.Event()
    hearing.on_available = back.set
    (process,) = hearing.recogniser().processes
    process._command = ("/no such program",)
    process.kill()
    hearing.decode_in_background(np.full(800, 0.1, np.float32), (), lambda words: told.set())
    assert told.wait(20) and back.wait(20)
    hearing.close()


def test_a_child_ends_with_its_parent_even_in_the_middle_of_a_decode():
    script = (
        "import numpy, sys\nfrom audio.processes import WorkerProcess\nfrom tests.test_audio_processes import WHISPER\n"
        "one = WorkerProcess(WHISPER)\ndecoding = one.begin()\ndecoding.extend(numpy.zeros(160000, 'float32'))\n"
        "print(one.pid, flush=True)\nwhile True: decoding.hypothesis()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        descriptor = gone(int(parent.stdout.readline()))
        parent.kill()
    assert ended(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_crash_leaves_no_core_file_of_the_program_nor_of_a_recogniser(tmp_path):
    def cores(command):
        wanted = "import os, resource as r; r.setrlimit(r.RLIMIT_CORE, (r.getrlimit(r.RLIMIT_CORE)[1],) * 2); "
        crashed = subprocess.run([sys.executable, "-c", wanted + command], cwd=tmp_path)
        assert crashed.returncode == -signal.SIGABRT
        return list(tmp_path.iterdir())

    assert not cores("from assist.commands import main as it; it.app = os.abort; it.main()")
    one = WorkerProcess(DEADLY)
    limits = Path(f"/proc/{one.pid}/limits").read_text()
    one.close()
    [limit] = [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size")]
    assert limit in (["1", "1"], ["0", "0"])  # the second where nobody may have any
    if not cores("os.abort()"):
        pytest.skip("core files of other programs are not written here either")


def test_a_child_whose_parent_ends_before_it_says_which_model_has_nothing_to_say():
    child = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")


def test_a_child_holds_neither_sockets_nor_files_of_its_parent(tmp_path):
    with (tmp_path / "own").open("w") as own:
        one = WorkerProcess(DEADLY)
        held = {os.readlink(link) for link in Path(f"/proc/{one.pid}/fd").iterdir()}
        one.close()
        assert own.name not in held and not any(name.startswith("socket:") for name in held)


def test_a_model_that_cannot_be_loaded_is_told_in_its_own_line(tmp_path):
    with pytest.raises(AudioError) as error:
        Pool(Model(WHISPER.loader, {"folder": str(tmp_path)}), 2)
    assert error.value.code == "model-corrupt" and str(tmp_path) in str(error.value)


def test_a_process_that_ends_before_it_is_told_its_model_is_told_in_one_line():
    before = threading.enumerate()

    class Awaited(Mapping):
        """Options that are read when the process has ended and its pipes are closed."""

        def __getitem__(self, name):
            raise KeyError(name)

        def __len__(self):
            return 0

        def __iter__(self):
            for thread in threading.enumerate():
                if thread not in before:
                    thread.join()
            return iter(())

    with pytest.raises(AudioError) as error:
        WorkerProcess(Model("none:none", Awaited()), command=("true",))
    assert error.value.code == "model-memory"


def test_too_little_memory_for_a_model_is_told_in_one_line(capfd):
    limited = ("prlimit", f"--as={220 << 20}", *COMMAND)
    with pytest.raises(AudioError) as error:
        WorkerProcess(WHISPER, command=limited)
    assert error.value.code == "model-memory" and "smaller model" in str(error.value)


class Killer:
    """Kills or stops one process after another, every 2 s, each when the one before is there again."""

    def __init__(self, pool, deeds):
        self.pool, self.deeds, self.revived_s = pool, list(deeds), []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        for number, deed in enumerate(self.deeds):
            process = self.pool.processes[number % 2]
            life, at = process.generation, time.monotonic()
            os.kill(process.pid, deed)
            while deed == signal.SIGKILL and (process.generation == life or not process.alive):
                if self.over.wait(0.01):
                    return
            if deed == signal.SIGKILL:
                self.revived_s.append(time.monotonic() - at)
            if self.over.wait(2.0):
                return
        self.over.set()


@pytest.mark.slow
def test_fifty_killed_and_ten_stopped_processes_lose_no_word(undisturbed, chunks, caplog, capsys):
    """Four calls at a time at the pace of real time. A stopped process is noticed after 10 s."""
    pool = Pool(WHISPER, 2)
    scheduler = Scheduler(pool)
    killer = Killer(pool, [signal.SIGKILL] * 50 + [signal.SIGSTOP] * 10)
    began, number, calls, failed, differing, waits_ms = time.monotonic(), 0, 0, 0, 0, []
    while not killer.over.is_set():
        listeners = [Listener(scheduler, BOTH) for _ in range(4)]
        said = [[] for _ in listeners]
        for chunk in chunks:
            number += 1
            killer.thread.join(max(0.0, began + number / 10 - time.monotonic()))
            for items, listener in zip(said, listeners, strict=True):
                items += listener.push(chunk)
                waits_ms.append(scheduler.lag_ms(channel.queue for channel in listener._channels.values()))
        for items, listener in zip(said, listeners, strict=True):
            items += listener.finish()
            calls += 1
            failed += sum(isinstance(item, Gap) for item in items)
            differing += sorted(texts(items)) != undisturbed
    killer.over.set()
    killer.thread.join()
    scheduler.close()
    with capsys.disabled():
        print(
            f"\n{scheduler.crashes} processes lost; of {calls} calls {differing} with other words, "
            f"{failed} ranges failed;"
            f" there again after {np.median(killer.revived_s):.2f} s (at most {max(killer.revived_s):.2f}); "
            f"oldest unanswered wish: p95 {np.percentile(waits_ms, 95):.0f} ms, at most {max(waits_ms)} ms"
        )
    assert scheduler.crashes >= 50 and len(killer.revived_s) == 50
    assert failed == 0 and differing == 0
