"""What the screens are shown in tests and pictures: made-up calls, pushed through the real hub."""

# ruff: noqa: E501 (made-up calls read better a line each)
from __future__ import annotations

from typing import Any

from overlay.hub import Hub
from overlay.messages import (
    Alert,
    AlertStep,
    Call,
    Clock,
    ConsentNow,
    Duty,
    Ended,
    Health,
    Heard,
    LevelNow,
    Line,
    Next,
    Notice,
    OnDuty,
    Plan,
    PlanOption,
    Prompt,
    Quality,
    Row,
    Step,
    Steps,
    WrapUp,
    WrapUpFollowUp,
)

ROOM = "agent/dana"
NOW = 252_000
COURSE = [(0, 12.0), (40_000, 12.0), (70_000, 18.0), (100_000, 16.0), (130_000, 40.0), (155_000, 36.0),
          (190_000, 66.0), (220_000, 78.0), (235_000, 72.0), (252_000, 75.0)]  # fmt: skip
PROMPT = Prompt(
    id="p3",
    label="Influence claim",
    title="Be the person they can call",
    say="I’m Dana. This is mine now. Let me give you my direct line before we go on.",
    why=["Heard at 04:09: “I’m going to call my guy”", "Voice +8 dB over this caller’s normal for 2.1 s"],
    tier="urgent",
    shown_at_ms=249_800,
)
PLAN = Plan(
    options=[
        PlanOption(id="fee", title="Waive the late fee", worth="worth £12 to them", authority="yours"),
        PlanOption(
            id="engineer", title="Engineer tomorrow, 8–10", worth="accepted 7 times in 10 here", authority="yours"
        ),
        PlanOption(
            id="month", title="One month free", worth="worth £34, over your limit", authority="ask", who="Maria"
        ),
    ]
)
STEPS = Steps(
    method="J.E.R.K.",
    steps=[
        Step(id="just-calm", title="Just calm", done=True),
        Step(id="empathize", title="Empathize", done=True),
        Step(id="redirect", title="Redirect", current=True),
        Step(id="plan-b", title="Plan B"),
    ],
    words="I’d feel the same",
    ticked="Empathize",
)
LINES = {
    "c7": Line(speaker="customer", start_ms=241_000, settled="Nobody has told me anything. Three visits!", final=True),
    "a8": Line(speaker="agent", start_ms=245_000, settled="I’d feel the same after three visits.", final=True),
    "c9": Line(
        speaker="customer",
        start_ms=248_000,
        settled="I’m going to call my guy and he’ll",
        tentative="sort you out",
        marks=[(0, 24)],
    ),
}


def call(**changes: Any) -> Call:
    given = {"call": "c1", "agent": "Dana", "team": "Billing", "queue": "Billing", "caller": "…0142", "state": "live",
             "at_ms": NOW, "recogniser": "faster-whisper base.en (CPU, int8)"}  # fmt: skip
    return Call(**(given | changes))


def health(**changes: Any) -> Health:
    return Health(**({"state": "ok", "lag_ms": 700, "at_ms": NOW} | changes))


def nothing(hub: Hub) -> None:
    """No call at all."""


def waiting(hub: Hub) -> None:
    hub.show(ROOM, "call", Call(agent="Dana", team="Billing", state="waiting"))


def calm(hub: Hub) -> None:
    hub.show(ROOM, "call", call(at_ms=41_000))
    hub.show(ROOM, "health", health(at_ms=41_000, lag_ms=600))
    hub.show(ROOM, "level", LevelNow(level="calm", score=10, at_ms=41_000, course=COURSE[:3]))
    hub.show(ROOM, "steps", Steps(method="J.E.R.K.", steps=[step.model_copy(update={"done": False, "current": False}) for step in STEPS.steps]))  # fmt: skip
    hub.show(ROOM, "line/a1", Line(speaker="agent", start_ms=1000, settled="Good morning, Dana speaking.", final=True))
    hub.show(
        ROOM, "line/c1", Line(speaker="customer", start_ms=4000, settled="Hello, it’s about an", tentative="engineer")
    )


def escalated(hub: Hub) -> None:
    hub.show(ROOM, "call", call())
    hub.show(ROOM, "health", health())
    hub.show(ROOM, "level", LevelNow(level="escalated", score=75, at_ms=NOW, course=COURSE))
    hub.show(ROOM, "prompt", PROMPT)
    hub.show(ROOM, "next", Next(titles=["say back what went wrong, in their words"]))
    hub.show(ROOM, "plan", PLAN)
    hub.show(ROOM, "steps", STEPS)
    hub.show(ROOM, "clock", Clock(running=True, limit_ms=60_000, started_at_ms=NOW - 21_500, at_ms=NOW))
    for name, line in LINES.items():
        hub.show(ROOM, f"line/{name}", line)


def ended(hub: Hub) -> None:
    escalated(hub)
    for key in ("prompt", "next", "clock", "plan", "health"):
        hub.drop(ROOM, key)
    hub.show(ROOM, "call", call(state="ended", at_ms=566_000))
    hub.show(ROOM, "level", LevelNow(level="recovering", score=20, at_ms=566_000, course=[*COURSE, (400_000, 20.0)]))
    hub.show(ROOM, "ended", Ended(record="2026-11-24-dana-1", summary="Recovered in 58 s", at_ms=566_000))


def wrapping(hub: Hub, **changes: Any) -> None:
    ended(hub)
    given = {
        "call": "c1",
        "outcome": "recovered",
        "outcomes": ["solved in the call", "remedy given"],
        "root_causes": ["missed appointment", "billing or charge"],
        "follow_ups": [WrapUpFollowUp(id="f1", what="call you back", owner="Dana", due="by Friday", day="2026-11-27")],
        "reset_s": 60,
    }
    hub.show(ROOM, "wrapup", WrapUp.model_validate(given | changes))


def notices(hub: Hub) -> None:
    escalated(hub)
    options = [option.model_copy(update={"state": state}) for option, state in zip(PLAN.options, ("offered", "accepted", "allowed"), strict=True)]  # fmt: skip
    hub.show(ROOM, "plan", Plan(options=options))
    hub.show(ROOM, "notice/reading", Notice(kind="reading", text="Maria is reading along", who="Maria"))
    hub.show(
        ROOM, "notice/message/1", Notice(kind="message", text="You may give her the month. I’ll sign it.", who="Maria")
    )


def recovering(hub: Hub) -> None:
    escalated(hub)
    hub.drop(ROOM, "prompt")
    hub.drop(ROOM, "next")
    hub.show(ROOM, "call", call(at_ms=312_000))
    hub.show(ROOM, "health", health(at_ms=312_000))
    hub.show(ROOM, "level", LevelNow(level="recovering", score=41, at_ms=312_000, course=[*COURSE, (312_000, 41.0)]))
    hub.show(
        ROOM,
        "clock",
        Clock(running=False, limit_ms=60_000, started_at_ms=NOW - 21_500, at_ms=NOW + 16_500, result="met"),
    )
    hub.show(ROOM, "plan", Plan(options=[PLAN.options[0].model_copy(update={"state": "accepted"}), *PLAN.options[1:]]))
    hub.show(
        ROOM,
        "steps",
        STEPS.model_copy(
            update={
                "steps": [step.model_copy(update={"done": True, "current": False}) for step in STEPS.steps],
                "words": "I’ll take the fee off now",
                "ticked": "Plan B",
            }
        ),
    )


def remedied(hub: Hub) -> None:
    escalated(hub)
    met = {"running": False, "started_at_ms": NOW - 5_000, "result": "met", "by": "remedy"}
    hub.show(ROOM, "clock", Clock.model_validate({"limit_ms": 60_000, "at_ms": NOW} | met))


def helped(hub: Hub) -> None:
    escalated(hub)
    hub.show(ROOM, "notice/help", Notice(kind="help", text="Asking Maria", who="Maria", at_ms=NOW - 6_000))


def consent(hub: Hub, said: str = "unknown") -> None:
    calm(hub)
    now = {"consent": said, "heard": said != "refused", "kept": said == "granted", "by": "settings"}
    hub.show(ROOM, "consent", ConsentNow.model_validate(now))


def behind(hub: Hub) -> None:
    escalated(hub)
    hub.show(ROOM, "health", health(state="behind", lag_ms=6_200))


def lost(hub: Hub) -> None:
    escalated(hub)
    hub.drop(ROOM, "prompt")
    hub.drop(ROOM, "next")
    hub.show(ROOM, "health", health(state="lost", text="No sound from the caller: check the headset."))


def paused(hub: Hub) -> None:
    escalated(hub)
    hub.drop(ROOM, "prompt")
    hub.drop(ROOM, "next")
    hub.show(ROOM, "health", health(state="paused"))


def untranscribed(hub: Hub) -> None:
    calm(hub)
    for key in ("line/a1", "line/c1"):
        hub.drop(ROOM, key)
    hub.show(ROOM, "health", health(state="untranscribed", at_ms=41_000))


def embedded(hub: Hub) -> None:
    calm(hub)
    hub.show(ROOM, "call", call(at_ms=41_000, embedded=True, recogniser="pocketsphinx en-us (embedded)",
                                advice="Better: `assist models fetch base.en`"))  # fmt: skip


def board(hub: Hub, calls: int = 7) -> None:
    people = [
        ("Dana", "Billing", "escalated", "Influence claim, raised voice", "my guy … he’ll sort you out", "Redirect", "Plan B offered: fee waived", "ok", 700, NOW, [30, 32, 35, 55, 72, 76]),
        ("Tom", "Claims", "escalated", "Insult, asks for a manager", "", "Own it", "", "ok", 800, 698_000, [50, 47, 66, 76, 74, 71]),
        ("Aisha", "Deliveries", "recovering", "Remedy accepted", "yes, that works for me", "Follow-up Friday", "", "ok", 600, 531_000, [66, 76, 70, 52, 40, 35]),
        ("Piotr", "Broadband", "tense", "Wants to cancel", "I may as well leave", "Ask the goal", "", "behind", 4_000, 127_000, [32, 34, 40, 48, 52, 56]),
        ("Grace", "Billing", "tense", "Passed around", "you’re the fourth person", "Say it back", "", "ok", 900, 104_000, [40, 36, 42, 55, 54, 52]),
        ("Luis", "Claims", "tense", "Review threat", "one star, everywhere", "", "", "ok", 700, 380_000, [30, 36, 34, 40, 40, 41]),
        ("Mei", "Deliveries", "calm", "", "", "", "", "ok", 600, 58_000, [10, 12, 8, 11, 10, 9]),
    ]  # fmt: skip
    for n in range(calls):
        agent, team, level, why, quote, in_use, plan, state, lag, at, course = people[n if n < 7 else 2 + n % 5]
        name = agent if n < 7 else f"{agent} {n // 7 + 1}"
        row = Row(call=f"c{n + 1}", agent=name, team=team, level=level, score=course[-1], course=course, why=why,
                  quote=quote, in_use=in_use, plan=plan, health=state, lag_ms=lag, at_ms=at, since_ms=at - 30_000 + n * 7,
                  handled_by="Maria" if agent == "Tom" else "", read_by=["Olu"] if agent == "Piotr" else [])  # fmt: skip
        hub.show("board", f"row/{row.call}", row)
    counts: dict[Any, int] = {"escalated": 0, "tense": 0, "recovering": 0, "calm": 0}
    for key in hub.snapshot("board"):
        if key.startswith("row/"):
            shown = hub.latest("board", key)
            assert isinstance(shown, Row)
            counts[shown.level] += 1
    hub.show("board", "quality", Quality(median_ms=900, p95_ms=1400, wrong=2, shown=61, calls=counts))


def last_row(hub: Hub, call: str) -> Row:
    row = hub.latest("board", f"row/{call}")
    assert isinstance(row, Row)
    return row


DUTY = Duty(people=[OnDuty(who="Maria", open=3), OnDuty(who="Olu", open=1), OnDuty(who="Sam", away=True)], budget=3,
            turn_ms=20_000)  # fmt: skip
ALERTS = [
    Alert(id="a1", call="c1", agent="Dana", team="Billing", kind="escalated", tier="urgent",
          reason="“I’m going to call my guy”, third contact this week, voice +8 dB over own normal",
          state="raised", seen_by=["Maria"], to="Maria", passed=["Olu"], passes_at_ms=NOW + 9_000, raised_ms=NOW - 31_000, at_ms=NOW,
          course=[AlertStep(at_ms=NOW - 31_000, what="raised"), AlertStep(at_ms=NOW - 31_000, what="turn", who="Olu"),
                  AlertStep(at_ms=NOW - 11_000, what="turn", who="Maria"), AlertStep(at_ms=NOW - 9_000, what="seen", who="Maria")]),
    Alert(id="a2", call="c1", agent="Dana", team="Billing", kind="ask", title="Dana offers one month free (£34)",
          reason="over her limit of £20, customer value high, used once this year", state="raised", to="Maria",
          passes_at_ms=NOW + 16_000, raised_ms=NOW - 4_000, at_ms=NOW),
    Alert(id="a1", call="c2", agent="Tom", team="Claims", kind="escalated", reason="“You people are useless, I want your manager”",
          state="claimed", by="Maria", raised_ms=618_000, claimed_ms=631_000, action="reading along", at_ms=698_000),
]  # fmt: skip


def alerts(hub: Hub) -> None:
    hub.show("board", "duty", DUTY)
    for alert in ALERTS:
        hub.show("board", f"alert/{alert.call}-{alert.id}", alert)


def over(hub: Hub) -> None:
    """The call that is read along is over, as Screens leaves it."""
    for key in ("row/c1", "alert/c1-a1", "alert/c1-a2"):
        hub.drop("board", key)
    hub.clear("call/c1")
    hub.show("call/c1", "call", call(state="ended", at_ms=566_000))
    hub.show("call/c1", "ended", Ended(record="2026-11-24-dana-1", summary="Recovered in 58 s", at_ms=566_000))


def many_alerts(hub: Hub) -> None:
    """More than one person can look at: the least urgent are counted."""
    board(hub, 30)
    alerts(hub)
    for n in range(8, 17):
        row = last_row(hub, f"c{n}")
        tier: Any = "help" if n % 3 else "note"
        alert = Alert(id="a1", call=row.call, agent=row.agent, team=row.team, kind="escalated", tier=tier, level="escalated",
                      reason=f"“{row.quote or 'I want your manager'}”", state="raised", to="Olu", passes_at_ms=row.at_ms + 12_000,
                      raised_ms=row.at_ms - 8_000, at_ms=row.at_ms)  # fmt: skip
        hub.show("board", f"alert/{alert.call}-{alert.id}", alert)


def reading(hub: Hub) -> None:
    """The live transcript a supervisor may open."""
    hub.show("call/c1", "call", call())
    hub.show(
        "call/c1",
        "line/a6",
        Line(speaker="agent", start_ms=230_000, settled="Thank you for waiting. Which visit was missed?"),
    )
    for name, line in LINES.items():
        hub.show("call/c1", f"line/{name}", line)
    hub.show(
        "call/c1",
        "heard/1",
        Heard(at_ms=91_000, label="passed around", evidence="“third time”", rule="passed.times v2"),
    )
    hub.show("call/c1", "heard/2", Heard(at_ms=247_000, label="raised voice", evidence="+8 dB and +5 semitones, 2.1 s"))
    hub.show(
        "call/c1",
        "heard/3",
        Heard(
            at_ms=249_000, label="influence claim", evidence="“I’m going to call my guy”", rule="influence.my-guy v3"
        ),
    )
