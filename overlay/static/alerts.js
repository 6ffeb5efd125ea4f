// The board's alerts, a card for each: whose turn it is, who has claimed it, and what can be done about it now.

import { FRESH_MS, capitalised, chip, clock, find, h, plural, quoted, duration, write } from "./shared.js";

const MAX_CARDS = 6; // more alerts than this are counted, not shown, until somebody asks for them
const CONFIRM_WITHIN_MS = 4000; // how long a second click confirms a refused one: as long as the refusal is shown
const TIERS = ["urgent", "help", "note"];
const TIER_WORDS = { urgent: "urgent", help: "to help with", note: "to watch" };
const OUTCOMES = ["settled", "took over", "nothing needed"];
const KIND_LABELS = { ask: "Asks you", help: "Asks for help", late: "Heard late", over: "Call is over" };

const isFree = (alert) => alert.state === "raised";

export function alertList({ link, board, running, act, say, choose, calls }) {
  const cards = new Map(); // key -> {node, content, since, time, value, position, movedAt}
  const seen = new Set();
  const announced = new Set();
  let claimable; // key of the alert that C claims
  let claimableSince = -Infinity; // when it replaced another one as the first
  let resolving = ""; // key of the alert whose end is being chosen
  let showsAll = false;
  let pressedButton = ""; // key of the alert and name of the button of the last click
  let refusedButton = ""; // key of the alert and name of the button of the last refused click
  let refusedAt = -Infinity;

  const me = () => link.me?.who;
  const isForMe = (alert) => isFree(alert) && (alert.to === me() || alert.waits === "everyone" || !alert.to && !alert.waits);
  const raisedAt = (value) => value.at - value.body.at_ms + value.body.raised_ms;
  // Mine to answer, then what I have, then what another is asked for, then what another has.
  const rank = (alert) => (isForMe(alert) ? 0 : isFree(alert) ? 8 : alert.by === me() ? 4 : 12) + TIERS.indexOf(alert.tier);

  function draw() {
    if (board().get(resolving)?.body.by !== me()) resolving = ""; // given back at another of my boards
    const alerts = [...board()].filter(([key]) => key.startsWith("alert/"));
    const open = alerts.filter(([, value]) => value.body.state !== "resolved")
      .sort((a, b) => rank(a[1].body) - rank(b[1].body) || raisedAt(a[1]) - raisedAt(b[1]));
    const visible = showsAll ? open : open.slice(0, MAX_CARDS);
    const first = visible.find(([, value]) => isFree(value.body) && value.body.kind !== "ask")?.[0];
    if (claimable && claimable !== first) claimableSince = performance.now();
    claimable = first;
    const list = find("needs");
    const shown = new Set();
    const wasEmpty = cards.size === 0;
    let focused = list.contains(document.activeElement) ? document.activeElement : null;
    visible.forEach(([key, value], i) => {
      shown.add(key);
      let card = cards.get(key);
      const holder = isFree(value.body) ? "" : value.body.by === me() ? "me" : "another"; // having seen it changes no button
      const position = `${i} ${value.body.kind} ${holder}`; // where, and with which buttons
      const movedAt = wasEmpty ? -Infinity : card?.position === position ? card.movedAt : performance.now();
      const content = JSON.stringify([{ ...value.body, at_ms: 0, course: 0 }, key === first, me(), key === resolving]);
      if (!card || card.content !== content) {
        const made = makeCard(key, value, key === first);
        const had = card?.node.contains(focused) ? focused.dataset.key : null;
        card?.node.replaceWith(made.node);
        // If that button is gone, one where a second Enter does no harm.
        if (had) focused = [had, "b", "d"].map((name) => made.node.querySelector(`[data-key="${name}"]`)).find(Boolean) ?? made.node.querySelector("button");
        card = { ...made, content };
        cards.set(key, card);
      }
      Object.assign(card, { value, position, movedAt });
      if (list.children[i] !== card.node) list.insertBefore(card.node, list.children[i] ?? null);
      noteSeen(key, value.body);
      announce(key, value.body);
    });
    if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true }); // also where its card has moved
    for (const [key, card] of cards) {
      if (!shown.has(key)) { card.node.remove(); cards.delete(key); }
    }
    drawMore(open.slice(MAX_CARDS).map(([, value]) => value.body));
    drawQuiet(open, alerts);
  }

  // How many more alerts there are, by tier.
  function drawMore(rest) {
    const place = find("more");
    place.hidden = rest.length === 0;
    const tiers = TIERS.map((tier) => [rest.filter((alert) => alert.tier === tier).length, tier]).filter(([n]) => n).map(([n, tier]) => `${n} ${TIER_WORDS[tier]}`);
    write(place.firstElementChild, showsAll ? "" : `and ${plural(rest.length, "more call")}: ${tiers.join(", ")}.`);
    write(place.lastElementChild, showsAll ? "Show fewer" : "Show them");
  }

  function drawQuiet(open, alerts) {
    const waiting = open.filter(([, value]) => isFree(value.body)).length;
    document.title = waiting ? `(${waiting}) Live calls` : "Live calls";
    find("quiet").hidden = open.length > 0;
    find("needs-head").hidden = open.length === 0;
    if (open.length) return;
    const over = alerts.map(([, value]) => value.body).filter((alert) => alert.how).sort((a, b) => b.at_ms - a.at_ms)[0];
    const loud = [...calls().values()].filter((row) => row.body.level === "escalated").length;
    write(find("quiet"), calls().size
      ? [loud ? `Nobody is waiting for you. Escalated: ${plural(loud, "call")}.` : "All quiet. Nobody needs you.", over && `Last: ${over.agent}, ${over.how}${over.by ? ` by ${over.by === me() ? "you" : over.by}` : ""}.`].filter(Boolean).join(" ")
      : "No calls now. New ones appear here.");
  }

  function makeCard(key, value, first) {
    const it = value.body;
    const mine = it.by === me();
    const send = (what, more = {}) => act({ do: "alert", call: it.call, alert: it.id, what, ...more });
    const button = (letter, text, does, kind = "") => h("button", { class: `btn ${kind}`, "data-key": letter, "aria-keyshortcuts": letter.toUpperCase(), onclick: does },
      text, h("kbd", { "aria-hidden": "true" }, letter.toUpperCase()));
    const answer = (allow) => () => act({ do: "answer", call: it.call, alert: it.id, allow });
    const lookButton = it.kind === "late"
      ? h("a", { class: "btn", href: `/review/${encodeURIComponent(it.call)}`, target: "_blank", rel: "noopener", "data-key": "l", "aria-keyshortcuts": "L" }, "Open record", h("kbd", { "aria-hidden": "true" }, "L"))
      : button("l", "Look", () => choose(it.call));
    const buttons = key === resolving
      ? [...OUTCOMES.map((how, i) => button(String(i + 1), capitalised(how), () => { resolving = ""; send("resolve", { how }); })), button("b", "Back", () => { resolving = ""; draw(); })]
      : it.kind === "ask" && (isFree(it) || mine) ? [button("r", "Refuse", answer(false)), button("a", "Allow", answer(true), isForMe(it) || mine ? "main" : "")]
      : isFree(it) ? [lookButton, button("c", "Claim", () => send("claim"), `${isForMe(it) ? "main" : ""}${first ? " first" : ""}`)]
      : mine ? [lookButton, button("g", "Give back", () => send("release")), button("d", "Done", () => { resolving = key; draw(); }, "main")]
      : [lookButton];
    const label = KIND_LABELS[it.kind] ? h("span", { class: "chip tense" }, KIND_LABELS[it.kind]) : chip(it.level);
    const time = h("span", {});
    const since = h("p", { class: "since" });
    const turn = h("p", { class: "since small" });
    const person = [it.agent, it.team].filter(Boolean).join(" · ");
    const reason = it.reason === it.title ? person : isFree(it) ? quoted(it.reason) : it.reason;
    const node = h("li", {
      class: `need of-${it.kind} ${it.tier} ${isFree(it) ? isForMe(it) ? "free mine" : "free" : "taken"}${key === resolving ? " ending" : ""}`, "data-alert": `${it.call}-${it.id}`, "aria-label": `${it.agent}: ${it.kind === "ask" ? it.title : it.level}`,
      onkeydown: (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
        const letter = event.key.toLowerCase();
        const target = node.querySelector(`[data-key="${CSS.escape(letter)}"]`);
        if (!target) return letter === "c" && hasJustMoved(key) ? event.stopPropagation() : undefined; // meant for this call
        event.preventDefault();
        event.stopPropagation();
        target.click();
      },
    },
    h("div", { class: "label" }, label, it.tier === "urgent" && h("span", { class: "escalated small" }, "urgent")),
    h("div", { class: "what" }, h("b", {}, it.title || person, it.title ? "" : time), h("p", {}, reason, it.again ? ` · ${it.again + 1} times` : "")),
    h("div", { class: "life" }, since, turn), h("div", { class: "does" }, buttons));
    return { node, since, turn, time, first };
  }

  function drawTimes() {
    for (const card of cards.values()) {
      const it = card.value.body;
      const at = running(card.value);
      const name = it.by === me() ? "You are" : `${it.by || "Somebody"} is`;
      write(card.since, isFree(it) ? `waiting ${duration(at - it.raised_ms)}` : `${name} on it, ${duration(at - (it.claimed_ms ?? it.raised_ms))}`);
      write(card.turn, isFree(it) ? turnText(it, at) : [it.action, it.kind === "ask" && it.by !== me() ? "answers it" : ""].filter(Boolean).join(" · "));
      write(card.time, it.kind === "late" || it.kind === "over" ? "" : ` · ${clock(at)}`);
    }
  }

  // Whose turn it is, whose it was, and when it goes on.
  function turnText(it, at) {
    const left = it.passes_at_ms > at ? `, passes on in ${duration(it.passes_at_ms - at + 999)}` : "";
    const before = it.passed.filter((who) => who !== it.to);
    const after = before.length ? ` after ${before.map((who) => (who === me() ? "you" : who)).join(", ")}` : "";
    const seer = it.seen_by.includes(it.to) ? it.to : it.seen_by.at(-1);
    const seenBy = seer ? ` · ${seer === me() ? "you have" : `${seer} has`} seen it` : "";
    if (it.to) return `${it.to === me() ? "your turn" : `${it.to}’s turn`}${after}${left}${seenBy}`;
    if (it.waits === "everyone") return `everybody has been asked${seenBy}`;
    if (it.waits === "queued") return "waiting until somebody is free";
    return seenBy.replace(" · ", "");
  }

  function noteSeen(key, alert) {
    if (!isFree(alert) || alert.seen_by.includes(me()) || seen.has(key) || document.visibilityState !== "visible") return;
    if (link.send({ do: "alert", call: alert.call, alert: alert.id, what: "seen" })) seen.add(key);
  }

  function announce(key, alert) {
    const turn = `${key} ${alert.to} ${alert.waits}`;
    if (!isForMe(alert) || announced.has(turn)) return;
    announced.add(turn);
    write(find("announce"), `${alert.agent} needs attention: ${alert.title || alert.reason}`);
  }

  function hasJustMoved(key) {
    const moved = performance.now() - cards.get(key)?.movedAt < FRESH_MS;
    if (moved) say("That has just changed: press again to confirm.");
    return moved;
  }

  // Refuses a click on a card that has just moved under the pointer; a second one on the same button counts, even if the
  // board goes on moving. Of a double click the second counts on no button that the first has brought there. Not for keys:
  // the focus moves with its card. Nor for Look, which changes no alert.
  find("needs").addEventListener("click", (event) => {
    const name = event.target.closest("[data-key]")?.dataset.key ?? "l";
    if (!event.detail || name === "l") return;
    const key = [...cards].find(([, card]) => card.node.contains(event.target))?.[0];
    const again = refusedButton === `${key} ${name}` && event.detail === 1 && performance.now() - refusedAt < CONFIRM_WITHIN_MS;
    const brought = event.detail > 1 && pressedButton !== `${key} ${name}`;
    pressedButton = `${key} ${name}`;
    refusedButton = "";
    if (again || !key || !brought && !hasJustMoved(key)) return;
    if (!brought) {
      refusedButton = pressedButton;
      refusedAt = performance.now();
    }
    event.preventDefault();
    event.stopPropagation();
  }, true);

  find("more").lastElementChild.addEventListener("click", () => { showsAll = !showsAll; draw(); });

  function claimFirst() {
    if (claimable && performance.now() - claimableSince < FRESH_MS) return say("Another call is first now: press again to confirm.");
    const card = [...cards.values()].find((each) => each.first);
    card?.node.querySelector('[data-key="c"]')?.click();
    return Boolean(card);
  }

  function cancelResolving() {
    if (!resolving) return false;
    resolving = "";
    draw();
    return true;
  }

  return { draw, drawTimes, claimFirst, cancelResolving };
}
