"""Resolves spoken due times ("by Friday", "within the hour", "tomorrow morning at ten") to dates and times. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from assist.coach.time_expressions import DAYS, MONTHS, NIGHT_ENDS, ORDINALS, TimeExpression, parse_number, tag_times
from detectors.normalisation import normalise, timed_words

_END_OF = {"morning": time(12), "lunchtime": time(13), "afternoon": time(18), "evening": time(21), "night": time(21)}
"""When a part of the day is over."""


def find_time(due: str) -> TimeExpression | None:
    """The first time that these words name, if any."""
    _, times = tag_times(normalise(due.split()), timed_words(due))
    return next((when for each in times if (when := each.without_bare_number()) is not None), None)


def due_at(due: str, said: datetime) -> str:
    """A due time that was `said` then, as an ISO date, or date and time; empty where it names no time."""
    when = find_time(due)
    if when is None:
        return ""
    if "unit" in when.groups:
        return _add_span(when, said)
    day, hour = _named_day(when, said), when.hour
    if hour is None and day is not None and "first thing" in due.casefold():
        hour = time(9)
    elif hour is None and day is not None and when.part:
        hour = _END_OF[when.part]
        if _local_datetime(day, hour, said) <= said:
            hour = None  # "tonight", said late in the evening: only the day is known
    elif day is not None and hour is not None and when.part == "night" and hour < NIGHT_ENDS:
        still = when.groups.get("ahead") == "tonight" and _local_datetime(day, hour, said) > said
        day += timedelta(days=0 if still else 1)  # a night begins on the evening before
    if day is None and hour is not None and not when.groups:
        day = said.date() + timedelta(days=_local_datetime(said.date(), hour, said) <= said)
    if day is None:
        return ""
    return day.isoformat() if hour is None else _local_datetime(day, hour, said).isoformat(timespec="minutes")


def due_day(due: str, said_on: date) -> date | None:
    """The day of a due time that was said on `said_on`; None where it names no time."""
    found = due_at(due, datetime.combine(said_on, time(9)))
    return date.fromisoformat(found[:10]) if found else None


def adds_hour(due: str, day: str) -> bool:
    """Whether `due` names an hour and `day`, said before it, a day without one, such as "tomorrow"."""
    later, known = find_time(due), find_time(day)
    return bool(later and later.hour and known and not known.hour and "unit" not in known.groups)


def combine_times(known: str, later: str) -> str:
    """Two times named one after the other, as one: a day and then its hour are joined, else the later one holds."""
    day, hour = find_time(known), find_time(later)
    if day is None or hour is None or not day.day_words or "unit" in day.groups or hour.hour is None or hour.groups:
        return later
    return f"{day.day_words} {later[:1].lower()}{later[1:]}"


def _is_local(said: datetime) -> bool:
    """Whether the UTC offset is this machine's; a call from elsewhere keeps the offset that it was logged with."""
    return said.tzinfo is not None and said.astimezone().utcoffset() == said.utcoffset()


def _local_datetime(day: date, hour: time, said: datetime) -> datetime:
    """That hour with its UTC offset: on this machine that of the day itself, as daylight saving may begin before it."""
    return datetime.combine(day, hour).astimezone() if _is_local(said) else datetime.combine(day, hour, said.tzinfo)


def _add_span(when: TimeExpression, said: datetime) -> str:
    """The end of a span, such as "within two hours", "in the next three working days"."""
    groups, unit = when.groups, when.groups["unit"]
    if portion := groups.get("portion"):
        amount = 0.5 if "half" in portion else 0.75 if "three" in portion else 0.25
    else:
        half = 0.5 if "more" in groups or "and_half" in groups else 0
        amount = (2 if "two" in groups else parse_number(groups.get("most") or groups.get("count", "")) or 1) + half
    if unit in ("minute", "hour"):
        later = said + timedelta(minutes=amount * (60 if unit == "hour" else 1))
        later = later.astimezone() if _is_local(said) else later  # see _local_datetime
        whole_days = unit == "hour" and amount % 24 == 0
        return later.date().isoformat() if whole_days else later.isoformat(timespec="minutes")
    day = said.date()
    if unit in ("week", "fortnight"):
        return (day + timedelta(weeks=amount * (2 if unit == "fortnight" else 1))).isoformat()
    left = round(amount)
    while left > 0:
        day += timedelta(days=1)
        left -= not ("working" in groups and day.weekday() >= 5)
    return day.isoformat()


def _named_day(when: TimeExpression, said: datetime) -> date | None:
    """The day of a time expression; None where it is an hour alone, or a day that is not understood or never comes."""
    groups, today = when.groups, said.date()
    period = groups.get("all") or ("end " + groups["of"] if "of" in groups else "")
    after_next = "after_next" in groups or period == "the week after next"
    week_on = "next" in groups or "of_next" in groups or period == "next week" or after_next
    if "open_day" in groups:
        return None
    if (ahead := groups.get("ahead")) in ("tomorrow", "the day after tomorrow"):
        day = today + timedelta(days=1 if ahead == "tomorrow" else 2)
    elif (on := groups.get("number")) is not None:
        on_day = ORDINALS.index(on) + 1 if on in ORDINALS else parse_number(re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", on))
        month = groups.get("month") or groups.get("of_month") or ""
        days = (today + timedelta(days=n) for n in range(1, 397))
        return next((day for day in days if day.day == on_day and month in ("", MONTHS[day.month - 1])), None)
    elif "weekday" in groups:
        weekday = DAYS.index(groups["weekday"])
        day = today + timedelta(days=(weekday - today.weekday()) % 7 or 7)
        day += timedelta(days=7 * (after_next + (week_on and weekday > today.weekday())))
    elif "ahead" in groups or "this" in groups:
        day = today
    elif period:
        day = _period_day(period, today)
    elif "part" in groups:  # that of today while it is still to come
        last = NIGHT_ENDS if when.part == "morning" else when.hour or _END_OF[when.part]
        day = today + timedelta(days=said.time() >= last)
    else:
        return None
    weeks = (parse_number(groups["weeks"]) or 1) * (2 if "fortnight" in groups else 1) if "weeks" in groups else 0
    later = 2 if "fortnight_on" in groups else "week" in groups and not week_on
    return day + timedelta(weeks=weeks + later)


def _period_day(period: str, today: date) -> date:
    """The day that stands for a period such as "next week", "end month"; today for any other."""
    next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return {
        "this week": today + timedelta(days=(4 - today.weekday()) % 7),
        "end week": today + timedelta(days=(4 - today.weekday()) % 7),
        "end next week": today + timedelta(days=11 - today.weekday()),
        "next week": today + timedelta(days=7),
        "the week after next": today + timedelta(days=14),
        "end month": next_month - timedelta(days=1),
        "end next month": (next_month + timedelta(days=32)).replace(day=1) - timedelta(days=1),
        "next month": next_month,
    }.get(period, today)
