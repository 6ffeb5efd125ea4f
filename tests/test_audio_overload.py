"""A recogniser too slow for its calls, in scripted time: what is late, what is dropped, and how soon it is over."""

from audio.decode_queue import DecodeQueue, UtteranceTask
from audio.events import Speaker

CALLS = 8
SPEECH_MS, TURN_MS, HOP_MS, STEP_MS = 3000, 4000, 500, 20


def played(slow_ms, *, cost_ms=30, until_ms=60_000, end_ms=150_000):
    """Eight calls whose parties speak in turn on one worker; a hop costs `slow_ms` until `until_ms`, then `cost_ms`.

    Returns for each final (speaker, asked, answered), how many hops were asked for and answered, and the stretches.
    """
    queue = DecodeQueue(max_batch=1)
    lines = [{who: queue.open_channel(who) for who in (Speaker.CUSTOMER, Speaker.AGENT)} for _ in range(CALLS)]
    tasks, hopped = {}, {}
    finals, stretches = [], []
    asked = answered = 0
    free_at, running = 0, []
    for now in range(0, end_ms, STEP_MS):
        interval_factor = queue.interval_factor(now)
        stretches.append((now, interval_factor))
        for number, line in enumerate(lines):
            at = now - number * TURN_MS // CALLS
            if at < 0 or now >= until_ms + TURN_MS:
                continue
            who = Speaker.CUSTOMER if at // TURN_MS % 2 == 0 else Speaker.AGENT
            said = at % TURN_MS
            if said == 0:
                tasks[number] = UtteranceTask(line[who], (), lambda answer: None)
                hopped[number] = 0
            elif said == SPEECH_MS:
                queue.submit(tasks[number], now, final=True)
                asked += 1
            elif said < SPEECH_MS and interval_factor and said - hopped[number] >= interval_factor * HOP_MS:
                hopped[number] = said
                queue.submit(tasks[number], now, final=False)
        while free_at <= now:
            for job in running:
                queue.finish(job)
                if job.final:
                    finals.append((job.task.channel.speaker, job.submitted_ms, free_at))
                else:
                    answered += 1
            running = queue.take(now)
            if not running:
                free_at = now + STEP_MS
                break
            free_at = max(free_at, now) + (slow_ms if now < until_ms else cost_ms) * (2 if running[0].final else 1)
    return finals, asked - len(finals), answered, stretches


def lateness(finals, speaker, since=0, until=10**9):
    return [done - asked for who, asked, done in finals if who is speaker and since <= asked < until]


def test_twice_too_slow_costs_hops_and_no_final_and_the_customer_is_not_late():
    finals, lost, hops, stretches = played(125)  # 16 hops' worth of work a second: a real-time factor of 2
    assert lost == 0
    unhurried, _, all_hops, _ = played(10)
    assert len(finals) == len(unhurried) and hops < 0.6 * all_hops
    assert max(lateness(finals, Speaker.CUSTOMER)) < 3000
    assert all(interval_factor == 1 for now, interval_factor in stretches if now > 80_000)


def test_when_even_finals_are_too_many_the_agents_wait_and_none_is_lost():
    finals, lost, _, stretches = played(300)
    assert lost == 0
    late = [max(lateness(finals, who, 20_000, 60_000)) for who in (Speaker.CUSTOMER, Speaker.AGENT)]
    assert late[0] < 5000 < late[1], "the customer's words come in time, the agent's when there is time"
    assert 0 in {interval_factor for now, interval_factor in stretches if 10_000 < now < 60_000}
    caught_up = max(done for _, _, done in finals)
    assert caught_up < 90_000, "within half a minute after the rush"
    assert all(interval_factor == 1 for now, interval_factor in stretches if now > caught_up + 20_000)
