"""Times as they are spoken: "tomorrow at half past four", "within two working days", "five". Pure.

    time  = span | piece+             at most one piece of a kind, in any order, within a sentence
    span  = "within two working days", "in half an hour"
    piece = day | date | stretch | part | hour
    day     = "on Friday", "tomorrow morning", "Friday week", "a fortnight on Monday"
    date    = "by the fifth", "the fifth of December"; without "by" or "on" only beside another piece
    stretch = "next week", "the end of the day", "close of play"
    part    = "in the morning", "this evening"
    hour    = "at five", "between two and four"; without a word such as "at" only what is one by its form: "half past
              four", "noon", "five o'clock", "3pm"
              a number alone is bare, "five", "fifteen thirty": it may be an hour, for those who know what it answers

Below, a pattern takes the space behind each of its words along; its groups name what was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time

from audio.events import Word
from detectors.normalisation import NormalisedText


def _any(*words: str) -> str:
    return f"(?:{'|'.join(words)})"


DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTHS = "january february march april may june july august september october november december".split()
_TO_TWELVE = "one two three four five six seven eight nine ten eleven twelve".split()
_TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {word: n for n, word in enumerate([*_TO_TWELVE, *_TEENS], 1)} | {"couple": 2, "few": 3, "quarter": 15}
_NUMBERS |= {word: 10 * n for n, word in enumerate(_TENS, 2)}
_TO_NINTH = "first second third fourth fifth sixth seventh eighth ninth".split()
_TO_TWENTIETH = [*_TO_NINTH, *"tenth eleventh twelfth".split(), *(f"{teen}th" for teen in _TEENS), "twentieth"]
ORDINALS = [*_TO_TWENTIETH, *(f"twenty {each}" for each in _TO_NINTH), "thirtieth", "thirty first"]
ABOUT = r"(?:(?:just )?(?:about|around|roughly|approximately|maybe|perhaps|under|over|less than|no more than) )*"
"""What makes a number of minutes or days a rough one; the number counts."""
_NUM = rf"(?:{_any(*_TENS)} {_any(*_TO_TWELVE[:9])}|{_any('an?', 'the', *_TO_TWELVE, *_TEENS, *_TENS)}|\d{{1,2}})"
_SPAN = (
    rf"(?:within|in|inside) {ABOUT}(?:(?:the )?next |(?!(?:hour|day|week|minute)s? ))"
    r"(?:(?P<portion>(?:a )?half (?:an )?|(?:(?:a|three) )?quarters? of an )(?=hour )"
    r"|(?P<count>(?:(?:a )?few|(?:a )?couple of"
    rf"|{_NUM}(?: (?:to |or |(?<!\ba )(?<!\ban )(?<!\bthe ))(?P<most>{_NUM}))?) )?)(?P<more>and a half )?"
    r"(?P<working>(?:working|business) )?(?P<unit>minute|hour|day|week|fortnight)s? "
    r"(?:(?P<and_half>and a half )|(?P<two>or two ))?"
)
_PARTS = ("morning", "afternoon", "evening", "night", "lunchtime")
_DAY = (
    r"(?:(?:first thing|(?:by )?the end of|by|on|before|(?P<next>next)|this|coming|until|no later than) )*"
    r"(?:(?<!for )(?<!once )(?<!twice )(?<!times )(?P<weeks>a|one|two|three) (?:weeks?|(?P<fortnight>fortnight)) "
    rf"(?:(?:on|from) )?)?(?:(?P<weekday>{_any(*DAYS)})|(?P<ahead>the day after tomorrow|tomorrow|today|tonight)) "
    rf"(?:(?P<of_next>next )?(?P<week>week ))?(?:(?:in the )?(?P<part_of>{_any(*_PARTS)}) )?"
)
_ORDINAL = _any(*reversed(ORDINALS), r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?")
_COUNTED_ON = (
    r"(?:(?:phone|service|home|site|delivery|repair) )?(?:thing|attempt|try|go|time|occasion|visit|appointment"
    r"|delivery|one|floor|page|line|step|(?:call|ring)(?! (?:me|us))|day(?! of))\b"
)
"""What "the second ..." counts, where it is no day of the month."""
_DATE = (
    rf"(?P<on>(?:by|on|before|until) )?(?:(?P<of_month>{_any(*MONTHS)}) )?(?P<the>the )?(?P<number>{_ORDINAL}) "
    rf"(?:of (?P<month>{_any(*MONTHS)}) )?(?(of_month)|(?(month)|(?(the)(?!{_COUNTED_ON})|(?!))))"
)
_STRETCH = (
    r"(?:(?:by|at|before|later) )?(?:(?P<end>(?:the )?(?:end|close) of (?:(?:the|this) )?)"
    r"(?P<of>(?:next )?(?:week|month)|day|business|play)|(?P<all>next week|next month|this week)) "
)
_PART = (
    r"(?:(?:(?:by|before|later) )?(?P<this>this)|(?:first thing |early )?(?:in the|by the|by)) "
    r"(?P<part>morning|afternoon|evening) "
    r"(?(this)|(?!(?:of|or|slot|window|shift|post|mail|run|round|delivery|meeting) ))"
)
_TWELVE = _any(*_TO_TWELVE, "11", "12")
_MINUTES = r"(?:oh five|ten|fifteen|(?:twenty|thirty|forty|fifty)(?: five)?|[0-5][05])"
_LATE = rf"(?:{_any(*_TEENS)}|twenty(?: one| two| three)?)(?= {_MINUTES} )"
_FIGURE = _any("zero", "oh", *_TO_TWELVE[:9])
_COUNTS = (
    r"(?:minutes|past|percent|per|pence|quid|of|more|other|hundred|thousand|people|children|men|women|each"
    r"|a (?:visit|time|day|week(?! (?:on|from|today|tomorrow)\b)|month|year)"
    rf"|(?:different|separate|failed|missed) [a-z]+s|{_FIGURE} {_FIGURE}|(?:working |business )?(?:day|hour)s?"
    r"|(?!(?:[a-z]*[aius]s|does|its|yes|perhaps|always|thanks|works|suits|sounds|looks|seems|makes|james|charles)\b)"
    r"[a-z]{3,}s"
    r"|(?<=\bone )(?:point|stage|time|moment|end|level|place|site|address|shop|store|branch|visit|engineer))\b"
)
"""Behind a number that is an hour no noun stands that it counts, and no further figures: "at five", not "about five
pounds", "at one point", "at five five five"."""


def _hour(name: str) -> str:
    """The pattern of an hour; its groups have this name before their own."""
    return (
        rf"(?:(?P<{name}around>half (?:past )?|(?:(?:a )?quarter|(?:five|ten|twenty(?: five)?|[1-5]\d)(?: minutes)?) "
        rf"(?:past|to) )(?P<{name}base>{_TWELVE}) (?!{_COUNTS})"
        rf"|(?:(?:twelve|12) )?(?P<{name}named>noon|midday|midnight|lunchtime) "
        rf"|(?P<{name}written>(?:[01]?\d|2[0-3]):[0-5]\d(?:[ap]m)?|(?:1[0-2]|0?\d)(?:[0-5]\d)?[ap]m) "
        rf"|(?:(?P<{name}digits>(?:[01]?\d|2[0-3])[0-5]\d) (?!\d)"
        rf"|(?P<{name}word>{_TWELVE}|1[3-9]|2[0-3]|{_LATE}) (?:(?P<{name}minutes>{_MINUTES}) )?)(?!{_COUNTS}))"
        rf"(?P<{name}oclock>oclock )?"
        rf"(?:(?P<{name}half>[ap] ?m|in the (?:morning|afternoon|evening)|at night) |sharp )?"
    )


_HOUR = (
    r"(?P<at>(?:at|by|before|after|around|(?<!how )(?<!what )about|(?P<window>between|from)) )*"
    rf"{_hour('')}(?(window)(?:and|to|until|till) {_hour('last_')})"
)
_PIECE = re.compile(
    rf"(?<=[ \n])(?:(?P<span>{_SPAN})|(?P<day>{_DAY})|(?P<date>{_DATE})|(?P<stretch>{_STRETCH})|(?P<day_part>{_PART})"
    rf"|(?P<hour>{_HOUR}))"
)
_FORMS = ("at", "around", "named", "written", "oclock", "half")
"""With one of these a number is an hour."""
_NO_HOUR = ("midnight ", "one ", *(f"{n} " for n in range(13, 24)))
"""None without another word."""
_WRITTEN = re.compile(r"\d{1,2}:\d\d")
MORNING = time(4)
"""An hour of the night before this one is after midnight: "at half past twelve tonight", "at one tonight"."""


@dataclass(frozen=True, slots=True)
class When:
    """A time that was spoken of."""

    tokens: range
    words: str
    """As they were heard, with an "at" where an hour stands alone without such a word."""
    day_words: str
    """Those of them that are not of the hour."""
    named: Mapping[str, str]
    """What is named but for the hour, by the groups of the patterns."""
    part: str
    """Of the day: morning, afternoon, evening, night, lunchtime."""
    hour: time | None
    """The first of two."""
    bare: str
    """Where no "at" or "on" stands before it: "form", or "number" for an hour that may be none; else empty."""

    def sure(self) -> When | None:
        """The time without a number that may be no hour."""
        day = replace(self, words=self.day_words, hour=None, bare="") if self.named else None
        return day if self.bare == "number" else self


def read(heard: NormalisedText, words: Sequence[Word]) -> tuple[str, list[When]]:
    """The plain words with each time as one, TIME, or NUMBER for a bare number; and these times.

    A line break stands before each sentence. `words`: as they were heard, with the colon that tells 10:30 from 1030.
    """
    tokens = list(heard.tokens)
    for index, token in enumerate(heard.tokens):
        if token[0].isdigit() and (written := _WRITTEN.search(words[heard.word_indices[index]].text)) is not None:
            tokens[index] = written[0] + token.lstrip("0123456789")
        if index in heard.sentence_starts and index:
            tokens[index] = f"\n{tokens[index]}"
    text, marked, done, times = f" {' '.join(tokens)} ", "", 0, []
    for pieces in _pieces(text):
        if (when := _when(heard, words, pieces)) is not None:
            first, *_, last = [*pieces.values()] * 2
            marked += f"{text[done : first.start()]}{'NUMBER' if when.bare == 'number' else 'TIME'} "
            done = last.end()
            times.append(when)
    return marked + text[done:], times


def _pieces(text: str) -> Iterator[dict[str, re.Match[str]]]:
    """The pieces of each time, by their kind."""
    at = 0
    while (piece := _PIECE.search(text, at)) is not None:
        found: dict[str, re.Match[str]] = {}
        while piece is not None:
            kind, hour = piece.lastgroup or "", found.get("hour")
            if kind == "hour" and hour is not None and _is_bare(hour):
                del found["hour"]  # "I have two tomorrow at five"
            if kind in found or (found and ("span" in found or kind == "span" or (kind == "hour" and _is_bare(piece)))):
                break
            found[kind], at = piece, piece.end()
            piece = _PIECE.match(text, at)
        yield found


def _is_bare(hour: re.Match[str]) -> bool:
    return not any(hour[form] for form in _FORMS)


def number(text: str) -> int:
    """What number words come to; other words count nothing."""
    return sum(int(word) if word.isdigit() else _NUMBERS.get(word, 0) for word in text.split())


def _when(heard: NormalisedText, words: Sequence[Word], found: Mapping[str, re.Match[str]]) -> When | None:
    """The time that these pieces name; None for what is none by itself: "the fifth", "midnight", "one"."""
    pieces, hour = [*found.values()], found.get("hour")
    said = {name: told.strip() for piece in pieces for name, told in piece.groupdict().items() if told}
    named = {name: told for name, told in said.items() if name not in found and (hour is None or not hour[name])}
    alone = hour is not None and not named and "at" not in said
    bare = "form" if alone or (found.keys() == {"date"} and "on" not in named) else ""
    if hour is not None and _is_bare(hour) and (alone or "minutes" not in said):
        bare = "number"
    if (alone and hour is not None and hour[0] in _NO_HOUR) or (bare and named.keys() == {"the", "number"}):
        return None
    tokens, of_hour = _tokens(pieces[0], pieces[-1]), _tokens(hour, hour) if hour is not None else range(0)
    due, day = (
        " ".join(words[n].text for n in sorted({heard.word_indices[token] for token in part})).strip(" .,;:!?")
        for part in (tokens, {*tokens} - {*of_hour})
    )
    if alone or bare == "number":
        due = f"at {due[:1].lower()}{due[1:]}"
    part = named.get("part") or named.get("part_of") or ("night" if named.get("ahead") == "tonight" else "")
    clock, half = _clock(said, part) if hour is not None else (None, "")
    return When(tokens, due, day, named, part or (half if half in _PARTS else ""), clock, bare)


def _tokens(first: re.Match[str], last: re.Match[str]) -> range:
    text = first.string
    return range(text.count(" ", 0, first.start()) - 1, text.count(" ", 0, last.end()) - 1)


def _clock(said: Mapping[str, str], part: str) -> tuple[time, str]:
    """The hour on the clock, before eight in the afternoon unless something else is said; and the part of the day."""
    hour, minute, half = _figures(said, "")
    if "window" in said and not half:
        last, _, ends = _figures(said, "last_")
        half = "" if hour > last % 12 else ends  # "between eleven and one p.m."
    told = {half, part}
    if hour == 24:
        return time(23, 59), half
    if "night" in told and "pm" not in told and (hour == 12 or hour < MORNING.hour):
        return time(hour % 12, minute) if hour % 12 or minute else time(23, 59), half
    later = not told.isdisjoint(("pm", "afternoon", "evening", "night"))
    if hour < 12 and (later or (hour < 8 and told.isdisjoint(("am", "morning")))):
        hour += 12
    return time(0 if hour == 12 and "am" in told else hour, minute), half


def _figures(said: Mapping[str, str], name: str) -> tuple[int, int, str]:
    """The hour and the minutes as they were said, and am, pm or the part of the day."""
    told = {group.removeprefix(name): words for group, words in said.items() if group.startswith(name)}
    half = told.get("half", "").replace("a m", "am").replace("p m", "pm").split(" ")[-1]
    if "named" in told:
        return {"midnight": 24, "lunchtime": 13}.get(told["named"], 12), 0, "pm"
    if around := told.get("around"):
        hour, minute = number(told["base"]), 30 if around.startswith("half") else number(around)
        return (hour - 1, 60 - minute, half) if around.endswith(" to") else (hour, minute, half)
    if written := re.fullmatch(r"(\d{1,2}?):?(\d\d)?([ap]m)?", told.get("written") or told.get("digits", "")):
        return int(written[1]), int(written[2] or 0), half or written[3] or ("am" if written[1].startswith("0") else "")
    return number(told["word"]), number(told.get("minutes", "")), half
