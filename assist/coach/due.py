"""When something is due: what "by Friday", "within the hour", "tomorrow morning at ten" mean on the call's calendar.

Text here is plain (detectors.context): lower case, contractions open, "4pm" and "1030" as tokens. Pure.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from detectors import context

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_NUMBERS = {
    "a": 1, "an": 1, "the": 1, "one": 1, "two": 2, "couple": 2, "three": 3, "few": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30,
    "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_PARTS_OF_AN_HOUR = {"half": 0.5, "three quarters": 0.75, "quarter": 0.25}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_END_OF = {"morning": time(12), "lunchtime": time(13), "afternoon": time(18), "evening": time(21), "night": time(21)}
"""By when a part of the day is over."""
_MORNING = 4
"""An hour of the night before this one is after midnight: "at half past twelve tonight", "at one tonight".

Until then "in the morning" is today; later the morning of today is "this morning"."""

_NUM = (
    r"(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety) (?:one|two|three|four|five|six|seven|eight|nine)|"
    + "|".join(_NUMBERS)
    + r"|\d{1,2})"
)
_TWELVE = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|11|12)"
_PAST_OR_TO = (
    rf"(?:half(?: past)?|(?:(?:a )?quarter|(?:five|ten|twenty(?: five)?|\d\d)(?: minutes)?) (?:past|to)) {_TWELVE}"
)
_MINUTES = r"(?: (?:oh five|ten|fifteen|(?:twenty|thirty|forty|fifty)(?: five)?|[0-5][05]))?"
_HALF_DAY = r"(?:am|pm|a m|p m|in the (?:morning|afternoon|evening)|at night)"
_FIGURE = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)"
_COUNTED = (
    r"(?! (?:minutes|past|percent|per|pence|quid|of|more|other|hundred|thousand|people|children|men|women|each"
    r"|a (?:visit|time|day|week(?! (?:on|from|today|tomorrow)\b)|month|year)"
    rf"|(?:different|separate|failed|missed) [a-z]+s|{_FIGURE} {_FIGURE}|(?:working |business )?(?:day|hour)s?"
    r"|(?!(?:[a-z]*[aius]s|does|its|yes|perhaps|always|thanks|works|suits|sounds|looks|seems|makes|james|charles)\b)"
    r"[a-z]{3,}s)\b)"
    r"(?!(?<=\bone) (?:point|stage|time|moment|end|level|place|site|address|shop|store|branch|visit|engineer)\b)"
)
"""Behind a number that is an hour no noun stands that it counts, and no further figures: "at five", not "about five
pounds", "at one point", "at five five five"."""
HOUR = (
    rf"(?:(?:{_PAST_OR_TO}|(?:(?:twelve|12) )?(?:noon|midday|midnight)|lunchtime|\d{{1,4}}(?:am|pm)"
    rf"|(?:\d{{3,4}}(?! \d)|(?:{_TWELVE}|1[0-9]|2[0-4]){_MINUTES}){_COUNTED})"
    rf"(?: oclock)?(?: (?:{_HALF_DAY}|sharp))?)"
)
CLOCK = (
    rf"(?:{_PAST_OR_TO}(?: {_HALF_DAY})?|noon|midday|\d{{1,4}}(?:am|pm)"
    rf"|(?:{_TWELVE}{_MINUTES}|\d{{3,4}}) (?:oclock(?: {_HALF_DAY})?|{_HALF_DAY}))"
)
"""An hour that is one by its form, without "at" before it: "five o'clock", "half past four", "3pm"."""
FEW = rf"(?:(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|11|12){_MINUTES})"
"""A number that may be an hour, and is one where it answers when; "does one suit you" asks about something else."""
_WINDOW = rf"(?:between {HOUR} and|from (?:{_TWELVE}|{HOUR}) (?:to|until|till)) {HOUR}"
_PART = r"(?:(?: in the)? (?:morning|afternoon|evening|night|lunchtime)| noon| midday| midnight)?"
_AT_HOUR = rf" (?:{_WINDOW}|(?:(?:at|by|before|after|around|about) )+{HOUR}|{CLOCK})"
_AT = rf"(?:{_AT_HOUR})?"
_DAY = rf"(?:{'|'.join(DAYS)})"
_ORDINAL = (
    rf"(?:twenty (?:{'|'.join(_ORDINALS[:9])})|thirty first|{'|'.join(_ORDINALS)}|thirtieth|\d{{1,2}}(?:st|nd|rd|th)?)"
)
_MONTH = rf"(?:{'|'.join(MONTHS)})"
_NO_DATE = (
    r"(?: (?:phone|service|home|site|delivery|repair))?"
    r" (?:thing|attempt|try|go|time|occasion|visit|appointment|delivery|one|floor|page|line|step|"
    r"(?:call|ring)(?! (?:me|us))|day(?! of))\b"
)
"""What "the second ..." counts, where it is no day of the month."""
_DATE_OF_MONTH = rf"(?:(?:the )?{_ORDINAL} of {_MONTH}|{_MONTH} (?:the )?{_ORDINAL})"
_DATE = rf"(?:{_DATE_OF_MONTH}|the {_ORDINAL}(?!{_NO_DATE}))"
_WEEKDAY = rf"{_DAY}(?: next week| week| {_DATE})?"
LATER = (
    r"(?:the day after tomorrow|tomorrow|today|tonight|this (?:morning|afternoon|evening)"
    rf"|(?:on |next |this )*{_WEEKDAY}|(?:on )?{_DATE}){_PART}"
)
_WEEKS_ON = (
    r"(?<!for )(?<!once )(?<!twice )(?<!times )(?:a|one|two|three) (?:weeks?|fortnight)"
    rf"(?: (?:on|from))? (?=(?:{_DAY}|today|tomorrow)\b)"
)
"""Before the day it is counted from; not what is done "twice a week on Friday"."""
_NIGHT = re.compile(r"\b(?:to|mid)?night\b")
ABOUT = r"(?:(?:just )?(?:about|around|roughly|approximately|maybe|perhaps|under|over|less than|no more than) )*"
"""What makes a number of minutes or days a rough one; the number counts."""
_PART_COMING = (
    r"(?:first thing |early )?(?:in the|by|by the) (?P<part>morning|afternoon|evening)"
    r"\b(?! (?:of|or|slot|window|shift|post|mail|run|round|delivery|meeting)\b)"
)
WHEN = re.compile(
    rf"\b(?:(?:by )?{_WEEKS_ON}(?:{_DAY}|today|tomorrow){_PART}{_AT}"
    rf"|(?:first thing |by the end of |by |on |before |this |next |coming |until |no later than )*"
    rf"(?:{_WEEKDAY}|the day after tomorrow|(?:tomorrow|today)(?: week)?|tonight){_PART}{_AT}"
    rf"|(?:by |before |later )?this (?:morning|afternoon|evening|week){_AT}"
    rf"|(?:by |at |before )?(?:the )?(?:end|close) of (?:the |this |next )?(?:day|week|month|business|play)"
    rf"(?: today| tomorrow| on {_DAY}| {_DAY})?"
    rf"|(?:within|in|inside) {ABOUT}(?:the )?(?:next )?"
    rf"(?:hour(?: and a half| or two)?|(?<=the next )(?:day|week) or two"
    rf"|(?:a )?half(?: an)? hour|(?:a |three )?quarters? of an hour"
    rf"|(?:{_NUM}|a few|a couple of) (?:(?:to |or |(?<!a )(?<!an )(?<!the )){_NUM} )?(?:and a half )?"
    rf"(?:working |business )?(?:minutes?|hours?|days?|weeks?|fortnight)(?: and a half| or two)?)"
    rf"|{_PART_COMING}{_AT}(?: {LATER})?"
    rf"|next (?:week|month)"
    rf"|(?:by|on|before) {_DATE}{_AT}|{_DATE_OF_MONTH}{_AT_HOUR}"
    rf"|(?:{_WINDOW}|(?:(?:by|at|before|around|about) )+{HOUR})(?: {LATER})?|(?:midnight|{CLOCK}) {LATER})"
    rf"(?= |$)"
)
"""An expression of time that makes a promise checkable."""


_HOUR = re.compile(
    rf"\b(?:from (?P<from>{_TWELVE})(?= (?:to|until|till) )"
    rf"|(?:at|by|before|after|around|about|between|from) (?P<hour>{HOUR})|midnight|{CLOCK})(?= |$)"
)
_UNTIL = re.compile(rf" (?:and|to|until|till) ({_TWELVE}|\d{{1,2}}(?=(?:\d\d)?(?:[ap]m)?\b))")
"""The end of a time that began with an hour."""


def due_at(due: str, said: datetime) -> str:
    """What a due time means, counted from when it was said: an ISO date or date and time; empty where it names none."""
    text = " ".join(context.line(due.split()).tokens)
    span = _span(text, said)
    if span is not None:
        return span
    hour = _hour(text)
    day = _day(text, said.date()) or _day_of_part(text, hour, said)
    if hour is None and day is not None:
        hour = next((over for part, over in _END_OF.items() if re.search(rf"\b{part}\b|to{part}\b", text)), None)
        if hour is not None and _at(day, hour, said) <= said:
            hour = None  # "tonight", said late in the evening: the day is all that is known
        if "first thing" in text:
            hour = time(9)
    elif day is not None and hour is not None and hour < time(_MORNING) and _NIGHT.search(text):
        still = "tonight" in text and _at(day, hour, said) > said
        day += timedelta(days=0 if still else 1)  # a night begins on the evening before
    if day is None and hour is not None:
        day = said.date()
        if _at(day, hour, said) <= said:
            day += timedelta(days=1)
    if day is None:
        return ""
    return day.isoformat() if hour is None else _at(day, hour, said).isoformat(timespec="minutes")


def _is_local(said: datetime) -> bool:
    """Whether this machine's clocks showed that time; a call from elsewhere keeps the offset it was logged with."""
    return said.tzinfo is not None and said.astimezone().utcoffset() == said.utcoffset()


def _at(day: date, hour: time, said: datetime) -> datetime:
    """That hour as the clocks will show it then: they may be changed between now and that day."""
    return datetime.combine(day, hour).astimezone() if _is_local(said) else datetime.combine(day, hour, said.tzinfo)


def _after(said: datetime, span: timedelta) -> datetime:
    """So much time later, as the clocks will show it then."""
    return (said + span).astimezone() if _is_local(said) else said + span


def names_hour(text: str) -> bool:
    """Whether these words name an hour of the day."""
    return _hour(" ".join(context.line(text.split()).tokens)) is not None


def is_day_alone(text: str) -> bool:
    """Whether these words name a day without an hour, such as "tomorrow"; not "within the hour"."""
    return not names_hour(text) and re.match(r"(?:within|inside|in(?! the [mae]))\b", text.casefold()) is None


def refined(known: str, later: str) -> str:
    """What two times come to that were named one after the other: an hour is that of the day before it, as it was said.

    Else the later one alone.
    """
    second = " ".join(context.line(later.split()).tokens)
    if not names_hour(second) or _day(second, date(2000, 1, 1)) is not None or re.match(_PART_COMING, second):
        return later
    day = _without_hour(known)
    return f"{day} {later[:1].lower()}{later[1:]}" if day and is_day_alone(day) else later


def _without_hour(known: str) -> str:
    """The words of a time that name its day."""
    heard = context.line(known.split())
    found = _HOUR.search(text := " ".join(heard.tokens))
    if found is None:
        return known
    until = re.compile(rf"(?: (?:and|to|until|till) {HOUR})?").match(text, found.end())
    end = until.end() if until is not None else found.end()
    first, last = text.count(" ", 0, found.start()), text.count(" ", 0, end)
    words = [word for n, word in enumerate(known.split()) if not heard.origin[first] <= n <= heard.origin[last]]
    return " ".join(words).rstrip(" ,")


def due_day(due: str, said_on: date) -> date | None:
    """The day a due time means; None where it names none."""
    found = due_at(due, datetime.combine(said_on, time(9)))
    return date.fromisoformat(found[:10]) if found else None


def _span(text: str, said: datetime) -> str | None:
    """Such as "within two hours", "in the next three working days": counted on from now."""
    found = re.search(
        r"\b(?:within|in|inside)\b(?! the (?:morning|afternoon|evening)\b)(?P<count>.*?)"
        r"(?P<working>working |business )?\b(?P<unit>minute|hour|day|week|fortnight)s?\b"
        r"(?:(?P<half> and a half)|(?P<two> or two))?",
        text,
    )
    if found is None:
        return None
    count, more, _ = found["count"].replace("the next", "").replace("half an", "half").partition(" and a half")
    counts = re.findall(rf"\b{_NUM}\b", count)
    many = 2 if found["two"] else _number(counts[-1]) if counts else 1
    amount = many + (0.5 if more or found["half"] else 0)
    amount = next((part for name, part in _PARTS_OF_AN_HOUR.items() if name in count), amount)
    if found["unit"] in ("minute", "hour"):
        minutes = amount * (60 if found["unit"] == "hour" else 1)
        if found["unit"] == "hour" and amount >= 24 and amount % 24 == 0:
            return _after(said, timedelta(hours=amount)).date().isoformat()
        return _after(said, timedelta(minutes=minutes)).isoformat(timespec="minutes")
    day = said.date()
    if found["unit"] in ("week", "fortnight"):
        return (day + timedelta(weeks=amount * (2 if found["unit"] == "fortnight" else 1))).isoformat()
    left = round(amount)
    while left > 0:
        day += timedelta(days=1)
        left -= not (found["working"] and day.weekday() >= 5)
    return day.isoformat()


def _number(text: str) -> int:
    return sum(int(word) if word.isdigit() else _NUMBERS[word] for word in text.split())


def _day_of_part(text: str, hour: time | None, said: datetime) -> date | None:
    """Such as "in the morning", "by evening": that of today while it is still to come, else that of tomorrow."""
    found = re.match(_PART_COMING, text)
    if found is None:
        return None
    last = time(_MORNING) if found["part"] == "morning" else hour or _END_OF[found["part"]]
    return said.date() + timedelta(days=said.time() >= last)


def _day(text: str, today: date) -> date | None:
    if on := re.search(rf"\b{_WEEKS_ON}", text):
        day = _day(text.replace(on[0], ""), today)
        weeks = _number(on[0].split()[0]) * (2 if "fortnight" in on[0] else 1)
        return day and day + timedelta(weeks=weeks)
    if on := re.search(rf"\b(?<!next )({_DAY}|today|tomorrow) week\b", text):
        day = _day(text.replace(on[0], on[1]), today)
        return day and day + timedelta(weeks=1)
    if "day after tomorrow" in text:
        return today + timedelta(days=2)
    if "tomorrow" in text:
        return today + timedelta(days=1)
    if (dated := _date(text, today)) is not None:
        return dated
    for number, name in enumerate(DAYS):
        if re.search(rf"\b{name}\b", text):
            ahead = (number - today.weekday()) % 7 or 7
            week_on = "next week" in text or re.search(rf"\bnext {name}", text)
            if week_on and number > today.weekday():
                ahead += 7
            return today + timedelta(days=ahead)
    if re.search(r"\b(today|tonight|this (morning|afternoon|evening))\b", text):
        return today
    if re.search(r"(end|close) of (the |this )?(day|business|play)\b", text):
        return today
    if re.search(r"end of (the |this )?week|this week", text):
        return today + timedelta(days=(4 - today.weekday()) % 7)
    next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    if re.search(r"end of (the |this )?month", text):
        return next_month - timedelta(days=1)
    if "end of next month" in text:
        return (next_month + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    if "end of next week" in text:
        return today + timedelta(days=11 - today.weekday())
    if "next week" in text:
        return today + timedelta(days=7)
    if "next month" in text:
        return next_month
    return None


def _date(text: str, today: date) -> date | None:
    """Such as "the fifth of december", "march the 3rd", "the tenth": the next such day."""
    found = re.search(rf"\b{_DATE}(?= |$)", text)
    if found is None:
        return None
    month = next((n for n, name in enumerate(MONTHS, 1) if name in found[0].split()), None)
    number = _ordinal(re.sub(rf"the |of |{_MONTH}", "", found[0]).strip())
    for months_on in range(13):
        year, index = divmod(today.year * 12 + today.month - 1 + months_on, 12)
        if month is not None and index + 1 != month:
            continue
        try:
            day = date(year, index + 1, number)
        except ValueError:
            continue
        if day > today:
            return day
    return None


def _ordinal(text: str) -> int:
    if digits := re.match(r"\d+", text):
        return int(digits[0])
    if text in ("thirtieth", "thirty first"):
        return 31 if text.endswith("first") else 30
    tens, _, ones = text.rpartition(" ")
    return (20 if tens else 0) + _ORDINALS.index(ones) + 1


def _hour(text: str) -> time | None:
    text = re.sub(r"\b(?:twelve|12) (?=noon|midday|midnight)", "", text)
    if (found := _HOUR.search(text)) is None:
        return None
    said = re.sub("^half (?!past )", "half past ", found["hour"] or found["from"] or found[0])
    if said.startswith(("noon", "midday")):
        return time(12)
    if said.startswith("lunchtime"):
        return time(13)
    if said.startswith("midnight"):
        return time(23, 59)
    if around := re.match(rf"(half|(?:a )?quarter|[\w ]+?)(?: minutes)? (past|to) ({_TWELVE})\b", said):
        part = around[1].removeprefix("a ")
        hour, minute = _number(around[3]), {"half": 30, "quarter": 15}.get(part) or _number(part)
        if around[2] == "to":
            hour, minute = hour - 1, 60 - minute
    else:
        first, _, rest = said.partition(" ")
        minutes = re.match(r"(?:oh )?((?:five|ten|fifteen|twenty|thirty|forty|fifty)(?: five)?|[0-5][05])\b", rest)
        digits = re.match(r"\d+", first)
        hour, minute = _number(digits[0] if digits else first), _number(minutes[1]) if minutes else 0
        if hour >= 100:
            hour, minute = divmod(hour, 100)
    if hour > 23 or not 0 <= minute <= 59:
        return None
    afternoon = re.search(r"\d+pm|\b(pm|p m)\b", text)
    later = afternoon or re.search("afternoon|evening", text) or _NIGHT.search(text)
    if (until := _UNTIL.match(text, found.end())) is not None and hour > _number(until[1]) % 12:
        later = None  # "between eleven and one p.m."
    earlier = re.search(r"\d+am|\b(am|a m)\b|morning", text)
    if _NIGHT.search(text) and (hour == 12 or hour < _MORNING) and not afternoon:
        return time(hour % 12, minute) if hour % 12 or minute else time(23, 59)
    if hour < 12 and (later or (not earlier and hour < 8)):
        hour += 12
    if hour == 12 and re.search(r"\d+am|\bam\b", text):
        hour = 0
    return time(hour, minute)
