// After the call: the wrap-up form, in the prompt's slot and in full height. Nothing has to be filled in.

import { h, put, replaceKeepingFocus, write } from "./shared.js";

let drawnFor = ""; // the call whose form is on screen: what is being typed is never drawn over
let saveUnsaved = null; // saves what was typed and is not in the record yet; null if there is nothing
let update = null; // fills the form with what the record says now, except for what was typed
let breakTimer = 0; // timer of the break

/**
 * Draws the wrap-up into `place`.
 * @param wrapup the room's `wrapup`, @param ended the room's `ended`, @param act sends what the agent does; says whether it went
 */
export function drawWrapUp(place, wrapup, ended, act) {
  if (drawnFor === wrapup.call && place.querySelector("form.wrap")) {
    write(place.querySelector("[role=status]"), wrapup.kept ? "Saved in the record" : "");
    return update(wrapup);
  }
  drawnFor = wrapup.call;
  const outcome = field("Outcome", "wrap-outcome", wrapup.outcomes, wrapup.outcome);
  const cause = field("Root cause", "wrap-cause", wrapup.root_causes);
  const note = h("textarea", { id: "wrap-note", rows: 2, maxlength: 2000, placeholder: "What should be remembered?" });
  const why = h("input", { type: "text", maxlength: 2000, "aria-label": "What was wrong", placeholder: "What was wrong?", hidden: true });
  const contest = h("input", { type: "checkbox", onchange: () => { why.hidden = !contest.checked; } });
  const contesting = h("div", { class: "contest" }, h("label", {}, contest, " The system got this wrong (QA will see that you contest it)"), why);
  const answers = [
    answer(outcome.node, "outcome", text(outcome.input), (now) => (now.kept ? now.outcome : "")),
    answer(cause.node, "root_cause", text(cause.input), (now) => now.root_cause),
    answer(note, "note", text(note), (now) => now.note),
    answer(contesting, "contested", {
      read: () => (contest.checked ? why.value.trim() || "contested" : ""),
      draw: (said) => {
        contest.checked = said !== "";
        why.hidden = !contest.checked;
        why.value = said === "contested" ? "" : said;
      },
    }, (now) => now.contested),
  ];
  const promises = wrapup.follow_ups.map(({ id, what, due }) => {
    const done = h("input", { type: "checkbox", "aria-label": `Done: ${what}` });
    const day = h("input", { type: "date", "aria-label": `Due: ${what}` });
    const now = (form) => form.follow_ups.find((each) => each.id === id);
    const said = [
      answer(done, "done", { read: () => done.checked, draw: (is) => { done.checked = is; } }, (form) => now(form)?.done),
      answer(day, "day", { ...text(day), read: () => day.value || undefined }, (form) => now(form)?.day || undefined), // a day is not taken back
    ];
    return { id, said, row: h("li", {}, h("label", {}, done, ` ${what}`), h("span", { class: "second small" }, due), day) };
  });
  let known = wrapup;
  update = (now) => {
    known = now;
    const all = [...answers, ...promises.flatMap(({ said }) => said)];
    for (const each of all) each.follow(known);
    if (!all.some((each) => each.touched)) saveUnsaved = null;
  };
  update(wrapup);
  const save = () => {
    const follow_ups = promises.filter(({ said }) => said.some((each) => each.touched)).map(({ id, said }) => ({ id, ...changed(said) }));
    act({ do: "wrap-up", call: wrapup.call, ...changed(answers), follow_ups });
    update(known);
  };
  const form = h("form", {
    class: "wrap", "aria-label": "Wrap-up", oninput: () => { saveUnsaved = save; },
    onsubmit: (event) => { event.preventDefault(); save(); },
  },
  h("p", { class: "label" }, "Call ended"),
  h("h2", { class: "title" }, ended.summary || "The record is kept"),
  wrapup.reset_s > 0 && breakOffer(wrapup.reset_s),
  outcome.node, cause.node,
  h("label", { class: "field" }, h("span", {}, "Note"), note),
  contesting,
  promises.length > 0 && h("fieldset", {}, h("legend", {}, "Promised in this call"), h("ul", {}, promises.map((each) => each.row))),
  h("div", { class: "acts" },
    h("button", { class: "btn main" }, "Save"),
    h("a", { class: "btn", href: `/review/${encodeURIComponent(ended.record)}`, target: "_blank", rel: "noopener" }, "Open record"),
    h("span", { class: "second small", role: "status" }, wrapup.kept ? "Saved in the record" : "")));
  replaceKeepingFocus(place, [form], place);
}

/** The next call is shown: save what was typed and not saved. */
export function leaveWrapUp() {
  drawnFor = "";
  saveUnsaved?.();
  saveUnsaved = null;
}

// One answer of the form: what it reads, how it is drawn, and what the record says. What was touched is sent until the
// record says the same, and nothing else is: somebody else may have changed the rest since it was drawn.
function answer(node, name, { read, draw }, recorded) {
  const self = { name, read, touched: false, follow: (wrapup) => {
    const now = recorded(wrapup);
    if (read() === now) self.touched = false;
    else if (!self.touched && now !== undefined) draw(now);
  } };
  node.addEventListener("input", () => { self.touched = read() !== undefined; });
  return self;
}

const text = (input) => ({ read: () => input.value.trim(), draw: (said) => { input.value = said; } });
const changed = (answers) => Object.fromEntries(answers.filter((each) => each.touched).map((each) => [each.name, each.read()]));

// A text field with suggestions: one of the team's words, or one's own.
function field(name, id, choices, heard = "") {
  const input = h("input", { type: "text", id, list: `${id}-list`, maxlength: 120, placeholder: heard ? `${heard}, from what was heard` : "choose, or type your own" });
  const list = h("datalist", { id: `${id}-list` }, choices.map((choice) => h("option", { value: choice })));
  return { input, node: h("label", { class: "field" }, h("span", {}, name), input, list) };
}

// A moment of quiet after a heavy call. It stays on this page: nothing about it is sent, counted or kept.
function breakOffer(seconds) {
  const state = h("span", { class: "second", role: "timer" }, "That was a hard call. This break is not counted.");
  const button = h("button", { type: "button", class: "btn", "aria-pressed": "false", onclick: () => {
    clearInterval(breakTimer);
    if (button.getAttribute("aria-pressed") === "true") return stop("Good to have you back.");
    const until = performance.now() + seconds * 1000;
    put(button, "aria-pressed", "true");
    write(button, "Stop");
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      if (left <= 0 || !state.isConnected) return stop("What they said is theirs. What you did is in the record.");
      write(state, `${left % 8 < 4 ? "Breathe out" : "Breathe in"} · ${left} s`);
    };
    tick();
    breakTimer = setInterval(tick, 250);
  } }, "Take a minute");
  const stop = (text) => {
    clearInterval(breakTimer);
    put(button, "aria-pressed", "false");
    write(button, "Take a minute");
    write(state, text);
  };
  return h("div", { class: "reset" }, button, state);
}
