// One call on one time axis: level, both voices, signals, prompts. Everything drawn here also stands in words below it.

import { clock, h, plural, s } from "./shared.js";

const W = 1000;
const H = 176; // user units; rows below
const LEVEL = [4, 38];
const CALLER = 55;
const AGENT = 82;
const SIGNALS = 107;
const PROMPTS = 129;
const STEPS = 151;
const GOOD_SIGNALS = ["de_escalation", "apology", "empathy", "repeat_back", "question", "alternative", "ownership", "remedy", "callback_time", "thanks"];
const USED = ["used", "acted"];

/**
 * @param peaks speaker -> loudness 0..1, evenly over the call, where sound was kept; otherwise the words stand for it
 * @param seek called with the time in ms that was clicked
 */
export function timeline(record, agent, peaks, seek) {
  const durationMs = Math.max(1, record.duration_ms);
  const x = (ms) => Math.min(W, Math.max(0, (ms / durationMs) * W));
  const at = (ms) => x(ms).toFixed(1);
  const [top, bottom] = LEVEL;
  const y = (score) => (bottom - (Math.min(100, Math.max(0, score)) / 100) * (bottom - top)).toFixed(1);

  const unkept = (record.unkept ?? []).map((each) => [each.from_ms, each.to_ms ?? durationMs]); // nothing is known of it
  const isCalm = (ms) => ({ at_ms: ms, level: "calm", score: 0 }); // a log says where it begins only where that is not so
  const levels = [isCalm(0), ...unkept.flatMap(([from, to]) => [{ at_ms: from, level: "unkept", score: 0 }, isCalm(to)]), ...record.levels]
    .sort((a, b) => a.at_ms - b.at_ms);
  const bands = levels.map((step, i) => {
    const until = levels[i + 1]?.at_ms ?? durationMs;
    return s("rect", { class: step.level, x: at(step.at_ms), y: top, width: Math.max(0, x(until) - x(step.at_ms)).toFixed(1), height: bottom - top });
  });
  const known = levels.filter((step, i) => (levels[i + 1]?.at_ms ?? durationMs) > step.at_ms);
  const score = known.map((step, i) => {
    const [before, unknown] = [known[i - 1], step.level === "unkept"];
    if (!before || before.level === "unkept") return unknown ? "" : `M${at(step.at_ms)} ${y(step.score)}`;
    return `L${at(step.at_ms)} ${y(unknown ? before.score : step.score)}`;
  }).join("") + (known.at(-1)?.level === "unkept" ? "" : `L${W} ${y(levels.at(-1).score)}`);

  // A stroke per word, taller the longer the word: who spoke when, without a recording.
  const voice = (speaker, middle) => peaks[speaker] ? peaks[speaker].map((loud, i, all) => {
    const tall = Math.max(0.4, Math.min(1, loud) * 11);
    return `M${((i / all.length) * W).toFixed(1)} ${(middle - tall).toFixed(1)}V${(middle + tall).toFixed(1)}`;
  }).join("") : record.transcript.filter((line) => line.speaker === speaker)
    .flatMap((line) => line.words.length ? line.words.map(([text, from, to]) => [from, to, text.length]) : [[line.start_ms, line.end_ms, 4]])
    .map(([from, to, size]) => { const tall = Math.min(11, 3 + size); return `M${at((from + to) / 2)} ${middle - tall}V${middle + tall}`; }).join("");
  const mixed = record.transcript.some((line) => line.speaker === "unknown");

  const dots = record.signals.map((signal) => s("path", {
    class: `dot s${signal.severity}${GOOD_SIGNALS.includes(signal.id) ? " good" : ""}`, d: `M${at(signal.at_ms)} ${SIGNALS}h.01`,
  }));
  const prompts = record.prompts.flatMap((prompt) => {
    const end = Math.max(prompt.ended_ms ?? durationMs, prompt.shown_ms);
    return [
      s("path", { class: `prompt${USED.includes(prompt.how) ? " taken" : ""}`, d: `M${at(prompt.shown_ms)} ${PROMPTS}H${Math.max(x(end), x(prompt.shown_ms) + 3).toFixed(1)}` }),
      prompt.seen_ms != null && s("path", { class: "tick", d: `M${at(prompt.seen_ms)} ${PROMPTS - 6}v12` }),
    ].filter(Boolean);
  });
  const steps = record.steps.map((step) => s("path", { class: "step", d: `M${at(step.at_ms)} ${STEPS - 6}v12` }));
  const here = s("path", { class: "here", d: "" });
  const summary = `${plural(record.levels.length, "change")} of level, ${plural(record.signals.length, "signal")}, ${plural(record.prompts.length, "prompt")}, ${plural(record.steps.length, "step")} in ${clock(durationMs)}${unkept.map(([from, to]) => (from ? `, ${clock(from)} to ${clock(to)} not kept` : `, the first ${clock(to)} not kept`)).join("")}`;
  const svg = s("svg", {
    viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": summary,
    onclick: (event) => {
      const box = svg.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * durationMs);
    },
  }, bands, s("path", { class: "unkept", d: unkept.map(([from, to]) => `M${at(from)} ${(top + bottom) / 2}H${at(to)}`).join("") }), s("path", { class: "score", d: score }),
    [CALLER, AGENT].map((middle) => s("path", { class: "rest", d: `M0 ${middle}H${W}` })),
    s("path", { class: "voice", d: voice(mixed ? "unknown" : "customer", CALLER) }),
    s("path", { class: "voice", d: voice("agent", AGENT) }), dots, prompts, steps, here);
  const node = h("div", { class: "axis" },
    h("ol", { class: "names", "aria-hidden": "true" }, ["Level", mixed ? "Voices" : "Caller", agent, "Signals", "Prompts", "Steps"].map((name) => h("li", {}, name))),
    svg,
    h("p", { class: "scale", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((part) => h("span", {}, clock(durationMs * part)))));
  return { node, point: (ms) => here.setAttribute("d", `M${at(ms)} 0V${H}`) };
}
