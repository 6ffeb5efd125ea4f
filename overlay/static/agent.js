// The agent's overlay. Draws what the room agent/<id> holds; sends what the agent does. Never takes the focus, never sounds.

import { connect } from "./link.js";
import { chip, clock, h, keys, put, quoted, redraw, s, span, spark, transcript, write, lag as seconds } from "./shared.js";
import { popOut } from "./popout.js";
import { drawWrapUp, leaveWrapUp } from "./wrapup.js";

const HOLD_MS = 30_000; // longest that a prompt is kept for a pointer that rests on it
const LONG_LINE = 96; // characters of a say-line above which it is set one size smaller
const OLD_AFTER_MS = 10_000; // past its dwell time: greyed, in case nobody takes it away

const who = decodeURIComponent(location.pathname.split("/")[2] ?? "") || new URLSearchParams(location.search).get("agent") || "";
const overlay = document.getElementById("overlay");
const away = document.getElementById("away");
const find = (id) => overlay.querySelector(`#${id}`); // the overlay may stand in a window of its own
const card = find("card");
const history = [];
const seen = new Set();
let told = ""; // a line of the page's own, such as "that was not sent"
let toldUntil = 0;
let shown = null; // the prompt drawn now
let holdingSince = 0;
let overCard = false;
let callShown = "";
let dismissedNotices = new Map();

const link = connect("agent", who, draw);
const lines = transcript(find("lines"), find("talk-box"), (speaker) => ({ agent: "You", customer: "Caller" })[speaker] ?? "Voice");
const course = spark([], 170, 34);
find("course").append(course);

const room = () => (link.me ? link.room(link.me.room) : new Map());
const now = (key) => room().get(key)?.body ?? null;
const stale = () => link.state !== "live";

// Call time now: runs on from the newest message that carried it; stands still where nothing vouches for it.
function callTime() {
  const stamps = ["call", "health", "clock"].map((key) => room().get(key)).filter((value) => value?.body.at_ms);
  if (!stamps.length) return 0;
  const newest = stamps.reduce((a, b) => (b.at > a.at ? b : a));
  const call = now("call");
  if (call?.state !== "live" || stale()) return Math.max(...stamps.map((value) => value.body.at_ms));
  return newest.body.at_ms + (performance.now() - newest.at);
}

function act(message) {
  const call = now("call")?.call;
  if (!call) return say("No call yet.");
  if (!link.send({ ...message, call })) say("Not connected: that was not sent.");
}

function say(text) {
  told = text;
  toldUntil = performance.now() + 4000;
  drawHealth();
}

// ---- drawing ----

function draw() {
  const current = now("call")?.call ?? "";
  if (current !== callShown) { // another call: nothing of the last one stays
    callShown = current;
    history.length = 0;
    seen.clear();
    dismissedNotices = new Map();
  }
  drawHealth();
  drawConsent();
  drawLevel();
  drawCard();
  drawNext();
  drawPlan();
  drawSteps();
  lines(room());
  drawNotices();
}

function hearing(call, health) {
  if (link.state === "refused") return ["off", "Not let in", link.trouble];
  if (link.state === "connecting" && link.heardAt === null) return ["wait", "Connecting", ""];
  if (stale()) return ["off", "Not connected", `Last heard ${span(performance.now() - link.heardAt)} ago. What is shown is old.`];
  if (!call || call.state === "waiting") return ["wait", "Waiting for a call", ""];
  if (call.state === "ended") return ["wait", "Call ended", ""];
  const both = health?.speakers?.includes("agent") && health.speakers.includes("customer");
  const listening = both ? "Hearing both" : health?.speakers?.includes("customer") ? "Hearing the caller"
    : health?.speakers?.includes("agent") ? "Hearing you only" : "Hearing one line";
  switch (health?.state) {
    case "ok": return ["ok", listening, ""];
    case "behind": return ["behind", `Behind ${Math.round(health.lag_ms / 1000)} s`, health.text || "Words come late, and so may prompts."];
    case "lost": return ["lost", "Sound lost", health.text || "No sound arrives. Nothing is heard now."];
    case "paused": return ["paused", "Paused", health.text || "Nothing is heard or kept. P goes on."];
    default: return ["wait", "Getting ready", health?.text ?? ""];
  }
}

function drawHealth() {
  const call = now("call");
  const health = now("health");
  const [state, word, text] = hearing(call, health);
  overlay.classList.toggle("stale", stale() && link.heardAt !== null);
  find("dot").className = `dot ${state}`;
  write(find("hearing"), word);
  write(find("lag"), state === "ok" && health.lag_ms ? seconds(health.lag_ms) : "");
  const own = performance.now() < toldUntil ? told : link.refusal;
  const advice = call?.embedded ? call.advice || "The built-in recogniser is listening: it hears less well." : "";
  const strip = find("strip");
  write(strip, own || text || advice);
  strip.title = strip.textContent;
  strip.className = `strip ${own ? "behind" : text ? state : ""}`;
  write(find("caller"), call && call.state !== "waiting" ? [call.queue || call.team, call.caller].filter(Boolean).map((part) => ` · ${part}`).join("") : "");
  const pause = find("pause").lastElementChild;
  for (const id of ["help", "pause"]) find(id).disabled = call?.state !== "live";
  write(pause, health?.state === "paused" ? "Go on listening" : "Pause for card number");
  drawClocks();
}

function drawConsent() {
  const value = now("consent");
  const place = find("consent");
  const live = now("call")?.state === "live" && value;
  put(place, "class", `consent ${live ? value.consent : ""}`);
  for (const id of ["grant", "refuse"]) find(id).hidden = !live || (id === "grant") === (value.consent === "granted");
  const what = value?.heard ? value.kept ? "this call is kept" : "heard, but not kept" : "not heard, not kept";
  const said = { unknown: "Consent not known", granted: "Consent given", refused: "Consent refused" }[value?.consent];
  write(find("agreed"), live ? `${said}: ${what}` : "");
}

function drawClocks() {
  const call = now("call");
  write(find("time"), call && call.state !== "waiting" ? clock(callTime()) : "");
  const value = room().get("clock");
  const ring = find("ring");
  if (!value?.body.running) {
    if (ring.firstChild) ring.replaceChildren();
    return;
  }
  const limit = value.body.limit_ms;
  const left = limit - (callTime() - value.body.started_at_ms);
  if (!ring.firstChild) {
    ring.append(s("svg", { viewBox: "0 0 46 46" },
      s("circle", { cx: 23, cy: 23, r: 20 }),
      s("circle", { cx: 23, cy: 23, r: 20, class: "left", pathLength: 100, transform: "rotate(-90 23 23)" }),
      s("text", { x: 23, y: 28 })));
  }
  const part = Math.max(0, Math.min(1, left / limit));
  put(ring.querySelector(".left"), "stroke-dasharray", `${(part * 100).toFixed(1)} 100`);
  write(ring.querySelector("text"), left >= 0 ? String(Math.ceil(left / 1000)) : `+${Math.floor(-left / 1000)}`);
}

function drawLevel() {
  const value = now("level");
  const place = find("level");
  const call = now("call");
  const level = value && call?.state !== "waiting" ? value.level : "none";
  if (place.dataset.level !== level) {
    place.dataset.level = level;
    place.replaceChildren(level === "none" ? h("span", { class: "chip none" }, "No call") : chip(level));
    find("course").className = level;
  }
  find("course").hidden = level === "none";
  redraw(course, value?.course ?? [], 170, 34);
}

function drawCard() {
  const value = room().get("prompt");
  const prompt = value?.body ?? null;
  const ended = now("ended");
  if (shown && prompt?.id !== shown.id) {
    const entry = history.find((each) => each.id === shown.id);
    // What is being read is not taken away under the eye; something urgent still takes its place.
    const held = overCard && !entry?.how && prompt?.tier !== "urgent" && !ended && !stale();
    if (held) {
      holdingSince ||= performance.now();
      if (performance.now() - holdingSince < HOLD_MS) return;
    }
  }
  holdingSince = 0;
  if (prompt) {
    overlay.classList.remove("wrapping");
    leaveWrapUp();
    return drawPrompt(prompt, value.at);
  }
  shown = null;
  const wrapup = ended ? now("wrapup") : null;
  overlay.classList.toggle("wrapping", wrapup !== null);
  if (!ended && now("call")) leaveWrapUp();
  if (wrapup) {
    card.className = "card on";
    card.dataset.shows = `wrapup ${wrapup.call}`;
    return drawWrapUp(card, wrapup, ended, (what) => link.send(what) || say("Not connected: that was not sent."));
  }
  const kind = ended ? `ended ${ended.record}` : `empty ${emptyText()}`;
  if (card.dataset.shows === kind) return;
  card.dataset.shows = kind;
  if (ended) return drawEnded(ended);
  card.className = "card empty";
  card.replaceChildren(h("p", {}, emptyText()));
}

function emptyText() {
  const call = now("call");
  if (!call || call.state === "waiting") return "The next call shows here by itself.";
  if (call.state === "ended") return "";
  if (now("health")?.state === "paused") return "Paused.";
  return "Nothing to do. Just listen.";
}

function drawPrompt(prompt, at) {
  const fresh = shown?.id !== prompt.id;
  shown = prompt;
  if (fresh && !history.some((each) => each.id === prompt.id)) history.unshift({ ...prompt, how: "" });
  const key = `prompt ${JSON.stringify(prompt)}`;
  if (card.dataset.shows !== key) {
    card.dataset.shows = key;
    card.className = `card on ${prompt.tier}`;
    const tier = { urgent: " · urgent", note: " · note" }[prompt.tier] ?? "";
    card.replaceChildren(
      h("p", { class: "label" }, prompt.label, tier),
      h("h2", { class: "title", title: prompt.title }, prompt.title),
      h("p", { class: `say${prompt.say.length > LONG_LINE ? " long" : ""}` }, `“${prompt.say}”`),
      h("div", { class: "why" }, prompt.why.map((line) => h("p", { title: line }, ...quoted(line)))),
      prompt.avoid && h("p", { class: "avoid", title: prompt.avoid }, `Rather not: ${prompt.avoid}`),
      h("div", { class: "acts" },
        h("button", { onclick: () => answer("used") }, h("kbd", {}, "U"), " Used"),
        h("button", { onclick: () => answer("dismissed") }, h("kbd", {}, "Esc"), " Not now"),
        h("button", { onclick: () => answer("wrong") }, h("kbd", {}, "W"), " Wrong")));
  }
  card.classList.toggle("old", prompt.dwell_ms > 0 && performance.now() - at > prompt.dwell_ms + OLD_AFTER_MS);
  noteSeen();
}

function noteSeen() {
  if (!shown || seen.has(shown.id) || document.visibilityState !== "visible" && !overlay.ownerDocument.hasFocus()) return;
  const call = now("call")?.call;
  if (call && link.send({ do: "prompt", call, prompt: shown.id, what: "seen" })) seen.add(shown.id);
}

function answer(what) {
  if (!shown) return;
  const entry = history.find((each) => each.id === shown.id);
  if (entry) entry.how = what;
  overCard = false;
  act({ do: "prompt", prompt: shown.id, what });
  drawCard();
}

function drawEnded(ended) {
  const note = h("textarea", { "aria-label": "Your note on this call", placeholder: "Your note, if you want one", maxlength: 2000 });
  const state = h("span", { class: "second small", role: "status" });
  card.className = "card on";
  if (!ended.record) {
    card.replaceChildren(h("p", { class: "label" }, "Call ended"), h("h2", { class: "title" }, ended.summary));
    return;
  }
  card.replaceChildren(
    h("p", { class: "label" }, "Call ended"),
    h("h2", { class: "title" }, ended.summary || "The record is kept"),
    note,
    h("div", { class: "acts" },
      h("button", { class: "btn", onclick: () => {
        if (!note.value.trim()) return;
        act({ do: "note", text: note.value.trim() });
        note.value = "";
        write(state, "Note kept");
      } }, "Keep note"),
      h("a", { class: "btn", href: `/review/${encodeURIComponent(ended.record)}`, target: "_blank", rel: "noopener" }, "Open record"),
      state));
}

function drawNext() {
  const titles = now("next")?.titles ?? [];
  const place = find("next");
  write(place, titles.length ? `Next: ${titles.join(" · ")}` : "");
  place.classList.toggle("on", titles.length > 0);
}

function drawPlan() {
  const options = now("plan")?.options ?? [];
  const list = find("plan");
  const key = JSON.stringify(options);
  find("plan-head").classList.toggle("none", options.length === 0);
  if (list.dataset.shows === key) return;
  list.dataset.shows = key;
  const focused = list.contains(list.ownerDocument.activeElement) ? list.ownerDocument.activeElement.dataset.key : null;
  list.replaceChildren(...options.map((option, i) => {
    const state = option.state || option.authority;
    const asked = option.who || "your supervisor";
    const [word, tone] = {
      yours: ["yours to give", "calm"], ask: [`asks ${asked}`, "tense"], offered: ["offered", "recovering"],
      asked: [`asked ${asked}`, "tense"], allowed: [`${asked} says yes`, "calm"], denied: [`${asked} says no`, "escalated"],
      accepted: ["✓ accepted", "calm"], refused: ["not wanted", "third"],
    }[state];
    const reply = (what, text) => h("button", { class: "btn", "data-key": `${option.id} ${what}`, onclick: () => act({ do: "plan", option: option.id, what }) }, text);
    return h("li", {},
      h("kbd", { "aria-hidden": "true" }, String(i + 1)),
      h("button", { class: "pick", "data-key": option.id, "aria-keyshortcuts": String(i + 1), title: option.title, onclick: () => pick(i) }, option.title),
      h("span", { class: `whose ${tone}` }, word),
      h("p", { class: "worth" }, option.state === "offered" ? ["They said", reply("accepted", "Yes"), reply("refused", "No")] : option.worth));
  }));
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function pick(i) {
  const option = now("plan")?.options[i];
  if (!option) return false;
  const free = option.authority === "yours" || option.state === "allowed";
  if (["", "allowed", "refused"].includes(option.state)) act({ do: "plan", option: option.id, what: free ? "offered" : "asked" });
  find("plan").children[i]?.classList.add("pressed");
  setTimeout(() => find("plan").children[i]?.classList.remove("pressed"), 250);
  return true;
}

function drawSteps() {
  const value = now("steps");
  write(find("method"), value?.method ?? "");
  const list = find("steps");
  const key = JSON.stringify(value?.steps ?? []);
  if (list.dataset.shows !== key) {
    list.dataset.shows = key;
    const focused = list.contains(list.ownerDocument.activeElement) ? list.ownerDocument.activeElement.dataset.key : null;
    list.replaceChildren(...(value?.steps ?? []).map((step) => h("li", {}, h("button", {
      "data-key": step.id, "aria-pressed": String(step.done), "aria-current": step.current ? "step" : null,
      onclick: () => act({ do: "step", step: step.id, done: !step.done }),
    }, step.done ? "✓ " : "", step.title))));
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  write(find("ticked"), value?.words ? `“${value.words}” ticked ${value.ticked}` : "");
}

function drawNotices() {
  const notices = [...room()].filter(([key]) => key.startsWith("notice/"));
  const reading = notices.find(([key]) => key === "notice/reading")?.[1].body;
  const handled = notices.find(([key]) => key === "notice/handled")?.[1].body;
  write(find("reading"), [handled?.text, reading?.text].filter(Boolean).join(" · "));
  const open = notices.filter(([key, value]) => !["notice/reading", "notice/handled"].includes(key) && dismissedNotices.get(key) !== JSON.stringify(value.body));
  const place = find("notices");
  const key = JSON.stringify(open.map(([name, value]) => [name, value.body]));
  if (place.dataset.shows === key) return;
  place.dataset.shows = key;
  place.replaceChildren(...open.slice(-2).map(([name, value]) => h("div", { class: `notice ${value.body.kind}` },
    h("p", {}, value.body.who ? h("b", {}, `${value.body.who}: `) : "", value.body.text),
    h("button", { class: "second small", "aria-label": "Read, take away", onclick: () => {
      dismissedNotices.set(name, JSON.stringify(value.body));
      drawNotices();
    } }, "Read"))));
}

// ---- doing ----

function help() {
  act({ do: "help" });
  find("help").classList.add("pressed");
  setTimeout(() => find("help").classList.remove("pressed"), 600);
}
// Refusing erases what was kept: after consent was given, it takes the key twice.
let refusing = 0;
function refuse() {
  if (now("consent")?.consent === "granted" && performance.now() - refusing > 4000) {
    refusing = performance.now();
    return say("N again erases this call and stops listening.");
  }
  refusing = 0;
  act({ do: "consent", consent: "refused" });
}
const grant = () => act({ do: "consent", consent: "granted" });
const pause = () => act({ do: "pause", on: now("health")?.state !== "paused" });

function fold(open) {
  put(find("fold"), "aria-expanded", String(open));
  find("talk-box").hidden = !open;
  localStorage.setItem("fold", open ? "" : "folded");
}

function earlier() {
  const drawer = find("drawer");
  drawer.hidden = !drawer.hidden;
  put(find("earlier"), "aria-expanded", String(!drawer.hidden));
  if (drawer.hidden) return;
  const how = { used: "used", dismissed: "not now", wrong: "wrong" };
  drawer.replaceChildren(h("h2", {}, "Earlier prompts"), history.length
    ? h("ol", {}, history.map((each) => h("li", {},
      h("p", { class: "small second" }, `${clock(each.shown_at_ms)} · ${each.label}${each.how ? ` · ${how[each.how]}` : ""}`),
      h("p", {}, h("b", {}, each.title)), h("p", {}, `“${each.say}”`), each.why.map((line) => h("p", { class: "small second" }, ...quoted(line))))))
    : h("p", { class: "second" }, "None in this call so far."));
}

const SIZES = ["", "text-l", "text-xl"];
function size(step) {
  const root = overlay.ownerDocument.documentElement;
  const at = (Math.max(0, SIZES.indexOf(localStorage.getItem("size") ?? "")) + step) % SIZES.length;
  localStorage.setItem("size", SIZES[at]);
  for (const page of new Set([document.documentElement, root])) page.className = SIZES[at];
}

const actions = {
  u: () => answer("used"), w: () => answer("wrong"),
  Escape: () => (find("drawer").hidden ? answer("dismissed") : earlier()),
  h: help, p: pause, c: grant, n: refuse, e: earlier, 1: () => pick(0), 2: () => pick(1), 3: () => pick(2),
};
keys(document, actions);
find("help").addEventListener("click", help);
find("pause").addEventListener("click", pause);
find("grant").addEventListener("click", grant);
find("refuse").addEventListener("click", refuse);
find("earlier").addEventListener("click", earlier);
find("fold").addEventListener("click", () => fold(find("talk-box").hidden));
find("size").addEventListener("click", () => size(1));
find("pop").addEventListener("click", () => popOut(overlay, away, (target) => keys(target, actions)));
card.addEventListener("pointerenter", () => (overCard = true));
card.addEventListener("pointerleave", () => { overCard = false; drawCard(); });
card.addEventListener("focusin", () => (overCard = true));
card.addEventListener("focusout", () => { overCard = false; drawCard(); });
document.addEventListener("visibilitychange", noteSeen);

size(0);
fold(localStorage.getItem("fold") !== "folded");
setInterval(() => {
  drawHealth();
  drawCard();
}, 250);
