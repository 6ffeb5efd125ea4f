// What the last weeks came to: counts of calls as plots, each with its figures as a table. Never about a person.

import { request } from "./api.js";
import { find, h, plural, readable, s, write } from "./shared.js";

const W = 600;
const H = 150;
const TOPS = [1, 2, 4, 10, 20, 30, 40, 50, 60, 80, 100]; // what the top line of a scale may stand for
const share = (part, whole) => (whole ? part / whole : null); // of nothing there is no share
const ofHundred = (part, whole) => (whole ? (100 * part) / whole : null);
const percent = (value) => `${Math.round(value * 100)} %`;
let newestDraw = 0;

async function draw() {
  const thisDraw = ++newestDraw;
  const asked = [...new FormData(find("asked"))].filter(([, value]) => value);
  write(find("state"), "Loading");
  let found;
  try {
    found = await request(`/api/trends?${new URLSearchParams(asked)}`);
  } catch (error) {
    if (thisDraw !== newestDraw) return;
    find("plots").replaceChildren(); // those of another question
    return write(find("state"), error.message);
  }
  if (thisDraw !== newestDraw) return;
  const weeks = found.weeks;
  const calls = weeks.reduce((sum, week) => sum + week.calls, 0);
  if (!calls) {
    write(find("state"), "");
    find("plots").replaceChildren(h("p", { class: "second" }, "No calls in these weeks."));
    return;
  }
  write(find("state"), plural(calls, "call"));
  const span = `all ${plural(weeks.length, "week")} together`;
  find("plots").replaceChildren(
    plot("Of 100 calls, how many went wrong", "Calls out of every 100 that week.", weeks, [
      ["escalated", "escalated", (week) => ofHundred(week.escalated, week.calls)],
      ["tense, not escalated", "tense", (week) => ofHundred(week.tense, week.calls)],
    ], stacked, (value) => value.toFixed(1)),
    plot("What became of escalated calls", "Share of that week’s escalated calls.", weeks, [
      ["calm again at the end", "line", (week) => share(week.turned, week.escalated)],
      ["remedy or calmer within 60 s", "line second-line", (week) => share(week.within_60, week.escalated)],
    ], lines, percent),
    plot("What became of prompts", "Share of the prompts shown that week.", weeks, [
      ["used or said", "line", (week) => share(week.used, week.prompts)],
      ["marked wrong, in the call or in review", "line second-line", (week) => share(week.wrong, week.prompts)],
    ], lines, percent),
    ranked("What escalated calls were about", `Escalated calls, ${span}.`, found.root_causes, (name) => name),
    ranked("What was heard in tense and escalated calls", `Calls in which it was heard, ${span}.`, found.signals, readable));
}

// Series as stacked bars: the height is the sum.
function stacked(weeks, series) {
  const most = TOPS.find((top) => weeks.every((week) => series.reduce((sum, [, , of]) => sum + of(week), 0) <= top)) ?? 100;
  const wide = W / weeks.length;
  return [most, weeks.flatMap((week, i) => {
    let y = H;
    return series.map(([, look, of]) => {
      const tall = (of(week) / most) * (H - 2);
      y -= tall;
      return s("rect", { class: look, x: (i * wide + wide * 0.15).toFixed(1), y: y.toFixed(1), width: (wide * 0.7).toFixed(1), height: tall.toFixed(1) });
    });
  })];
}

// Series as lines from 0 to all, broken where a week has no figure; a week between two such is a short stroke.
function lines(weeks, series) {
  const x = (i) => ((i + 0.5) / weeks.length) * W;
  const alone = (W / weeks.length) * 0.4;
  return [1, series.map(([, look, of]) => {
    const shares = weeks.map(of);
    const known = (i) => (shares[i] ?? null) !== null;
    return s("path", { class: look, d: shares.map((part, i) => {
      if (part === null) return "";
      const y = (H - part * (H - 2)).toFixed(1);
      return known(i - 1) ? `L${x(i).toFixed(1)} ${y}` : known(i + 1) ? `M${x(i).toFixed(1)} ${y}` : `M${(x(i) - alone / 2).toFixed(1)} ${y}h${alone.toFixed(1)}`;
    }).join("") });
  })];
}

function plot(title, counted, weeks, series, make, shown) {
  const [most, marks] = make(weeks, series);
  const grid = s("path", { class: "grid", d: `M0 ${H}H${W}M0 ${H / 2 + 1}H${W}M0 2H${W}` });
  const axis = [most, most / 2, 0].map((value) => h("span", {}, shown(value).replace(/\.0$/u, "")));
  const figure = (value) => (value === null ? "–" : shown(value));
  const label = `${title}. ${counted} ${series.map(([name, , of]) => {
    const known = weeks.map(of).filter((value) => value !== null);
    return known.length ? `${name} ${shown(known[0])} at first, ${shown(known.at(-1))} last` : `${name}: no figure`;
  }).join("; ")}`;
  return h("section", { class: "plot", "aria-label": title },
    h("h2", {}, title),
    h("p", { class: "second small" }, counted),
    h("p", { class: "key" }, series.map(([name, look]) => h("span", {}, s("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" },
      look.startsWith("line") ? s("path", { class: look, d: "M0 5H22" }) : s("rect", { class: look, width: 22, height: 10 })), name))),
    h("div", { class: "drawn" }, h("p", { class: "axis", "aria-hidden": "true" }, axis),
      s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, grid, marks),
      h("p", { class: "scale", "aria-hidden": "true" }, h("span", {}, `week of ${short(weeks[0].starts)}`), h("span", {}, `week of ${short(weeks.at(-1).starts)}`))),
    h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Week from", ...series.map(([name]) => name)].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, weeks.map((week) => h("tr", {}, h("td", {}, short(week.starts)), series.map(([, , of]) => h("td", {}, figure(of(week)))))))))));
}

function ranked(title, counted, counts, name) {
  const most = Math.max(1, ...counts.map(([, n]) => n));
  return h("section", { class: "plot", "aria-label": title }, h("h2", {}, title), h("p", { class: "second small" }, counted), counts.length
    ? h("ol", { class: "bars" }, counts.map(([id, n]) => h("li", {}, h("span", { title: name(id) }, name(id)), h("meter", { min: 0, max: most, value: n, "aria-label": `${name(id)}: ${n}` }), h("b", {}, String(n)))))
    : h("p", { class: "second" }, "None in these weeks."));
}

const short = (iso) => new Date(`${iso}T12:00`).toLocaleDateString([], { day: "numeric", month: "short" });

find("asked").addEventListener("change", draw);
find("asked").addEventListener("submit", (event) => { event.preventDefault(); draw(); });
draw();
