// Review: find finished calls, see one whole, say at the place itself whether the machine was right.

import { capital, chip, clock, find, h, keys, many, plain, put, write } from "./shared.js";
import { timeline } from "./timeline.js";

const MASKED = /(\[[a-z][a-z -]*\]|[█▇•*]{2,})/u; // what redaction leaves in a transcript
const HOW = { used: "used", acted: "said in the agent’s words", dismissed: "not now", wrong: "marked wrong by the agent", expired: "not used", superseded: "replaced", withdrawn: "taken back", ended: "open at the end" };
const SIGNALS = ["swearing", "derogatory", "influence_claim", "supervisor_demand", "cancel_threat", "legal_threat", "regulator_threat", "press_threat", "review_threat", "police", "personal_threat", "refund_chargeback", "passed_around", "time_pressure", "vulnerable", "giving_up", "de_escalation", "raised_voice", "overlap", "silence", "negative_sentiment"];

const page = 50;
let found = [];
let open = null; // the RecordView on screen
let places = []; // every signal and prompt that can be marked, in order of the page
let at = -1;
let axis = null;
let asked = 0;

async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (answer.status === 204) return null;
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.text ?? "That did not work.");
  return said;
}
const tell = (error) => write(find("found"), error.message.startsWith("Failed to fetch") ? "Not connected: the server does not answer." : error.message);

// ---- the list ----

function query(offset) {
  const [marks, order] = find("view").value.split(" ");
  const filled = [...new FormData(find("filters"))].filter(([, value]) => value && value !== "0");
  return new URLSearchParams([...filled, ...(marks ? [["marks", marks]] : []), ["order", order], ["offset", offset], ["limit", page]]);
}

async function search(offset = 0) {
  const turn = ++asked;
  try {
    const records = await ask(`/api/records?${query(offset)}`);
    if (turn !== asked) return; // a later search has been asked for meanwhile
    found = offset ? [...found, ...records] : records;
    find("more").hidden = records.length < page;
    drawList();
  } catch (error) {
    if (turn === asked) { found = offset ? found : []; drawList(); tell(error); }
  }
}

function day(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 86_400_000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return `${days === 0 ? "today" : days === 1 ? "yesterday" : date.toLocaleDateString([], { day: "numeric", month: "short", year: days > 300 ? "numeric" : undefined })} ${time}`;
}

function drawList() {
  write(find("found"), found.length ? `${many(found.length, "call")}${find("more").hidden ? "" : " and more"}` : "No call fits. Widen the search or the view.");
  find("list").replaceChildren(...found.map((it) => h("li", {}, h("button", {
    "data-record": it.id, "aria-current": String(it.id === open?.id), onclick: () => show(it.id),
  },
  h("span", { class: "line" }, h("b", {}, it.title), h("span", { class: "second" }, clock(it.duration_ms))),
  h("span", { class: "line second small" }, [it.agent, day(it.started_at), it.outcome].filter(Boolean).join(" · ")),
  h("span", { class: "small second" }, chip(it.level_reached), " ",
    [many(it.signals, "signal"), many(it.prompts, "prompt"), it.wrong && `${it.wrong} wrong`, it.contested && "contested by the agent", it.ended === "interrupted" && "cut short", it.reviewed && "reviewed"].filter(Boolean).join(", "))))));
}

// ---- one record ----

async function show(id, push = true) {
  try {
    open = await ask(`/api/records/${encodeURIComponent(id)}`);
  } catch (error) {
    open = null;
    find("side").hidden = true;
    find("record").replaceChildren(h("h2", {}, "This record is not here"), h("p", { class: "second" }, error.message));
    return;
  }
  if (push) history.pushState(null, "", `/review/${encodeURIComponent(id)}${location.search}`);
  at = -1;
  drawRecord();
  drawSide();
  for (const button of find("list").querySelectorAll("[data-record]")) {
    put(button, "aria-current", String(button.dataset.record === id));
    if (button.dataset.record === id) button.scrollIntoView({ block: "nearest" });
  }
}

const verdict = (kind, target) => open.marks.find((mark) => mark.kind === kind && mark.target === target)?.verdict ?? "";

function drawRecord() {
  const it = open.record;
  document.title = `Review · ${it.agent}`;
  axis = timeline(it, it.agent || "Agent", (ms) => goTo(ms));
  const summary = found.find((each) => each.id === open.id);
  const meta = [
    [it.agent, it.team].filter(Boolean).join(", "), day(it.started_at), `lasted ${clock(it.duration_ms)}`, it.caller && `caller ${it.caller}`, "no recording kept",
    ...Object.entries(it.versions ?? {}).map(([name, version]) => `${name} ${version}`),
  ].filter(Boolean).join(" · ");
  places = [];
  const contest = it.contested || open.notes.find((note) => note[1] === "contest")?.[2];
  find("record").replaceChildren(
    h("h2", {}, summary?.title || it.root_cause || `${it.agent}, ${clock(it.duration_ms)}`),
    h("p", { class: "second" }, meta),
    contest && contest !== "" ? h("p", { class: "flag" }, `Contested by ${it.agent}: ${contest}`) : "",
    it.ended === "interrupted" ? h("p", { class: "flag" }, "This call was cut short; what was heard until then is all here.") : "",
    ...it.troubles.filter((trouble) => !trouble.cleared).slice(0, 3).map((trouble) => h("p", { class: "flag" }, `${clock(trouble.at_ms)} ${trouble.text}`)),
    axis.node,
    h("section", { class: "panel", "aria-label": "Transcript" }, h("table", { class: "said" },
      h("colgroup", {}, h("col", { class: "c-time" }), h("col", { class: "c-who" }), h("col", {}), h("col", { class: "c-cause" })),
      h("thead", { class: "visually-hidden" }, h("tr", {}, ["Time", "Who", "Words", "What it caused"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", { id: "said" }, drawLines(it)))));
  find("record").scrollTop = 0;
}

// Each line with what it caused: signals on their words or at their time, the prompts they led to, steps, Plan B.
function drawLines(it) {
  const causes = it.transcript.map(() => []);
  const order = it.transcript.map((line, i) => [line, i]);
  const lineAt = (ms, speaker) => {
    const fit = order.filter(([line]) => line.start_ms <= ms && (!speaker || line.speaker === speaker));
    return fit.length ? fit.at(-1)[1] : order.length ? 0 : -1;
  };
  const loose = [];
  const add = (i, node) => (i >= 0 ? causes[i] : loose).push(node);
  const placed = new Set();
  for (const signal of it.signals) {
    const own = order.find(([line]) => line.id === signal.utterance)?.[1] ?? lineAt(signal.at_ms, signal.speaker === "unknown" ? "" : signal.speaker);
    add(own, () => cause("signal", signal.key, signal.at_ms, [plain(signal.id), signal.summary && `, ${signal.summary}`]));
    for (const prompt of it.prompts) {
      if (placed.has(prompt.id) || !prompt.signals.includes(signal.key)) continue;
      placed.add(prompt.id);
      add(own, () => promptCause(prompt, Math.max(0, prompt.shown_ms - signal.at_ms)));
    }
  }
  for (const prompt of it.prompts) if (!placed.has(prompt.id)) add(lineAt(prompt.shown_ms), () => promptCause(prompt, null));
  for (const step of it.steps) add(lineAt(step.at_ms, step.by === "words" ? "agent" : ""), () => h("p", { class: "cause" }, `ticked ${plain(step.step)}${step.by === "hand" ? ", by hand" : ""}`));
  for (const option of it.plan) {
    if (option.offered_ms != null) add(lineAt(option.offered_ms), () => h("p", { class: "cause" }, `Plan B: ${option.title}, ${option.answer || "offered"}`));
  }
  const rows = it.transcript.map((line, i) => {
    const row = h("tr", { "data-ms": line.start_ms },
      h("td", {}, clock(line.start_ms)), h("td", {}, { agent: it.agent, customer: "Caller" }[line.speaker] ?? "Voice"),
      h("td", {}, spoken(it, line)));
    row.append(h("td", {}, causes[i].map((make) => make())));
    return row;
  });
  if (loose.length) rows.push(h("tr", { "data-ms": 0 }, h("td", {}), h("td", {}), h("td", { class: "second" }, "No words were recognised."), h("td", {}, loose.map((make) => make()))));
  return rows;
}

function promptCause(prompt, after) {
  const how = HOW[prompt.how] ?? prompt.how;
  const later = after === null ? "" : `, shown ${(after / 1000).toFixed(1)} s later`;
  return cause("prompt", prompt.id, prompt.shown_ms, [`→ “${prompt.title}”${later}${how ? `, ${how}` : ""}`, prompt.seen_ms == null ? ", not seen" : ""], prompt.say);
}

function cause(kind, target, ms, text, title = null) {
  const place = { kind, target, ms };
  const button = (word) => h("button", {
    class: `verdict ${word}`, "aria-pressed": String(verdict(kind, target) === word),
    "aria-label": `${capital(word)}: ${text.join("").slice(0, 80)}`, onclick: () => { goto(places.indexOf(place)); mark(word); },
  }, capital(word));
  place.node = h("div", { class: "cause", title }, h("span", {}, text), h("div", { class: "does" }, button("right"), button("wrong")));
  places.push(place);
  return place.node;
}

function spoken(it, line) {
  const hit = new Set(it.signals.filter((signal) => signal.utterance === line.id && signal.last_word >= 0)
    .flatMap((signal) => line.words.map((_, i) => i).filter((i) => i >= signal.first_word && i <= signal.last_word)));
  const parts = [];
  let run = [];
  const close = () => { if (run.length) parts.push(h("mark", {}, run.flatMap(masked))); run = []; };
  const texts = line.words.length ? line.words.map((word) => word[0]) : [line.text];
  texts.forEach((text, i) => {
    if (hit.has(i)) run.push(`${run.length ? " " : ""}${text}`);
    else { close(); parts.push(i ? " " : "", ...masked(text)); return; }
    if (run.length === 1 && i) parts.push(" ");
  });
  close();
  return parts;
}
const masked = (text) => text.split(MASKED).filter(Boolean)
  .map((part) => (MASKED.test(part) ? h("span", { class: "masked" }, part.replace(/^\[|\]$/gu, "").replace(/^[█▇•*]+$/u, "masked")) : part));

// ---- marks, by key or click ----

function goto(i) {
  if (!places.length) return;
  at = Math.max(0, Math.min(places.length - 1, i));
  for (const place of places) place.node.classList.remove("at");
  for (const row of find("said").rows) row.classList.remove("current");
  const place = places[at];
  place.node.classList.add("at");
  place.node.closest("tr").classList.add("current");
  place.node.scrollIntoView({ block: "nearest" });
  axis.point(place.ms);
}

function goTo(ms) {
  const rows = [...find("said").rows];
  const row = rows.filter((each) => Number(each.dataset.ms) <= ms).at(-1) ?? rows[0];
  for (const each of rows) each.classList.toggle("current", each === row);
  row?.scrollIntoView({ block: "center" });
  axis.point(ms);
}

async function mark(word) {
  const place = places[at];
  if (!place) return;
  const before = verdict(place.kind, place.target);
  const said = before === word ? "clear" : word;
  try {
    await ask(`/api/records/${encodeURIComponent(open.id)}/marks`, { kind: place.kind, target: place.target, verdict: said });
  } catch (error) {
    return tell(error);
  }
  open.marks = open.marks.filter((each) => each.kind !== place.kind || each.target !== place.target);
  if (said !== "clear") open.marks.push({ kind: place.kind, target: place.target, verdict: said });
  const summary = found.find((each) => each.id === open.id);
  if (summary) {
    summary.wrong = open.marks.filter((each) => each.verdict === "wrong").length;
    summary.reviewed = true;
    drawList();
  }
  for (const button of place.node.querySelectorAll(".verdict")) put(button, "aria-pressed", String(button.classList.contains(said)));
}

// ---- the side ----

function drawSide() {
  const it = open.record;
  const side = find("side");
  side.hidden = false;
  const last = (kind) => open.notes.filter((note) => note[1] === kind).at(-1)?.[2];
  const run = it.recovery.find((each) => each.result === "met") ?? it.recovery.at(-1);
  const given = it.plan.filter((option) => option.answer === "accepted").map((option) => option.title);
  const offered = it.plan.filter((option) => option.offered_ms != null).length;
  const facts = [
    ["Result", last("outcome") || capital(it.outcome)],
    run && ["Recovery", run.took_ms ? `${Math.round(run.took_ms / 1000)} s, ${run.result} (goal ${run.limit_ms / 1000} s)` : `goal ${run.limit_ms / 1000} s, ${run.result || "no end heard"}`],
    ["Given", given.join(", ") || (offered ? `${offered} offered, none accepted` : "nothing")],
    ["Root cause", last("root-cause") || it.root_cause || "not said yet"],
    ["At the end", capital(it.level_at_end)],
  ].filter(Boolean);
  const alerts = it.alerts.map((alert) => h("li", {}, `${clock(alert.at_ms)} ${alert.reason}`, h("p", { class: "second small" },
    alert.course.map(([ms, what, who]) => `${clock(ms)} ${{ "alert-seen": "seen", claim: "claimed", resolve: "resolved" }[what] ?? what} by ${who}`).join(", ") || "nobody took it")));
  const part = (title, ...inside) => h("section", {}, h("h2", {}, title), ...inside);
  const kind = h("select", { "aria-label": "What to add" },
    [["comment", "Comment"], ["missed", "Missed signal, at the marked line"], ["root-cause", "Root cause"], ["outcome", "Outcome"], ["contest", "Contest, as the agent"]].map(([value, text]) => h("option", { value }, text)));
  const text = h("textarea", { rows: 2, maxlength: 2000, "aria-label": "Text" });
  const state = h("span", { class: "second small", role: "status" });
  side.replaceChildren(...[
    part("Outcome", h("dl", {}, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
    it.follow_ups.length && part("Follow-ups", h("ul", {}, it.follow_ups.map((each) => h("li", {}, `${each.what}, ${[each.owner, each.due].filter(Boolean).join(", ")}`, h("span", { class: "second" }, each.done ? " · done" : " · open"))))),
    (it.notes.length || open.notes.length) && part("Notes", h("ul", {},
      it.notes.map((note) => h("li", {}, h("b", {}, note.who), ` ${clock(note.at_ms)}: ${note.text}`)),
      open.notes.map(([who, what, said, ms]) => h("li", {}, h("b", {}, who), what === "comment" ? "" : ` · ${plain(what)}`, ms == null ? "" : ` ${clock(ms)}`, `: ${said}`)))),
    alerts.length && part("Supervisors", h("ul", {}, alerts)),
    part("Add", h("form", { onsubmit: async (event) => {
      event.preventDefault();
      if (!text.value.trim()) return;
      const row = find("said").querySelector(".current");
      const body = { kind: kind.value, text: text.value.trim(), at_ms: kind.value === "missed" && row ? Number(row.dataset.ms) : null };
      try {
        await ask(`/api/records/${encodeURIComponent(open.id)}/notes`, body);
        open.notes.push(["You", body.kind, body.text, body.at_ms]);
        drawSide();
      } catch (error) { write(state, error.message); }
    } }, kind, text, h("p", { class: "row" }, h("button", { class: "btn" }, "Add"), state))),
    part("Keys", h("div", { class: "keys" },
      h("p", {}, h("kbd", {}, "J"), " ", h("kbd", {}, "K"), " next, previous mark"),
      h("p", {}, h("kbd", {}, "R"), " ", h("kbd", {}, "W"), " right, wrong  ", h("kbd", {}, "N"), " next call"))),
    open.seen_by.length && part("Seen by", h("p", { class: "second" }, open.seen_by.map(([who, when]) => `${who} ${day(when)}`).join(", "))),
    part("Take away", h("p", { class: "row" },
      h("a", { class: "btn", href: `/api/records/${encodeURIComponent(open.id)}/html`, target: "_blank", rel: "noopener" }, "As a page"),
      h("a", { class: "btn", href: `/api/records/${encodeURIComponent(open.id)}/export`, download: "" }, "As JSON"))),
  ].filter(Boolean));
}

// ---- doing ----

function next() {
  const i = found.findIndex((it) => it.id === open?.id);
  const after = found[i + 1];
  if (after) show(after.id);
}
keys(document, { j: () => goto(at + 1), k: () => goto(at - 1), r: () => mark("right"), w: () => mark("wrong"), n: next });
find("signals").append(...SIGNALS.map((id) => h("option", { value: id }, plain(id))));
let typing = 0;
find("filters").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => search(), 200); });
find("filters").addEventListener("submit", (event) => { event.preventDefault(); search(); });
find("view").addEventListener("change", () => { localStorage.setItem("view", find("view").value); search(); });
find("more").addEventListener("click", () => search(found.length));
addEventListener("popstate", () => { const id = asId(); if (id) show(id, false); });
const asId = () => decodeURIComponent(location.pathname.split("/")[2] ?? "");

const named = asId();
find("view").value = named ? " newest" : localStorage.getItem("view") ?? "unreviewed worst";
if (find("view").selectedIndex < 0) find("view").value = " newest";
await search();
if (named) await show(named, false);
else if (found.length) {
  await show(found[0].id, false);
  history.replaceState(null, "", `/review/${encodeURIComponent(found[0].id)}${location.search}`);
}
