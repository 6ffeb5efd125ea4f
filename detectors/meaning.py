"""Cues and steps by what a sentence means: the phrase rules and a taught sentence model, each mending the other.

The model hears what no list of phrases foresees, and doubts a shipped rule where its words mean something else ("my
lawyer sent the form"). Rules of a deployment's own are never doubted. The evidence is the words that carried the score,
quoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors import context
from detectors.exchange import NOWHERE, Exchange, exchange
from detectors.phrases import COMPLAINT_MS, MENTIONED, PhraseDetector, just_before
from detectors.sentences import Reading, SentenceModel, Threshold
from detectors.signals import AGENT_MISSTEPS, AGENT_SIGNALS, CUSTOMER_WORDS, Evidence, Severity, Signal, Window

MOST_WORDS = 48
"""Longer utterances are read in stretches of this many words ..."""
HOP_WORDS = 32
"""... beginning this far apart: the model was taught on lines of up to 60 words."""
LEAST_WORDS = 2
EARLIER_WORDS = 16
"""So many words of what the speaker said just before are read along: sentences run over pauses."""
AROUND_WORDS = 8
"""What a rule found is also read by itself, in its sentence and at most so many words on either side: a long complaint
drowns a short threat ..."""
CLOSE_WORDS = 2
"""... and, where it is a threat to somebody in a sentence that runs on further, with so few: nothing tells where the
sentences before and after it end."""
ENDS = (".", "?", "!")
STEP_WORDS = 6
"""An unfinished utterance is read again after so many agreed words more."""
UNFINISHED = 2.5
"""So much surer the model must be of an unfinished utterance."""
QUOTE_SHARE = 0.7
"""The quote grows around its strongest word until it holds this share of what spoke for the signal ..."""
QUOTE_WORDS = 9
"""... or has this many words."""
COOL_DOWN_MS = 60_000
"""What the rules or the model have raised is not raised by the model again so soon, unless it is more severe."""
COMPLAINT = "complaint"
"""The caller is displeased. It tells what is meant from what is only mentioned, and supports other cues ..."""
PLAINLY = 1.5
"""... where it is this much surer than it must be for the former."""
UPSET = "upset"
"""The caller is upset with the firm (sarcasm, scorn, an accusation, despair ...), in whatever words: a cue of its own
where no other is clear in the same words."""
AFTER_MS = 60_000
"""Noted so soon after it was noted before, or after a wrong move of the agent's, it is clear."""
SELF_HARM = "self_harm"
"""A label of its own, which raises `vulnerable`: it is noted at less than any other, as a miss is worse here."""
CUES = frozenset(CUSTOMER_WORDS) - {"de_escalation"}
STEPS_AGAINST = MENTIONED | {"derogatory", "personal_threat"}
"""People speak of these in calm calls too: the model alone acts on them only where the caller is displeased as well."""


@dataclass(frozen=True, slots=True)
class Meant:
    """One label heard in a stretch of words."""

    score: float
    reading: Reading
    row: int
    """The label's place in the reading."""
    earlier: int
    """So many words of the reading were said before the utterance."""
    first: int
    """Where in the utterance the stretch begins."""
    in_place: bool
    """What both sides said before was read as well."""

    def is_said_now(self) -> bool:
        """Whether what speaks for the label was said in the utterance, not in the words before it."""
        parts = self.reading.parts[self.row].clip(min=0)
        return float(parts[self.earlier :].sum()) >= float(parts[: self.earlier].sum())

    def quote(self) -> tuple[int, int]:
        """First and last word of the utterance around the one that speaks loudest for the label."""
        parts = self.reading.parts[self.row, self.earlier :].clip(min=0)
        first = last = int(parts.argmax())
        wanted = float(parts.sum()) * QUOTE_SHARE
        while float(parts[first : last + 1].sum()) < wanted and last - first + 1 < QUOTE_WORDS:
            left = float(parts[first - 1]) if first > 0 else -1.0
            right = float(parts[last + 1]) if last + 1 < len(parts) else -1.0
            if left > right:
                first -= 1
            else:
                last += 1
        return self.first + first, self.first + last


@dataclass(frozen=True, slots=True)
class Judged:
    """What was heard in one utterance when it was judged last."""

    end_ms: int
    complaint: float
    """How much of a complaint was in it."""
    upset: Sequence[Signal]
    raised: Sequence[Signal]
    """By the rules or the model."""


class MeaningDetector:
    """The words of a call, judged by rules and model together; one per call."""

    name = "phrases"
    """Whoever leaves out the words leaves out both."""

    def __init__(self, phrases: PhraseDetector, model: SentenceModel) -> None:
        self.version = phrases.version
        self._phrases = phrases
        self._model = model
        self._networks = {
            agent: [each for each in model.networks if any((label in AGENT_SIGNALS) is agent for label in each.labels)]
            for agent in (False, True)
        }
        """Those that know labels of the customer, and of the agent."""
        self._judged: dict[str, Judged] = {}
        """The utterances of late, by their ids."""
        self._read: tuple[str, int, dict[str, Meant]] = ("", 0, {})
        """The utterance last read, how many of its words, and what was heard in them."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """What rules and model find in the latest utterance or hypothesis."""
        latest = window.latest
        by_rules = list(self._phrases(window))
        if latest is None:
            return by_rules
        since_ms = latest.start_ms - max(COOL_DOWN_MS, COMPLAINT_MS, AFTER_MS)
        self._judged = {
            name: each for name, each in self._judged.items() if name != latest.id and each.end_ms > since_ms
        }
        if not latest.words:
            return by_rules
        meant = self._meant(window, latest, pressing=bool(by_rules))
        heard = list(self._confirmed(by_rules, meant, latest.words, settled=latest.settled))
        confirmed = [self._in_course(each) for each in heard]
        self._phrases.stand(latest.id, confirmed)
        by_meaning = list(self._signals(meant, latest, self._lately(meant, latest.words)))
        added = _added([self._in_course(each) for each in by_meaning], confirmed)
        found = [*confirmed, *(signal for signal in added if self._is_due(signal))]
        self._judged[latest.id] = Judged(
            latest.words[-1].end_ms,
            _complaint(meant),
            [each for each in (*heard, *by_meaning) if each.id == UPSET],
            found,
        )
        return found

    def find(self, text: str, speaker: Speaker | str = Speaker.CUSTOMER) -> list[Signal]:
        """What one written line says, by rules and model; times are counted at 300 ms a word."""
        words, who = context.written(text), Speaker(speaker)
        meant = self._hear(words, who)
        found = list(self._confirmed(self._phrases.find(text, who), meant, words, settled=True))
        line = Utterance("text", who, 0, words[-1].end_ms if words else 0, tuple(words))
        return found + _added(self._signals(meant, line, _complaint(meant)), found)

    def _meant(self, window: Window, latest: Utterance | Hypothesis, *, pressing: bool) -> dict[str, Meant]:
        """What the latest words say; unfinished ones are read every few words, or where a rule has found something."""
        name, count, meant = self._read
        words = latest.words
        grown = len(words) - (count if name == latest.id else 0)
        if latest.settled or grown >= STEP_WORDS or (pressing and grown > 0) or grown < 0:
            earlier = just_before(window, latest, EARLIER_WORDS)
            meant = self._hear(words, latest.speaker, [word.text for word in earlier], exchange(window, latest))
            self._read = (latest.id, len(words), meant)
            return meant
        return meant if name == latest.id else {}

    def _hear(
        self,
        words: Sequence[Word],
        speaker: Speaker,
        earlier: Sequence[str] = (),
        place: Exchange = NOWHERE,
        only: str | None = None,
    ) -> dict[str, Meant]:
        """Each label's highest score over the stretches, and the words behind it.

        `earlier`: what the speaker said just before, which belongs to the same sentence; `place`: where in the call;
        `only`: the one label that is wanted; other networks than its own are not asked.
        """
        if len(words) < LEAST_WORDS:
            return {}
        agent, texts = speaker is Speaker.AGENT, [word.text for word in words]
        best: dict[str, Meant] = {}
        for network in self._networks[agent]:
            if only is not None and only not in network.labels:
                continue
            begun = place.turn if network.in_place else earlier
            for first in range(0, max(1, len(words) - MOST_WORDS + HOP_WORDS), HOP_WORDS):
                before = begun if first == 0 else ()
                stretch = texts[first : first + MOST_WORDS]
                reading, alone = network([*before, *stretch], place), None
                for row, label in enumerate(network.labels):
                    if (label in AGENT_SIGNALS) is not agent:
                        continue
                    meant = Meant(float(reading.scores[row]), reading, row, len(before), first, network.in_place)
                    if network.in_place and before and not meant.is_said_now():
                        alone = alone or network(stretch, place)
                        meant = Meant(float(alone.scores[row]), alone, row, 0, first, network.in_place)
                    if label not in best or meant.score > best[label].score:
                        best[label] = meant
        return best

    def _confirmed(
        self, by_rules: Iterable[Signal], meant: dict[str, Meant], words: Sequence[Word], *, settled: bool
    ) -> Iterable[Signal]:
        """What rules found, as far as the model hears it too, in all of these words or by itself.

        What it hears less clearly is noted only, what it does not hear is dropped (what is urgent never is); of an
        unfinished utterance both wait for the end. Steps against the firm are believed of whoever plainly complains in
        the same breath, or takes another such step. Misheard words are read as the rule took them.
        """
        by_rules = list(by_rules)
        steps = {each.id for each in by_rules if each.id in STEPS_AGAINST and each.id in meant}
        complains = _complaint(meant) >= self._model.thresholds[COMPLAINT].sure or (
            len(steps) > 1 and any(meant[each].score >= self._model.thresholds[each].agree for each in steps)
        )
        for signal in by_rules:
            urgent = signal.severity is Severity.URGENT
            label = SELF_HARM if urgent and signal.id == "vulnerable" else signal.id
            believed = complains and label in STEPS_AGAINST
            if believed or label not in meant or not self._phrases.is_doubtful(signal.rule):
                yield signal
                continue
            threshold = self._model.thresholds[label]
            score = meant[label].score
            first, last = signal.evidence.first_word, signal.evidence.last_word
            taken = self._phrases.as_taken(signal.rule, words)
            as_heard = taken is words and not (meant[label].earlier or meant[label].in_place)
            read = len(words) if as_heard else 0
            for around in (AROUND_WORDS, CLOSE_WORDS):
                sentence = _near(taken, first, last, around)
                near = [word for word in sentence if word.text]
                if score < threshold.agree and LEAST_WORDS <= len(near) != read:
                    score, read = max(score, self._hear(near, signal.speaker, only=label)[label].score), len(near)
                if not urgent or label == SELF_HARM or len(sentence) == len(_near(taken, first, last, len(words))):
                    break
            score -= 0.0 if settled else UNFINISHED
            if score >= threshold.agree:
                yield signal
            elif settled and (urgent or score >= threshold.doubt):
                yield replace(signal, severity=Severity.NOTE)

    def _lately(self, meant: dict[str, Meant], words: Sequence[Word]) -> float:
        """The strongest complaint of the caller's, in these words or shortly before."""
        since_ms = words[0].start_ms - COMPLAINT_MS
        before = (each.complaint for each in self._judged.values() if each.end_ms > since_ms)
        return max([_complaint(meant), *before])

    def _in_course(self, signal: Signal) -> Signal:
        """The signal; upset, where it was noted or the agent has made a wrong move shortly before, as a clear cue."""
        if signal.id != UPSET:
            return signal
        clear = any(
            0 <= signal.at_ms - before.at_ms <= AFTER_MS
            for each in self._judged.values()
            for before in (*each.upset, *each.raised)
            if before.id == UPSET or before.id in AGENT_MISSTEPS
        )
        return replace(signal, severity=max(signal.severity, Severity.HELP)) if clear else signal

    def _is_due(self, signal: Signal) -> bool:
        return not any(
            known.id == signal.id
            and signal.severity <= known.severity
            and 0 <= signal.at_ms - known.at_ms < COOL_DOWN_MS
            for each in self._judged.values()
            for known in each.raised
        )

    def _signals(self, meant: dict[str, Meant], said: Utterance | Hypothesis, complaint: float) -> Iterable[Signal]:
        """Labels over their thresholds as signals, the surest first; `vulnerable` once, in its graver form."""
        displeased = complaint >= self._model.thresholds[COMPLAINT].least
        raised: set[str] = set()
        margin = 0.0 if said.settled else UNFINISHED
        for label, heard in sorted(meant.items(), key=lambda each: (each[0] != SELF_HARM, -each[1].score)):
            signal = "vulnerable" if label == SELF_HARM else label
            threshold, score = self._model.thresholds[label], heard.score - margin
            least = threshold.sure + PLAINLY if label == COMPLAINT else threshold.least
            if signal in raised or score < least:
                continue
            severity = _severity(
                score, threshold, acts=label != COMPLAINT and (displeased or label not in STEPS_AGAINST)
            )
            if severity is Severity.NOTE and not said.settled:
                continue
            raised.add(signal)
            first, last = heard.quote()
            quoted = said.words[first : last + 1]
            yield Signal(
                id=signal,
                rule=f"meaning.{label}",
                version=self._model.version,
                speaker=said.speaker,
                at_ms=quoted[-1].end_ms,
                strength=round(1 / (1 + exp(-heard.score)), 3),
                severity=severity,
                evidence=Evidence(
                    start_ms=quoted[0].start_ms,
                    end_ms=quoted[-1].end_ms,
                    quote=" ".join(word.text for word in quoted).strip(" .,;:!?"),
                    utterance=said.id,
                    first_word=first,
                    last_word=last,
                    measured={"score": round(heard.score, 2)},
                ),
                settled=said.settled,
            )


def _complaint(meant: dict[str, Meant]) -> float:
    return meant[COMPLAINT].score if COMPLAINT in meant else -inf


def _near(words: Sequence[Word], first: int, last: int, around: int) -> Sequence[Word]:
    """These words and what is said around them in the same sentence, at most so many on either side."""
    begin, end = first, last + 1
    while begin > max(0, first - around) and words[begin - 1].text[-1:] not in ENDS:
        begin -= 1
    while end < min(len(words), last + 1 + around) and words[end - 1].text[-1:] not in ENDS:
        end += 1
    return words[begin:end]


def _added(signals: Iterable[Signal], found: Sequence[Signal]) -> list[Signal]:
    """Those of ids that were not found yet, or only less gravely; `upset` where nothing says what it is."""
    known = {signal.id: signal.severity for signal in sorted(found, key=lambda each: each.severity)}
    new = [signal for signal in signals if signal.severity > known.get(signal.id, 0)]
    clear = any(each.severity >= Severity.HELP and each.id in CUES for each in (*found, *new))
    return [signal for signal in new if signal.id != UPSET or not clear]


def _severity(score: float, threshold: Threshold, *, acts: bool) -> Severity:
    """How much a label over its threshold asks of people."""
    if score >= threshold.urgent:
        return Severity.URGENT
    return Severity.HELP if acts and score >= threshold.sure else Severity.NOTE
