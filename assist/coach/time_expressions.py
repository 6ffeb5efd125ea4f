"""Times as they are spoken: "tomorrow at half past four", "within two working days", "five". Pure.

    time  = span | component+             at most one component of a kind, in any order, within a sentence
          | time "no, sorry," time        the later one holds
    span  = "within two working days", "in half an hour"
    component = day | date | period | unread | part | hour
    day     = "on Friday", "tomorrow morning", "Friday week", "a fortnight on Monday", "the Friday after next"
    date    = "by the fifth", "3rd December"; without "by", "on" or a month only beside another component
    period = "next week", "the end of the day", "close of play"
    unread  = "on Boxing Day", "at the weekend", "in three months": a time with one of these has no date; months only
              beside another component
    part    = "in the morning", "this evening"
    hour    = "at five", "between two and four"; without a word such as "at" only what is one by its form: "half past
              four", "noon", "five o'clock", "3pm"
              a number alone is bare, "five", "fifteen thirty": the context decides whether it is an hour

Each pattern includes the space behind each of its words; its groups name what was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time

from audio.events import Word
from detectors.normalisation import NormalisedText, normalise, timed_words


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
"""Marks a number of minutes or days as approximate; the number is taken as it is."""
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
    r"(?:(?P<after_next>after next )|(?P<fortnight_on>fortnight )|(?P<of_next>next )?(?P<week>week ))?"
    rf"(?:(?:in the )?(?P<part_of>{_any(*_PARTS)}) )?"
)
_ORDINAL = _any(*reversed(ORDINALS), r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?")
_NUMBERED_NOUN = (
    r"(?:(?:phone|service|home|site|delivery|repair) )?(?:thing|attempt|try|go|time|occasion|visit|appointment"
    r"|delivery|one|floor|page|line|step|(?:call|ring)(?! (?:me|us))|day(?! of))\b"
)
"""Nouns that an ordinal numbers: "the second visit" is no day of the month."""
_BARE_MONTH = rf"(?!may (?:be|have|not|well|take|need|i|we|you|he|she|it|they) ){_any(*MONTHS)} "
"""A month without an "of"; "may" only where it is no verb."""
_DATE = (
    rf"(?P<on>(?:by|on|before|until) )?(?:(?P<of_month>{_any(*MONTHS)}) )?(?P<the>the )?"
    rf"(?P<number>{_ORDINAL}|{_NUM}(?= (?:of )?{_BARE_MONTH})) "
    rf"(?:(?:of |(?={_BARE_MONTH}))(?P<month>{_any(*MONTHS)}) )?"
    rf"(?(of_month)|(?(month)|(?(the)(?!{_NUMBERED_NOUN})|(?!))))"
)
_PERIOD = (
    r"(?:(?:by|at|before|later) )?(?:(?P<end>(?:the )?(?:end|close) of (?:(?:the|this) )?)"
    r"(?P<of>(?:next )?(?:week|month)|day|business|play)|(?P<all>next week|next month|this week"
    r"|the week after next)) "
)
_UNREAD = (
    r"(?P<open_day>(?:(?:on|at|by|before|over|until|for|next|this|the|following) )+"
    r"(?:weekend|christmas(?: eve| day)?|easter"
    rf"|new year|(?:bank|public) holiday)|(?:(?:on|by|before|until) )?(?:christmas (?:eve|day)|boxing day"
    rf"|new years? (?:eve|day)|(?<!\ba )good friday|(?:(?:easter|(?:bank|public) holiday) )+{_any(*DAYS)})"
    rf"|(?P<open_month>in {ABOUT}{_NUM}(?: (?:to |or )?{_NUM})? (?:months?|years?)|in {_any(*MONTHS)}"
    r"|(?:(?:by|before|at) )?(?:the )?end of (?:the |this |next )?year|next year)) "
)
_PART = (
    r"(?:(?:(?:by|before|later) )?(?P<this>this)|(?:first thing |early )?(?:in the|by the|by)) "
    r"(?P<part>morning|afternoon|evening) "
    r"(?(this)|(?!(?:of|or|slot|window|shift|post|mail|run|round|delivery|meeting) ))"
)
_TWELVE = _any(*_TO_TWELVE, "11", "12")
_MINUTES = r"(?:oh five|ten|fifteen|(?:twenty|thirty|forty|fifty)(?: five)?|[0-5][05])"
_HOUR_13_TO_23 = rf"(?:{_any(*_TEENS)}|twenty(?: one| two| three)?)(?= {_MINUTES} )"
_DIGIT = _any("zero", "oh", *_TO_TWELVE[:9])
_COUNTED = (
    r"(?:minutes|past|percent|per|pence|quid|of|more|other|hundred|thousand|people|children|men|women|each"
    r"|a (?:visit|time|day|week(?! (?:on|from|today|tomorrow)\b)|month|year)"
    rf"|(?:different|separate|failed|missed) [a-z]+s|{_DIGIT} {_DIGIT}|(?:working |business )?(?:day|hour)s?"
    r"|(?!(?:[a-z]*[aius]s|does|its|yes|perhaps|always|thanks|works|suits|sounds|looks|seems|makes|james|charles)\b)"
    r"[a-z]{3,}s"
    r"|(?<=\bone )(?:point|stage|time|moment|end|level|place|site|address|shop|store|branch|visit|engineer))\b"
)
"""A number followed by one of these is no hour: it counts a noun, or more digits follow ("about five pounds", "at one
point", "at five five five")."""


def _hour(prefix: str) -> str:
    """The pattern of an hour; the names of its groups have this prefix."""
    return (
        rf"(?:(?P<{prefix}around>half (?:past )?|(?:(?:a )?quarter|(?:five|ten|twenty(?: five)?|[1-5]\d)(?: minutes)?) "
        rf"(?:past|to) )(?P<{prefix}base>{_TWELVE}) (?!{_COUNTED})"
        rf"|(?:(?:twelve|12) )?(?P<{prefix}named>noon|midday|midnight|lunchtime) "
        rf"|(?P<{prefix}written>(?:[01]?\d|2[0-3]):[0-5]\d(?:[ap]m)?|(?:1[0-2]|0?\d)(?:[0-5]\d)?[ap]m) "
        rf"|(?:(?P<{prefix}digits>(?:[01]?\d|2[0-3])[0-5]\d) (?!\d)"
        rf"|(?P<{prefix}word>{_TWELVE}|1[3-9]|2[0-3]|{_HOUR_13_TO_23}) (?:(?P<{prefix}minutes>{_MINUTES}) )?)"
        rf"(?!{_COUNTED}))"
        rf"(?P<{prefix}oclock>oclock )?"
        rf"(?:(?P<{prefix}half>[ap] ?m|in the (?:morning|afternoon|evening)|at night) |sharp )?"
    )


_HOUR = (
    r"(?P<at>(?:at|by|before|after|around|(?<!how )(?<!what )about|(?P<window>between|from)) )*"
    rf"{_hour('')}(?(window)(?:and|to|until|till) {_hour('last_')})"
)
_COMPONENT = re.compile(
    rf"(?<=[ \n])(?:(?P<unread>{_UNREAD})|(?P<span>{_SPAN})|(?P<day>{_DAY})|(?P<date>{_DATE})|(?P<period>{_PERIOD})"
    rf"|(?P<day_part>{_PART})|(?P<hour>{_HOUR}))"
)
_CORRECTED = re.compile(
    r"(?:\n?(?:oh|no|wait|sorry|apologies|actually|i (?:mean|meant)|or rather|make that|let us say) )+\n?"
)
"""Between two times: the later one is meant."""
_HOUR_GROUPS = ("at", "around", "named", "written", "oclock", "half")
"""A number that has one of these groups is an hour."""
_NO_HOUR_ALONE = ("midnight ", "one ", *(f"{n} " for n in range(13, 24)))
"""No hours without another word."""
_WRITTEN = re.compile(r"\d{1,2}:\d\d")
NIGHT_ENDS = time(4)
"""Hours of the night before this one belong to the next day: "at half past twelve tonight", "at one tonight"."""


@dataclass(frozen=True, slots=True)
class TimeExpression:
    """A time that somebody has said."""

    tokens: range
    """Indices in the normalised line."""
    words: str
    """As heard; an "at" is put before an hour that stands alone."""
    day_words: str
    """The same without the words of the hour."""
    groups: Mapping[str, str]
    """Pattern group -> what was said, without the groups of the hour."""
    part: str
    """Part of the day (morning, afternoon, evening, night, lunchtime), or empty."""
    hour: time | None
    """Of "between two and four" the first."""
    bare: str
    """Without an "at" or "on": "form" where it is a time all the same, "number" where it may be none; else empty."""

    def without_bare_number(self) -> TimeExpression | None:
        """This time, without its hour where that is a bare number; None where nothing else is left."""
        day = replace(self, words=self.day_words, hour=None, bare="") if self.groups else None
        return day if self.bare == "number" else self


def tag_times(heard: NormalisedText, words: Sequence[Word]) -> tuple[str, list[TimeExpression]]:
    """The normalised text with each time replaced by TIME, or by NUMBER where it is a bare number; and these times.

    Args:
        heard: the normalised line. In the text each sentence but the first begins with a line break.
        words: as they were heard: only there 10:30 has its colon.
    """
    tokens = list(heard.tokens)
    for index, token in enumerate(heard.tokens):
        if token[0].isdigit() and (written := _WRITTEN.search(words[heard.word_indices[index]].text)) is not None:
            tokens[index] = written[0] + token.lstrip("0123456789")
        if index in heard.sentence_starts and index:
            tokens[index] = f"\n{tokens[index]}"
    times: list[TimeExpression] = []
    text, tagged, done = f" {' '.join(tokens)} ", "", 0
    for components in _components(text):
        if (when := _time_expression(heard, words, components)) is not None:
            first, *_, last = [*components.values()] * 2
            between, done = text[done : first.start()], last.end()
            if times and times[-1].bare != "number" and _CORRECTED.fullmatch(between):
                times[-1] = _correct(times[-1], when)
                continue
            tagged += f"{between}{'NUMBER' if when.bare == 'number' else 'TIME'} "
            times.append(when)
    return tagged + text[done:], times


def _correct(before: TimeExpression, later: TimeExpression) -> TimeExpression:
    """The later time in place of the one before; an hour alone is one of the day that was named before."""
    tokens = range(before.tokens.start, later.tokens.stop)
    if later.groups or not before.groups or "unit" in before.groups:
        return replace(later, tokens=tokens, bare="")
    due = f"{before.day_words} {later.words}"
    _, both = tag_times(normalise(due.split()), timed_words(due))
    return replace(both[0] if len(both) == 1 else later, tokens=tokens)


def _components(text: str) -> Iterator[dict[str, re.Match[str]]]:
    """The components of each time, by kind (see the module's grammar)."""
    at = 0
    while (component := _COMPONENT.search(text, at)) is not None:
        found: dict[str, re.Match[str]] = {}
        while component is not None:
            kind, hour = component.lastgroup or "", found.get("hour")
            if kind == "hour" and hour is not None and _is_bare(hour):
                del found["hour"]  # "I have two tomorrow at five"
            is_bare_hour = kind == "hour" and _is_bare(component)
            if kind in found or (found and ("span" in found or kind == "span" or is_bare_hour)):
                break
            found[kind], at = component, component.end()
            component = _COMPONENT.match(text, at)
        yield found


def _is_bare(hour: re.Match[str]) -> bool:
    return not any(hour[group] for group in _HOUR_GROUPS)


def parse_number(text: str) -> int:
    """The sum of the number words in a text; other words count 0."""
    return sum(int(word) if word.isdigit() else _NUMBERS.get(word, 0) for word in text.split())


def _time_expression(
    heard: NormalisedText, words: Sequence[Word], found: Mapping[str, re.Match[str]]
) -> TimeExpression | None:
    """The time of these components; None for what is none by itself: "the fifth", "in May", "one"."""
    components, hour = [*found.values()], found.get("hour")
    if found.keys() == {"unread"} and found["unread"]["open_month"]:
        return None
    said = {name: text.strip() for component in components for name, text in component.groupdict().items() if text}
    groups = {name: text for name, text in said.items() if name not in found and (hour is None or not hour[name])}
    alone = hour is not None and not groups and "at" not in said
    bare = "form" if alone or (found.keys() == {"date"} and "on" not in groups) else ""
    if hour is not None and _is_bare(hour) and (alone or "minutes" not in said):
        bare = "number"
    if (alone and hour is not None and hour[0] in _NO_HOUR_ALONE) or (bare and groups.keys() == {"the", "number"}):
        return None
    tokens, of_hour = _tokens(components[0], components[-1]), _tokens(hour, hour) if hour is not None else range(0)
    due, day = (
        " ".join(words[n].text for n in sorted({heard.word_indices[token] for token in part})).strip(" .,;:!?")
        for part in (tokens, {*tokens} - {*of_hour})
    )
    if alone or bare == "number":
        due = f"at {due[:1].lower()}{due[1:]}"
    part = groups.get("part") or groups.get("part_of") or ("night" if groups.get("ahead") == "tonight" else "")
    clock, half = _clock_time(said, part) if hour is not None else (None, "")
    return TimeExpression(tokens, due, day, groups, part or (half if half in _PARTS else ""), clock, bare)


def _tokens(first: re.Match[str], last: re.Match[str]) -> range:
    text = first.string
    return range(text.count(" ", 0, first.start()) - 1, text.count(" ", 0, last.end()) - 1)


def _clock_time(said: Mapping[str, str], part: str) -> tuple[time, str]:
    """The hour as a time, and "am", "pm" or the part of the day; hours below eight are in the afternoon by default."""
    hour, minute, half = _spoken_hour(said, "")
    if "window" in said and not half:
        last, _, ends = _spoken_hour(said, "last_")
        half = "" if hour > last % 12 else ends  # "between eleven and one p.m."
    day_parts = {half, part}
    if hour == 24:
        return time(23, 59), half
    if "night" in day_parts and "pm" not in day_parts and (hour == 12 or hour < NIGHT_ENDS.hour):
        return time(hour % 12, minute) if hour % 12 or minute else time(23, 59), half
    later = not day_parts.isdisjoint(("pm", "afternoon", "evening", "night"))
    if hour < 12 and (later or (hour < 8 and day_parts.isdisjoint(("am", "morning")))):
        hour += 12
    return time(0 if hour == 12 and "am" in day_parts else hour, minute), half


def _spoken_hour(said: Mapping[str, str], prefix: str) -> tuple[int, int, str]:
    """The hour and the minutes as they were said, and am, pm or the part of the day; `prefix`: of the groups' names."""
    groups = {group.removeprefix(prefix): words for group, words in said.items() if group.startswith(prefix)}
    half = groups.get("half", "").replace("a m", "am").replace("p m", "pm").split(" ")[-1]
    if "named" in groups:
        return {"midnight": 24, "lunchtime": 13}.get(groups["named"], 12), 0, "pm"
    if around := groups.get("around"):
        hour, minute = parse_number(groups["base"]), 30 if around.startswith("half") else parse_number(around)
        return (hour - 1, 60 - minute, half) if around.endswith(" to") else (hour, minute, half)
    if written := re.fullmatch(r"(\d{1,2}?):?(\d\d)?([ap]m)?", groups.get("written") or groups.get("digits", "")):
        return int(written[1]), int(written[2] or 0), half or written[3] or ("am" if written[1].startswith("0") else "")
    return parse_number(groups["word"]), parse_number(groups.get("minutes", "")), half
