"""Signals by what words mean: the phrase rules and the sentence model together, each correcting the other.

The model detects wordings that no list of phrases foresees, and rejects false positives of the shipped rules ("my
lawyer sent the form"); rules of a deployment's own are never rejected. The evidence of a signal of the model's is a
quote: the words that contributed most to its score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf

from audio.events import Hypothesis, Speaker, Utterance, Word, mean_probability
from detectors.dialogue_context import NO_CONTEXT, DialogueContext, window_context
from detectors.normalisation import normalise, timed_words
from detectors.phrases import COMPLAINT_MS, NEEDS_INTENT, PhraseDetector, preceding_words
from detectors.sentence_model import Prediction, SentenceModel, Thresholds
from detectors.signals import (
    AGENT_MISSTEPS,
    AGENT_SIGNALS,
    AGENT_STEPS,
    CUSTOMER_WORDS,
    Evidence,
    Severity,
    Signal,
    Window,
)
from detectors.speaker_role import agent_odds

MAX_WORDS = 48
"""Longer utterances are scored in overlapping segments of this many words ..."""
HOP_WORDS = 32
"""... that start this far apart: the model was trained on lines of up to 60 words."""
MIN_WORDS = 2
"""Nothing shorter is scored."""
EARLIER_WORDS = 16
"""So many words of what the speaker said just before are scored along: sentences run over pauses."""
WIDE_MARGIN_WORDS = 8
"""The words that a rule matched are also scored without the rest of the utterance, in their sentence and with at most
so many words on either side: a long complaint outweighs a short threat ..."""
NARROW_MARGIN_WORDS = 2
"""... and, where it is a threat to somebody in a sentence that runs on further, with so few: nothing tells where the
sentences before and after it end."""
REASONED_THREATS = frozenset(("cancel_threat", "legal_threat", "regulator_threat", "press_threat"))
"""Of these the clause with the match may speak for itself, without its reason: "the price went up again so I'm
cancelling my contract" sounds like a complaint about a bill. Of the lines that thresholds were chosen on (stock without
the blind sets, `h`, `j`) six more are rightly acted on, one wrongly; of most other signals more would be wrongly."""
ACTORS = frozenset("i we my our you".split())
SENTENCE_ENDS = (".", "?", "!")
RESCORE_WORDS = 6
"""A hypothesis is scored again after so many agreed words more."""
HYPOTHESIS_MARGIN = 2.5
"""A hypothesis, whose words may still change, must score so much above each threshold."""
QUOTE_SHARE = 0.7
"""The quote grows from the word that contributes most until it has this share of all positive contributions ..."""
MAX_QUOTE_WORDS = 9
"""... or this many words."""
COOL_DOWN_MS = 60_000
"""The model does not repeat a signal of the rules or its own within this time, unless it is more severe. The steps that
an agent takes count each time, as they do by rules."""
COMPLAINT = "complaint"
"""The caller is displeased. It supports other cues: it tells what is meant from what is only mentioned. A signal of its
own ..."""
COMPLAINT_MARGIN = 1.5
"""... is raised only where its score is this much above `sure`."""
UPSET = "upset"
"""The caller is upset with the firm (sarcasm, scorn, an accusation, despair ...), in whatever words: a cue of its own
where no other is clear in the same words."""
UPSET_REPEAT_MS = 60_000
"""`upset` so soon after another one, or after a misstep of the agent's, is raised from a note to a cue."""
SELF_HARM = "self_harm"
"""A label of its own, which raises the signal `vulnerable`. Its threshold for a note is lower than any other, as a miss
is worse here."""
MIN_UTTERANCE_PROBABILITY = 0.6
"""Of an utterance whose words the recogniser holds for less probable in the mean, the model alone raises nothing but
self-harm, as a note unless urgent: it finds a meaning in any salad of words. In 44 minutes of recorded calls and
announcements, most of them calm, as pocketsphinx mishears them, it raised 24 `upset`, 11 of them on words below 0.6;
the utterances of the sample call have 0.6 to 0.9, as the test recogniser hears them 0.5 to 0.9."""
CUES = frozenset(CUSTOMER_WORDS) - {"de_escalation"}
NEEDS_COMPLAINT = NEEDS_INTENT | {"derogatory", "personal_threat"}
"""People speak of these in calm calls too: the model alone acts on them only where the caller complains as well."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The score of one label in one segment of an utterance."""

    score: float
    """Logit."""
    prediction: Prediction
    """Of the segment and the words before it."""
    label_index: int
    """The label's row in the prediction."""
    words_before: int
    """So many of the words scored were said before the utterance."""
    first_word: int
    """Index in the utterance of the segment's first word."""
    uses_context: bool
    """Whether the network has read the dialogue context as well."""

    def is_from_utterance(self) -> bool:
        """Whether the utterance contributes at least as much to the score as the words before it."""
        contributions = self.prediction.contributions[self.label_index].clip(min=0)
        return float(contributions[self.words_before :].sum()) >= float(contributions[: self.words_before].sum())

    def quote(self) -> tuple[int, int]:
        """Indices in the utterance of the quote's first and last word (see `QUOTE_SHARE`)."""
        contributions = self.prediction.contributions[self.label_index, self.words_before :].clip(min=0)
        first = last = int(contributions.argmax())
        wanted = float(contributions.sum()) * QUOTE_SHARE
        while float(contributions[first : last + 1].sum()) < wanted and last - first + 1 < MAX_QUOTE_WORDS:
            left = float(contributions[first - 1]) if first > 0 else -1.0
            right = float(contributions[last + 1]) if last + 1 < len(contributions) else -1.0
            if left > right:
                first -= 1
            else:
                last += 1
        return self.first_word + first, self.first_word + last


@dataclass(frozen=True, slots=True)
class UtteranceResult:
    """What was found in one utterance when it was last judged."""

    end_ms: int
    complaint_score: float
    upset: Sequence[Signal]
    """All of `upset` above its threshold, raised or not."""
    raised: Sequence[Signal]
    """By the rules or the model."""


class MeaningDetector:
    """Judges the words of a call by rules and model together; one per call."""

    name = "phrases"
    """As the rules alone are named: leaving out the detector of words leaves out both."""
    memory_ms = 120_000
    """What was said earlier makes no difference."""

    def __init__(self, phrases: PhraseDetector, model: SentenceModel) -> None:
        self.version = phrases.version
        self._phrases = phrases
        self._model = model
        self._networks = {
            agent: [each for each in model.networks if any((label in AGENT_SIGNALS) is agent for label in each.labels)]
            for agent in (False, True)
        }
        """Those with labels of the customer (False), and of the agent (True)."""
        self._recent: dict[str, UtteranceResult] = {}
        """Utterance id -> result, of the last `COMPLAINT_MS` and more."""
        self._scored: tuple[str, int, dict[str, LabelScore]] = ("", 0, {})
        """The utterance scored last: its id, how many words it had, and the scores."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The signals of rules and model in the latest utterance or hypothesis."""
        latest = window.latest
        by_rules = list(self._phrases(window))
        if latest is None:
            return by_rules
        since_ms = latest.start_ms - max(COOL_DOWN_MS, COMPLAINT_MS, UPSET_REPEAT_MS)
        self._recent = {
            name: each for name, each in self._recent.items() if name != latest.id and each.end_ms > since_ms
        }
        if not latest.words:
            return by_rules
        scores = self._scores_of_latest(window, latest, rule_fired=bool(by_rules))
        kept = list(self._confirmed(by_rules, scores, latest.words, settled=latest.settled))
        confirmed = [self._with_history(each) for each in kept]
        self._phrases.set_raised(latest.id, confirmed)
        by_model = list(self._signals(scores, latest, self._recent_complaint(scores, latest.words)))
        added = _added([self._with_history(each) for each in by_model], confirmed)
        found = [*confirmed, *(signal for signal in added if not self._is_cooling_down(signal))]
        self._recent[latest.id] = UtteranceResult(
            latest.words[-1].end_ms,
            _complaint_score(scores),
            [each for each in (*kept, *by_model) if each.id == UPSET],
            found,
        )
        return found

    def find(self, text: str, speaker: Speaker | str = Speaker.CUSTOMER) -> list[Signal]:
        """The signals of rules and model in one written line, without context; times are counted at 300 ms a word."""
        words, who = timed_words(text), Speaker(speaker)
        scores = self._score(words, who)
        found = list(self._confirmed(self._phrases.find(text, who), scores, words, settled=True))
        line = Utterance("text", who, 0, words[-1].end_ms if words else 0, tuple(words))
        return found + _added(self._signals(scores, line, _complaint_score(scores)), found)

    def _scores_of_latest(
        self, window: Window, latest: Utterance | Hypothesis, *, rule_fired: bool
    ) -> dict[str, LabelScore]:
        """The latest words' scores; of a hypothesis new ones only every few words, or where a rule has fired."""
        name, count, scores = self._scored
        words = latest.words
        grown = len(words) - (count if name == latest.id else 0)
        if latest.settled or grown >= RESCORE_WORDS or (rule_fired and grown > 0) or grown < 0:
            earlier = preceding_words(window, latest, EARLIER_WORDS)
            believed = self._phrases.without_doubtful(words)
            context = window_context(window, latest)
            scores = self._score(believed, latest.speaker, [word.text for word in earlier], context)
            self._scored = (latest.id, len(words), scores)
            return scores
        return scores if name == latest.id else {}

    def _score(
        self,
        words: Sequence[Word],
        speaker: Speaker,
        earlier: Sequence[str] = (),
        context: DialogueContext = NO_CONTEXT,
        only: str | None = None,
    ) -> dict[str, LabelScore]:
        """Label -> its highest score over the segments.

        Args:
            words: of the utterance.
            speaker: whose labels are scored.
            earlier: what the speaker said just before, in the same sentence perhaps; for networks without context.
            context: what was said before, for networks that use it.
            only: the one label that is wanted; networks that do not have it are not run.
        """
        if len(words) < MIN_WORDS:
            return {}
        agent, texts = speaker is Speaker.AGENT, [word.text for word in words]
        best: dict[str, LabelScore] = {}
        for network in self._networks[agent]:
            if only is not None and only not in network.labels:
                continue
            preceding = context.current_turn if network.uses_context else earlier
            for first in range(0, max(1, len(words) - MAX_WORDS + HOP_WORDS), HOP_WORDS):
                before = preceding if first == 0 else ()
                segment = texts[first : first + MAX_WORDS]
                prediction, alone = network([*before, *segment], context), None
                for row, label in enumerate(network.labels):
                    if (label in AGENT_SIGNALS) is not agent:
                        continue
                    score = LabelScore(
                        float(prediction.scores[row]), prediction, row, len(before), first, network.uses_context
                    )
                    if network.uses_context and before and not score.is_from_utterance():
                        alone = alone or network(segment, context)
                        score = LabelScore(float(alone.scores[row]), alone, row, 0, first, network.uses_context)
                    if label not in best or score.score > best[label].score:
                        best[label] = score
        return best

    def _confirmed(
        self, by_rules: Iterable[Signal], scores: dict[str, LabelScore], words: Sequence[Word], *, settled: bool
    ) -> Iterable[Signal]:
        """The signals of the rules that the model confirms, by the score of all words or of those around the match.

        Below `agree` a signal is a note only, below `doubt` it is dropped (an urgent one is noted all the same); in a
        hypothesis both wait for its end. Signals of `NEEDS_COMPLAINT` are confirmed without a score of their own where
        the caller plainly complains in the same words, or where of several of them one reaches `agree`. Misheard words
        are scored as the rule corrected them.
        """
        by_rules = list(by_rules)
        dependent = {each.id for each in by_rules if each.id in NEEDS_COMPLAINT and each.id in scores}
        has_support = _complaint_score(scores) >= self._model.thresholds[COMPLAINT].sure or (
            len(dependent) > 1 and any(scores[each].score >= self._model.thresholds[each].agree for each in dependent)
        )
        for signal in by_rules:
            urgent = signal.severity is Severity.URGENT
            label = SELF_HARM if urgent and signal.id == "vulnerable" else signal.id
            is_supported = has_support and label in NEEDS_COMPLAINT
            if is_supported or label not in scores or not self._phrases.may_be_rejected(signal.rule):
                yield signal
                continue
            thresholds = self._model.thresholds[label]
            score = scores[label].score
            first, last = signal.evidence.first_word, signal.evidence.last_word
            corrected = self._phrases.corrected_words(signal.rule, words)
            is_alone = corrected is words and not (scores[label].words_before or scores[label].uses_context)
            words_scored = len(words) if is_alone else 0
            for around in _segments_around(corrected, first, last, urgent=urgent and label != SELF_HARM):
                near = [word for word in around if word.text]
                if score < thresholds.agree and MIN_WORDS <= len(near) != words_scored:
                    score = max(score, self._score(near, signal.speaker, only=label)[label].score)
                    words_scored = len(near)
            if score < thresholds.agree and label in REASONED_THREATS:
                clause = _clause_around(corrected, first, last)
                alone = self._score(clause, signal.speaker, only=label).get(label)
                if alone is not None and alone.score >= thresholds.agree:
                    score = alone.score
            score -= 0.0 if settled else HYPOTHESIS_MARGIN
            if score >= thresholds.agree:
                yield signal
            elif settled and (urgent or score >= thresholds.doubt):
                yield replace(signal, severity=Severity.NOTE)

    def _recent_complaint(self, scores: dict[str, LabelScore], words: Sequence[Word]) -> float:
        """The highest score of a complaint of the caller's, in these words or in the `COMPLAINT_MS` before them."""
        since_ms = words[0].start_ms - COMPLAINT_MS
        before = (each.complaint_score for each in self._recent.values() if each.end_ms > since_ms)
        return max([_complaint_score(scores), *before])

    def _with_history(self, signal: Signal) -> Signal:
        """The signal; `upset` as a cue where another one or a misstep of the agent's was within `UPSET_REPEAT_MS`."""
        if signal.id != UPSET:
            return signal
        is_cue = any(
            0 <= signal.at_ms - before.at_ms <= UPSET_REPEAT_MS
            for each in self._recent.values()
            for before in (*each.upset, *each.raised)
            if before.id == UPSET or before.id in AGENT_MISSTEPS
        )
        return replace(signal, severity=max(signal.severity, Severity.HELP)) if is_cue else signal

    def _is_cooling_down(self, signal: Signal) -> bool:
        return signal.id not in AGENT_STEPS and any(
            known.id == signal.id
            and signal.severity <= known.severity
            and 0 <= signal.at_ms - known.at_ms < COOL_DOWN_MS
            for each in self._recent.values()
            for known in each.raised
        )

    def _signals(
        self, scores: dict[str, LabelScore], said: Utterance | Hypothesis, complaint_score: float
    ) -> Iterable[Signal]:
        """Labels above their thresholds as signals, the highest score first; self-harm stands for `vulnerable`.

        Clauses that an exception of the rules names are not read for its signal, unless it is urgent. Nothing but
        self-harm is raised from words that were hardly heard, nor, where both parties share a channel, from words
        likelier the agent's.
        """
        if not scores:
            return
        is_agents = agent_odds(said) >= 0.0
        complains = complaint_score >= self._model.thresholds[COMPLAINT].least
        is_well_heard = mean_probability(said.words) >= MIN_UTTERANCE_PROBABILITY
        only_self_harm = is_agents or not is_well_heard
        raised: set[str] = set()
        margin = 0.0 if said.settled else HYPOTHESIS_MARGIN
        for label, found in sorted(scores.items(), key=lambda each: (each[0] != SELF_HARM, -each[1].score)):
            signal = "vulnerable" if label == SELF_HARM else label
            thresholds, score = self._model.thresholds[label], found.score - margin
            least = thresholds.sure + COMPLAINT_MARGIN if label == COMPLAINT else thresholds.least
            if signal in raised or score < least or (only_self_harm and label != SELF_HARM):
                continue
            kept: Sequence[int] = range(len(said.words))
            excepted = self._phrases.excepted_words(signal, said.words, said.speaker)
            if excepted and label != SELF_HARM and score < thresholds.urgent:
                kept = [index for index in kept if index not in excepted]
                rest = self._score([said.words[index] for index in kept], said.speaker, only=label)
                if label not in rest or (score := rest[label].score - margin) < least:
                    continue
                found = rest[label]
            severity = _severity(
                score, thresholds, acts=label != COMPLAINT and (complains or label not in NEEDS_COMPLAINT)
            )
            if not is_well_heard and severity is not Severity.URGENT:
                severity = Severity.NOTE
            if severity is Severity.NOTE and not said.settled:
                continue
            raised.add(signal)
            first, last = (kept[index] for index in found.quote())
            quoted = said.words[first : last + 1]
            yield Signal(
                id=signal,
                rule=f"meaning.{label}",
                version=self._model.version,
                speaker=said.speaker,
                at_ms=quoted[-1].end_ms,
                strength=round(1 / (1 + exp(-found.score)), 3),
                severity=severity,
                evidence=Evidence(
                    start_ms=quoted[0].start_ms,
                    end_ms=quoted[-1].end_ms,
                    quote=" ".join(word.text for word in quoted).strip(" .,;:!?"),
                    utterance=said.id,
                    first_word=first,
                    last_word=last,
                    measured={"score": round(found.score, 2)},
                ),
                settled=said.settled,
            )


def _complaint_score(scores: dict[str, LabelScore]) -> float:
    return scores[COMPLAINT].score if COMPLAINT in scores else -inf


def _segments_around(words: Sequence[Word], first: int, last: int, *, urgent: bool) -> Iterable[Sequence[Word]]:
    """The words to score alone for a match from `first` to `last`, the longest first (see `NARROW_MARGIN_WORDS`)."""
    wide = _sentence_around(words, first, last, WIDE_MARGIN_WORDS)
    yield wide
    if urgent and len(wide) < len(_sentence_around(words, first, last, len(words))):
        yield _sentence_around(words, first, last, NARROW_MARGIN_WORDS)


def _clause_around(words: Sequence[Word], first: int, last: int) -> Sequence[Word]:
    """The words of the clauses that have words from `first` to `last`; none where nobody is said to act in them.

    "Just cancel it, please" is a request, for whatever reason.
    """
    text = normalise([word.text for word in words])
    places = list(zip(text.word_indices, text.clause_starts, text.tokens, strict=True))
    clauses = {start for index, start, _ in places if first <= index <= last}
    clause = [(index, token) for index, start, token in places if start in clauses]
    if ACTORS.isdisjoint(token for _, token in clause):
        return ()
    return [word for word in words[clause[0][0] : clause[-1][0] + 1] if word.text]


def _sentence_around(words: Sequence[Word], first: int, last: int, margin: int) -> Sequence[Word]:
    """The words from `first` to `last` and those around them in the same sentence, at most `margin` on either side."""
    begin, end = first, last + 1
    while begin > max(0, first - margin) and words[begin - 1].text[-1:] not in SENTENCE_ENDS:
        begin -= 1
    while end < min(len(words), last + 1 + margin) and words[end - 1].text[-1:] not in SENTENCE_ENDS:
        end += 1
    return words[begin:end]


def _added(signals: Iterable[Signal], found: Sequence[Signal]) -> list[Signal]:
    """Those whose id was not found yet, or less severe; `upset` only where no cue says what it is about."""
    known = {signal.id: signal.severity for signal in sorted(found, key=lambda each: each.severity)}
    new = [signal for signal in signals if signal.severity > known.get(signal.id, 0)]
    has_cue = any(each.severity >= Severity.HELP and each.id in CUES for each in (*found, *new))
    return [signal for signal in new if signal.id != UPSET or not has_cue]


def _severity(score: float, thresholds: Thresholds, *, acts: bool) -> Severity:
    """The severity of a label above its threshold; without `acts` it is a note unless urgent."""
    if score >= thresholds.urgent:
        return Severity.URGENT
    return Severity.HELP if acts and score >= thresholds.sure else Severity.NOTE
