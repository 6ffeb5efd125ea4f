import threading

import numpy as np
import pytest

from audio.agenda import FINAL_DUE_MS, HUNG_MS, THROTTLE_MS, Agenda, Task
from audio.events import Speaker, Word
from audio.scheduling import Scheduler

PIECE = np.zeros(1600, np.float32)


def task(line, answers=None):
    def deliver(answer):
        if answers is not None:
            answers.append((answer.final, answer.words))

    return Task(line, (), deliver, [PIECE])


class KeyedDecoding:
    """Only what the agenda asks of a decoding: what it can be batched with."""

    def __init__(self, key):
        self.key = key

    def batch_key(self, samples):
        return self.key


def test_the_earliest_deadline_goes_first_and_the_customer_before_the_agent():
    agenda = Agenda()
    agent, customer, other = (agenda.open(who) for who in (Speaker.AGENT, Speaker.CUSTOMER, Speaker.CUSTOMER))
    agenda.submit(task(agent), 0, final=False)
    agenda.submit(task(customer), 10, final=False)
    agenda.submit(task(other), 20, final=True)
    order = [agenda.take(30)[0].task.line for _ in range(3)]
    assert order == [other, customer, agent]


def test_a_newer_hop_replaces_the_waiting_one_and_keeps_its_place():
    agenda = Agenda()
    line = agenda.open(Speaker.CUSTOMER)
    one = task(line)
    agenda.submit(one, 0, final=False)
    one.sound.append(PIECE)
    agenda.submit(one, 600, final=False)
    (job,) = agenda.take(700)
    assert (job.asked_ms, job.pieces) == (0, 2)
    agenda.done(job)
    assert agenda.take(700) == []


def test_finals_are_never_dropped_and_come_in_order_while_their_hops_are():
    agenda = Agenda()
    line = agenda.open(Speaker.CUSTOMER)
    tasks = [task(line) for _ in range(50)]
    for at, one in enumerate(tasks):
        agenda.submit(one, at, final=False)
        agenda.submit(one, at, final=True)
    done = []
    while jobs := agenda.take(100):
        done += [(job.task, job.final) for job in jobs]
        for job in jobs:
            agenda.done(job)
    assert done == [(one, True) for one in tasks]


def test_a_late_final_goes_before_hops_that_are_later_still():
    agenda = Agenda()
    hopping, ending = agenda.open(Speaker.CUSTOMER), agenda.open(Speaker.AGENT)
    agenda.submit(task(hopping), 0, final=False)
    agenda.submit(task(ending), 5000, final=True)
    assert agenda.take(5100)[0].task.line is hopping
    agenda.submit(task(hopping), 5100, final=False)
    agenda.done(agenda.running[0])
    assert agenda.take(9000)[0].final


def test_a_channel_is_decoded_by_one_worker_at_a_time():
    agenda = Agenda()
    line = agenda.open(Speaker.CUSTOMER)
    agenda.submit(task(line), 0, final=True)
    agenda.submit(task(line), 0, final=True)
    (job,) = agenda.take(0)
    assert agenda.take(0) == []
    agenda.done(job)
    assert agenda.take(0) != []


def test_hops_that_fit_together_are_taken_as_one_batch_and_finals_alone():
    agenda = Agenda(batch=3)
    lines = [agenda.open(Speaker.CUSTOMER) for _ in range(6)]
    for line, key in zip(lines, "aabaaa", strict=True):
        one = task(line)
        one.decoding = KeyedDecoding(key)
        agenda.submit(one, 0, final=False)
    first, second = agenda.take(0), agenda.take(0)
    assert [job.task.line for job in first] == [lines[0], lines[1], lines[3]]
    assert [job.task.line for job in second] == [lines[2]]
    third = agenda.take(0)
    assert [job.task.line for job in third] == [lines[4], lines[5]]


def test_what_must_not_depend_on_other_calls_is_decoded_alone():
    agenda = Agenda(batch=3)
    lines = [agenda.open(Speaker.CUSTOMER, alone=alone) for alone in (True, False, True, False)]
    for line in lines:
        one = task(line)
        one.decoding = KeyedDecoding("a")
        agenda.submit(one, 0, final=False)
    taken = [[lines.index(job.task.line) for job in agenda.take(0)] for _ in range(3)]
    assert taken == [[0], [1, 3], [2]]


def test_hops_stretch_when_work_is_late_and_come_back_afterwards():
    agenda = Agenda()
    line = agenda.open(Speaker.CUSTOMER)
    agenda.submit(task(line), 0, final=True)
    assert agenda.interval_factor(0) == 1
    stretches = [agenda.interval_factor(FINAL_DUE_MS + times * THROTTLE_MS) for times in (0, 1, 4, 10)]
    assert stretches == [1, 2, 4, 0]
    late = FINAL_DUE_MS + 10 * THROTTLE_MS
    (job,) = agenda.take(late)
    agenda.done(job)
    assert agenda.interval_factor(late) == 0
    assert agenda.interval_factor(late + 60_000) == 1


def test_a_failed_job_is_tried_once_more_from_the_beginning():
    agenda = Agenda()
    line = agenda.open(Speaker.CUSTOMER)
    one = task(line)
    one.decoding, one.taken = KeyedDecoding("a"), 1
    agenda.submit(one, 0, final=True)
    for _ in range(2):
        (job,) = agenda.take(0)
        agenda.done(job)
        agenda.again(job)
        assert (one.decoding, one.taken) == (None, 0)
    assert agenda.take(0) == []


def test_a_minute_at_half_the_speed_that_is_needed_loses_no_last_words_and_is_caught_up_within_the_next():
    """8 calls, one worker: their last words alone take it 2 s per second for a minute, then 0.5 s. Time is counted."""
    agenda, lines = Agenda(), []
    for _ in range(8):
        lines += [agenda.open(Speaker.AGENT), agenda.open(Speaker.CUSTOMER)]
    talking: list[Task | None] = [None] * 8
    wanted, answered, hops, most_held, caught_up_at = set(), set(), 0, 0, None
    running, free_at = [], 0.0
    for now in range(0, 120_000, 100):
        while free_at <= now:
            for job in running:
                agenda.done(job)
                answered |= {job.task} if job.final else set()
                hops += not job.final
            running = agenda.take(now)
            if not running:
                break
            speed = 2.0 if now < 60_000 else 0.5
            free_at = max(free_at, now) + max(job.samples for job in running) / 16 / 8 * speed
        for call in range(8):
            turn = (now + 500 * call) // 4000  # each speaks for 4 s, by turns
            at = (now + 500 * call) % 4000
            if at == 0 or talking[call] is None:
                talking[call] = task(lines[2 * call + turn % 2])
                wanted.add(talking[call])
            talking[call].sound.append(PIECE)
            if at == 3900:
                agenda.submit(talking[call], now, final=True)
            elif (
                at % 500 == 400
                and (interval_factor := agenda.interval_factor(now))
                and at % (500 * interval_factor) == 400
            ):
                agenda.submit(talking[call], now, final=False)
        held = sum(job.task.samples for line in lines for job in line.finals) * 4
        most_held = max(most_held, held)
        lag_ms = max((now - ms for line in lines if (ms := line.oldest_ms()) is not None), default=0)
        if caught_up_at is None and now > 60_000 and lag_ms < 1000:
            caught_up_at = now
    assert len(wanted - answered) <= 16, "all but those still being said"
    assert most_held <= 100 << 20
    assert caught_up_at is not None and caught_up_at <= 120_000
    assert hops > 0


class Faulty:
    """A recogniser that fails or hangs where its sound says so, and otherwise hears how much it was given."""

    name, version, embedded = "faulty", "1", False

    def __init__(self):
        self.release = threading.Event()
        self.entered = threading.Event()
        self.begun = 0

    def begin(self, *, phrases=()):
        self.begun += 1
        return FaultyDecoding(self, self.begun)


class FaultyDecoding:
    def __init__(self, owner, number):
        self.owner, self.number, self.samples, self.level = owner, number, 0, 0.0

    def extend(self, pcm):
        self.samples += len(pcm)
        self.level = max(self.level, float(pcm.max()))

    def hypothesis(self):
        return self.final()

    def final(self):
        if self.level == 1.0:
            raise RuntimeError("poison")
        if self.level == 0.5 and self.number == 1:
            raise RuntimeError("once")
        if self.level == 0.25:
            self.owner.entered.set()
            self.owner.release.wait()
        return (Word(str(self.samples), 0, 1),)


@pytest.fixture
def faulty():
    recogniser = Faulty()
    yield recogniser
    recogniser.release.set()


def run(scheduler, level, answers):
    line = scheduler.open(Speaker.CUSTOMER)
    one = task(line, answers)
    one.sound.clear()
    scheduler.submit(one, np.full(800, level, np.float32), final=False)
    scheduler.submit(one, np.full(800, level, np.float32), final=True)
    return line


def finals(answers):
    return [words for final, words in answers if final]


def test_a_decode_that_raises_is_tried_again_with_all_of_its_sound(faulty, caplog):
    scheduler, answers = Scheduler(faulty, 1), []
    scheduler.wait([run(scheduler, 0.5, answers)])
    assert finals(answers) == [(Word("1600", 0, 1),)]
    scheduler.close()


def test_a_poisoned_call_is_told_and_others_go_on(faulty, caplog):
    scheduler, poisoned, well = Scheduler(faulty, 1), [], []
    lines = [run(scheduler, 1.0, poisoned), run(scheduler, 0.1, well)]
    scheduler.wait(lines)
    assert finals(poisoned) == [None]
    assert finals(well) == [(Word("1600", 0, 1),)]
    scheduler.close()


def test_what_a_process_was_lost_over_is_decoded_alone_and_twice_at_most():
    agenda, seat, other = Agenda(), object(), object()
    lines = [agenda.open(Speaker.CUSTOMER) for _ in range(3)]
    tasks = [task(line) for line in lines]
    for number, one in enumerate(tasks):
        agenda.submit(one, number, final=True)
    (poison,) = agenda.take(10, seat)
    poison.task.lost += 1
    agenda.done(poison)
    agenda.again(poison)
    (first,) = agenda.take(10, other)  # alone in an idle seat
    assert first.task is poison.task and agenda.take(10, other) == []
    (well,) = agenda.take(10, seat)
    assert well.task is tasks[1]
    poison.task.lost += 1
    agenda.done(first)
    agenda.again(first)
    assert agenda.take(10, other)[0].task is tasks[2], "the third try is never"


def test_a_seat_goes_on_with_what_it_has_heard_and_takes_last_words_from_a_busy_one():
    agenda, seat, other = Agenda(), object(), object()
    lines = [agenda.open(Speaker.CUSTOMER) for _ in range(2)]
    hopping, ending = task(lines[0]), task(lines[1])
    for one in (hopping, ending):
        one.decoding = KeyedDecoding(None)
        one.decoding.home = seat
    agenda.submit(hopping, 0, final=False)
    assert agenda.take(0, other) == []
    agenda.submit(ending, 0, final=True)
    assert agenda.take(0, other)[0].task is ending
    assert agenda.take(0, seat)[0].task is hopping


def test_a_decode_hangs_when_it_takes_far_longer_than_others_did():
    agenda = Agenda()
    line = agenda.open(Speaker.CUSTOMER)
    least, most = HUNG_MS
    for took_ms, allowed_ms in ((300, least), (2000, 20_000), (9000, most)):
        agenda.submit(task(line), 0, final=True)
        (job,) = agenda.take(0)
        agenda.done(job, took_ms)
        agenda.submit(task(line), 0, final=True)
        (job,) = agenda.take(0)
        assert agenda.hung(allowed_ms - 1) == [] and agenda.hung(allowed_ms) == [job]
        agenda.done(job)


def test_closing_frees_whoever_waits(faulty):
    scheduler = Scheduler(faulty, 1)
    line = run(scheduler, 0.25, [])
    assert faulty.entered.wait(10)
    scheduler.close()
    scheduler.wait([line])
    assert not line.idle
