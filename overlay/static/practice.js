// Practice: the trainee answers a written customer in text, and is told at the end which steps were done. No score.

import { h, write } from "./shared.js";

/**
 * @param place the section of the overlay, @param practice the room's `practice` or null
 * @param say sends an answer: says whether it went, and tells its second argument why it was refused, or ""
 */
export function drawPractice(place, practice, say) {
  place.hidden = !practice;
  if (!practice) { // also where a real call follows on the page
    place.classList.remove("over");
    delete place.dataset.shows;
    return place.replaceChildren();
  }
  if (practice.over) {
    if (place.dataset.shows === `over ${practice.call}`) return;
    place.dataset.shows = `over ${practice.call}`;
    place.classList.add("over");
    return place.replaceChildren(
      h("h2", {}, `Practice over: ${practice.title}`),
      h("ul", {}, practice.steps.map((step) => h("li", {},
        h("b", {}, step.done ? `✓ ${step.title}` : step.title), " ",
        step.done ? (step.words ? `“${step.words}”` : "by hand") : step.could_say && h("span", { class: "second" }, `you could say: “${step.could_say}”`)))),
      h("p", { class: "second" }, `Recovery: ${practice.clock}.`),
      practice.missteps.length > 0 ? h("p", { class: "second" }, `Tends to make it worse: ${practice.missteps.join(", ")}`) : "",
      h("p", { class: "second small" }, "This is about the steps, not about you: none of it is kept."));
  }
  if (place.dataset.shows !== practice.call) {
    place.dataset.shows = practice.call;
    place.classList.remove("over");
    const text = h("input", { type: "text", maxlength: 600, "aria-label": "Your answer", placeholder: "Say it in your words, then Enter", autocomplete: "off" });
    place.replaceChildren(
      h("p", { class: "small second", title: practice.aim }, `Practice. ${practice.about}`),
      practice.aloud ? "" : h("form", { onsubmit: (event) => {
        event.preventDefault();
        const said = text.value.trim();
        if (said && say({ do: "say", call: practice.call, text: said }, (refusal) => { if (refusal) text.value ||= said; })) text.value = "";
      } }, text, h("button", { class: "btn main" }, "Say")),
      h("p", { class: "small second", role: "status" }));
  }
  write(place.querySelector("[role=status]"), practice.turn ? "Your turn" : "The customer is speaking");
}
