"""When something is due: what "by Friday", "within the hour", "tomorrow morning at ten" mean on the call's calendar.

Pure.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from assist.coach.when import DAYS, MONTHS, MORNING, ORDINALS, When, number, read
from detectors.normalisation import normalise, timed_words

_END_OF = {"morning": time(12), "lunchtime": time(13), "afternoon": time(18), "evening": time(21), "night": time(21)}
"""By when a part of the day is over."""


def time_in(due: str) -> When | None:
    """The time that these words name; None where they name none."""
    _, times = read(normalise(due.split()), timed_words(due))
    return next((when for each in times if (when := each.sure()) is not None), None)


def due_at(due: str, said: datetime) -> str:
    """What a due time means, counted from when it was said: an ISO date or date and time; empty where it names none."""
    when = time_in(due)
    if when is None:
        return ""
    if "unit" in when.named:
        return _after(when, said)
    day, hour = _day(when, said), when.hour
    if hour is None and day is not None and "first thing" in due.casefold():
        hour = time(9)
    elif hour is None and day is not None and when.part:
        hour = _END_OF[when.part]
        if _at(day, hour, said) <= said:
            hour = None  # "tonight", said late in the evening: the day is all that is known
    elif day is not None and hour is not None and when.part == "night" and hour < MORNING:
        still = when.named.get("ahead") == "tonight" and _at(day, hour, said) > said
        day += timedelta(days=0 if still else 1)  # a night begins on the evening before
    if day is None and hour is not None:
        day = said.date() + timedelta(days=_at(said.date(), hour, said) <= said)
    if day is None:
        return ""
    return day.isoformat() if hour is None else _at(day, hour, said).isoformat(timespec="minutes")


def due_day(due: str, said_on: date) -> date | None:
    """The day a due time means; None where it names none."""
    found = due_at(due, datetime.combine(said_on, time(9)))
    return date.fromisoformat(found[:10]) if found else None


def is_hour_of(due: str, day: str) -> bool:
    """Whether these words name an hour, and those before them a day without one, such as "tomorrow"."""
    named, known = time_in(due), time_in(day)
    return bool(named and named.hour and known and not known.hour and "unit" not in known.named)


def refined(known: str, later: str) -> str:
    """What two times come to that were named one after the other: an hour is that of the day before it, as it was said.

    Else the later one alone.
    """
    day, hour = time_in(known), time_in(later)
    if day is None or hour is None or not day.day_words or "unit" in day.named or hour.hour is None or hour.named:
        return later
    return f"{day.day_words} {later[:1].lower()}{later[1:]}"


def _is_local(said: datetime) -> bool:
    """Whether this machine's clocks showed that time; a call from elsewhere keeps the offset it was logged with."""
    return said.tzinfo is not None and said.astimezone().utcoffset() == said.utcoffset()


def _at(day: date, hour: time, said: datetime) -> datetime:
    """That hour as the clocks will show it then: they may be changed between now and that day."""
    return datetime.combine(day, hour).astimezone() if _is_local(said) else datetime.combine(day, hour, said.tzinfo)


def _after(when: When, said: datetime) -> str:
    """Such as "within two hours", "in the next three working days": counted on from now."""
    told, unit = when.named, when.named["unit"]
    if portion := told.get("portion"):
        amount = 0.5 if "half" in portion else 0.75 if "three" in portion else 0.25
    else:
        half = 0.5 if "more" in told or "and_half" in told else 0
        amount = (2 if "two" in told else number(told.get("most") or told.get("count", "")) or 1) + half
    if unit in ("minute", "hour"):
        later = said + timedelta(minutes=amount * (60 if unit == "hour" else 1))
        later = later.astimezone() if _is_local(said) else later  # as the clocks will show it then
        whole_days = unit == "hour" and amount % 24 == 0
        return later.date().isoformat() if whole_days else later.isoformat(timespec="minutes")
    day = said.date()
    if unit in ("week", "fortnight"):
        return (day + timedelta(weeks=amount * (2 if unit == "fortnight" else 1))).isoformat()
    left = round(amount)
    while left > 0:
        day += timedelta(days=1)
        left -= not ("working" in told and day.weekday() >= 5)
    return day.isoformat()


def _day(when: When, said: datetime) -> date | None:
    """The day that is named; an hour alone names none."""
    told, today = when.named, said.date()
    stretch = told.get("all") or ("end " + told["of"] if "of" in told else "")
    week_on = "next" in told or "of_next" in told or stretch == "next week"
    if (ahead := told.get("ahead")) in ("tomorrow", "the day after tomorrow"):
        day = today + timedelta(days=1 if ahead == "tomorrow" else 2)
    elif (on := told.get("number")) is not None:
        on_day = ORDINALS.index(on) + 1 if on in ORDINALS else int(on.rstrip("stndrh"))
        month = told.get("month") or told.get("of_month") or ""
        days = (today + timedelta(days=n) for n in range(1, 397))
        return next((day for day in days if day.day == on_day and month in ("", MONTHS[day.month - 1])), None)
    elif "weekday" in told:
        weekday = DAYS.index(told["weekday"])
        day = today + timedelta(days=(weekday - today.weekday()) % 7 or 7)
        day += timedelta(days=7 if week_on and weekday > today.weekday() else 0)
    elif "ahead" in told or "this" in told:
        day = today
    elif stretch:
        day = _in_stretch(stretch, today)
    elif "part" in told:  # that of today while it is still to come
        last = MORNING if when.part == "morning" else when.hour or _END_OF[when.part]
        day = today + timedelta(days=said.time() >= last)
    else:
        return None
    weeks = (number(told["weeks"]) or 1) * (2 if "fortnight" in told else 1) if "weeks" in told else 0
    return day + timedelta(weeks=weeks + ("week" in told and not week_on))


def _in_stretch(stretch: str, today: date) -> date:
    """Such as "next week", "end month"."""
    next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return {
        "this week": today + timedelta(days=(4 - today.weekday()) % 7),
        "end week": today + timedelta(days=(4 - today.weekday()) % 7),
        "end next week": today + timedelta(days=11 - today.weekday()),
        "next week": today + timedelta(days=7),
        "end month": next_month - timedelta(days=1),
        "end next month": (next_month + timedelta(days=32)).replace(day=1) - timedelta(days=1),
        "next month": next_month,
    }.get(stretch, today)
