// One call read along: its words, what was heard, what supervisors have done, and a line to the agent's screen.

import { alertStep, chip, clock, find, h, put, redrawOnChange, transcript, write } from "./shared.js";

const STATUS_MS = 3000;

export function readAlongPane({ link, board, running, row, chosen }) {
  let call = "";
  let watchSent = ""; // connection and call that `watch` was sent for: a new connection sends it again
  let restored = JSON.parse(sessionStorage.getItem("along") ?? "[]"); // [who, call] read along before this page was reloaded
  let statusTimer = 0; // timer of the status beside the message
  const drafts = new Map(); // call -> the message begun for its agent, while another call is read along
  const lines = transcript(find("lines"), find("talk"), (speaker) => ({ agent: row(call)?.agent ?? "Agent", customer: "Caller" })[speaker] ?? "Voice");

  function choose(next) {
    if (call === next) return;
    if (call) link.send({ do: "watch", call, on: false });
    const previous = call;
    drafts.set(previous, find("text").value);
    call = next;
    restored = [];
    sessionStorage.setItem("along", JSON.stringify([link.me?.who, call]));
    find("text").value = drafts.get(call) ?? "";
    watchSent = "";
    showStatus("");
    chosen(previous, call);
    draw();
    if (call) find("pane").scrollIntoView({ block: "nearest" }); // in a narrow window it stands below all calls
  }

  function draw() {
    if (restored[0] === link.me?.who && row(restored[1])) return choose(restored[1]);
    find("choose").hidden = Boolean(call);
    find("reading").hidden = !call;
    if (!call) return;
    const connectionAndCall = `${link.connections} ${call}`;
    if (watchSent !== connectionAndCall && link.send({ do: "watch", call, on: true })) watchSent = connectionAndCall;
    const room = link.room(`call/${call}`);
    const it = row(call);
    const known = room.get("call")?.body;
    const agent = it?.agent ?? known?.agent ?? "the agent";
    const level = find("pane-level");
    const shows = it?.level ?? "over";
    if (level.dataset.level !== shows) {
      level.dataset.level = shows;
      level.replaceChildren(it ? chip(it.level) : h("span", { class: "chip none" }, "Call ended"));
    }
    write(find("pane-who"), [agent, it?.team ?? known?.team].filter(Boolean).join(" · "));
    write(find("pane-sees"), it ? `${agent} sees: “${link.me?.who} is reading along”` : "");
    write(find("tell-head"), `To ${agent}’s screen`);
    if (!statusTimer) write(find("told"), `${agent} sees your name`);
    drawOver(it, room.get("ended")?.body);
    lines(room);
    const heard = [...room].filter(([key]) => key.startsWith("heard/")).map(([, value]) => value.body).sort((a, b) => b.at_ms - a.at_ms);
    redrawOnChange(find("heard"), heard, () => heard.length
      ? heard.map((one) => h("li", {}, `${clock(one.at_ms)} ${one.label}, ${one.evidence}`, one.rule ? ` · rule ${one.rule}` : ""))
      : [h("li", {}, "Nothing so far.")]);
    const told = room.get("told")?.body; // of a hand-off: the customer's own words, and what was given and promised
    find("said-box").hidden = !told;
    redrawOnChange(find("said"), told ?? null, () => [
      ...(told?.said ?? []).map(([at, text]) => h("li", {}, `${clock(at)} “${text}”`)),
      ...(told?.heard?.length ? [h("li", { class: "second" }, `heard: ${told.heard.join(", ").toLowerCase()}`)] : []),
      ...(told?.done ?? []).map((text) => h("li", { class: "second" }, text)),
    ]);
    const life = [...board()].filter(([key, value]) => key.startsWith("alert/") && value.body.call === call)
      .flatMap(([, value]) => value.body.course)
      .sort((a, b) => a.at_ms - b.at_ms);
    find("life-box").hidden = life.length === 0;
    redrawOnChange(find("life"), life, () => life.map((step) => h("li", {}, `${clock(step.at_ms)} ${alertStep(step.what, step.who)}`)));
    drawTime();
  }

  // An ended call: how it ended and its record, in place of its transcript and the message form.
  function drawOver(it, ended) {
    for (const id of ["talk", "heard-box", "tell"]) find(id).hidden = !it;
    const [text, record] = find("over").children;
    find("over").hidden = Boolean(it) || !ended;
    write(text, ended?.summary || "");
    record.hidden = !ended?.record;
    put(record, "href", ended?.record ? `/review/${encodeURIComponent(ended.record)}` : null);
  }

  function drawTime() {
    const value = board().get(`row/${call}`);
    write(find("pane-time"), value ? clock(running(value)) : "");
  }

  function showStatus(text) {
    clearTimeout(statusTimer);
    statusTimer = text ? setTimeout(() => { statusTimer = 0; draw(); }, STATUS_MS) : 0;
    write(find("told"), text);
  }

  find("tell").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = find("text").value.trim();
    if (!text || !call) return;
    const to = call;
    const sent = link.send({ do: "tell", call, text }, (refusal) => {
      if (to !== call) return refusal && drafts.set(to, drafts.get(to) || text);
      if (refusal) find("text").value ||= text;
      showStatus(refusal || "Sent");
    });
    if (sent) find("text").value = "";
    showStatus(sent ? "Sending" : "Not connected: that was not sent.");
  });
  find("leave").addEventListener("click", () => choose(""));
  return { choose, draw, drawTime, call: () => call };
}
