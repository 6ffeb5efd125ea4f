"""Finished calls for tests and pictures of the review page, kept in memory; their shape is the real record's."""

# ruff: noqa: E501 (made-up calls read better a line each)
from __future__ import annotations

import io
import wave
from datetime import date, timedelta
from typing import Any

import numpy as np

from assist.records.record import IncidentRecord
from overlay.errors import OverlayError
from overlay.identity import Identity
from overlay.records import (
    Answer,
    Filters,
    Found,
    Mark,
    Marking,
    PlayableSound,
    Question,
    Recording,
    RecordNote,
    RecordSummary,
    RecordView,
    ReportQuery,
    SavedView,
    Trends,
    TrendsQuery,
    Week,
    unknown_record,
)

TALK = [
    ("customer", 241_000, "All of them! Nobody has told me anything. Three visits!"),
    ("agent", 245_000, "I’d feel the same after three visits."),
    ("customer", 249_000, "I’m going to call my guy and he’ll sort you out."),
    ("agent", 254_000, "I’m Dana and this is mine now. Let me give you my direct line."),
    ("customer", 261_000, "My nephew is a lawyer, he says keep every letter."),
    (
        "agent",
        270_000,
        "Shall I take the twelve pounds off now, or would you rather have an engineer tomorrow at eight?",
    ),
    ("customer", 277_000, "Take it off. And the card ends in [card number], yes. Thank you."),
]


def _words(text: str, start_ms: int) -> list[tuple[str, int, int, float]]:
    parts = text.replace("[card number]", "[card\xa0number]").split(" ")
    return [
        (part.replace("\xa0", " "), start_ms + n * 280, start_ms + n * 280 + 240, 0.9) for n, part in enumerate(parts)
    ]


def _signal(key: str, identifier: str, at_ms: int, severity: int, utterance: str | None, **more: Any) -> dict[str, Any]:
    given = {"key": key, "id": identifier, "rule": key.split("@")[0], "version": "3", "speaker": "customer", "at_ms": at_ms,
             "strength": 0.8, "severity": severity, "quote": "", "summary": "", "utterance": utterance, "first_word": 0,
             "last_word": -1, "start_ms": at_ms - 800, "end_ms": at_ms, "measured": {}}  # fmt: skip
    return given | more


def _prompt(
    name: str, title: str, signals: list[str], shown_ms: int, ended_ms: int, how: str, **more: Any
) -> dict[str, Any]:
    given = {"id": name, "play": name, "step": "", "title": title, "say": f"{title}.", "why": [], "tier": 2,
             "signals": signals, "shown_ms": shown_ms, "seen_ms": shown_ms + 400, "ended_ms": ended_ms, "how": how}  # fmt: skip
    return given | more


def incident(**changes: Any) -> dict[str, Any]:
    extra = [
        (
            "agent" if n % 3 == 1 else "customer",
            8_000 + n * 13_000,
            "and then nobody came at all that day " * (1 + n % 3),
        )
        for n in range(17)
    ]
    after = [
        ("customer" if n % 3 else "agent", 290_000 + n * 15_000, "thank you that is fine then " * (1 + n % 2))
        for n in range(15)
    ]
    lines = [
        {
            "id": f"u{n}",
            "speaker": who,
            "start_ms": at,
            "end_ms": _words(text.strip(), at)[-1][2],
            "text": text.strip(),
            "words": _words(text.strip(), at),
        }
        for n, (who, at, text) in enumerate(extra + TALK + after)
    ]
    first = len(extra)
    record = {
        "call": "2026-11-24-dana-1", "agent": "Dana", "team": "Billing", "queue": "Billing", "caller": "…0142", "source": "devices",
        "started_at": "2026-11-24T10:14:00+00:00", "duration_ms": 566_000, "ended": "hang-up", "level_reached": "escalated",
        "level_at_end": "recovering", "outcome": "recovered", "root_cause": "Late fee after missed visits",
        "recovery": [{"started_ms": 249_000, "limit_ms": 60_000, "result": "met", "took_ms": 58_000}],
        "signals": [
            _signal("passed.times@u9", "passed_around", 141_000, 2, "u9", first_word=0, last_word=2, quote="and then nobody"),
            _signal("tone@241000", "raised_voice", 243_000, 2, None, summary="+6 dB over own normal"),
            _signal(f"influence.my-guy@u{first + 2}", "influence_claim", 249_800, 3, f"u{first + 2}", first_word=0, last_word=5, quote="I’m going to call my guy"),
            _signal(f"legal.lawyer@u{first + 4}", "legal_threat", 262_000, 2, f"u{first + 4}", first_word=0, last_word=4, quote="My nephew is a lawyer"),
            _signal(f"calm.thanks@u{first + 6}", "de_escalation", 281_000, 1, f"u{first + 6}", first_word=10, last_word=11, quote="Thank you"),
        ],
        "levels": [
            {"at_ms": 141_000, "level": "tense", "score": 42, "because": ["passed.times@u9"]},
            {"at_ms": 243_000, "level": "escalated", "score": 78, "because": ["tone@241000"]},
            {"at_ms": 262_000, "level": "escalated", "score": 86, "because": []},
            {"at_ms": 307_000, "level": "recovering", "score": 48, "because": []},
            {"at_ms": 420_000, "level": "recovering", "score": 18, "because": []},
        ],
        "prompts": [
            _prompt("p1", "Say it back", ["passed.times@u9"], 142_000, 167_000, "expired", seen_ms=None),
            _prompt("p2", "Be the person they can call", [f"influence.my-guy@u{first + 2}"], 250_600, 258_000, "used"),
            _prompt("p3", "Ask what would help", [f"legal.lawyer@u{first + 4}"], 263_000, 269_000, "dismissed"),
        ],
        "plan": [
            {"id": "fee", "title": "Late fee waived (£12)", "worth": "£12", "authority": "yours", "cost": 12, "shown_ms": 249_000, "offered_ms": 271_000, "answer": "accepted"},
            {"id": "engineer", "title": "Engineer tomorrow", "worth": "", "authority": "yours", "cost": 0, "shown_ms": 249_000, "offered_ms": 272_000},
        ],
        "steps": [{"step": "empathize", "at_ms": 246_000, "by": "words", "words": "I’d feel the same"}],
        "follow_ups": [{"id": "f1", "what": "Call back about the engineer", "due": "Fri 27 Nov", "owner": "Dana", "words": ""}],
        "alerts": [{"id": "a1", "at_ms": 249_900, "tier": 3, "reason": "“I’m going to call my guy”", "course": [(249_900, "turn", "Maria"), (252_000, "alert-seen", "Maria"), (255_000, "claim", "Maria")]}],
        "notes": [{"at_ms": 560_000, "who": "Dana", "text": "Third missed visit this month; engineer rota for NE4 looks empty on Fridays."}],
        "contested": "", "transcript": lines, "troubles": [], "gaps_ms": 0, "accounted_ms": {},
        "versions": {"playbook": "J.E.R.K. 1.4", "rules": "2026-11-18"},
    }  # fmt: skip
    dumped: dict[str, Any] = IncidentRecord.model_validate(record | changes).model_dump(mode="json")
    return dumped


QUESTIONS = [
    Question(id="listened", text="Listened before answering"),
    Question(id="owned", text="Took responsibility"),
    Question(id="asked", text="Asked what would help"),
    Question(id="remedy", text="Remedy fits the harm"),
]


def trends(weeks: int = 12) -> Trends:
    """Made-up weeks in which fewer calls escalate and more of them turn."""
    first = date(2026, 11, 23) - timedelta(weeks=weeks - 1)
    return Trends(
        weeks=[
            Week(starts=(first + timedelta(weeks=n)).isoformat(), calls=400 + 9 * (n * 7 % 11), tense=61 - n % 5, escalated=34 - n - n % 3,
                 turned=17 + n % 4, within_60=9 + n // 2 + n % 2, prompts=140 - n * 2, used=70 + n, wrong=11 - n // 2 + n % 3)
            for n in range(weeks)
        ],
        root_causes=[("Late fee after missed visits", 61), ("Claim refused twice", 34), ("not said", 22), ("Parcel left outside", 17), ("Line drops", 9)],
        signals=[("passed_around", 88), ("supervisor_demand", 61), ("raised_voice", 55), ("cancel_threat", 31), ("influence_claim", 12), ("legal_threat", 7)],
    )  # fmt: skip


class Shelf:
    """Five records and what reviewers did to them."""

    def __init__(self) -> None:
        self.records = {
            "2026-11-24-dana-1": incident(),
            "2026-11-24-tom-1": incident(call="2026-11-24-tom-1", agent="Tom", team="Claims", root_cause="Claim refused twice",
                duration_ms=1_022_000, outcome="supervisor joined", contested="The prompt came after I had said it.", level_at_end="escalated"),
            "2026-11-23-aisha-1": incident(call="2026-11-23-aisha-1", agent="Aisha", root_cause="Parcel left outside", level_reached="recovering"),
            "2026-11-23-piotr-1": incident(call="2026-11-23-piotr-1", agent="Piotr", root_cause="", level_reached="tense", ended="interrupted", outcome="still tense at the end"),
            "2026-11-20-mei-1": incident(call="2026-11-20-mei-1", agent="Mei", root_cause="Line drops", level_reached="calm", signals=[], levels=[],
                prompts=[], transcript=[], plan=[], steps=[], alerts=[], notes=[], follow_ups=[], recovery=[], outcome="calm throughout"),
        }  # fmt: skip
        self.marks: list[tuple[str, Mark]] = []
        self.notes: list[tuple[Identity, str, RecordNote]] = []
        self.asked: list[Filters] = []
        self.saved: dict[tuple[str, str], Filters] = {}
        self.answers: list[tuple[str, Answer]] = []
        self.kept: dict[str, tuple[Recording, bytes]] = {}
        """Record -> its recording and the sound, for those that have one."""

    async def search(self, who: Identity, filters: Filters) -> Found:
        self.asked.append(filters)
        found = [
            RecordSummary(id=name, title=it["root_cause"] or it["agent"], agent=it["agent"], team=it["team"], started_at=it["started_at"],
                          duration_ms=it["duration_ms"], level_reached=it["level_reached"], outcome=it["outcome"], root_cause=it["root_cause"], ended=it["ended"],
                          signals=len(it["signals"]), prompts=len(it["prompts"]), contested=bool(it["contested"]))
            for name, it in self.records.items()
            if filters.level in ("", it["level_reached"]) and filters.agent in ("", it["agent"])
            and filters.root_cause.lower() in it["root_cause"].lower()
            and filters.words.lower() in " ".join(line["text"] for line in it["transcript"]).lower()
        ]  # fmt: skip
        return Found(records=found, total=len(found))

    async def get(self, who: Identity, record: str) -> RecordView:
        if record not in self.records:
            raise unknown_record()
        answers = {answer.question: answer for name, answer in self.answers if name == record}
        marks = {(mark.kind, mark.target): mark for name, mark in self.marks if name == record}
        return RecordView(
            id=record,
            record=self.records[record],
            marks=[mark for mark in marks.values() if mark.verdict != "clear"],
            seen_by=[("Dana", "2026-11-24T10:25:00+00:00"), ("Maria", "2026-11-24T10:40:00+00:00")],
            questions=QUESTIONS,
            answers=[answer for answer in answers.values() if answer.answer],
            recording=self.kept[record][0] if record in self.kept else None,
            notes=[(by.who, note.kind, note.text, note.at_ms) for by, name, note in self.notes if name == record],
        )

    async def mark(self, who: Identity, record: str, mark: Marking) -> int:
        now = next(
            (each.verdict for name, each in self.marks[::-1] if (name, each.target) == (record, mark.target)), ""
        )
        if mark.was not in (None, now.replace("clear", "")):
            raise OverlayError(
                "marked-since", f"Rita has marked this {now} meanwhile; yours is not stored. Look again."
            )
        self.marks.append((record, Mark(kind=mark.kind, target=mark.target, verdict=mark.verdict)))
        return sum(last == "wrong" for last in {(each.kind, each.target): each.verdict for name, each in self.marks if name == record}.values())  # fmt: skip

    async def note(self, who: Identity, record: str, note: RecordNote) -> None:
        self.notes.append((who, record, note))

    async def answer(self, who: Identity, record: str, answer: Answer) -> None:
        self.answers.append((record, answer.model_copy(update={"who": who.who, "at": "2026-11-24T10:41:00+00:00"})))

    async def sound(self, who: Identity, record: str) -> PlayableSound:
        if record not in self.kept:
            raise OverlayError("sound-missing", "No sound was kept of this call.")
        sound = self.kept[record][1]
        return PlayableSound("audio/wav", len(sound), lambda start, end: sound[start:end])

    async def report(self, who: Identity, asked: ReportQuery) -> str:
        return "<p>nothing yet</p>"

    async def trends(self, who: Identity, asked: TrendsQuery) -> Trends:
        return trends(asked.weeks)

    async def export(self, who: Identity, record: str) -> dict[str, Any]:
        return dict((await self.get(who, record)).record)

    async def agent_of(self, record: str) -> str:
        return str((await self.get(Identity("", "admin"), record)).record["agent"])

    async def views(self, who: Identity) -> list[SavedView]:
        return [
            SavedView(name=name, filters=filters)
            for (by, name), filters in sorted(self.saved.items(), key=str)
            if by == who.who
        ]

    async def save_view(self, who: Identity, view: SavedView) -> None:
        self.saved[who.who, view.name] = view.filters

    async def delete_view(self, who: Identity, name: str) -> None:
        if self.saved.pop((who.who, name), None) is None:
            raise OverlayError("view-unknown", f"There is no saved search {name}.")

    async def html(self, who: Identity, record: str) -> str:
        await self.get(who, record)
        return "<!doctype html><title>Call</title><style>p{color:green}</style><p>A record</p>"


def recorded() -> Shelf:
    """A shelf whose first record has its sound: a tone where somebody speaks, two channels of 8 kHz."""
    shelf = Shelf()
    record = shelf.records["2026-11-24-dana-1"]
    rate, length_ms = 8000, record["duration_ms"]
    frames = np.zeros((length_ms * rate // 1000, 2), np.int16)
    peaks = {"agent": np.zeros(1000), "customer": np.zeros(1000)}
    for line in record["transcript"]:
        channel = 0 if line["speaker"] == "agent" else 1
        for text, from_ms, to_ms, _ in line["words"]:
            span = slice(from_ms * rate // 1000, to_ms * rate // 1000)
            frames[span, channel] = 3000 * np.sin(np.arange(span.stop - span.start) * 0.2)
            loud = 0.25 + 0.09 * min(8, len(text))
            peaks[line["speaker"]][from_ms * 1000 // length_ms : to_ms * 1000 // length_ms + 1] = loud
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(frames.tobytes())
    kept = Recording(duration_ms=length_ms, kept_until="2027-02-20",
                     peaks={speaker: [round(float(v), 3) for v in values] for speaker, values in peaks.items()})  # fmt: skip
    shelf.kept["2026-11-24-dana-1"] = (kept, sound.getvalue())
    return shelf
