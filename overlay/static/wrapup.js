// After the call: the wrap-up of one screen, in the card's place and in full height. Nothing has to be filled in.

import { h, put, refill, write } from "./shared.js";

let drawnFor = ""; // the call whose form is on screen: what is being typed is never drawn over
let unkept = null; // sends what has been typed and not yet kept; null where there is nothing
let quiet = 0; // timer of the quiet minute

/**
 * Draws the wrap-up into `place`.
 * @param wrapup the room's `wrapup`, @param ended the room's `ended`, @param act sends what the agent does (returns nothing)
 */
export function drawWrapUp(place, wrapup, ended, act) {
  if (drawnFor === wrapup.call && place.querySelector("form.wrap")) {
    write(place.querySelector("[role=status]"), wrapup.kept ? "Kept in the record" : "");
    return;
  }
  drawnFor = wrapup.call;
  const outcome = field("Outcome", "wrap-outcome", wrapup.kept ? wrapup.outcome : "", wrapup.outcomes, wrapup.outcome);
  const cause = field("Root cause", "wrap-cause", wrapup.root_cause, wrapup.root_causes);
  const note = h("textarea", { id: "wrap-note", rows: 2, maxlength: 2000, placeholder: "What should be remembered?" });
  note.value = wrapup.note;
  const why = h("input", { type: "text", maxlength: 2000, "aria-label": "What was wrong", placeholder: "What was wrong?", hidden: wrapup.contested ? null : true });
  why.value = wrapup.contested === "contested" ? "" : wrapup.contested;
  const contest = h("input", { type: "checkbox", onchange: () => { why.hidden = !contest.checked; } });
  contest.checked = wrapup.contested !== "";
  const touched = new Set(); // the others may have been marked by somebody else since this was drawn
  const promises = wrapup.follow_ups.map((each) => {
    const done = h("input", { type: "checkbox", "aria-label": `Done: ${each.what}` });
    done.checked = each.done;
    const day = h("input", { type: "date", "aria-label": `Due: ${each.what}` });
    day.value = each.day;
    return { id: each.id, done, day, row: h("li", { oninput: () => touched.add(each.id) }, h("label", {}, done, ` ${each.what}`), h("span", { class: "second small" }, each.due), day) };
  });
  const keep = () => {
    unkept = null;
    act({
      do: "wrap-up", call: wrapup.call, outcome: outcome.input.value.trim(), root_cause: cause.input.value.trim(), note: note.value.trim(),
      contested: contest.checked ? why.value.trim() || "contested" : "",
      follow_ups: promises.filter((each) => touched.has(each.id)).map((each) => ({ id: each.id, done: each.done.checked, day: each.day.value })),
    });
  };
  const form = h("form", {
    class: "wrap", "aria-label": "Wrap-up", oninput: () => { unkept = keep; },
    onsubmit: (event) => { event.preventDefault(); keep(); },
  },
  h("p", { class: "label" }, "Call ended"),
  h("h2", { class: "title" }, ended.summary || "The record is kept"),
  wrapup.reset_s > 0 && reset(wrapup.reset_s),
  outcome.node, cause.node,
  h("label", { class: "field" }, h("span", {}, "Note"), note),
  h("div", { class: "contest" }, h("label", {}, contest, " The machine got this wrong (QA will see that you contest it)"), why),
  promises.length > 0 && h("fieldset", {}, h("legend", {}, "Promised in this call"), h("ul", {}, promises.map((each) => each.row))),
  h("div", { class: "acts" },
    h("button", { class: "btn main" }, "Keep"),
    h("a", { class: "btn", href: `/review/${encodeURIComponent(ended.record)}`, target: "_blank", rel: "noopener" }, "Open record"),
    h("span", { class: "second small", role: "status" }, wrapup.kept ? "Kept in the record" : "")));
  refill(place, [form], place);
}

/** The next call is here: what was typed and not kept is kept now. */
export function leaveWrapUp() {
  drawnFor = "";
  unkept?.();
}

// A text field with suggestions: one of the team's words, or one's own.
function field(name, id, value, choices, heard = "") {
  const input = h("input", { type: "text", id, list: `${id}-list`, maxlength: 120, placeholder: heard ? `${heard}, as far as was heard` : "choose, or type your own" });
  input.value = value;
  const list = h("datalist", { id: `${id}-list` }, choices.map((choice) => h("option", { value: choice })));
  return { input, node: h("label", { class: "field" }, h("span", {}, name), input, list) };
}

// A moment of quiet after a heavy call. It stays on this page: nothing about it is sent, counted or kept.
function reset(seconds) {
  const state = h("span", { class: "second", role: "timer" }, "That was a heavy call. Nothing about this is counted.");
  const button = h("button", { type: "button", class: "btn", "aria-pressed": "false", onclick: () => {
    clearInterval(quiet);
    if (button.getAttribute("aria-pressed") === "true") return stop("Good to have you back.");
    const until = performance.now() + seconds * 1000;
    put(button, "aria-pressed", "true");
    write(button, "Enough");
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      if (left <= 0 || !state.isConnected) return stop("What they said is theirs. What you did is in the record.");
      write(state, `${left % 8 < 4 ? "Breathe out" : "Breathe in"} · ${left} s`);
    };
    tick();
    quiet = setInterval(tick, 250);
  } }, "Take a minute");
  const stop = (text) => {
    clearInterval(quiet);
    put(button, "aria-pressed", "false");
    write(button, "Take a minute");
    write(state, text);
  };
  return h("div", { class: "reset" }, button, state);
}
