// Beside the record: what came of the call, the form people fill in, what was said about it, and what can be added.

import { request, recordUrl, dayAndTime } from "./api.js";
import { alertStep, capitalised, clock, h, readable, write } from "./shared.js";

const ADDS = [["comment", "Comment"], ["missed", "Missed signal, at the highlighted line"], ["root-cause", "Root cause"], ["outcome", "Outcome"], ["contest", "Contest, as the agent"]];

const drafts = new Map(); // record -> what was begun to be added to it, while another one is read

/**
 * @param open the RecordView on screen; changed in place by what is added
 * @param role who is reading; an agent has no form
 * @param line gives the start of the marked line in ms, or null
 */
export function drawSide(side, { open, role, signals, line, redraw, changed }) {
  const it = open.record;
  side.hidden = false;
  const part = (title, ...inside) => h("section", {}, h("h2", {}, title), ...inside);
  const path = (what) => recordUrl(open.id, what);
  side.replaceChildren(...[
    part("Outcome", h("dl", {}, facts(it).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
    it.follow_ups.length && part("Follow-ups", h("ul", {}, it.follow_ups.map((each) => h("li", {}, `${each.what}, ${[each.owner, each.due].filter(Boolean).join(", ")}`, h("span", { class: "second" }, each.done ? " · done" : " · open"))))),
    role !== "agent" && open.questions.length && part("Review form", form()),
    (it.notes.length || open.notes.length) && part("Notes", h("ul", {},
      it.notes.map((note) => h("li", {}, h("b", {}, note.who), ` ${clock(note.at_ms)}: ${note.text}`)),
      open.notes.map(([who, what, said, ms]) => h("li", {}, h("b", {}, who), what === "comment" ? "" : ` · ${readable(what)}`, ms == null ? "" : ` ${clock(ms)}`, `: ${said}`)))),
    it.alerts.length && part("Supervisors", h("ul", {}, it.alerts.map((alert) => h("li", {}, `${clock(alert.at_ms)} ${alert.reason}`, h("p", { class: "second small" },
      alert.course.map(([ms, what, who]) => `${clock(ms)} ${alertStep(what, who)}`).join(", ") || "nobody claimed it"))))),
    part("Add", adding()),
    part("Keys", h("div", { class: "keys" }, [
      [["J", "K"], "next, previous mark"], [["R", "W"], "right, wrong"], [["M"], "missed signal"], open.recording && [["Space"], "play, pause"], [["N", "B"], "next, previous call"], [["/"], "search"],
    ].filter(Boolean).map(([letters, what]) => h("p", {}, letters.flatMap((letter) => [h("kbd", {}, letter), " "]), what)))),
    open.seen_by.length && part("Seen by", h("p", { class: "second" }, open.seen_by.map(([who, when]) => `${who} ${dayAndTime(when)}`).join(", "))),
    part("Export", h("p", { class: "row" },
      h("a", { class: "btn", href: path("/html"), target: "_blank", rel: "noopener" }, "As a web page"),
      h("a", { class: "btn", href: path("/export"), download: "" }, "As JSON"))),
  ].filter(Boolean));

  function form() {
    const state = h("p", { class: "second small", role: "status" });
    return h("form", { class: "form" }, h("p", { class: "second small" }, "Answered by people only: nothing is filled in or added up for you."),
      open.questions.map((question) => {
        const given = open.answers.find((answer) => answer.question === question.id);
        return h("fieldset", {}, h("legend", {}, question.text, given?.who ? h("span", { class: "second small" }, ` · ${given.who}`) : ""),
          h("div", { class: "answers" }, question.answers.map((text) => {
            const box = h("input", { type: "radio", name: question.id, value: text, onchange: () => answer(question.id, text, state) });
            box.checked = given?.answer === text;
            return h("label", {}, box, text);
          })));
      }), state);
  }

  async function answer(question, text, state) {
    try {
      await request(path("/answers"), { question, answer: text });
    } catch (error) {
      return write(state, error.message);
    }
    open.answers = [...open.answers.filter((each) => each.question !== question), { question, answer: text, who: "You", at: "" }];
    write(state, "Saved");
    changed();
  }

  function adding() {
    const kind = h("select", { id: "add-kind", "aria-label": "What to add", onchange: () => { signal.hidden = kind.value !== "missed"; } }, ADDS.filter(([value]) => value !== "contest" || !role || role === "agent").map(([value, text]) => h("option", { value }, text)));
    const signal = h("select", { id: "add-signal", "aria-label": "Which signal", hidden: true }, signals.map((value) => h("option", { value }, readable(value))));
    const text = h("textarea", { rows: 2, maxlength: 2000, "aria-label": "Text" });
    const state = h("span", { class: "second small", role: "status" });
    const add = h("button", { class: "btn" }, "Add");
    if (drafts.has(open.id)) [kind.value, signal.value, text.value] = drafts.get(open.id);
    signal.hidden = kind.value !== "missed";
    return h("form", {
      oninput: () => drafts.set(open.id, [kind.value, signal.value, text.value]),
      onsubmit: async (event) => {
        event.preventDefault();
        const missed = kind.value === "missed";
        const said = text.value.trim() || (missed ? readable(signal.value) : "");
        if (!said) return;
        const body = { kind: kind.value, text: said, at_ms: missed ? line() : null, signal: missed ? signal.value : "" };
        add.disabled = true;
        try {
          await request(path("/notes"), body);
        } catch (error) {
          add.disabled = false;
          return write(state, error.message);
        }
        drafts.delete(open.id);
        open.notes.push(["You", body.kind, body.text, body.at_ms]);
        const field = { outcome: "outcome", "root-cause": "root_cause", contest: "contested" }[body.kind];
        if (field) open.record[field] = body.text;
        changed();
        redraw();
      },
    }, kind, signal, text, h("p", { class: "row" }, add, state));
  }
}

function facts(it) {
  const run = it.recovery.find((each) => each.result === "met") ?? it.recovery.at(-1);
  const given = it.plan.filter((option) => option.answer === "accepted").map((option) => option.title);
  const offered = it.plan.filter((option) => option.offered_ms != null).length;
  return [
    ["Result", capitalised(it.outcome)],
    run && ["Recovery", run.took_ms ? `${run.by === "remedy" ? "remedy accepted after " : ""}${Math.round(run.took_ms / 1000)} s, ${run.result} (goal ${run.limit_ms / 1000} s)` : `${run.result === "missed" ? "missed, never in this call" : run.result || "no end heard"} (goal ${run.limit_ms / 1000} s)`],
    ["Given", given.join(", ") || (offered ? `${offered} offered, none accepted` : "nothing")],
    ["Root cause", it.root_cause || "not set yet"],
    ["At the end", capitalised(it.level_at_end)],
  ].filter(Boolean);
}
