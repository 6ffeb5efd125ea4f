// One finished call: its time axis, its words with what they caused, its sound; and marks at the place itself.

import { request, recordUrl, dayAndTime } from "./api.js";
import { player } from "./sound.js";
import { FRESH_MS, capitalised, clock, find, h, plural, readable, put, write } from "./shared.js";
import { timeline } from "./timeline.js";

const MASKED = /(\[[a-z][a-z -]*\]|[█▇•*]{2,})/u; // what redaction leaves in a transcript
const HOW = { used: "used", acted: "said in the agent’s words", dismissed: "not now", wrong: "marked wrong by the agent", expired: "not used", superseded: "replaced", withdrawn: "withdrawn", ended: "on screen at the end" };

/** What the list and the record are headed with. */
export const titleOf = (it) => it.root_cause || `${it.agent}, ${clock(it.duration_ms)}`;

export function record({ showError, marked, mayMark }) {
  let open = null;
  let markable = []; // the signals and prompts that can be marked, in order of the page
  let selected = -1;
  let marking = Promise.resolve(); // the marks that are on their way
  let axis = null;
  let sound = null;

  const verdictIn = (view, { kind, target }) => view.marks.find((mark) => mark.kind === kind && mark.target === target)?.verdict ?? "";

  function draw(view) {
    open = view;
    selected = -1;
    markable = [];
    sound?.stop();
    const it = open.record;
    document.title = `Review · ${it.agent}`;
    axis = timeline(it, it.agent || "Agent", open.recording?.peaks ?? {}, (ms) => { showTime(ms); sound?.seek(ms); });
    sound = open.recording ? player(recordUrl(open.id, "/sound"), it, (ms) => axis.point(ms)) : null;
    const kept = open.recording ? `recording kept${open.recording.kept_until ? ` until ${dayAndTime(open.recording.kept_until).replace(/ [\d:]+$/u, "")}` : ""}` : "no recording kept";
    const meta = [[it.agent, it.team].filter(Boolean).join(", "), dayAndTime(it.started_at), `lasted ${clock(it.duration_ms)}`, it.caller && `caller ${it.caller}`, kept].filter(Boolean).join(" · ");
    const versions = Object.entries(it.versions ?? {}).map(([name, version]) => `${name} ${version}`).join(" · ");
    const flag = (text) => h("p", { class: "flag" }, text);
    find("record").replaceChildren(
      h("h2", {}),
      h("p", { class: "second" }, meta),
      versions && h("details", { class: "second small" }, h("summary", {}, "Versions"), versions),
      h("div", { id: "contested" }),
      it.ended === "interrupted" ? flag("This call was cut short; all that was heard until then is here.") : "",
      ...(it.unkept ?? []).map(({ from_ms, to_ms }) => flag(from_ms ? `From ${clock(from_ms)} to ${to_ms === null ? "the end" : clock(to_ms)} nothing was kept: consent was taken back.` : `The first ${clock(to_ms)} were not kept: consent was given only then.`)),
      ...it.troubles.filter((trouble) => !trouble.cleared).slice(0, 3).map((trouble) => flag(`${clock(trouble.at_ms)} ${trouble.text}`)),
      it.transcribed_late?.length ? flag(`${plural(it.transcribed_late.length, "utterance")} transcribed after the call: nobody was prompted. With these words counted the level reached ${it.level_reached}.`) : "",
      h("section", { class: "panel timeline", "aria-label": "The call on one time axis" }, axis.node, sound?.node ?? ""),
      h("section", { class: "panel", "aria-label": "Transcript" }, h("table", { class: "said" },
        h("colgroup", {}, h("col", { class: "c-time" }), h("col", { class: "c-who" }), h("col", {}), h("col", { class: "c-cause" })),
        h("thead", { class: "visually-hidden" }, h("tr", {}, ["Time", "Who", "Words", "What it caused"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", { id: "said", onclick: playWord }, drawLines(it)))));
    drawAdded();
    sound?.follow(find("said"));
    find("record").scrollTop = 0;
  }

  /** Draws what can be added while the record is open: its root cause, a contest, missed signals. */
  function drawAdded() {
    const it = open.record;
    write(find("record").querySelector("h2"), titleOf(it));
    find("contested").replaceChildren(it.contested ? h("p", { class: "flag" }, `Contested by ${it.agent}: ${it.contested}`) : "");
    for (const old of find("said").querySelectorAll(".missed")) old.remove();
    for (const [, kind, text, ms] of open.notes) {
      if (kind === "missed" && ms != null) rowAt(ms).lastElementChild.append(h("p", { class: "cause missed" }, `missed here: ${text}`));
    }
  }

  // A click on a word plays from there; without a recording it only points there.
  function playWord(event) {
    const word = event.target.closest("[data-from]");
    if (!word) return;
    const ms = Number(word.dataset.from);
    axis.point(ms);
    highlight(word.closest("tr"));
    sound?.seek(ms, true);
  }

  // Each line with what it caused: signals on their words or at their time, the prompts they led to, steps, Plan B.
  function drawLines(it) {
    const causes = it.transcript.map(() => []);
    const order = it.transcript.map((line, i) => [line, i]);
    const lineAt = (ms, speaker) => {
      const fit = order.filter(([line]) => line.start_ms <= ms && (!speaker || line.speaker === speaker));
      return fit.length ? fit.at(-1)[1] : order.length ? 0 : -1;
    };
    const unplaced = []; // [ms, make] where there are no words
    const add = (i, ms, make) => (i >= 0 ? causes[i].push(make) : unplaced.push([ms, make]));
    const placed = new Set();
    for (const signal of it.signals) {
      const own = order.find(([line]) => line.id === signal.utterance)?.[1] ?? lineAt(signal.at_ms, signal.speaker === "unknown" ? "" : signal.speaker);
      add(own, signal.at_ms, () => cause("signal", signal.key, signal.at_ms, [readable(signal.id), signal.summary && `, ${signal.summary}`]));
      for (const prompt of it.prompts) {
        if (placed.has(prompt.id) || !prompt.signals.includes(signal.key)) continue;
        placed.add(prompt.id);
        add(own, prompt.shown_ms, () => promptCause(prompt, Math.max(0, prompt.shown_ms - signal.at_ms)));
      }
    }
    for (const prompt of it.prompts) if (!placed.has(prompt.id)) add(lineAt(prompt.shown_ms), prompt.shown_ms, () => promptCause(prompt, null));
    for (const step of it.steps) add(lineAt(step.at_ms, step.by === "words" ? "agent" : ""), step.at_ms, () => h("p", { class: "cause" }, `ticked ${readable(step.step)}${step.by === "hand" ? ", by hand" : ""}`));
    for (const option of it.plan) {
      if (option.offered_ms != null) add(lineAt(option.offered_ms), option.offered_ms, () => h("p", { class: "cause" }, `Plan B: ${option.title}, ${option.answer || "offered"}`));
    }
    const late = new Set((it.transcribed_late ?? []).map((each) => `${each.speaker} ${each.start_ms}`));
    const when = (ms) => h("td", {}, h("button", { class: "when", "data-from": ms, "aria-label": `${open.recording ? "Hear from" : "Show"} ${clock(ms)}` }, clock(ms)));
    const rows = it.transcript.map((line, i) => {
      const row = h("tr", { "data-ms": line.start_ms }, when(line.start_ms), h("td", {}, { agent: it.agent, customer: "Caller" }[line.speaker] ?? "Voice"),
        h("td", {}, lineContent(it, line)));
      const after = late.has(`${line.speaker} ${line.start_ms}`) ? h("p", { class: "cause" }, "transcribed after the call") : "";
      row.append(h("td", {}, after, causes[i].map((make) => make())));
      return row;
    });
    if (rows.length) return rows;
    const heard = Object.entries(it.accounted_ms ?? {}).some(([what, ms]) => ms > 0 && /\.(speech|transcribed-late)$/u.test(what));
    const none = heard ? "The words of this call are not kept." : "No words were recognised.";
    return [h("tr", { "data-ms": 0 }, h("td", {}), h("td", {}), h("td", { class: "second" }, none), h("td", {})),
      ...unplaced.sort((a, b) => a[0] - b[0]).map(([ms, make]) => h("tr", { "data-ms": ms }, when(ms), h("td", {}), h("td", {}), h("td", {}, make())))];
  }

  function promptCause(prompt, after) {
    const how = HOW[prompt.how] ?? prompt.how;
    const later = after === null ? "" : `, shown ${(after / 1000).toFixed(1)} s later`;
    return cause("prompt", prompt.id, prompt.shown_ms, [`→ “${prompt.title}”${later}${how ? `, ${how}` : ""}`, prompt.seen_ms == null ? ", not seen" : ""], prompt.say);
  }

  function cause(kind, target, ms, text, title = null) {
    const place = { kind, target, ms };
    const button = (word) => h("button", {
      class: `verdict ${word}`, "aria-pressed": String(verdictIn(open, place) === word),
      "aria-label": `${capitalised(word)}: ${text.join("").slice(0, 80)}`, onclick: () => { select(markable.indexOf(place)); mark(word); },
    }, capitalised(word));
    place.node = h("div", { class: "cause", title }, h("span", {}, text), mayMark() && h("div", { class: "does" }, button("right"), button("wrong")));
    markable.push(place);
    return place.node;
  }

  function lineContent(it, line) {
    if (!line.words.length) return masked(line.text);
    const hit = new Set(it.signals.filter((signal) => signal.utterance === line.id && signal.last_word >= 0)
      .flatMap((signal) => line.words.map((_, i) => i).filter((i) => i >= signal.first_word && i <= signal.last_word)));
    const parts = [];
    let run = null; // the underlaid phrase being filled
    line.words.forEach(([text, from, to], i) => {
      const word = h("span", { class: "w", "data-from": from, "data-to": to }, ...masked(text));
      if (!hit.has(i)) {
        run = null;
        parts.push(i ? " " : "", word);
      } else if (run) run.append(" ", word);
      else {
        run = h("mark", {}, word);
        parts.push(i ? " " : "", run);
      }
    });
    return parts;
  }
  const masked = (text) => text.split(MASKED).filter(Boolean)
    .map((part) => (MASKED.test(part) ? h("span", { class: "masked" }, part.replace(/^\[|\]$/gu, "").replace(/^[█▇•*]+$/u, "masked")) : part));

  // ---- marks, by key or click ----

  function highlight(row) {
    for (const each of find("said").rows) each.classList.toggle("current", each === row);
  }

  function select(i) {
    if (!markable.length) return;
    selected = Math.max(0, Math.min(markable.length - 1, i));
    for (const place of markable) place.node.classList.remove("at");
    const place = markable[selected];
    place.node.classList.add("at");
    highlight(place.node.closest("tr"));
    place.node.scrollIntoView({ block: "nearest" });
    axis.point(place.ms);
  }

  function rowAt(ms) {
    const rows = [...find("said").rows]; // at least one
    return rows.filter((each) => Number(each.dataset.ms) <= ms).at(-1) ?? rows[0];
  }

  function showTime(ms) {
    const row = rowAt(ms);
    highlight(row);
    row.scrollIntoView({ block: "center" });
    axis.point(ms);
  }

  // One after the other: each says what was marked when it was pressed.
  function mark(word) {
    const [view, place, at] = [open, markable[selected], performance.now()];
    if (place && mayMark()) marking = marking.then(() => send(view, place, word, at));
  }

  async function send(view, place, word, at) {
    const said = verdictIn(view, place) === word ? "clear" : word;
    if (said === "clear" && at - place.markedAt < FRESH_MS) return; // clicked twice, or a key that bounced
    place.markedAt = at;
    const draw = () => { for (const button of place.node.querySelectorAll(".verdict")) put(button, "aria-pressed", String(button.classList.contains(verdictIn(view, place)))); };
    let told;
    try {
      told = await request(recordUrl(view.id, "/marks"), { kind: place.kind, target: place.target, verdict: said, was: verdictIn(view, place) });
    } catch (error) {
      showError(error);
      if (error.code !== "marked-since") return;
      view.marks = (await request(recordUrl(view.id)).catch(() => view)).marks;
      return draw();
    }
    view.marks = view.marks.filter((each) => each.kind !== place.kind || each.target !== place.target);
    if (said !== "clear") view.marks.push({ kind: place.kind, target: place.target, verdict: said });
    draw();
    marked(view, told.wrong);
  }

  /** No record is on screen: no key reaches the one before. */
  function close() {
    sound?.stop();
    open = axis = sound = null;
    markable = [];
    selected = -1;
  }

  /** Start of the line that is marked now, in ms; null where none is. */
  function line() {
    const row = find("said")?.querySelector(".current");
    return row ? Number(row.dataset.ms) : null;
  }

  return { draw, drawAdded, close, mark, line, go: (step) => select(selected + step), play: () => Boolean(sound) && (sound.toggle(), true) };
}
