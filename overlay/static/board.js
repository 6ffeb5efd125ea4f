// The supervisor's board: what needs somebody first, then every call, worst first, and one call read along.

import { tellActivity } from "./activity.js";
import { connect } from "./link.js";
import { alertList } from "./alerts.js";
import { readAlongPane } from "./readalong.js";
import { chip, keepClicks, clock, find, h, onKeys, plural, temporaryLine, put, redrawSparkline, redrawOnChange, writeStatus, duration, sparkline, write, seconds } from "./shared.js";

const WORST_FIRST = ["escalated", "recovering", "tense", "calm"];
const POINTER_STILL_MS = 1500; // rows do not move under a pointer that has just moved
const HEARING = { starting: "starting", lost: "sound lost", paused: "paused", "no-consent": "no consent", untranscribed: "no words" };
const HEARING_TONE = { ok: "calm", behind: "tense", lost: "escalated", untranscribed: "escalated" };

const rows = new Map(); // call -> {node, cells, body, at, order}
const body = find("rows");
let order = 0;
let pointerAt = -Infinity;
let sortDue = false;
let tabStopCall = null; // call of the one row that Tab reaches

const { say, line: ownText } = temporaryLine(() => drawState());
const link = connect("board", new URLSearchParams(location.search).get("name") ?? "", draw);
const board = () => link.room("board");
const running = (value) => value.body.at_ms + (link.state === "live" ? performance.now() - value.at : 0);
const act = (message) => link.send(message) || say("Not connected: that was not sent.");
const pane = readAlongPane({ link, board, running, row: (call) => rows.get(call)?.body, chosen: highlightRow });
const alerts = alertList({ link, board, running, act, say, choose: pane.choose, calls: () => rows });

function draw(changed) {
  document.body.classList.toggle("stale", link.state !== "live" && link.lastFrameAt !== null);
  drawState();
  if (link.lastFrameAt === null) return;
  drawRows(changed);
  drawTop();
  drawDuty();
  alerts.draw();
  pane.draw();
  drawTimes();
}

function drawTimes() {
  for (const row of rows.values()) write(row.cells.time, clock(running(row)));
  alerts.drawTimes();
  pane.drawTime();
}

function drawState() {
  const [text, figure] = link.state === "refused" ? [`No access. ${link.noAccess}`]
    : link.state === "live" && link.refusal ? [link.refusal]
    : ownText() ? [ownText()]
    : link.state === "live" ? [""]
    : link.lastFrameAt === null ? ["Connecting"]
    : ["Not connected.", ` Last heard ${duration(performance.now() - link.lastFrameAt)} ago.`];
  writeStatus(find("state"), text, figure);
}

function drawTop() {
  const quality = board().get("quality")?.body;
  const calls = { escalated: 0, tense: 0, recovering: 0, calm: 0 };
  for (const row of rows.values()) calls[row.body.level] += 1;
  redrawOnChange(find("counts"), calls, () => Object.entries(calls).filter(([, n]) => n).map(([level, n]) => chip(level, `${n} ${level}`)));
  const parts = [];
  if (quality?.median_ms != null) {
    parts.push(`Prompts come ${(quality.median_ms / 1000).toFixed(1)} s after the words`
      + (quality.p95_ms != null ? `, 19 in 20 within ${(quality.p95_ms / 1000).toFixed(1)} s` : ""));
  }
  if (quality?.shown) parts.push(`${quality.wrong} of ${quality.shown} marked wrong`);
  write(find("quality"), parts.join("   ·   "));
}

function drawDuty() {
  const duty = board().get("duty")?.body;
  find("duty-head").hidden = !duty?.people.length;
  redrawOnChange(find("duty"), duty ?? null, () => [
    ...(duty?.people ?? []).map((one) => h("li", {}, h("b", {}, one.who), one.who === link.me?.who ? " (you)" : "", ` · ${one.away ? "away" : one.open ? `${one.open} of ${plural(duty.budget, "call")}` : "free"}`)),
    duty?.queued ? h("li", {}, `${plural(duty.queued, "call")} waiting until somebody is free`) : "",
  ].filter(Boolean));
}

// ---- all calls ----

function drawRows(changed) {
  const touched = changed.size ? [...changed].filter((each) => each.startsWith("board row/")).map((each) => each.slice(10)) : [];
  for (const call of touched) {
    const value = board().get(`row/${call}`);
    let row = rows.get(call);
    if (!value) {
      row?.node.remove();
      rows.delete(call);
      continue;
    }
    if (!row) {
      row = makeRow(call);
      rows.set(call, row);
      sortDue = true;
    }
    if (row.body === value.body) continue;
    if (row.body?.level !== value.body.level) {
      row.order = null;
      sortDue = true;
    }
    row.body = value.body;
    row.at = value.at;
    fillRow(row);
  }
  if (touched.length) {
    for (const id of ["calls", "all-head", "legend"]) find(id).hidden = rows.size === 0;
    put(find("calls"), "aria-rowcount", String(rows.size + 1));
    if (!rows.has(tabStopCall)) tabStop(body.firstElementChild?.dataset.call ?? [...rows.keys()][0]);
  }
  sort();
}

function makeRow(call) {
  const line = (extra = "") => h("span", { class: `line ${extra}` });
  const cell = (...inside) => h("span", { role: "cell" }, inside);
  const name = h("button", { class: "name", "data-name": call, tabindex: "-1", "aria-pressed": "false" });
  const cells = { level: cell(), name, team: line("second small"), course: sparkline([], 120, 28), why: line(), quote: line("second small"), use: line(), plan: line("second small"), hear: cell(), time: cell() };
  const node = h("div", {
    role: "row", class: "row", "data-call": call,
    onclick: () => pane.choose(call),
    onfocusin: () => tabStop(call),
  }, cells.level, cell(name, cells.team), cell(cells.course), cell(cells.why, cells.quote), cell(cells.use, cells.plan), cells.hear, cells.time);
  return { node, cells, body: null, at: 0, order: null };
}

// Which colleague has claimed the call or reads along.
function colleagues(it) {
  const me = link.me?.who;
  if (it.handled_by) return `${it.handled_by === me ? "You are" : `${it.handled_by} is`} on it`;
  const [first, ...more] = it.read_by.filter((who) => who !== me);
  return first ? `${[first, more.length ? `${more.length} more` : ""].filter(Boolean).join(" and ")} reading along` : "";
}

function fillRow(row) {
  const { cells, body: it } = row;
  if (cells.level.dataset.level !== it.level) {
    cells.level.dataset.level = it.level;
    cells.level.replaceChildren(chip(it.level));
    put(cells.course, "class", `spark ${it.level}`);
  }
  write(cells.name, it.agent);
  put(cells.name, "aria-label", `${it.agent}: read along`);
  write(cells.team, it.team);
  redrawSparkline(cells.course, it.course, 120, 28);
  write(cells.why, it.why || (it.level === "calm" ? "nothing that needs you" : ""));
  put(cells.why, "class", `line ${it.why ? "" : "second small"}`);
  write(cells.quote, it.quote ? `“${it.quote}”` : "");
  write(cells.use, it.in_use || "–");
  write(cells.plan, colleagues(it) || it.plan);
  put(cells.why.parentNode, "title", [it.why, it.quote && `“${it.quote}”`].filter(Boolean).join(" · ") || null);
  put(cells.use.parentNode, "title", [it.in_use, it.plan].filter(Boolean).join(" · ") || null);
  write(cells.hear, it.health === "ok" ? seconds(it.lag_ms) : it.health === "behind" ? `behind ${Math.round(it.lag_ms / 1000)} s` : HEARING[it.health]);
  put(cells.hear, "class", HEARING_TONE[it.health] ?? "second");
}

// Worst level first; within a level who came to it first stays first, however the scores move.
function sort() {
  if (!sortDue || performance.now() - pointerAt < POINTER_STILL_MS) return;
  sortDue = false;
  const fresh = [...rows.values()].filter((row) => row.order === null);
  fresh.sort((a, b) => (b.body.at_ms - b.body.since_ms) - (a.body.at_ms - a.body.since_ms) || (a.body.call < b.body.call ? -1 : 1));
  for (const row of fresh) row.order = order++;
  const sorted = [...rows.values()].sort((a, b) =>
    WORST_FIRST.indexOf(a.body.level) - WORST_FIRST.indexOf(b.body.level) || a.order - b.order);
  const focused = document.activeElement;
  sorted.forEach((row, i) => {
    if (body.children[i] !== row.node) body.insertBefore(row.node, body.children[i] ?? null);
  });
  if (focused?.closest?.("#rows") && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

function tabStop(call) {
  put(rows.get(tabStopCall)?.cells.name ?? document.createElement("i"), "tabindex", "-1");
  tabStopCall = call;
  if (rows.has(call)) put(rows.get(call).cells.name, "tabindex", "0");
}

function move(step) {
  const inside = document.activeElement.closest?.("#rows .row");
  const next = inside ? (step > 0 ? inside.nextElementSibling : inside.previousElementSibling) : rows.get(tabStopCall)?.node ?? body.firstElementChild;
  next?.querySelector(".name").focus();
  next?.scrollIntoView({ block: "nearest" });
  return Boolean(next);
}

function highlightRow(before, now) {
  for (const call of [before, now]) {
    const row = rows.get(call);
    if (!row) continue;
    row.node.classList.toggle("chosen", call === now);
    put(row.cells.name, "aria-pressed", String(call === now));
  }
}

onKeys(document, {
  c: alerts.claimFirst,
  j: () => move(1), k: () => move(-1),
  ArrowDown: () => Boolean(document.activeElement.closest?.("#rows")) && move(1),
  ArrowUp: () => Boolean(document.activeElement.closest?.("#rows")) && move(-1),
  m: () => { if (!pane.call()) return false; find("text").focus(); return true; },
  Escape: () => { if (!alerts.cancelResolving()) pane.choose(""); },
}, () => true, say);
keepClicks(document);
tellActivity(document);
body.addEventListener("pointermove", () => (pointerAt = performance.now()));
body.addEventListener("pointerleave", () => { pointerAt = -Infinity; sort(); });
document.addEventListener("visibilitychange", () => draw(new Set()));
setInterval(() => {
  drawTimes();
  drawState();
  sort();
}, 500);
