// Drawing and keys for all pages. Text is only ever inserted as text, never as markup.

// A key or a click within this time after a change was meant for what was there before, or is a bounce.
export const FRESH_MS = 700;

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, kids) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...kids.flat().filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return node;
}

export const h = (tag, props, ...kids) => fill(document.createElement(tag), props, kids);
export const s = (tag, props, ...kids) => fill(document.createElementNS(SVG, tag), props, kids);
export const find = (id) => document.getElementById(id);

// The name in the page's address, /agent/NAME or /review/RECORD; what is no encoded text stands for itself.
export function nameInAddress() {
  const written = location.pathname.split("/")[2] ?? "";
  try {
    return decodeURIComponent(written);
  } catch {
    return written;
  }
}

// Writes only what has changed: an untouched node keeps focus, hover and selection, and costs no layout.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
export function put(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// A live region: `text` is read out when it changes; `figure`, which changes all the time, is only shown.
export function writeStatus(region, text, figure = "") {
  write(region.firstElementChild, text);
  write(region.lastElementChild, figure);
}

// Replaces the content only if the value it shows has changed.
export function redrawOnChange(place, value, make) {
  const key = JSON.stringify(value);
  if (place.dataset.shows === key) return;
  place.dataset.shows = key;
  place.replaceChildren(...make());
}

// Replaces the content; the focus stays on the element of the same data-key, else goes to `rest`.
export function replaceKeepingFocus(place, items, rest = null) {
  const focused = place.ownerDocument.activeElement;
  const key = focused !== place && place.contains(focused) ? focused.dataset.key ?? "" : null;
  place.replaceChildren(...items);
  if (key !== null) (place.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? rest ?? place.querySelector("button"))?.focus({ preventScroll: true });
}

export function clock(ms) {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${two(minutes)}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}
export function duration(ms) {
  const whole = Math.max(0, Math.floor(ms / 1000));
  return whole < 60 ? `${whole} s` : clock(ms).replace(/^0/u, "");
}
export const seconds = (ms) => (ms < 950 || (ms < 3000 && ms % 1000) ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)) + " s";
export const capitalised = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const readable = (id) => capitalised(id.replaceAll("_", " ").replaceAll("-", " "));
export const plural = (n, one, more = one + "s") => `${n} ${n === 1 ? one : more}`;

const ALERT_STEPS = { // as the board and as the record name them
  raised: "alert raised", "raised-again": "alert raised again", turn: "was asked", everyone: "everybody was asked", queued: "waiting until somebody is free",
  seen: "saw it", "alert-seen": "saw it", claimed: "claimed it", claim: "claimed it", release: "gave it back", released: "no longer has it", message: "wrote to the agent", reading: "read along",
  allowed: "allowed it", denied: "refused it", resolved: "closed it", resolve: "closed it", calmed: "call calmed down by itself", expired: "not answered in time",
};
export const alertStep = (what, who) => [who, ALERT_STEPS[what] ?? readable(what).toLowerCase()].filter(Boolean).join(" ");

const ICONS = {
  calm: ["M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z", "M5.2 8.2l2 2 3.7-4"],
  tense: ["M8 1.6 14.4 8 8 14.4 1.6 8z", "M8 5.2v3.4M8 10.6v.2"],
  escalated: ["M8 1.4 15.2 14H.8z", "M8 5.6v4M8 11.8v.2"],
  recovering: ["M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z", "M8 4.8v6M5.4 8.4 8 11l2.6-2.6"],
};
function icon(level) {
  const [shape, sign] = ICONS[level] ?? ICONS.calm;
  const solid = level === "escalated";
  return s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" },
    s("path", { d: shape, fill: solid ? "currentColor" : "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linejoin": "round" }),
    s("path", { d: sign, fill: "none", stroke: solid ? "var(--panel)" : "currentColor", "stroke-width": 1.7, "stroke-linecap": "round" }));
}
export function chip(level, text = capitalised(level)) {
  return h("span", { class: `chip ${level}` }, icon(level), text);
}

// Scores 0..100, evenly spaced or as [time, score]; drawn once per change, stretched by its viewBox.
export function sparkline(points, width, height) {
  const svg = s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  redrawSparkline(svg, points, width, height);
  return svg;
}
export function redrawSparkline(svg, points, width, height) {
  const timed = points.length > 0 && Array.isArray(points[0]);
  const first = timed ? points[0][0] : 0;
  const wide = timed ? Math.max(1, points.at(-1)[0] - first) : Math.max(1, points.length - 1);
  const y = (score) => (height - 3 - (Math.min(100, Math.max(0, score)) / 100) * (height - 6)).toFixed(1);
  const path = points.map((point, i) => {
    const [at, score] = timed ? [point[0] - first, point[1]] : [i, point];
    return `${i ? "L" : "M"}${((at / wide) * width).toFixed(1)} ${y(score)}`;
  }).join("");
  if (svg.dataset.path === path && svg.childNodes.length) return;
  svg.dataset.path = path;
  svg.replaceChildren(
    s("line", { x1: 0, x2: width, y1: y(40), y2: y(40) }),
    s("path", { d: path || `M0 ${y(0)}` }));
}

// "Heard at 04:09: “my guy”": the quoted words are underlaid. Curly quotes only, which the server writes.
export function quoted(text) {
  return text.split(/(“[^”]*”)/u).filter(Boolean)
    .map((part) => (part.startsWith("“") ? h("mark", {}, part) : part));
}

// One transcript line; offsets are in code points, as the server counts.
function lineContent(line) {
  const points = [...(line.settled ?? "")];
  const marks = [...(line.marks ?? [])].sort((a, b) => a[0] - b[0]);
  const parts = [];
  let at = 0;
  for (const [from, to] of marks) {
    if (from < at) continue;
    parts.push(points.slice(at, from).join(""), h("mark", {}, points.slice(from, to).join("")));
    at = to;
  }
  parts.push(points.slice(at).join(""));
  if (line.tentative) parts.push(line.settled ? " " : "", h("i", {}, line.tentative));
  return parts.filter((part) => part !== "");
}

// Keeps a list of transcript lines in step with the room; stays at the newest unless the reader has scrolled up.
export function transcript(list, box, names) {
  const shown = new Map();
  return (values) => {
    const lines = [...values].filter(([key]) => key.startsWith("line/"))
      .sort((a, b) => a[1].body.start_ms - b[1].body.start_ms);
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    const alive = new Set();
    let changed = false;
    lines.forEach(([key, value], place) => {
      alive.add(key);
      let entry = shown.get(key);
      if (!entry) {
        entry = { node: h("li", {}, h("span", { class: "who" }), h("span", {})), body: null };
        shown.set(key, entry);
      }
      if (entry.body !== value.body) {
        entry.body = value.body;
        write(entry.node.firstChild, names(value.body.speaker));
        entry.node.lastChild.replaceChildren(...lineContent(value.body));
        changed = true;
      }
      if (list.children[place] !== entry.node) list.insertBefore(entry.node, list.children[place] ?? null);
    });
    for (const [key, entry] of shown) {
      if (!alive.has(key)) {
        entry.node.remove();
        shown.delete(key);
      }
    }
    if (changed && atEnd) box.scrollTop = box.scrollHeight;
  };
}

const TEMPORARY_MS = 4000;

// A line that the page itself shows for a while, such as "that was not sent": `say` shows it, `line` returns it, or "".
export function temporaryLine(draw) {
  let told = "";
  let until = 0;
  return {
    line: () => (performance.now() < until ? told : ""),
    say(text) {
      told = text;
      until = performance.now() + TEMPORARY_MS;
      draw();
    },
  };
}

const MAX_DRIFT_PX = 5; // a pointer that has gone further has left what it pressed

// A button that is redrawn between press and release, of the pointer or the space bar, is another node, and the browser
// clicks neither, or what has the focus by then. This clicks the new one instead, wherever it is, if it has the same
// data-key and the same alert or neighbouring text.
export function keepClicks(page) {
  let pressed = null;
  const what = (node) => JSON.stringify([node.dataset.key, node.closest("[data-alert]")?.dataset.alert ?? node.parentNode.textContent]);
  function press(event, x = 0, y = 0) {
    const node = event.target.closest?.("[data-key]");
    pressed = node ? { node, is: what(node), x, y } : null;
  }
  function release(event, x = 0, y = 0) {
    const before = pressed;
    pressed = null;
    if (!before || before.node.isConnected || Math.hypot(x - before.x, y - before.y) > MAX_DRIFT_PX) return;
    event.preventDefault();
    const now = [...page.querySelectorAll("[data-key]")].find((node) => what(node) === before.is);
    now?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, detail: event.detail }));
  }
  page.addEventListener("mousedown", (event) => { if (event.button === 0) press(event, event.clientX, event.clientY); else pressed = null; }, true);
  page.addEventListener("mouseup", (event) => release(event, event.clientX, event.clientY), true);
  page.addEventListener("keydown", (event) => { if (event.key === "Tab") pressed = null; else if (event.key === " " && !event.repeat) press(event); }, true);
  page.addEventListener("keyup", (event) => { if (event.key === " ") release(event); }, true);
}

const STILL_TYPING_MS = 1500; // a key within this time after the last letter in a field that is gone was meant for the field

// Single-key shortcuts; not while somebody types, nor just after the field vanished during typing (`lost` is told), nor
// with Ctrl, Alt or Meta. Digits by their place on the keyboard, whatever the layout writes there: "1", "Shift+1".
export function onKeys(target, actions, on = () => true, lost = () => {}) {
  let field = null; // being typed into, until Enter, Escape, Tab, a key elsewhere or a click
  let typedAt = -Infinity;
  target.addEventListener("pointerdown", () => { field = null; }, true);
  target.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !on() && event.key !== "Escape") return;
    const typing = event.target.closest?.("input:not([type=radio], [type=range]), textarea, select, [contenteditable]");
    const stillTyping = !typing && field && !field.getClientRects().length && performance.now() - typedAt < STILL_TYPING_MS;
    const ends = ["Escape", "Tab"].includes(event.key) || event.key === "Enter" && typing?.tagName === "INPUT";
    if (!stillTyping) field = ends ? null : typing;
    if (typing || stillTyping) typedAt = performance.now();
    if (typing) return event.key === "Escape" && typing.blur();
    const digit = /^(?:Digit|Numpad)(\d)$/u.exec(event.code)?.[1];
    const name = digit ? `${event.shiftKey ? "Shift+" : ""}${digit}` : event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = actions[name];
    if (stillTyping) return action && lost("Taken as typing: wait a moment, then press again.");
    if (action && action(event) !== false) event.preventDefault();
  });
}
