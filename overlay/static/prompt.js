// The slot of the one prompt: what to say, why, and the agent's answer. Of fixed height; after the call it holds the wrap-up.

import { clock, h, quoted, replaceKeepingFocus, write } from "./shared.js";
import { drawWrapUp, leaveWrapUp } from "./wrapup.js";

const HOLD_MS = 30_000; // how long at most a prompt stays because the pointer or the focus is on it
const SIZES = ["", "long", "longer"]; // of the say-line: the largest in which all of it can be seen
const OLD_AFTER_MS = 10_000; // so long after its dwell time it is greyed, in case the server does not take it away
const SETTLE_MS = 500; // an answer sooner after a prompt has replaced another was meant for the other
const HOW = { used: "used", dismissed: "not now", wrong: "wrong" };

export function promptSlot({ find, overlay, latest, room, stale, act, announce, say, send }) {
  const slot = find("card");
  const history = []; // prompts since this page was opened, newest first; none of the caller's words, which may be taken back
  const seen = new Set();
  let shown = null; // the prompt drawn now
  let holdingSince = 0;
  let hovered = false; // by the pointer
  let focused = false; // something in it; on the slot itself the focus is only parked
  let swappedAt = -Infinity;

  function draw() {
    const value = room().get("prompt");
    const prompt = value?.body ?? null;
    const ended = latest("ended");
    if (shown && prompt?.id !== shown.id) {
      const entry = history.find((each) => each.id === shown.id);
      // A prompt that is being read stays, unless an urgent one comes. The caller's words in it go at once: they may have
      // been taken back.
      if ((hovered || focused) && !entry?.how && prompt?.tier !== "urgent" && !ended && !stale() && !["paused", "no-consent"].includes(latest("health")?.state)) {
        holdingSince ||= performance.now();
        if (performance.now() - holdingSince < HOLD_MS) return dropWhy();
      }
    }
    holdingSince = 0;
    const wrapup = prompt || !ended ? null : latest("wrapup");
    overlay.classList.toggle("wrapping", wrapup !== null);
    const agent = latest("call")?.agent;
    if (prompt || !ended && agent) leaveWrapUp(agent, send);
    if (prompt) return drawPrompt(prompt, value.at);
    shown = null;
    if (wrapup) {
      slot.className = "card on";
      slot.dataset.shows = `wrapup ${wrapup.call}`;
      return drawWrapUp(slot, wrapup, ended, agent, (what, then) => send(what, then) || say("Not connected: that was not sent."));
    }
    const kind = ended ? `ended ${ended.record}` : `empty ${emptyText()}`;
    if (slot.dataset.shows === kind) return;
    slot.dataset.shows = kind;
    if (ended) return drawEnded(ended);
    slot.className = "card empty";
    replaceKeepingFocus(slot, [h("p", {}, emptyText())], slot);
  }

  function emptyText() {
    const call = latest("call");
    const health = latest("health")?.state;
    if (!call || call.state === "waiting") return "The next call will appear here.";
    if (call.state === "ended") return "";
    if (health === "paused") return "Paused. Nothing is heard or kept.";
    if (health === "no-consent") return "No consent. Nothing is heard or kept.";
    if (health === "lost" || health === "untranscribed") return "Nothing can be heard right now, so no prompts come. Press H for help.";
    if ((latest("level")?.level ?? "calm") === "calm") return "Nothing to do. Just listen.";
    const step = latest("steps")?.steps.find((each) => each.current && !each.done);
    return step ? `Next step: ${step.title}` : "Stay with them. Press H for help.";
  }

  function drawPrompt(prompt, at) {
    if (shown?.id !== prompt.id) {
      if (history.length) swappedAt = performance.now();
      if (!history.some((each) => each.id === prompt.id)) {
        history.unshift({ ...prompt, why: [], how: "" });
        announce(`${prompt.tier === "urgent" ? "Urgent. " : ""}${prompt.title}. Say: ${prompt.say}`, prompt.tier === "urgent");
      }
    }
    shown = prompt;
    const key = `prompt ${JSON.stringify(prompt)}`;
    if (slot.dataset.shows !== key) {
      slot.dataset.shows = key;
      slot.className = `card on ${prompt.tier}`;
      const tier = { urgent: "urgent", note: "note" }[prompt.tier];
      const button = (name, text, what) => h("button", { "data-key": `${prompt.id} ${what}`, "aria-keyshortcuts": name === "Esc" ? "Escape" : name, onclick: () => answer(what) }, h("kbd", { "aria-hidden": "true" }, name), text);
      replaceKeepingFocus(slot, [
        h("p", { class: "label", title: prompt.label }, [prompt.label, tier].filter(Boolean).join(" · ")),
        h("h2", { class: "title", title: prompt.title }, prompt.title),
        h("p", { class: "say" }, `“${prompt.say}”`),
        h("div", { class: "why" }, prompt.why.map((line) => h("p", { title: line }, ...quoted(line)))),
        prompt.avoid && h("p", { class: "avoid", title: prompt.avoid }, `Avoid: ${prompt.avoid}`),
        h("div", { class: "acts" }, button("U", "Used", "used"), button("Esc", "Not now", "dismissed"), button("W", "Wrong", "wrong"))], slot);
      fit();
    }
    slot.classList.toggle("old", prompt.dwell_ms > 0 && performance.now() - at > prompt.dwell_ms + OLD_AFTER_MS);
    noteSeen();
  }

  function dropWhy() {
    slot.dataset.shows = "held";
    slot.querySelector(".why")?.replaceChildren();
  }

  function fit() {
    const say = slot.querySelector(".say");
    if (!say) return;
    for (const size of SIZES) {
      say.className = `say ${size}`;
      if (say.scrollHeight <= say.clientHeight + 1) return;
    }
  }

  function noteSeen() {
    if (!shown || seen.has(shown.id) || overlay.ownerDocument.visibilityState !== "visible") return; // wherever it stands: a tab behind it may be hidden
    const call = latest("call")?.call;
    if (call && send({ do: "prompt", call, prompt: shown.id, what: "seen" })) seen.add(shown.id);
  }

  function answer(what) {
    if (!shown) return;
    if (performance.now() - swappedAt < SETTLE_MS) return say("This prompt is new: press again to confirm.");
    if (!act({ do: "prompt", prompt: shown.id, what })) return;
    const entry = history.find((each) => each.id === shown.id);
    if (entry) entry.how = what;
    hovered = focused = false;
    draw();
  }

  function drawEnded(ended) {
    const note = h("textarea", { "aria-label": "Your note on this call", placeholder: "Your note, if you want one", maxlength: 2000 });
    const state = h("span", { class: "second small", role: "status" });
    slot.className = "card on";
    if (!ended.record) {
      replaceKeepingFocus(slot, [h("p", { class: "label" }, "Call ended"), h("h2", { class: "title", title: ended.summary }, ended.summary)], slot);
      return;
    }
    replaceKeepingFocus(slot, [
      h("p", { class: "label" }, "Call ended"),
      h("h2", { class: "title", title: ended.summary }, ended.summary || "The record is kept"),
      note,
      h("div", { class: "acts" },
        h("button", { class: "btn", onclick: () => {
          const text = note.value.trim();
          if (!text) return;
          const sent = send({ do: "note", call: latest("call")?.call, text }, (refusal) => {
            if (refusal) note.value ||= text;
            write(state, refusal || "Note saved");
          });
          if (sent) note.value = "";
          write(state, sent ? "" : "Not connected: that was not sent.");
        } }, "Save note"),
        h("a", { class: "btn", href: `/review/${encodeURIComponent(ended.record)}`, target: "_blank", rel: "noopener" }, "Open record"),
        state)], slot);
  }

  function drawHistory(drawer) {
    drawer.replaceChildren(h("h2", {}, "Earlier prompts"), history.length
      ? h("ol", {}, history.map((each) => h("li", {},
        h("p", { class: "small second" }, [clock(each.shown_at_ms), each.label, HOW[each.how]].filter(Boolean).join(" · ")),
        h("p", {}, h("b", {}, each.title)), h("p", {}, `“${each.say}”`))))
      : h("p", { class: "second" }, "None in this call since this page was opened."));
  }

  function reset() {
    history.length = 0;
    seen.clear();
    shown = null;
  }

  slot.addEventListener("pointerenter", () => { hovered = true; });
  slot.addEventListener("pointerleave", () => { hovered = false; draw(); });
  slot.addEventListener("focusin", (event) => { focused = event.target !== slot; });
  slot.addEventListener("focusout", (event) => {
    if (slot.contains(event.relatedTarget)) return;
    focused = false;
    draw();
  });
  new ResizeObserver(fit).observe(slot);
  return { draw, answer, noteSeen, drawHistory, reset };
}
