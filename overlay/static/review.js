// Review: find finished calls, see one whole, say at the place itself whether the machine was right.

import { tellActivity } from "./activity.js";
import { request, recordUrl, dayAndTime } from "./api.js";
import { record, titleOf } from "./record.js";
import { drawSide } from "./side.js";
import { chip, keepClicks, clock, find, h, nameInAddress, onKeys, plural, readable, put, replaceKeepingFocus, write } from "./shared.js";

const SIGNALS = [ // of the caller and the conversation; then the agent's steps and wrong moves
  "swearing", "derogatory", "influence_claim", "supervisor_demand", "cancel_threat", "legal_threat", "regulator_threat", "press_threat", "review_threat",
  "police", "personal_threat", "refund_chargeback", "passed_around", "time_pressure", "vulnerable", "giving_up", "de_escalation", "raised_voice", "overlap",
  "silence", "negative_sentiment", "complaint", "upset", "fast_speech", "monologue", "repeated_request",
  "apology", "empathy", "repeat_back", "question", "alternative", "ownership", "remedy", "callback_time", "thanks",
  "defending", "blaming", "calm_down", "policy", "correcting", "passing_on",
];
const PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 200; // that the server gives at once
const BUILT_IN = [
  ["Unreviewed, worst first", { marks: "unreviewed", order: "worst" }], ["All, newest first", {}], ["All, worst first", { order: "worst" }],
  ["Something wrong", { marks: "wrong" }], ["Contested", { marks: "contested" }],
];
const NO_FILTERS = { words: "", level: "", days: "0", marks: "", signal: "", agent: "", team: "", outcome: "", root_cause: "", since: "", until: "", order: "newest" };

const form = find("filters");
let found = [];
let nextPage = ""; // where the next page begins; empty after the last
let total = 0; // calls that fit, on all pages
let open = null; // the RecordView on screen
let requested = ""; // id of the record requested last; it may not have arrived yet
let views = BUILT_IN; // [name, filters], one's own after the built-in ones
let me = { role: "qa" };
let searches = 0;
let exporting = false;
let searchTimer = 0; // the timer of a search that waits for the next letter

function showError(error) {
  find("found").className = "trouble";
  write(find("found"), error.message);
}
const recordPane = record({ showError, marked: (view, wrong) => updateSummary(view, { wrong, reviewed: true }), mayMark: () => me.role !== "agent" });

// ---- the list ----

const filters = () => Object.fromEntries([...new FormData(form)].filter(([name, value]) => value !== NO_FILTERS[name]));

// The filters have changed: the list cannot be continued with another page.
function filtersChanged() {
  sessionStorage.setItem("search", JSON.stringify([me.who, filters()]));
  nextPage = "";
  find("more").hidden = true;
}

async function search(further = false) {
  const turn = ++searches;
  clearTimeout(searchTimer);
  if (!further) filtersChanged();
  try {
    const page = await request(`/api/records?${new URLSearchParams({ ...filters(), after: further ? nextPage : "", limit: PAGE_SIZE })}`);
    if (turn !== searches) return; // a later search was started meanwhile
    const known = new Set(further ? found.map((it) => it.id) : []); // its level may have changed, and with it its place
    found = [...(further ? found : []), ...page.records.filter((it) => !known.has(it.id))];
    nextPage = page.next;
    // Calls that have ended or were reviewed since the first page are counted by the next search.
    total = nextPage ? Math.max(further ? total : page.total, found.length + 1) : found.length;
    find("more").hidden = !nextPage;
    drawList();
    suggest();
  } catch (error) {
    if (turn === searches) { found = further ? found : []; drawList(); showError(error); }
  }
}

function drawList() {
  find("found").className = "";
  const none = Object.keys(filters()).some((name) => !["marks", "order"].includes(name)) || filters().marks !== "unreviewed"
    ? "No calls found. Widen the search or choose another view." : "No calls left to review.";
  write(find("found"), found.length ? `${found.length < total ? `${found.length} of ` : ""}${plural(total, "call")}` : none);
  find("table").hidden = found.length === 0;
  replaceKeepingFocus(find("list"), found.map((it) => h("li", {}, h("button", {
    "data-key": it.id, "aria-current": String(it.id === open?.id), onclick: () => show(it.id),
  },
  h("span", { class: "line" }, h("b", {}, it.title), h("span", { class: "second" }, clock(it.duration_ms))),
  h("span", { class: "line second small" }, [it.agent, dayAndTime(it.started_at), it.outcome].filter(Boolean).join(" · ")),
  h("span", { class: "small second" }, chip(it.level_reached), " ",
    [plural(it.signals, "signal"), plural(it.prompts, "prompt"), it.wrong && `${it.wrong} wrong`, it.contested && "contested by the agent", it.ended === "interrupted" && "cut short", it.reviewed && "reviewed"].filter(Boolean).join(", "))))));
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
async function fetchAll() {
  const [records, given] = [new Map(), filters()]; // by id: of a call whose place has changed there is one row
  for (let after = "", part; !part || after; after = part.next) {
    part = await request(`/api/records?${new URLSearchParams({ ...given, after, limit: MAX_PAGE_SIZE })}`);
    for (const it of part.records) records.set(it.id, it);
    write(find("found"), `Exporting ${plural(records.size, "call")}`);
  }
  return [...records.values()];
}

// For a spreadsheet; what such a program would take for a formula is quoted.
async function exportTable() {
  if (exporting) return;
  exporting = true; // not disabled: that would take the focus
  try {
    download(await fetchAll());
    drawList();
  } catch (error) {
    showError(error);
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
  const own = me.role === "agent" ? [] : await request("/api/views").catch(() => []);
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
  for (const [name, empty] of Object.entries(NO_FILTERS)) form.elements[name].value = given[name] ?? empty;
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
  if (BUILT_IN.some(([own]) => own === name)) return showError(new Error("That is the name of a built-in view: choose another."));
  try {
    await request("/api/views", { name, filters: { ...filters(), ...("days" in filters() ? { days: Number(filters().days) } : {}) } });
  } catch (error) {
    return showError(error);
  }
  find("save").hidden = true;
  find("keep").hidden = false;
  await loadViews(name);
  localStorage.setItem("view", name);
}

async function forgetView() {
  try {
    await request("/api/views/delete", { name: find("view").value });
  } catch (error) {
    return showError(error);
  }
  await loadViews("All, newest first");
  await useView();
}

// ---- one record ----

async function show(id, push = true) {
  requested = id;
  try {
    const view = await request(recordUrl(id));
    if (id !== requested) return;
    open = view;
  } catch (error) {
    if (id !== requested) return;
    open = null;
    recordPane.close();
    drawList();
    find("side").hidden = true;
    find("side").replaceChildren();
    find("record").replaceChildren(h("h2", {}, "This record cannot be opened"), h("p", { class: "second" }, error.message));
    return;
  }
  if (push) history.pushState({ listed: true }, "", `/review/${encodeURIComponent(id)}${location.search}`);
  recordPane.draw(open);
  redrawSide();
  for (const button of find("list").querySelectorAll("[data-key]")) {
    put(button, "aria-current", String(button.dataset.key === id));
    if (button.dataset.key === id) button.scrollIntoView({ block: "nearest" });
  }
}

// An answer of the server about this call may arrive when another one is open.
function redrawSide() {
  const view = open;
  drawSide(find("side"), { open: view, role: me.role, signals: SIGNALS, line: recordPane.line, redraw: () => { if (view === open) redrawSide(); }, changed: () => {
    const it = view.record;
    updateSummary(view, { title: titleOf(it), outcome: it.outcome, root_cause: it.root_cause, contested: Boolean(it.contested), ...(me.role !== "agent" && { reviewed: true }) });
    suggest();
    if (view === open) recordPane.drawAdded();
  } });
}

function updateSummary(view, changes) {
  const it = found.find((each) => each.id === view.id);
  if (it) Object.assign(it, changes);
  drawList();
}

async function openNext(step) {
  const from = requested;
  const place = found.findIndex((it) => it.id === from) + step;
  if (place === found.length && !find("more").hidden) await search(true);
  if (requested === from && found[place]) show(found[place].id); // otherwise another one was chosen meanwhile
}

function addMissed() {
  const kind = find("add-kind");
  if (!kind) return false;
  kind.value = "missed";
  kind.dispatchEvent(new Event("change"));
  find("add-signal").focus();
  return true;
}

onKeys(document, {
  j: () => recordPane.go(1), k: () => recordPane.go(-1), r: () => recordPane.mark("right"), w: () => recordPane.mark("wrong"), m: addMissed,
  n: () => openNext(1), b: () => openNext(-1), "/": () => form.elements.words.focus(),
  " ": (event) => !event.target.closest?.("button, a, summary, input") && recordPane.play(),
});
keepClicks(document);
tellActivity(document);
find("signals").append(...SIGNALS.map((id) => h("option", { value: id }, readable(id))));
form.addEventListener("input", () => { filtersChanged(); searches++; clearTimeout(searchTimer); searchTimer = setTimeout(() => search(), 200); });
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
find("table").addEventListener("click", exportTable);
addEventListener("popstate", () => { const id = recordInUrl(); if (id) show(id, false); });
function recordInUrl() {
  return nameInAddress();
}

const direct = recordInUrl();
const [who, before] = JSON.parse(history.state?.listed && sessionStorage.getItem("search") || "[]"); // of this page, before a reload
me = await request("/api/me").catch(() => me) ?? me;
for (const id of ["keep", "trends", "report"]) find(id).hidden = me.role === "agent";
await loadViews(direct && !history.state?.listed ? "All, newest first" : localStorage.getItem("view") ?? BUILT_IN[0][0]);
const chosen = filters(); // set by somebody while the page was loading
await (before && who === me.who ? use({ ...before, ...chosen }) : useView(chosen));
const first = direct || found[0]?.id;
if (first && !requested) { // nor opened one meanwhile
  await show(first, false);
  if (!direct && first === requested) history.replaceState({ listed: true }, "", `/review/${encodeURIComponent(first)}${location.search}`);
}
