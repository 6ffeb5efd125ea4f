// Review: find finished calls, see one whole, say at the place itself whether the machine was right.

import { ask, at, day } from "./asking.js";
import { record } from "./record.js";
import { drawSide } from "./side.js";
import { chip, clicks, clock, find, h, keys, many, plain, put, refill, write } from "./shared.js";

const SIGNALS = [ // of the caller and the conversation; then the agent's steps and wrong moves
  "swearing", "derogatory", "influence_claim", "supervisor_demand", "cancel_threat", "legal_threat", "regulator_threat", "press_threat", "review_threat",
  "police", "personal_threat", "refund_chargeback", "passed_around", "time_pressure", "vulnerable", "giving_up", "de_escalation", "raised_voice", "overlap",
  "silence", "negative_sentiment", "complaint", "upset", "fast_speech", "monologue", "repeated_request",
  "apology", "empathy", "repeat_back", "question", "alternative", "ownership", "remedy", "callback_time", "thanks",
  "defending", "blaming", "calm_down", "policy", "correcting", "passing_on",
];
const PAGE = 50;
const MOST = 200; // that the server gives at once
const BUILT_IN = [
  ["Unreviewed, worst first", { marks: "unreviewed", order: "worst" }], ["All, newest first", {}], ["All, worst first", { order: "worst" }],
  ["Something wrong", { marks: "wrong" }], ["Contested", { marks: "contested" }],
];
const EMPTY = { words: "", level: "", days: "0", marks: "", signal: "", agent: "", team: "", outcome: "", root_cause: "", since: "", until: "", order: "newest" };

const form = find("filters");
let found = [];
let following = ""; // where the next page begins; empty after the last
let total = 0; // calls that fit, on all pages
let open = null; // the RecordView on screen
let wanted = ""; // id of the record requested last; it may not have arrived yet
let views = BUILT_IN; // [name, filters], one's own after the built-in ones
let me = { role: "qa" };
let asked = 0;
let exporting = false;
let typing = 0; // the timer of a search that waits for the next letter

function tell(error) {
  find("found").className = "trouble";
  write(find("found"), error.message);
}
const drawn = record({ tell, marked, mayMark: () => me.role !== "agent" });

// ---- the list ----

const filters = () => Object.fromEntries([...new FormData(form)].filter(([name, value]) => value !== EMPTY[name]));

// The filters have changed: the list cannot be continued with another page.
function anew() {
  sessionStorage.setItem("search", JSON.stringify([me.who, filters()]));
  following = "";
  find("more").hidden = true;
}

async function search(further = false) {
  const turn = ++asked;
  clearTimeout(typing);
  if (!further) anew();
  try {
    const page = await ask(`/api/records?${new URLSearchParams({ ...filters(), after: further ? following : "", limit: PAGE })}`);
    if (turn !== asked) return; // a later search was started meanwhile
    const known = new Set(further ? found.map((it) => it.id) : []); // its level may have changed, and with it its place
    found = [...(further ? found : []), ...page.records.filter((it) => !known.has(it.id))];
    following = page.next;
    // Calls that have ended or were reviewed since the first page are counted by the next search.
    total = following ? Math.max(further ? total : page.total, found.length + 1) : found.length;
    find("more").hidden = !following;
    drawList();
    suggest();
  } catch (error) {
    if (turn === asked) { found = further ? found : []; drawList(); tell(error); }
  }
}

function drawList() {
  find("found").className = "";
  const none = Object.keys(filters()).some((name) => !["marks", "order"].includes(name)) || filters().marks !== "unreviewed"
    ? "No calls found. Widen the search or choose another view." : "No calls left to review.";
  write(find("found"), found.length ? `${found.length < total ? `${found.length} of ` : ""}${many(total, "call")}` : none);
  find("table").hidden = found.length === 0;
  refill(find("list"), found.map((it) => h("li", {}, h("button", {
    "data-key": it.id, "aria-current": String(it.id === open?.id), onclick: () => show(it.id),
  },
  h("span", { class: "line" }, h("b", {}, it.title), h("span", { class: "second" }, clock(it.duration_ms))),
  h("span", { class: "line second small" }, [it.agent, day(it.started_at), it.outcome].filter(Boolean).join(" · ")),
  h("span", { class: "small second" }, chip(it.level_reached), " ",
    [many(it.signals, "signal"), many(it.prompts, "prompt"), it.wrong && `${it.wrong} wrong`, it.contested && "contested by the agent", it.ended === "interrupted" && "cut short", it.reviewed && "reviewed"].filter(Boolean).join(", "))))));
}

// Offer the agents, teams, outcomes and root causes found so far as suggestions.
const known = { agents: new Set(), teams: new Set(), outcomes: new Set(), causes: new Set() };
function suggest() {
  for (const it of found) {
    known.agents.add(it.agent);
    known.teams.add(it.team);
    known.outcomes.add(it.outcome);
    known.causes.add(it.root_cause);
  }
  for (const [id, words] of Object.entries(known)) {
    const sorted = [...words].filter(Boolean).sort();
    if (find(id).children.length !== sorted.length) find(id).replaceChildren(...sorted.map((value) => h("option", { value })));
  }
}

// All calls that fit, also those on further pages.
async function all() {
  const [records, given] = [new Map(), filters()]; // by id: of a call whose place has changed there is one row
  for (let after = "", part; !part || after; after = part.next) {
    part = await ask(`/api/records?${new URLSearchParams({ ...given, after, limit: MOST })}`);
    for (const it of part.records) records.set(it.id, it);
    write(find("found"), `Exporting ${many(records.size, "call")}`);
  }
  return [...records.values()];
}

// For a spreadsheet; what such a program would take for a formula is quoted.
async function table() {
  if (exporting) return;
  exporting = true; // not disabled: that would take the focus
  try {
    download(await all());
    drawList();
  } catch (error) {
    tell(error);
  }
  exporting = false;
}

function download(records) {
  const columns = ["id", "started_at", "agent", "team", "duration_ms", "level_reached", "outcome", "root_cause", "signals", "prompts", "wrong", "reviewed", "contested"];
  const cell = (value) => { const text = String(value).replace(/^(?= *[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])/u, "'"); return /[",\n\r]/u.test(text) ? `"${text.replaceAll('"', '""')}"` : text; };
  const text = [columns, ...records.map((it) => columns.map((name) => it[name]))].map((row) => row.map(cell).join(",")).join("\r\n");
  const url = URL.createObjectURL(new Blob([`\ufeff${text}\r\n`], { type: "text/csv" }));
  h("a", { href: url, download: "calls.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// ---- views ----

async function loadViews(chosen = find("view").value) {
  const own = me.role === "agent" ? [] : await ask("/api/views").catch(() => []);
  views = [...BUILT_IN, ...own.map((view) => [view.name, view.filters])];
  find("view").replaceChildren(...views.map(([name]) => h("option", {}, name)));
  if (views.some(([name]) => name === chosen)) find("view").value = chosen;
  showForget();
}
const showForget = () => { find("forget").hidden = BUILT_IN.some(([name]) => name === find("view").value); };

function useView(chosen = {}) {
  const [, saved] = views.find(([name]) => name === find("view").value) ?? BUILT_IN[1];
  localStorage.setItem("view", find("view").value);
  showForget();
  return use({ ...saved, ...chosen });
}

function use(given) {
  for (const [name, empty] of Object.entries(EMPTY)) form.elements[name].value = given[name] ?? empty;
  widen(["signal", "agent", "team", "outcome", "root_cause", "since", "until"].some((name) => form.elements[name].value));
  return search();
}

function widen(on) {
  find("further").hidden = !on;
  put(find("wider"), "aria-expanded", String(on));
}

async function saveView(event) {
  event.preventDefault();
  const name = find("save-name").value.trim();
  if (BUILT_IN.some(([own]) => own === name)) return tell(new Error("That is the name of a built-in view: choose another."));
  try {
    await ask("/api/views", { name, filters: { ...filters(), ...("days" in filters() ? { days: Number(filters().days) } : {}) } });
  } catch (error) {
    return tell(error);
  }
  find("save").hidden = true;
  find("keep").hidden = false;
  await loadViews(name);
  localStorage.setItem("view", name);
}

async function forgetView() {
  try {
    await ask("/api/views/delete", { name: find("view").value });
  } catch (error) {
    return tell(error);
  }
  await loadViews("All, newest first");
  await useView();
}

// ---- one record ----

async function show(id, push = true) {
  wanted = id;
  try {
    const view = await ask(at(id));
    if (id !== wanted) return;
    open = view;
  } catch (error) {
    if (id !== wanted) return;
    open = null;
    drawn.leave();
    drawList();
    find("side").hidden = true;
    find("side").replaceChildren();
    find("record").replaceChildren(h("h2", {}, "This record cannot be opened"), h("p", { class: "second" }, error.message));
    return;
  }
  if (push) history.pushState({ listed: true }, "", `/review/${encodeURIComponent(id)}${location.search}`);
  drawn.draw(open, found.find((each) => each.id === id)?.title);
  side();
  for (const button of find("list").querySelectorAll("[data-key]")) {
    put(button, "aria-current", String(button.dataset.key === id));
    if (button.dataset.key === id) button.scrollIntoView({ block: "nearest" });
  }
}

// An answer of the server about this call may arrive when another one is open.
function side() {
  const view = open;
  drawSide(find("side"), { open: view, role: me.role, signals: SIGNALS, line: drawn.line, redraw: () => { if (view === open) side(); }, changed: () => summary(view, { reviewed: true }) });
}

function marked(view, wrong) {
  summary(view, { wrong, reviewed: true });
}
function summary(view, changes) {
  const it = found.find((each) => each.id === view.id);
  if (it) Object.assign(it, changes);
  drawList();
}

async function next(step) {
  const from = wanted;
  const place = found.findIndex((it) => it.id === from) + step;
  if (place === found.length && !find("more").hidden) await search(true);
  if (wanted === from && found[place]) show(found[place].id); // otherwise another one was chosen meanwhile
}

function missed() {
  const kind = find("add-kind");
  if (!kind) return false;
  kind.value = "missed";
  kind.dispatchEvent(new Event("change"));
  find("add-signal").focus();
  return true;
}

keys(document, {
  j: () => drawn.go(1), k: () => drawn.go(-1), r: () => drawn.mark("right"), w: () => drawn.mark("wrong"), m: missed,
  n: () => next(1), b: () => next(-1), "/": () => form.elements.words.focus(),
  " ": (event) => !event.target.closest?.("button, a, summary, input") && drawn.play(),
});
clicks(document);
find("signals").append(...SIGNALS.map((id) => h("option", { value: id }, plain(id))));
form.addEventListener("input", () => { anew(); asked++; clearTimeout(typing); typing = setTimeout(() => search(), 200); });
form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
find("wider").addEventListener("click", () => widen(find("further").hidden));
find("view").addEventListener("change", () => useView());
find("keep").addEventListener("click", () => { find("keep").hidden = true; find("save").hidden = false; find("save-name").focus(); });
find("save").addEventListener("submit", saveView);
find("save").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  find("save").hidden = true;
  find("keep").hidden = false;
  find("keep").focus();
});
find("forget").addEventListener("click", forgetView);
find("more").addEventListener("click", () => search(true));
find("table").addEventListener("click", table);
addEventListener("popstate", () => { const id = named(); if (id) show(id, false); });
function named() {
  return decodeURIComponent(location.pathname.split("/")[2] ?? "");
}

const direct = named();
const [who, before] = JSON.parse(history.state?.listed && sessionStorage.getItem("search") || "[]"); // of this page, before a reload
me = await ask("/api/me").catch(() => me) ?? me;
for (const id of ["keep", "trends", "report"]) find(id).hidden = me.role === "agent";
await loadViews(direct && !history.state?.listed ? "All, newest first" : localStorage.getItem("view") ?? BUILT_IN[0][0]);
const chosen = filters(); // set by somebody while the page was loading
await (before && who === me.who ? use({ ...before, ...chosen }) : useView(chosen));
const first = direct || found[0]?.id;
if (first && !wanted) { // nor opened one meanwhile
  await show(first, false);
  if (!direct && first === wanted) history.replaceState({ listed: true }, "", `/review/${encodeURIComponent(first)}${location.search}`);
}
