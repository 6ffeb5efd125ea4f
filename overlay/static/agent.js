// The agent's overlay. Draws what the room agent/<id> holds; sends what the agent does. Never takes the focus, never sounds.

import { tellActivity } from "./activity.js";
import { connect } from "./link.js";
import { promptSlot } from "./prompt.js";
import { planAndSteps } from "./plan.js";
import { FRESH_MS, chip, keepClicks, clock, h, nameInAddress, onKeys, temporaryLine, put, redrawSparkline, replaceKeepingFocus, writeStatus, s, duration, sparkline, transcript, write, seconds } from "./shared.js";
import { drawPractice } from "./practice.js";
import { inItsOwnWindow, popOut } from "./popout.js";

const CONFIRM_WITHIN_MS = 4000; // how long a second press of "refused" confirms the first
const who = nameInAddress() || new URLSearchParams(location.search).get("agent") || "";
const overlay = document.getElementById("overlay");
const away = document.getElementById("away");
const find = (id) => overlay.querySelector(`#${id}`); // the overlay may be in a window of its own
let shownCall = "";
let announcedLevel = "";
let pausedAt = null; // when this page learned of the current pause
let refusalAskedAt = -Infinity; // when the agent was asked to confirm that given consent is refused
let readNotices = new Set();
let noticePlaces = new Map(); // notice on screen -> {above: it and those above it, movedAt}

const { say, line: ownText } = temporaryLine(() => drawHealth());
const link = connect("agent", who, draw);
const lines = transcript(find("lines"), find("talk-box"), (speaker) => ({ agent: "You", customer: "Caller" })[speaker] ?? "Voice");
const course = sparkline([], 170, 34);
find("course").append(course);

const room = () => (link.me ? link.room(link.me.room) : new Map());
const latest = (key) => room().get(key)?.body ?? null;
const stale = () => link.state !== "live";
const prompt = promptSlot({ find, overlay, latest, room, stale, act, announce, say, send: link.send });
const plan = planAndSteps({ find, latest, act, say });

// Call time now: runs on from the newest message that has it; stops while the page is stale, and in practice while an answer
// is typed.
function callTime() {
  const stamps = ["call", "health", "clock"].map((key) => room().get(key)).filter((value) => value?.body.at_ms);
  if (!stamps.length) return 0;
  const newest = stamps.reduce((a, b) => (b.at > a.at ? b : a));
  if (latest("call")?.state !== "live" || stale() || latest("practice")?.aloud === false) return Math.max(...stamps.map((value) => value.body.at_ms));
  return newest.body.at_ms + (performance.now() - newest.at);
}

function act(message) {
  const call = latest("call")?.call;
  if (!call) return say("No call yet.");
  return link.send({ ...message, call }) || say("Not connected: that was not sent.");
}

// One sentence for a screen reader; only what is urgent interrupts.
function announce(text, urgent = false) {
  write(find(urgent ? "alarm" : "announce"), text);
}

// ---- drawing ----

function draw() {
  const current = latest("call")?.call ?? "";
  if (current !== shownCall) { // another call: nothing of the last one stays
    shownCall = current;
    prompt.reset();
    readNotices = new Set();
    refusalAskedAt = -Infinity;
  }
  drawHealth();
  drawLevel();
  prompt.draw();
  drawNext();
  plan.draw();
  lines(room());
  drawPractice(find("practice"), latest("practice"), (what, then) => link.send(what, then) || (say("Not connected: that was not sent."), false));
  drawNotices();
}

function hearingStatus(call, health) {
  if (link.state === "refused") return ["off", "No access", link.noAccess];
  if (link.state === "connecting" && link.lastFrameAt === null) return ["wait", "Connecting", ""];
  if (stale()) return ["off", "Not connected", "What is shown is old.", ` Last heard ${duration(performance.now() - link.lastFrameAt)} ago.`];
  if (!call || call.state === "waiting") return ["wait", "Waiting for a call", ""];
  if (call.state === "ended") return ["wait", "Call ended", ""];
  const both = health?.speakers?.includes("agent") && health.speakers.includes("customer");
  const listening = both ? "Hearing both" : health?.speakers?.includes("customer") ? "Hearing the caller"
    : health?.speakers?.includes("agent") ? "Hearing you only" : "Hearing one line";
  switch (health?.state) {
    case "ok": return ["ok", listening, ""];
    case "behind": return ["behind", "Behind", health.text || "Words come late, and so may prompts.", ` ${Math.round(health.lag_ms / 1000)} s`];
    case "lost": return ["lost", "Sound lost", health.text || "No sound arrives. Nothing is heard now."];
    case "untranscribed": return ["lost", "No words", health.text || "No speech recognition: no words, and no prompts from them."];
    case "paused": return ["paused", "Paused", health.text || "Nothing is heard or kept. Press P to resume."];
    case "no-consent": return ["paused", "Not listening", health.text || "There is no consent to this call."];
    default: return ["wait", "Getting ready", health?.text ?? ""];
  }
}

function drawHealth() {
  const call = latest("call");
  const health = latest("health");
  const [state, word, text, figure] = hearingStatus(call, health);
  pausedAt = health?.state === "paused" ? pausedAt ?? performance.now() : null;
  overlay.classList.toggle("stale", stale() && link.lastFrameAt !== null);
  find("dot").className = `dot ${state}`;
  writeStatus(find("hearing"), word, state === "behind" ? figure : "");
  write(find("lag"), state === "ok" && health.lag_ms ? seconds(health.lag_ms) : "");
  const own = ownText() || link.refusal;
  const embedded = call?.embedded ? "Built-in speech recognition: it hears less well." : "";
  const consent = call?.state === "live" ? latest("consent") : null;
  if (consent?.consent !== "granted") refusalAskedAt = -Infinity;
  consent && sinceRefusalAsked() < CONFIRM_WITHIN_MS && drawConsent(consent) || drawStrip(own || (state === "off" ? text : ""), own ? "behind" : state, own ? "" : figure) || consent && consent.consent !== "granted" && drawConsent(consent)
    || drawStrip(text, state) || drawStrip(embedded, "", "", call?.advice) || consent && drawConsent(consent) || drawStrip(" ", "");
  write(find("caller"), call && call.state !== "waiting" ? [call.queue || call.team, call.caller].filter(Boolean).map((part) => ` · ${part}`).join("") : "");
  for (const id of ["help", "pause"]) if (find(id).disabled !== (call?.state !== "live")) find(id).disabled = call?.state !== "live";
  const paused = health?.state === "paused";
  write(find("pause").lastElementChild, paused ? "Resume" : "Pause for card");
  put(find("pause"), "title", paused ? "Nothing is heard or kept until then" : "Pause while a card number is read out: nothing is heard or kept");
  drawHelp();
  drawClocks();
}

// The strip shows one line, what matters most now: trouble, consent, or how to get the better recogniser.
function drawStrip(text, state, figure = "", more = "") {
  if (!text) return false;
  find("consent").hidden = true;
  const strip = find("strip");
  strip.hidden = false;
  writeStatus(strip, text.trim(), figure);
  put(strip, "title", more || strip.textContent || null);
  put(strip, "class", `strip ${state}`);
  return true;
}

function drawConsent(value) {
  find("strip").hidden = true;
  const place = find("consent");
  place.hidden = false;
  const sure = sinceRefusalAsked() < CONFIRM_WITHIN_MS;
  put(place, "class", `consent ${sure ? "refused" : value.consent}`);
  find("grant").hidden = value.consent === "granted";
  find("refuse").hidden = value.consent === "refused";
  // The consequence comes first: it must be readable in a narrow window.
  const what = value.heard ? value.kept ? "Kept" : "Not kept" : "Not heard";
  write(find("agreed"), sure ? "Erases this call: press again" : `${what}: consent ${{ unknown: "not known", granted: "given", refused: "refused" }[value.consent]}`);
  return true;
}

// The help button says who is asked, or who has claimed the request.
function drawHelp() {
  const handled = latest("notice/handled");
  const text = (handled ?? latest("notice/help"))?.text;
  write(find("help").lastElementChild, text || "Ask supervisor");
  put(find("help"), "title", text || "Ask a supervisor for help");
  find("help").classList.toggle("asked", Boolean(text));
}

function drawClocks() {
  const call = latest("call");
  write(find("time"), call && call.state !== "waiting" ? clock(callTime()) : "");
  const value = latest("clock");
  const ring = find("ring");
  const shows = value?.running ? "running" : value?.result === "met" && call?.state === "live" ? "met" : "";
  if (ring.dataset.shows !== shows) {
    ring.dataset.shows = shows;
    ring.replaceChildren(...(shows ? [s("svg", { viewBox: "0 0 46 46", "aria-hidden": "true" },
      s("circle", { cx: 23, cy: 23, r: 20 }),
      s("circle", { cx: 23, cy: 23, r: 20, class: "left", pathLength: 100, transform: "rotate(-90 23 23)" }),
      s("text", { x: 23, y: 28 }))] : []));
  }
  if (!shows) return put(ring, "title", null);
  const limit = value.limit_ms;
  const left = limit - ((shows === "met" ? value.at_ms : callTime()) - value.started_at_ms);
  const part = shows === "met" ? 1 : Math.max(0, Math.min(1, left / limit));
  // A remedy that was accepted stops the clock; whether the call has turned is for the level to say.
  const turned = value.by !== "remedy";
  ring.classList.toggle("met", shows === "met" && (turned || latest("level")?.level !== "escalated"));
  put(ring, "title", shows === "met" ? `${turned ? "Calmer after" : "Remedy accepted after"} ${Math.round((limit - left) / 1000)} s` : "Seconds left of the 60 to recover the call");
  put(ring.querySelector(".left"), "stroke-dasharray", `${(part * 100).toFixed(1)} 100`);
  write(ring.querySelector("text"), shows === "met" ? `✓${Math.round((limit - left) / 1000)}` : left >= 0 ? String(Math.ceil(left / 1000)) : `+${Math.floor(-left / 1000)}`);
}

function drawLevel() {
  const value = latest("level");
  const place = find("level");
  const call = latest("call");
  const level = value && call && call.state !== "waiting" ? value.level : "none";
  if (place.dataset.level !== level) {
    place.dataset.level = level;
    place.replaceChildren(level === "none" ? h("span", { class: "chip none" }, "No call") : chip(level));
    find("course").className = level;
    if (announcedLevel && level !== "none" && announcedLevel !== level) announce(`The call is ${level}.`);
    announcedLevel = level;
  }
  find("course").classList.toggle("gone", level === "none");
  redrawSparkline(course, value?.course ?? [], 170, 34);
}

function drawNext() {
  const titles = latest("next")?.titles ?? [];
  const place = find("next");
  write(place, titles.length ? `Next: ${titles.join(" · ")}` : "");
  put(place, "title", place.textContent || null);
  place.classList.toggle("on", titles.length > 0);
}

function drawNotices() {
  write(find("reading"), latest("notice/reading")?.text ?? "");
  const open = [...room()].filter(([key, value]) => /^notice\/(message\/|answer\/|trouble$)/u.test(key)
    && !readNotices.has(JSON.stringify([key, value.body]))) // each has its own time: the one before may come back
    .sort((a, b) => a[1].at - b[1].at);
  const place = find("notices");
  const key = JSON.stringify(open.map(([name, value]) => [name, value.body]));
  if (place.dataset.shows === key) return;
  place.dataset.shows = key;
  const visible = open.slice(-2);
  noticePlaces = new Map(visible.map(([name], i) => {
    const above = JSON.stringify(visible.slice(0, i + 1).map(([each]) => each));
    const movedAt = !noticePlaces.size ? -Infinity : noticePlaces.get(name)?.above === above ? noticePlaces.get(name).movedAt : performance.now();
    return [name, { above, movedAt }];
  }));
  replaceKeepingFocus(place, visible.map(([name, value]) => h("div", { class: `notice ${value.body.kind}` },
    h("p", {}, value.body.who && !value.body.text.startsWith(value.body.who) ? h("b", {}, `${value.body.who}: `) : "", value.body.text),
    h("button", { class: "btn", "aria-label": "Mark as read", "data-key": name, onclick: () => readByHand(name) }, h("kbd", { "aria-hidden": "true" }, "R"), "Read"))), find("talk"));
}

// R marks the newest notice as read; if that has just come, the one before it, which the key was meant for.
function newestNotice() {
  const names = [...find("notices").querySelectorAll("button")].map((button) => button.dataset.key);
  return names.findLast((name) => performance.now() - room().get(name)?.at >= FRESH_MS) ?? names.at(-1);
}

// A click just after a notice has moved was meant for the one before.
function readByHand(name) {
  if (performance.now() - noticePlaces.get(name)?.movedAt < FRESH_MS) return say("That message has just moved: press again.");
  markRead(name);
}

function markRead(name = newestNotice()) {
  if (!name) return false;
  readNotices.add(JSON.stringify([name, latest(name)]));
  drawNotices();
  return true;
}

// ---- doing ----

const help = () => act({ do: "help" });
// Refusing erases what was stored: after consent was given it must be pressed twice, and a bounce does not count.
const sinceRefusalAsked = () => performance.now() - refusalAskedAt;
function refuse() {
  if (latest("consent")?.consent === "granted" && (sinceRefusalAsked() < FRESH_MS || sinceRefusalAsked() > CONFIRM_WITHIN_MS)) {
    refusalAskedAt = performance.now();
    return drawHealth();
  }
  refusalAskedAt = -Infinity;
  act({ do: "consent", consent: "refused" });
}
function grant() {
  refusalAskedAt = -Infinity;
  act({ do: "consent", consent: "granted" });
}
// A pause that has just begun, automatically or by this key, is not ended by a press that was meant to begin it.
function pause() {
  if (pausedAt !== null && performance.now() - pausedAt < FRESH_MS) return say("Paused already: press again to resume.");
  act({ do: "pause", on: pausedAt === null });
}

function setTranscriptOpen(open) {
  put(find("fold"), "aria-expanded", String(open));
  find("talk-box").hidden = !open;
  localStorage.setItem("fold", open ? "" : "folded");
}

function setPanelOpen(panel, button, open) {
  find(panel).hidden = !open;
  put(find(button), "aria-expanded", String(open));
}
function toggleHistory() {
  const open = find("drawer").hidden;
  setPanelOpen("menu", "view", false);
  setPanelOpen("drawer", "earlier", open);
  if (open) prompt.drawHistory(find("drawer"));
}
function toggleMenu() {
  setPanelOpen("drawer", "earlier", false);
  setPanelOpen("menu", "view", find("menu").hidden);
}
function closeOrDismiss() {
  if (!find("menu").hidden) return toggleMenu();
  if (!find("drawer").hidden) return toggleHistory();
  prompt.answer("dismissed");
}

const SIZES = [["", "normal"], ["text-l", "large"], ["text-xl", "larger"]];
const SIDES = [["", "middle"], ["side-left", "left"], ["side-right", "right"]];
function chooseSetting(name, values, step) {
  const at = (Math.max(0, values.findIndex(([value]) => value === (localStorage.getItem(name) ?? ""))) + step) % values.length;
  localStorage.setItem(name, values[at][0]);
  write(find(`${name}-now`), values[at][1]);
  const classes = [localStorage.getItem("size"), localStorage.getItem("side")].filter(Boolean).join(" ");
  for (const page of new Set([document, overlay.ownerDocument])) page.documentElement.className = classes;
}
function setSingleKeys(on) {
  localStorage.setItem("keys", on ? "" : "off");
  put(find("single"), "aria-pressed", String(on));
  write(find("single-now"), on ? "on" : "off");
}

const actions = {
  u: () => prompt.answer("used"), w: () => prompt.answer("wrong"), Escape: closeOrDismiss, r: () => markRead(),
  h: help, p: pause, c: grant, n: refuse, e: toggleHistory, v: toggleMenu, o: openOwnWindow,
  ...Object.fromEntries([0, 1, 2].flatMap((i) => [[`${i + 1}`, () => plan.pick(i)], [`Shift+${i + 1}`, () => plan.refuse(i)]])),
};
function listenForKeys(page) {
  onKeys(page, actions, () => localStorage.getItem("keys") !== "off", say);
  keepClicks(page);
  tellActivity(page);
}
function openOwnWindow() {
  setPanelOpen("menu", "view", false);
  popOut(overlay, away, (page, view) => {
    listenForKeys(page);
    view.setInterval(tick, 250); // this page may be hidden now, and a hidden page's own timers sleep
  });
}
function tick() {
  link.check();
  drawHealth();
  prompt.draw();
}

listenForKeys(document);
find("help").addEventListener("click", help);
find("pause").addEventListener("click", pause);
find("grant").addEventListener("click", grant);
find("refuse").addEventListener("click", refuse);
find("earlier").addEventListener("click", toggleHistory);
find("view").addEventListener("click", toggleMenu);
find("fold").addEventListener("click", () => setTranscriptOpen(find("talk-box").hidden));
find("size").addEventListener("click", () => chooseSetting("size", SIZES, 1));
find("side").addEventListener("click", () => chooseSetting("side", SIDES, 1));
find("single").addEventListener("click", () => setSingleKeys(localStorage.getItem("keys") === "off"));
find("pop").addEventListener("click", openOwnWindow);
document.addEventListener("visibilitychange", prompt.noteSeen);

chooseSetting("size", SIZES, 0);
chooseSetting("side", SIDES, 0);
setSingleKeys(localStorage.getItem("keys") !== "off");
setTranscriptOpen(localStorage.getItem("fold") !== "folded");
inItsOwnWindow();
setInterval(tick, 250);
