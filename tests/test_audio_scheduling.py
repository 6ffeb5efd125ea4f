import threading

import numpy as np
import pytest

from audio.decode_queue import DECODE_TIMEOUT_MS, FINAL_DUE_MS, THROTTLE_MS, DecodeQueue, UtteranceTask
from audio.events import Speaker, Word
from audio.scheduling import Scheduler

PIECE = np.zeros(1600, np.float32)


def task(line, answers=None):
    def deliver(answer):
        if answers is not None:
            answers.append((answer.final, answer.words))

    return UtteranceTask(line, (), deliver, [PIECE])


class KeyedDecoding:
    """Only what the queue asks of a decoding: what it can be batched with."""

    def __init__(self, key):
        self.key = key

    def batch_key(self, samples):
        return self.key


def test_the_earliest_deadline_goes_first_and_the_customer_before_the_agent():
    queue = DecodeQueue()
    agent, customer, other = (queue.open_channel(who) for who in (Speaker.AGENT, Speaker.CUSTOMER, Speaker.CUSTOMER))
    queue.submit(task(agent), 0, final=False)
    queue.submit(task(customer), 10, final=False)
    queue.submit(task(other), 20, final=True)
    order = [queue.take(30)[0].task.channel for _ in range(3)]
    assert order == [other, customer, agent]


def test_a_newer_hop_replaces_the_waiting_one_and_keeps_its_place():
    queue = DecodeQueue()
    line = queue.open_channel(Speaker.CUSTOMER)
    one = task(line)
    queue.submit(one, 0, final=False)
    one.sound.append(PIECE)
    queue.submit(one, 600, final=False)
    (job,) = queue.take(700)
    assert (job.submitted_ms, job.pieces) == (0, 2)
    queue.finish(job)
    assert queue.take(700) == []


def test_finals_are_never_dropped_and_come_in_order_while_their_hops_are():
    queue = DecodeQueue()
    line = queue.open_channel(Speaker.CUSTOMER)
    tasks = [task(line) for _ in range(50)]
    for at, one in enumerate(tasks):
        queue.submit(one, at, final=False)
        queue.submit(one, at, final=True)
    done = []
    while jobs := queue.take(100):
        done += [(job.task, job.final) for job in jobs]
        for job in jobs:
            queue.finish(job)
    assert done == [(one, True) for one in tasks]


def test_a_late_final_goes_before_hops_that_are_later_still():
    queue = DecodeQueue()
    hopping, ending = queue.open_channel(Speaker.CUSTOMER), queue.open_channel(Speaker.AGENT)
    queue.submit(task(hopping), 0, final=False)
    queue.submit(task(ending), 5000, final=True)
    assert queue.take(5100)[0].task.channel is hopping
    queue.submit(task(hopping), 5100, final=False)
    queue.finish(queue.running[0])
    assert queue.take(9000)[0].final


def test_a_channel_is_decoded_by_one_worker_at_a_time():
    queue = DecodeQueue()
    line = queue.open_channel(Speaker.CUSTOMER)
    queue.submit(task(line), 0, final=True)
    queue.submit(task(line), 0, final=True)
    (job,) = queue.take(0)
    assert queue.take(0) == []
    queue.finish(job)
    assert queue.take(0) != []


def test_hops_that_fit_together_are_taken_as_one_batch_and_finals_alone():
    queue = DecodeQueue(max_batch=3)
    lines = [queue.open_channel(Speaker.CUSTOMER) for _ in range(6)]
    for line, key in zip(lines, "aabaaa", strict=True):
        one = task(line)
        one.decoding = KeyedDecoding(key)
        queue.submit(one, 0, final=False)
    first, second = queue.take(0), queue.take(0)
    assert [job.task.channel for job in first] == [lines[0], lines[1], lines[3]]
    assert [job.task.channel for job in second] == [lines[2]]
    third = queue.take(0)
    assert [job.task.channel for job in third] == [lines[4], lines[5]]


def test_what_must_not_depend_on_other_calls_is_decoded_alone():
    queue = DecodeQueue(max_batch=3)
    lines = [queue.open_channel(Speaker.CUSTOMER, unbatched=unbatched) for unbatched in (True, False, True, False)]
    for line in lines:
        one = task(line)
        one.decoding = KeyedDecoding("a")
        queue.submit(one, 0, final=False)
    taken = [[lines.index(job.task.channel) for job in queue.take(0)] for _ in range(3)]
    assert taken == [[0], [1, 3], [2]]


def test_hops_stretch_when_work_is_late_and_come_back_afterwards():
    queue = DecodeQueue()
    line = queue.open_channel(Speaker.CUSTOMER)
    queue.submit(task(line), 0, final=True)
    assert queue.interval_factor(0) == 1
    stretches = [queue.interval_factor(FINAL_DUE_MS + times * THROTTLE_MS) for times in (0, 1, 4, 10)]
    assert stretches == [1, 2, 4, 0]
    late = FINAL_DUE_MS + 10 * THROTTLE_MS
    (job,) = queue.take(late)
    queue.finish(job)
    assert queue.interval_factor(late) == 0
    assert queue.interval_factor(late + 60_000) == 1


def test_a_failed_job_is_tried_once_more_from_the_beginning():
    queue = DecodeQueue()
    line = queue.open_channel(Speaker.CUSTOMER)
    one = task(line)
    one.decoding, one.pieces_fed = KeyedDecoding("a"), 1
    queue.submit(one, 0, final=True)
    for _ in range(2):
        (job,) = queue.take(0)
        queue.finish(job)
        queue.requeue(job)
        assert (one.decoding, one.pieces_fed) == (None, 0)
    assert queue.take(0) == []


def test_a_minute_at_half_the_speed_that_is_needed_loses_no_last_words_and_is_caught_up_within_the_next():
    """8 calls, one worker: their last words alone take it 2 s per second for a minute, then 0.5 s. Time is counted."""
    queue, lines = DecodeQueue(), []
    for _ in range(8):
        lines += [queue.open_channel(Speaker.AGENT), queue.open_channel(Speaker.CUSTOMER)]
    talking: list[UtteranceTask | None] = [None] * 8
    wanted, answered, hops, most_held, caught_up_at = set(), set(), 0, 0, None
    running, free_at = [], 0.0
    for now in range(0, 120_000, 100):
        while free_at <= now:
            for job in running:
                queue.finish(job)
                answered |= {job.task} if job.final else set()
                hops += not job.final
            running = queue.take(now)
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
                queue.submit(talking[call], now, final=True)
            elif (
                at % 500 == 400
                and (interval_factor := queue.interval_factor(now))
                and at % (500 * interval_factor) == 400
            ):
                queue.submit(talking[call], now, final=False)
        held = sum(job.task.samples for line in lines for job in line.finals) * 4
        most_held = max(most_held, held)
        lag_ms = max((now - ms for line in lines if (ms := line.oldest_submitted_ms()) is not None), default=0)
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
    line = scheduler.open_channel(Speaker.CUSTOMER)
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


def test_what_a_process_was_lost_over_is_decoded_alone_and_three_times_at_most():
    queue, backend, other = DecodeQueue(), object(), object()
    lines = [queue.open_channel(Speaker.CUSTOMER) for _ in range(3)]
    tasks = [task(line) for line in lines]
    for number, one in enumerate(tasks):
        queue.submit(one, number, final=True)

    def process_ends(job):
        job.process_ended(request_sent=True)
        queue.finish(job)
        queue.requeue(job)

    (poison,) = queue.take(10, backend)
    process_ends(poison)
    (second,) = queue.take(10, other)  # alone in an idle seat
    assert second.task is poison.task and queue.take(10, other) == []
    (well,) = queue.take(10, backend)
    assert well.task is tasks[1]
    process_ends(second)
    (third,) = queue.take(10, other)
    assert third.task is poison.task
    process_ends(third)
    assert queue.take(10, other)[0].task is tasks[2], "the fourth try is never"


def test_a_seat_goes_on_with_what_it_has_heard_and_takes_last_words_from_a_busy_one():
    queue, backend, other = DecodeQueue(), object(), object()
    lines = [queue.open_channel(Speaker.CUSTOMER) for _ in range(2)]
    hopping, ending = task(lines[0]), task(lines[1])
    for one in (hopping, ending):
        one.decoding = KeyedDecoding(None)
        one.decoding.process = backend
    queue.submit(hopping, 0, final=False)
    assert queue.take(0, other) == []
    queue.submit(ending, 0, final=True)
    assert queue.take(0, other)[0].task is ending
    assert queue.take(0, backend)[0].task is hopping


def test_a_decode_hangs_when_it_takes_far_longer_than_others_did():
    queue = DecodeQueue()
    line = queue.open_channel(Speaker.CUSTOMER)
    least, most = DECODE_TIMEOUT_MS
    for took_ms, allowed_ms in ((300, least), (2000, 20_000), (9000, most)):
        queue.submit(task(line), 0, final=True)
        (job,) = queue.take(0)
        queue.finish(job, took_ms)
        queue.submit(task(line), 0, final=True)
        (job,) = queue.take(0)
        assert queue.hung(allowed_ms - 1) == [] and queue.hung(allowed_ms) == [job]
        queue.finish(job)


def test_closing_frees_whoever_waits(faulty):
    scheduler = Scheduler(faulty, 1)
    line = run(scheduler, 0.25, [])
    assert faulty.entered.wait(10)
    scheduler.close()
    scheduler.wait([line])
    assert not line.idle
