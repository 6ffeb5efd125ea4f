"""After-call wrap-up: stored as reviews of the record, and applied to the record wherever it is shown."""

from __future__ import annotations

from collections.abc import Sequence

from assist.privacy.typed_text import mask_card_numbers
from assist.records.record import IncidentRecord, Judgement, Missed, Note, WrapUp
from assist.settings import Settings
from assist.store.rows import VERDICT_KINDS, Review, latest_texts
from detectors.signals import Level
from overlay import doing, messages

WRAP_UP_KINDS = ("outcome", "root-cause", "note", "contest", "follow-up", "due")
"""Kinds of review that a wrap-up writes; the last of a kind counts. follow-up: done or open; due: an ISO date."""


def with_reviews(record: IncidentRecord, reviews: Sequence[Review]) -> IncidentRecord:
    """The record with the reviews of people applied: they override what the call itself left."""
    last = latest_texts(reviews)
    follow_ups = []
    for each in record.follow_ups:
        done, day = last.get(("follow-up", each.id)), last.get(("due", each.id))
        changed = {"done": done == "done"} if done else {}
        follow_ups.append(each.model_copy(update=changed | ({"day": day, "at": ""} if day else {})))
    added = [review for review in reviews if review.kind == "comment"]
    if (note := last_note(reviews)) is not None:
        added.append(note)
    kept = [
        review
        for review in effective_reviews(reviews)
        if review.kind in WRAP_UP_KINDS and review.kind != "contest" and review.who == record.agent
    ]  # a contest comes from the review page, too, and is told by itself
    marks = {(review.kind, review.target): review for review in reviews if review.kind in VERDICT_KINDS}
    return record.model_copy(
        update={
            "wrap_up": WrapUp(at=kept[-1].at, who=kept[-1].who) if kept else record.wrap_up,
            "marks": [
                Judgement(kind=each.kind, target=each.target, verdict=each.text, who=each.who, at=each.at)
                for each in marks.values()
                if each.text != "clear"
            ],
            "missed": [
                Missed(at_ms=each.at_ms, signal=each.target, text=each.text, who=each.who)
                for each in reviews
                if each.kind == "missed"
            ],
            "outcome": last.get(("outcome", "")) or record.outcome,
            "root_cause": last.get(("root-cause", "")) or record.root_cause,
            "contested": last.get(("contest", ""), record.contested),
            "follow_ups": follow_ups,
            "notes": [
                *record.notes,
                *(Note(at_ms=each.at_ms or record.duration_ms, who=each.who, text=each.text) for each in added),
            ],
        }
    )


def effective_reviews(reviews: Sequence[Review]) -> list[Review]:
    """Without withdrawn reviews: an empty review withdraws all earlier ones of the same kind and target."""
    emptied = {(review.kind, review.target): n for n, review in enumerate(reviews) if not review.text}
    return [review for n, review in enumerate(reviews) if n > emptied.get((review.kind, review.target), -1)]


def last_note(reviews: Sequence[Review]) -> Review | None:
    """The newest note of a wrap-up; None where there is none or it was emptied."""
    note = next((review for review in reversed(reviews) if review.kind == "note"), None)
    return note if note is not None and note.text else None


def wrap_up_form(record: IncidentRecord, reviews: Sequence[Review], settings: Settings) -> messages.WrapUp:
    """The wrap-up form as the agent's page shows it."""
    now = with_reviews(record, reviews)
    note = last_note(reviews)
    return messages.WrapUp(
        call=record.call,
        outcome=now.outcome,
        outcomes=settings.outcomes,
        root_cause=now.root_cause,
        root_causes=settings.root_causes,
        note=note.text if note is not None else "",
        contested=now.contested,
        follow_ups=[
            messages.WrapUpFollowUp(
                id=each.id, what=each.what, owner=each.owner, due=each.due, day=each.day, done=each.done
            )
            for each in now.follow_ups
        ],
        reset_s=settings.reset_s if record.level_reached == Level.ESCALATED else 0,
        kept=any(review.kind in WRAP_UP_KINDS and review.who == record.agent for review in reviews),
    )


def new_reviews(
    submitted: doing.DoWrapUp, before: messages.WrapUp, reviews: Sequence[Review], who: str, at: str
) -> list[Review]:
    """The reviews to store for a submitted wrap-up: one for each field that has changed, so none for the same again.

    `before` shows what was heard as outcome and root cause where people have given none or withdrawn it; `reviews`
    tell these cases apart.
    """
    last = latest_texts(reviews)
    found = []

    def add(kind: str, target: str, now: str | None, was: str) -> None:
        if now is not None and (text := mask_card_numbers(now.strip())) not in (was, last.get((kind, target))):
            found.append(Review(at, who, kind, target, text))

    add("outcome", "", submitted.outcome, before.outcome)
    add("root-cause", "", submitted.root_cause, before.root_cause)
    add("note", "", submitted.note, before.note)
    add("contest", "", submitted.contested, before.contested)
    known = {each.id: each for each in before.follow_ups}
    for each in submitted.follow_ups:
        was = known.get(each.id)
        if was is not None:
            if each.done is not None:
                add("follow-up", each.id, "done" if each.done else "open", "done" if was.done else "open")
            add("due", each.id, each.day, was.day)
    return found
