// After the call: the wrap-up form, in the prompt's slot and in full height. Nothing has to be filled in.

import { leaving } from "./link.js";
import { h, put, replaceKeepingFocus, write } from "./shared.js";

const DRAFT = "wrap-up"; // what was typed and is not in the record yet: a reload or a login in between loses none of it
let draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null"); // {agent, message}, as it would be sent
let drawnFor = ""; // the call whose form is on screen: what is being typed is never drawn over
let unsaved = false; // something on screen has not been sent, or not been taken
let update = null; // fills the form with what the record says now, except for what was typed
let breakTimer = 0; // timer of the break

function keepDraft(value) {
  draft = value;
  if (draft) sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  else sessionStorage.removeItem(DRAFT);
}
addEventListener("beforeunload", (event) => { if (unsaved && !leaving) event.preventDefault(); });

/**
 * Draws the wrap-up into `place`.
 * @param wrapup the room's `wrapup`, @param ended the room's `ended`, @param agent whose room it is
 * @param act sends what the agent does; its second argument is told why that was not done, or ""
 */
export function drawWrapUp(place, wrapup, ended, agent, act) {
  if (drawnFor === wrapup.call && place.querySelector("form.wrap")) return update(wrapup);
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
    const typing = () => day.validity.badInput || day.matches(":focus");
    const now = (form) => form.follow_ups.find((each) => each.id === id);
    const said = [
      answer(done, "done", { read: () => done.checked, draw: (is) => { done.checked = is; } }, (form) => now(form)?.done),
      answer(day, "day", { ...text(day), read: () => day.value || undefined, typing }, (form) => now(form)?.day || undefined), // a day is not taken back
    ];
    return { id, said, row: h("li", {}, h("label", {}, done, ` ${what}`), h("span", { class: "second small" }, due), day) };
  });
  let known = wrapup;
  const status = h("span", { class: "second small", role: "status" });
  const all = [...answers, ...promises.flatMap(({ said }) => said)];
  update = (now) => {
    known = now;
    for (const each of all) each.follow(known);
    unsaved = all.some((each) => each.touched && each.read() !== each.taken);
    if (!unsaved && draft?.message.call === wrapup.call) keepDraft(null);
    write(status, unsaved ? "Not saved yet" : known.kept ? "Saved in the record" : "");
  };
  const message = () => {
    const follow_ups = promises.map(({ id, said }) => ({ id, ...changed(said) })).filter((each) => Object.keys(each).length > 1);
    return { do: "wrap-up", call: wrapup.call, ...changed(answers), follow_ups };
  };
  const save = () => {
    const sent = all.map((each) => [each, each.read()]);
    act(message(), (refused) => { if (!refused) for (const [each, value] of sent) each.taken = value; });
    update(known);
  };
  if (draft?.agent === agent && draft.message.call === wrapup.call) {
    restore(answers, draft.message);
    for (const { id, said } of promises) restore(said, draft.message.follow_ups.find((each) => each.id === id) ?? {});
  }
  update(wrapup);
  const form = h("form", {
    class: "wrap", "aria-label": "Wrap-up", oninput: () => { update(known); if (unsaved) keepDraft({ agent, message: message() }); },
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
    status));
  replaceKeepingFocus(place, [form], place);
}

/** The next call of `agent` is shown: send what was typed and not saved. */
export function leaveWrapUp(agent, send) {
  drawnFor = "";
  unsaved = false;
  if (draft?.agent === agent && send(draft.message)) keepDraft(null);
}

// One answer of the form: what it reads, how it is drawn, and what the record says. What was touched is sent until the
// record says the same, and nothing else is: somebody else may have changed the rest since it was drawn. While it is
// `typing`, what it reads may be nothing that anybody meant: 31 February, on the way from 31 January to the 15th.
function answer(node, name, { read, draw, typing = () => false }, recorded) {
  const self = { name, read, draw, touched: false, taken: null, follow: (wrapup) => {
    const [said, now] = [read(), recorded(wrapup)];
    const same = said === now && !node.validity?.badInput;
    if (!same && (typing() || self.touched && said !== undefined)) return;
    self.touched = false;
    self.taken = null;
    if (!same && now !== undefined) draw(now);
  } };
  node.addEventListener("input", () => { self.touched = true; });
  return self;
}

const text = (input) => ({ read: () => input.value.trim(), draw: (said) => { input.value = said; } });
const changed = (answers) => Object.fromEntries(answers.filter((each) => each.touched && each.read() !== undefined).map((each) => [each.name, each.read()]));
function restore(answers, said) {
  for (const each of answers) {
    if (!(each.name in said)) continue;
    each.draw(said[each.name]);
    each.touched = true;
  }
}

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
