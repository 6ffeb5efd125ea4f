// What the last weeks came to: counts of calls as plots, each with its figures as a table. Never about a person.

import { ask } from "./asking.js";
import { find, h, plain, s, write } from "./shared.js";

const W = 600;
const H = 150;
const share = (part, whole) => (whole ? part / whole : null); // of nothing there is no share
const ofHundred = (part, whole) => (whole ? (100 * part) / whole : null);
const percent = (value) => `${Math.round(value * 100)} %`;
let turn = 0;

async function draw() {
  const mine = ++turn;
  const asked = [...new FormData(find("asked"))].filter(([, value]) => value);
  write(find("state"), "");
  let found;
  try {
    found = await ask(`/api/trends?${new URLSearchParams(asked)}`);
  } catch (error) {
    return write(find("state"), error.message);
  }
  if (mine !== turn) return;
  const weeks = found.weeks;
  const calls = weeks.reduce((sum, week) => sum + week.calls, 0);
  if (!calls) {
    find("plots").replaceChildren(h("p", { class: "second" }, "No calls in these weeks."));
    return;
  }
  find("plots").replaceChildren(
    plot("Of 100 calls, how many went wrong", weeks, [
      ["escalated", "escalated", (week) => ofHundred(week.escalated, week.calls)],
      ["tense and no more", "tense", (week) => ofHundred(week.tense, week.calls)],
    ], stacked, (value) => value.toFixed(1)),
    plot("What became of escalated calls", weeks, [
      ["calm again at the end", "line", (week) => share(week.turned, week.escalated)],
      ["remedy or calmer in 60 s", "line second-line", (week) => share(week.within_60, week.escalated)],
    ], lines, percent),
    plot("Prompts", weeks, [
      ["used or said", "line", (week) => share(week.used, week.prompts)],
      ["marked wrong", "line second-line", (week) => share(week.wrong, week.prompts)],
    ], lines, percent),
    ranked("What escalated calls were about", found.root_causes, (name) => name),
    ranked("Signals, by calls they were heard in", found.signals, plain));
}

// Series as stacked bars: the height is the sum.
function stacked(weeks, series) {
  const most = Math.max(1, ...weeks.map((week) => series.reduce((sum, [, , of]) => sum + of(week), 0)));
  const wide = W / weeks.length;
  return [most, weeks.flatMap((week, i) => {
    let y = H;
    return series.map(([, look, of]) => {
      const tall = (of(week) / most) * (H - 4);
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
      const y = (H - part * (H - 4)).toFixed(1);
      return known(i - 1) ? `L${x(i).toFixed(1)} ${y}` : known(i + 1) ? `M${x(i).toFixed(1)} ${y}` : `M${(x(i) - alone / 2).toFixed(1)} ${y}h${alone.toFixed(1)}`;
    }).join("") });
  })];
}

function plot(title, weeks, series, make, shown) {
  const [most, marks] = make(weeks, series);
  const grid = s("path", { class: "grid", d: `M0 ${H}H${W}M0 ${H / 2}H${W}M0 2H${W}` });
  const figure = (value) => (value === null ? "–" : shown(value));
  const label = `${title}: ${series.map(([name, , of]) => {
    const known = weeks.map(of).filter((value) => value !== null);
    return known.length ? `${name} ${shown(known[0])} at first, ${shown(known.at(-1))} last` : `${name}: no figure`;
  }).join("; ")}`;
  return h("section", { class: "plot", "aria-label": title },
    h("h2", {}, title),
    h("p", { class: "key" }, series.map(([name, look]) => h("span", {}, s("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" },
      look.startsWith("line") ? s("path", { class: look, d: "M0 5H22" }) : s("rect", { class: look, width: 22, height: 10 })), name))),
    s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, grid, marks),
    h("p", { class: "scale", "aria-hidden": "true" }, h("span", {}, short(weeks[0].starts)), h("span", {}, `top line: ${shown(most)}`), h("span", {}, short(weeks.at(-1).starts))),
    h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Week from", ...series.map(([name]) => name)].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, weeks.map((week) => h("tr", {}, h("td", {}, short(week.starts)), series.map(([, , of]) => h("td", {}, figure(of(week)))))))))));
}

function ranked(title, counts, name) {
  const most = Math.max(1, ...counts.map(([, n]) => n));
  return h("section", { class: "plot", "aria-label": title }, h("h2", {}, title), counts.length
    ? h("ol", { class: "bars" }, counts.map(([id, n]) => h("li", {}, h("span", { title: name(id) }, name(id)), h("meter", { min: 0, max: most, value: n, "aria-label": `${name(id)}: ${n}` }), h("b", {}, String(n)))))
    : h("p", { class: "second" }, "None in these weeks."));
}

const short = (iso) => new Date(`${iso}T12:00`).toLocaleDateString([], { day: "numeric", month: "short" });

find("asked").addEventListener("change", draw);
find("asked").addEventListener("submit", (event) => { event.preventDefault(); draw(); });
draw();
