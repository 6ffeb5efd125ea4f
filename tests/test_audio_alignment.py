"""Two devices on one sample clock: the pure part, with arrival times as arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.alignment import MAX_CHUNK_DELAY_S, Alignment
from audio.events import Chunk, Gap, Speaker, Trouble
from audio.resampling import Resampler

AGENT, CUSTOMER = Speaker.AGENT, Speaker.CUSTOMER
BLOCK_S = 0.02
OPENED = 100.0


class Line:
    """Both devices and the listener. A sample's value is the time it was spoken, over 4000: its place can be read."""

    SCALE = 4000.0

    def __init__(self) -> None:
        self.alignment = Alignment((AGENT, CUSTOMER), opened_at=OPENED)
        self.out: list[object] = []
        self.sent_at: list[float] = []

    def say(self, speaker: Speaker, spoken_until: float, at: float | None = None, *, ppm: float = 0, **known) -> None:
        """One 20 ms block whose last sample was spoken at `spoken_until`; it arrives at `at`."""
        count = 320
        times = spoken_until - np.arange(count, 0, -1) / 16000 * (1 - ppm * 1e-6)
        self.alignment.push(speaker, (times / self.SCALE).astype(np.float32), OPENED + (at or spoken_until), **known)

    def ask(self, at: float) -> list[object]:
        new = self.alignment.poll(OPENED + at)
        self.out += new
        self.sent_at += [at for a in new if isinstance(a, Chunk)]
        return new

    def run(self, start: float, stop: float, *speakers: Speaker) -> None:
        for i in range(round((stop - start) / BLOCK_S)):
            now = start + (i + 1) * BLOCK_S
            for speaker in speakers:
                self.say(speaker, now)
            self.ask(now)

    @property
    def chunks(self) -> list[Chunk]:
        return [a for a in self.out if isinstance(a, Chunk)]

    def sound(self, speaker: Speaker) -> np.ndarray:
        return np.concatenate([c.channels[speaker] for c in self.chunks])

    def misplaced_ms(self, speaker: Speaker) -> np.ndarray:
        """For each sample of sound: how far from its true place it is, in ms."""
        pcm = self.sound(speaker).astype(np.float64)
        places = np.arange(1, len(pcm) + 1) / 16000
        return (pcm * self.SCALE - places)[pcm != 0] * 1000

    def gaps(self, speaker: Speaker) -> list[tuple[int, int]]:
        return [(a.start_ms, a.end_ms) for a in self.out if isinstance(a, Gap) and a.speaker == speaker]

    def troubles(self) -> list[tuple[str, bool]]:
        return [(a.code, a.cleared) for a in self.out if isinstance(a, Trouble)]


def test_steady_streams_pass_untouched_and_at_once() -> None:
    line = Line()
    line.run(0, 10, AGENT, CUSTOMER)
    assert [c.start_ms for c in line.chunks] == list(range(0, 10_000, 100))
    assert line.sent_at == pytest.approx([0.1 * (i + 1) for i in range(100)])
    for speaker in (AGENT, CUSTOMER):
        assert np.abs(line.misplaced_ms(speaker)).max() < 0.3
        assert len(line.misplaced_ms(speaker)) >= 159_999
    assert line.gaps(AGENT) == line.gaps(CUSTOMER) == line.troubles() == []


@pytest.mark.parametrize(("ppm", "minutes"), [(80, 12), (300, 4), (-300, 4)])
def test_a_device_whose_clock_drifts_stays_in_place(ppm: float, minutes: int) -> None:
    """Unanchored, 80 ppm are 58 ms after 12 minutes, and 300 ppm 72 ms after 4.

    Jitter of up to 30 ms must not look like drift.
    """
    line = Line()
    random = np.random.default_rng(3)
    blocks = [(BLOCK_S * (i + 1), AGENT, 0.0) for i in range(minutes * 60 * 50)]
    spoken = [BLOCK_S * (i + 1) * (1 - ppm * 1e-6) for i in range(minutes * 60 * 50)]
    blocks += [(until, CUSTOMER, float(random.exponential(0.004) % 0.03)) for until in spoken]
    for until, speaker, late in sorted(blocks, key=lambda block: block[0] + block[2]):
        line.say(speaker, until, until + late, ppm=ppm if speaker == CUSTOMER else 0)
        line.ask(until + late)
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 40
    assert np.abs(line.misplaced_ms(AGENT)).max() < 0.5
    assert line.gaps(CUSTOMER) == line.troubles() == []


def test_a_muted_party_holds_up_nobody_and_comes_back_in_its_place() -> None:
    line = Line()
    line.run(0, 2, AGENT, CUSTOMER)
    line.run(2, 2.9, AGENT)
    line.run(2.9, 5, AGENT, CUSTOMER)
    delay = np.array(line.sent_at) - np.array([c.end_ms / 1000 for c in line.chunks])
    assert delay.max() < MAX_CHUNK_DELAY_S + BLOCK_S + 0.001
    assert np.abs(line.misplaced_ms(AGENT)).max() < 0.3
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 0.3
    assert line.gaps(CUSTOMER) == [(2000, 2900)]
    assert line.gaps(AGENT) == line.troubles() == []


def test_a_long_hold_is_reported_while_it_lasts_and_when_it_ends() -> None:
    line = Line()
    line.run(0, 2, AGENT, CUSTOMER)
    line.run(2, 6.3, AGENT)
    assert line.troubles() == [("audio-lost", False)]
    assert line.alignment.lost(OPENED + 6.3) == (CUSTOMER,)
    line.run(6.3, 8, AGENT, CUSTOMER)
    assert line.troubles() == [("audio-lost", False), ("audio-lost", True)]
    assert line.alignment.lost(OPENED + 8) == ()
    assert line.gaps(CUSTOMER) == [(2000, 3000), (3000, 4000), (4000, 5000), (5000, 6000), (6000, 6300)]
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 0.3


def test_a_busy_machine_that_hands_all_blocks_over_late_loses_none() -> None:
    """The whole process is held up for 0.7 s, then both devices' blocks come in a burst."""
    line = Line()
    line.run(0, 2, AGENT, CUSTOMER)
    line.ask(2.7)  # the listener wakes first
    for i in range(35):
        line.say(AGENT, 2 + (i + 1) * BLOCK_S, 2.701)
        line.say(CUSTOMER, 2 + (i + 1) * BLOCK_S, 2.702)
    line.ask(2.703)
    line.run(2.7, 5, AGENT, CUSTOMER)
    assert line.gaps(AGENT) == line.gaps(CUSTOMER) == line.troubles() == []
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 0.3


def test_one_device_late_in_a_burst_is_silence_and_then_in_its_place() -> None:
    line = Line()
    line.run(0, 2, AGENT, CUSTOMER)
    line.run(2, 2.5, AGENT)
    for i in range(25):
        line.say(CUSTOMER, 2 + (i + 1) * BLOCK_S, 2.5)
    line.run(2.5, 20, AGENT, CUSTOMER)
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 61
    late = line.sound(CUSTOMER)[16 * 15_000 :].astype(np.float64) * line.SCALE
    assert np.abs(late - np.arange(16 * 15_000 + 1, 16 * 15_000 + len(late) + 1) / 16000).max() < 0.006
    [gap] = line.gaps(CUSTOMER)
    assert gap[0] == 2000
    assert 2200 <= gap[1] <= 2500


@pytest.mark.parametrize("rate", [8000, 48000, 96000])
def test_a_device_of_another_rate_may_be_as_late_as_any(rate: int) -> None:
    """Blocks of 40 ms, up to 60 ms late, and what resampling keeps back: once its filter is full nothing is lost."""
    line, resampling, random = Line(), Resampler(rate, 1), np.random.default_rng(0)
    late = np.maximum.accumulate([0.04 * (i + 1) + random.uniform(0, 0.06) for i in range(500)])
    for at, speaker in sorted([(0.02 * (i + 1), AGENT) for i in range(1000)] + [(float(at), CUSTOMER) for at in late]):
        if speaker is AGENT:
            line.say(AGENT, at)
        else:
            sound = resampling.push(np.full((rate // 25, 1), 0.1, np.float32))[:, 0]
            line.alignment.push(CUSTOMER, sound, OPENED + at)
        line.ask(at)
    assert [gap for gap in line.gaps(CUSTOMER) if gap[0] >= 1000] == []


def test_blocks_dropped_on_the_way_are_silence_of_exactly_their_length() -> None:
    line = Line()
    line.run(0, 2, AGENT, CUSTOMER)
    for i in range(50):  # the listener is away for 1 s; the customer's queue loses the first 0.4 s of it
        line.say(AGENT, 2 + (i + 1) * BLOCK_S)
        if i >= 20:
            line.say(CUSTOMER, 2 + (i + 1) * BLOCK_S, dropped=6400 if i == 20 else 0)
    line.ask(3.0)
    assert [t.text for t in line.out if isinstance(t, Trouble)] == [
        "The machine is too busy: sound of the customer was dropped."
    ]
    line.run(3, 7, AGENT, CUSTOMER)
    assert line.gaps(CUSTOMER) == [(2000, 2400)]
    assert line.troubles() == [("audio-lost", False), ("audio-lost", True)]
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 0.3


def test_a_swapped_channel_is_silent_from_the_moment_it_is_known() -> None:
    line = Line()
    line.run(0, 2, AGENT, CUSTOMER)
    line.say(CUSTOMER, 2.02)  # still waiting to go out
    line.alignment.mute(CUSTOMER, "audio-swapped")
    line.run(2.02, 4, AGENT, CUSTOMER)
    assert not np.any(line.sound(CUSTOMER)[32_000:])
    assert line.alignment.lost(OPENED + 4) == (CUSTOMER,)
    line.alignment.unmute(CUSTOMER, OPENED + 4)
    line.run(4, 6, AGENT, CUSTOMER)
    assert line.troubles() == [("audio-swapped", False), ("audio-swapped", True)]
    assert line.gaps(CUSTOMER)[0][0] == 2000
    assert line.gaps(CUSTOMER)[-1][1] == pytest.approx(4000, abs=100)
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 0.3
    assert np.any(line.sound(CUSTOMER)[-16_000:])


def test_a_device_that_starts_late_is_silence_until_then() -> None:
    line = Line()
    line.run(0, 1.5, AGENT)
    line.run(1.5, 3, AGENT, CUSTOMER)
    assert line.gaps(CUSTOMER) == [(0, 1000), (1000, 1500)]
    assert np.abs(line.misplaced_ms(CUSTOMER)).max() < 0.3
    assert line.troubles() == []


def test_two_dead_devices_still_are_a_call_that_says_so() -> None:
    line = Line()
    line.run(0, 5)
    assert line.chunks[0].start_ms == 0
    assert not np.any(line.sound(AGENT))
    assert line.troubles() == [("audio-lost", False)]
    line.run(5, 7, AGENT)
    line.run(7, 9, AGENT, CUSTOMER)
    texts = [(t.text, t.cleared) for t in line.out if isinstance(t, Trouble)]
    assert [cleared for _, cleared in texts] == [False, False, True]
    assert "agent and the customer" in texts[0][0]
    assert "agent" not in texts[1][0]


def test_a_suspended_machine_is_no_lost_device() -> None:
    line = Line()
    line.run(0, 2, AGENT, CUSTOMER)
    line.ask(300)
    line.ask(300.01)
    line.run(300.01, 302, AGENT, CUSTOMER)
    assert line.troubles() == []
    assert line.gaps(AGENT)[0][0] == 2000
    assert line.gaps(AGENT)[-1][1] == pytest.approx(300_000, abs=30)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["agent", "customer", "both", "none", "swap", "back"]),
            st.floats(0.001, 0.4),
            st.integers(1, 12),
            st.integers(0, 4000),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_arrives_the_clock_is_whole_and_in_step_with_time(moves: list[tuple[str, float, int, int]]) -> None:
    line = Line()
    now = 0.0
    for who, wait, blocks, dropped in moves:
        now += wait
        if who == "swap":
            line.alignment.mute(CUSTOMER, "audio-swapped")
        elif who == "back":
            line.alignment.unmute(CUSTOMER, OPENED + now)
        for speaker in (AGENT, CUSTOMER):
            if who in (speaker, "both"):
                for _ in range(blocks):
                    line.say(speaker, now, dropped=dropped if dropped > 3000 else 0)
        line.ask(now)
    for i in range(5):
        line.ask(now + 10 + i / 4)
    assert [c.start_ms for c in line.chunks] == [100 * i for i in range(len(line.chunks))]
    assert all(len(c.channels[s]) == 1600 for c in line.chunks for s in (AGENT, CUSTOMER))
    assert all(c.end_ms / 1000 <= at + 0.33 for c, at in zip(line.chunks, line.sent_at, strict=True))
    assert line.chunks[-1].end_ms / 1000 > now + 11 - 3.2 - 0.4
    for speaker in (AGENT, CUSTOMER):
        gaps = line.gaps(speaker)
        assert all(start < end for start, end in gaps)
        assert all(a[1] <= b[0] for a, b in zip(gaps, gaps[1:], strict=False))
        for start, end in gaps:
            assert not np.any(line.sound(speaker)[start * 16 + 16 : end * 16])
