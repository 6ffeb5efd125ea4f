// The supervisor's board: what needs somebody first, then every call, worst first, and one call read along.

import { connect } from "./link.js";
import { chip, clock, find, h, keys, many, put, redraw, span, spark, transcript, write, lag as seconds } from "./shared.js";

const WORST_FIRST = ["escalated", "recovering", "tense", "calm"];
const CARDS = 6; // more alerts than this are counted, not shown: a board full of alerts helps nobody
const STILL_MS = 1500; // rows do not move under a pointer that has just moved

const who = new URLSearchParams(location.search).get("name") ?? "";
const rows = new Map(); // call -> {node, cells, body, at, order}
const cards = new Map(); // key -> {node, body}
const seen = new Set();
const body = find("rows");
let order = 0;
let chosen = "";
let watching = ""; // connection and call: a new connection asks again
let pointerAt = -Infinity;
let waiting = false; // a sort is due

const link = connect("board", who, draw);
const board = () => link.room("board");
const lines = transcript(find("lines"), find("talk"), (speaker) =>
  ({ agent: rows.get(chosen)?.body.agent ?? "Agent", customer: "Caller" })[speaker] ?? "Voice");

const running = (value) => value.body.at_ms + (link.state === "live" ? performance.now() - value.at : 0);
const act = (message) => link.send(message) || write(find("state"), "Not connected: that was not sent.");

function draw(changed) {
  document.body.classList.toggle("stale", link.state !== "live" && link.heardAt !== null);
  drawState();
  drawTop();
  drawRows(changed);
  drawNeeds();
  drawPane();
  drawTimes();
}

function drawTimes() {
  for (const row of rows.values()) write(row.cells.time, clock(running(row)));
  drawWaits();
  drawTime();
}

function drawState() {
  const away = link.state === "refused" ? `Not let in. ${link.trouble}`
    : link.state === "live" ? link.refusal
    : link.heardAt === null ? "Connecting"
    : `Not connected. Last heard ${span(performance.now() - link.heardAt)} ago.`;
  write(find("state"), away);
}

function drawTop() {
  const quality = board().get("quality")?.body;
  const calls = { escalated: 0, tense: 0, recovering: 0, calm: 0 };
  for (const [key, value] of board()) if (key.startsWith("row/")) calls[value.body.level] += 1;
  const place = find("counts");
  const key = JSON.stringify(calls);
  if (place.dataset.shows !== key) {
    place.dataset.shows = key;
    place.replaceChildren(...Object.entries(calls).filter(([, n]) => n).map(([level, n]) => chip(level, `${n} ${level}`)));
  }
  const parts = [];
  if (quality?.median_ms != null) {
    parts.push(`Word to card here today: ${(quality.median_ms / 1000).toFixed(1)} s`
      + (quality.p95_ms != null ? `, 19 in 20 under ${(quality.p95_ms / 1000).toFixed(1)} s` : ""));
  }
  if (quality?.shown) parts.push(`Wrong prompts: ${quality.wrong} of ${quality.shown}`);
  write(find("quality"), parts.join("   ·   "));
}

// ---- all calls ----

function drawRows(changed) {
  let resort = false;
  for (const [key, value] of board()) {
    if (!key.startsWith("row/")) continue;
    const call = value.body.call;
    let row = rows.get(call);
    if (!row) {
      row = makeRow(call);
      rows.set(call, row);
      resort = true;
    }
    if (row.body === value.body) continue;
    if (row.body?.level !== value.body.level) {
      row.order = null;
      resort = true;
    }
    row.body = value.body;
    row.at = value.at;
    fillRow(row);
  }
  for (const [call, row] of rows) {
    if (board().has(`row/${call}`)) continue;
    row.node.remove();
    rows.delete(call);
  }
  find("calls").hidden = rows.size === 0;
  find("all-head").hidden = rows.size === 0;
  if (resort) waiting = true;
  sort();
}

function makeRow(call) {
  const two = () => [h("p", {}), h("p", {})];
  const name = h("button", { class: "name", "data-name": call });
  const cells = { level: h("td", {}), agent: [name, h("p", { class: "second small" })], course: spark([], 120, 28), why: two(), use: two(), hear: h("td", {}), time: h("td", {}) };
  const node = h("tr", {
    "data-call": call,
    onclick: () => choose(call),
    onkeydown: (event) => {
      const next = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling }[event.key];
      if (next) { next.querySelector(".name").focus(); event.preventDefault(); }
    },
  }, cells.level, h("td", {}, cells.agent), h("td", {}, cells.course), h("td", {}, cells.why), h("td", {}, cells.use), cells.hear, cells.time);
  return { node, cells, body: null, at: 0, order: null };
}

const HEARING = { starting: "starting", lost: "sound lost", paused: "paused" };

function fillRow(row) {
  const { cells, body: it } = row;
  if (cells.level.dataset.level !== it.level) {
    cells.level.dataset.level = it.level;
    cells.level.replaceChildren(chip(it.level));
    put(cells.course, "class", `spark ${it.level}`);
  }
  write(cells.agent[0], it.agent);
  put(cells.agent[0], "aria-label", `${it.agent}: read along`);
  write(cells.agent[1], it.team);
  redraw(cells.course, it.course, 120, 28);
  write(cells.why[0], it.why || (it.level === "calm" ? "nothing heard that needs you" : ""));
  cells.why[0].className = it.why ? "" : "second small";
  write(cells.why[1], it.quote ? `“${it.quote}”` : "");
  write(cells.use[0], it.in_use || "–");
  write(cells.use[1], it.handled_by ? `${it.handled_by} is on it` : it.plan);
  for (const pair of [cells.why, cells.use]) put(pair[0].parentNode, "title", pair.map((p) => p.textContent).filter(Boolean).join(" · "));
  write(cells.hear, it.health === "ok" ? seconds(it.lag_ms) : it.health === "behind" ? `behind ${Math.round(it.lag_ms / 1000)} s` : HEARING[it.health]);
  cells.hear.className = { ok: "calm", behind: "tense", lost: "escalated" }[it.health] ?? "second";
}

// Worst level first; within a level who came to it first stays first, however the scores move.
function sort() {
  if (!waiting || performance.now() - pointerAt < STILL_MS) return;
  waiting = false;
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

// ---- needs somebody ----

const free = (alert) => alert.state === "raised" || alert.state === "seen";
const rank = (alert) => (free(alert) ? 0 : 1) * 4 + { urgent: 0, help: 1, note: 2 }[alert.tier];

function drawNeeds() {
  const open = [...board()].filter(([key, value]) => key.startsWith("alert/") && value.body.state !== "resolved")
    .sort((a, b) => rank(a[1].body) - rank(b[1].body) || (a[1].at - a[1].body.at_ms + a[1].body.raised_ms) - (b[1].at - b[1].body.at_ms + b[1].body.raised_ms));
  const visible = open.slice(0, CARDS);
  const first = visible.find(([, value]) => free(value.body) && value.body.kind !== "ask")?.[0];
  const list = find("needs");
  const keep = new Set();
  visible.forEach(([key, value], i) => {
    keep.add(key);
    let card = cards.get(key);
    const face = JSON.stringify([value.body, key === first, link.me?.who]);
    if (!card || card.face !== face) {
      const made = makeCard(value, key === first);
      const refocus = card?.node.contains(document.activeElement);
      card?.node.replaceWith(made.node);
      if (refocus) made.node.querySelector("button")?.focus();
      card = { ...made, face };
      cards.set(key, card);
    }
    card.value = value;
    if (list.children[i] !== card.node) list.insertBefore(card.node, list.children[i] ?? null);
    noteSeen(key, value.body);
  });
  for (const [key, card] of cards) {
    if (!keep.has(key)) { card.node.remove(); cards.delete(key); }
  }
  let more = list.querySelector(".more");
  if (open.length > CARDS) {
    more ??= h("li", { class: "more" });
    write(more, `and ${many(open.length - CARDS, "more call")}, as soon as one of these is done`);
    list.append(more);
  } else more?.remove();
  const quiet = find("quiet");
  quiet.hidden = open.length > 0;
  find("needs-head").hidden = open.length === 0;
  write(quiet, rows.size ? "All quiet. Nobody needs you." : "No calls yet. They show here by themselves.");
  document.title = open.some(([, value]) => free(value.body)) ? `(${open.filter(([, value]) => free(value.body)).length}) Live calls` : "Live calls";
}

function makeCard(value, first) {
  const it = value.body;
  const mine = it.by === link.me?.who;
  const since = h("span", { class: "since" });
  const claim = () => act({ do: "alert", call: it.call, alert: it.id, what: "claim" });
  const button = (text, does, main = false) => h("button", { class: `btn${main ? " main" : ""}`, onclick: does }, text);
  const does = it.kind === "ask" && free(it)
    ? [button("Refuse", () => act({ do: "answer", call: it.call, alert: it.id, allow: false })),
       button("Allow", () => act({ do: "answer", call: it.call, alert: it.id, allow: true }), true)]
    : free(it)
      ? [h("button", { class: "btn main", onclick: claim, "aria-keyshortcuts": first ? "C" : null }, "Claim", first ? h("kbd", {}, "C") : "")]
      : [button("Look", () => choose(it.call)), mine && button("Resolved", () => act({ do: "alert", call: it.call, alert: it.id, what: "resolve" }))];
  const label = it.kind === "ask" ? h("span", { class: "chip tense" }, "Asks you")
    : it.kind === "help" ? h("span", { class: "chip tense" }, "Asks for help") : chip(it.level);
  const time = h("span", {});
  const reason = it.reason.split(/(“[^”]*”)/u).filter(Boolean).map((part) => (part.startsWith("“") && free(it) ? h("mark", {}, part) : part));
  const node = h("li", { class: `need of-${it.kind} ${it.tier} ${free(it) ? "free" : "taken"}`, "data-alert": `${it.call}-${it.id}` },
    label,
    h("div", { class: "what" }, h("b", {}, it.title || [it.agent, it.team].filter(Boolean).join(" · "), it.title ? "" : time), h("p", {}, it.reason === it.title ? [it.agent, it.team].filter(Boolean).join(" · ") : reason)),
    since, h("div", { class: "does" }, does));
  return { node, since, time };
}

function drawWaits() {
  for (const card of cards.values()) {
    const it = card.value.body;
    const at = running(card.value);
    write(card.since, it.kind === "ask" && free(it) ? "" : free(it) ? `unclaimed ${span(at - it.raised_ms)}`
      : `${it.by === link.me?.who ? "You are" : `${it.by || "Somebody"} is`} on it, ${span(at - it.raised_ms)}`);
    write(card.time, ` · ${clock(at)}`);
  }
}

function noteSeen(key, alert) {
  if (alert.state !== "raised" || seen.has(key) || document.visibilityState !== "visible") return;
  if (link.send({ do: "alert", call: alert.call, alert: alert.id, what: "seen" })) seen.add(key);
}

// ---- one call ----

function choose(call) {
  if (chosen === call) return;
  if (chosen) link.send({ do: "watch", call: chosen, on: false });
  chosen = call;
  watching = "";
  write(find("told"), "");
  drawPane();
}

function drawPane() {
  for (const [call, row] of rows) {
    row.node.classList.toggle("chosen", call === chosen);
    put(row.cells.agent[0], "aria-pressed", String(call === chosen));
  }
  find("choose").hidden = Boolean(chosen);
  find("reading").hidden = !chosen;
  if (!chosen) return;
  const asked = `${link.connections} ${chosen}`;
  if (watching !== asked && link.send({ do: "watch", call: chosen, on: true })) watching = asked;
  const room = link.room(`call/${chosen}`);
  const row = rows.get(chosen)?.body;
  const call = room.get("call")?.body;
  const agent = row?.agent ?? call?.agent ?? "the agent";
  const level = find("pane-level");
  const shows = row?.level ?? "over";
  if (level.dataset.level !== shows) {
    level.dataset.level = shows;
    level.replaceChildren(row ? chip(row.level) : h("span", { class: "chip none" }, "Call over"));
  }
  write(find("pane-who"), [agent, row?.team ?? call?.team].filter(Boolean).join(" · "));
  write(find("pane-sees"), row ? `${agent} sees: “${link.me?.who} is reading along”` : "");
  write(find("tell-head"), `To ${agent}’s screen`);
  if (!find("told").dataset.sent) write(find("told"), `${agent} sees your name`);
  lines(room);
  const heard = [...room].filter(([key]) => key.startsWith("heard/")).map(([, value]) => value.body).sort((a, b) => b.at_ms - a.at_ms);
  const list = find("heard");
  const key = JSON.stringify(heard);
  if (list.dataset.shows !== key) {
    list.dataset.shows = key;
    list.replaceChildren(...heard.map((it) => h("li", {}, `${clock(it.at_ms)} ${it.label}, ${it.evidence}`, it.rule ? ` · rule ${it.rule}` : "")),
      heard.length ? "" : h("li", {}, "Nothing so far."));
  }
  drawSaid(room.get("told")?.body);
  drawTime();
}

/** What the customer has said up to a hand-off, in their own words, and what was given and promised. */
function drawSaid(told) {
  find("said-box").hidden = !told;
  const list = find("said");
  const key = JSON.stringify(told ?? null);
  if (list.dataset.shows === key) return;
  list.dataset.shows = key;
  list.replaceChildren(...(told?.said ?? []).map(([at, text]) => h("li", {}, `${clock(at)} “${text}”`)),
    ...(told?.done ?? []).map((text) => h("li", { class: "second" }, text)));
}

function drawTime() {
  const row = rows.get(chosen);
  write(find("pane-time"), row ? clock(running(row)) : "");
}

find("tell").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("text").value.trim();
  if (!text || !chosen) return;
  const sent = link.send({ do: "tell", call: chosen, text });
  find("told").dataset.sent = sent ? "1" : "";
  write(find("told"), sent ? "Sent" : "Not connected: that was not sent.");
  if (sent) find("text").value = "";
  setTimeout(() => { find("told").dataset.sent = ""; drawPane(); }, 3000);
});
find("leave").addEventListener("click", () => choose(""));
keys(document, {
  c: () => { const button = document.querySelector('#needs [aria-keyshortcuts="C"]'); button?.click(); return Boolean(button); },
  Escape: () => { choose(""); },
});
body.addEventListener("pointermove", () => (pointerAt = performance.now()));
body.addEventListener("pointerleave", () => { pointerAt = -Infinity; sort(); });
document.addEventListener("visibilitychange", () => draw(new Set()));
setInterval(() => {
  drawTimes();
  drawState();
  sort();
}, 500);
