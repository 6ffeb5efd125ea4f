// Plan B by its keys 1-3, and the method's steps. Rows keep their place; each key does what its row says.

import { FRESH_MS, h, replaceKeepingFocus, write } from "./shared.js";

// A key or a click just after a row has changed was meant for what was there before, and just after its option was
// offered it is a bounce: nobody has answered yet.

export function planAndSteps({ find, latest, act, say }) {
  const rows = []; // options by key
  const changedAt = [-Infinity, -Infinity, -Infinity];
  const tickedAt = new Map(); // step -> when this page learned that it is done

  function draw() {
    drawPlan();
    drawSteps();
  }

  function drawPlan() {
    const options = latest("plan")?.options ?? [];
    const list = find("plan");
    const key = JSON.stringify(options);
    find("plan-head").classList.toggle("none", options.length === 0);
    if (list.dataset.shows === key) return;
    list.dataset.shows = key;
    changedAt.forEach((_, i) => {
      const [before, next] = [rows[i], options[i]];
      const answers = ["offered", "accepted"].includes(next?.state) && next.state !== before?.state; // other ones than before
      if (before && next && (before.id !== next.id || answers)) changedAt[i] = performance.now();
      rows[i] = next;
    });
    replaceKeepingFocus(list, options.map((option, i) => {
      const named = option.who && !option.who.startsWith("your ") ? option.who : ""; // the title needs the room more
      const [word, tone] = {
        yours: ["yours to give", "calm"], ask: [named ? `asks ${named}` : "ask first", "tense"], offered: ["offered", "recovering"],
        asked: [`asked ${named}`.trim(), "tense"], allowed: [named ? `${named} says yes` : "allowed", "calm"], denied: [named ? `${named} says no` : "not allowed", "escalated"],
        accepted: ["✓ accepted", "calm"], refused: ["declined", "third"],
      }[option.state || option.authority];
      const reply = (what, keys, text) => h("button", { class: "btn", "data-key": `${option.id} ${what}`, "aria-keyshortcuts": keys.replace("⇧", "Shift+"), onclick: () => answer(i, what) }, h("kbd", { "aria-hidden": "true" }, keys), text);
      return h("li", { class: option.state },
        h("kbd", { "aria-hidden": "true" }, String(i + 1)),
        h("button", { class: "pick", "data-key": option.id, "aria-keyshortcuts": String(i + 1), title: option.title, onclick: () => offer(settledOption(i)) }, option.title),
        h("span", { class: `whose ${tone}`, title: word }, word),
        h("p", { class: "worth", title: option.worth }, option.state === "offered"
          ? [h("span", { class: "they" }, "They said"), reply("accepted", String(i + 1), "Yes"), reply("refused", `⇧${i + 1}`, "No")]
          : option.state === "accepted" ? [h("span", { class: "they" }, "Taken as a yes"), reply("refused", `⇧${i + 1}`, "No")] : option.worth));
    }));
  }

  // The same key again keeps the customer's answer: 1 offers, then 1 is yes and Shift+1 is no, also after a yes.
  function pick(i) {
    const option = settledOption(i);
    if (!option) return false;
    if (option.state === "offered") act({ do: "plan", option: option.id, what: "accepted" });
    else offer(option);
    return true;
  }

  function answer(i, what) {
    const option = settledOption(i);
    if (!["offered", "accepted"].includes(option?.state)) return false;
    act({ do: "plan", option: option.id, what });
    return true;
  }

  function settledOption(i) {
    const option = latest("plan")?.options[i];
    if (!option) return null;
    if (performance.now() - changedAt[i] < FRESH_MS) {
      const wait = { offered: "was just offered: press again for their answer", accepted: "was just accepted: press again to correct it" }[option.state];
      say(`Option ${i + 1} ${wait ?? "has just changed: press again to confirm"}.`);
      changedAt[i] = wait ? performance.now() : -Infinity; // a bounce starts the time again
      return null;
    }
    return option;
  }

  function offer(option) {
    if (!option) return;
    const free = option.authority === "yours" || option.state === "allowed";
    if (["", "allowed", "refused"].includes(option.state)) act({ do: "plan", option: option.id, what: free ? "offered" : "asked" });
  }

  function drawSteps() {
    const value = latest("steps");
    write(find("method"), value?.method ?? "");
    find("method").classList.toggle("gone", !value?.method);
    const list = find("steps");
    const key = JSON.stringify(value?.steps ?? []);
    if (list.dataset.shows !== key) {
      list.dataset.shows = key;
      for (const { id, done } of value?.steps ?? []) {
        if (!done) tickedAt.delete(id);
        else if (!tickedAt.has(id)) tickedAt.set(id, performance.now());
      }
      replaceKeepingFocus(list, (value?.steps ?? []).map((step) => h("li", {}, h("button", {
        "data-key": step.id, "aria-pressed": String(step.done), "aria-current": step.current ? "step" : null, title: step.title,
        onclick: () => tick(step),
      }, step.done ? "✓ " : "", step.title))));
      const current = list.querySelector("[aria-current]")?.parentNode;
      if (current) list.scrollLeft = current.offsetLeft - list.offsetLeft - (list.clientWidth - current.offsetWidth) / 2;
    }
    write(find("ticked"), value?.words ? `“${value.words}” ticked ${value.ticked}` : "");
  }

  // A click just after the words have ticked a step does not untick it.
  function tick(step) {
    if (performance.now() - tickedAt.get(step.id) < FRESH_MS) return say("Ticked already: press again to untick it.");
    act({ do: "step", step: step.id, done: !step.done });
  }

  return { draw, pick, refuse: (i) => answer(i, "refused") };
}
