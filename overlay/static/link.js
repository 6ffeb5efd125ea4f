// The connection to the server: ticket, websocket, the newest value of every key. Reconnects by itself.

const MAX_RECONNECT_MS = 30_000;
const FIRST_RECONNECT_MS = 500; // until the server has sent its own time
const REFUSAL_MS = 5000; // how long a refusal is shown
const NO_REFUSAL_MS = 1000; // the server answers only what it refuses: no answer within this time means that it was done

export let leaving = false; // for the login: nobody is asked whether they want to

/**
 * @param page "agent" or "board"
 * @param who id or name from the address, may be empty
 * @param draw called after every message and every change of state
 * @returns link: rooms (Map room -> Map key -> {body, at}), state, lastFrameAt, me (the hello frame), connections (so far),
 *   refusal (of the last action, while it is shown), noAccess (why, in state refused), send(do, then), room(name), check()
 *   state: "connecting" | "live" | "stale" | "refused"; `at` and `lastFrameAt` are readings of performance.now().
 */
export function connect(page, who, draw) {
  const link = { rooms: new Map(), state: "connecting", lastFrameAt: null, me: null, refusal: "", connections: 0, send, room, noAccess: "", check };
  let socket = null;
  let tries = 0;
  let timer = 0;
  let beatMs = 2000;
  let reconnectWithinMs = FIRST_RECONNECT_MS;
  let openedAt = 0;
  let refusedAt = -Infinity;
  let actions = 0; // sent so far: each has its number
  const refusals = new Map(); // number of an action that is waited for -> why it was refused, or ""

  function room(name) {
    return link.rooms.get(name) ?? new Map();
  }

  // Returns whether it was sent. If so, `then` is called later with why it was not done, or "".
  function send(message, then) {
    if (link.state !== "live" || socket?.readyState !== WebSocket.OPEN) return false;
    const [by, n] = [socket, ++actions];
    by.send(JSON.stringify({ ...message, n }));
    if (!then) return true;
    refusals.set(n, "");
    setTimeout(() => {
      then(refusals.get(n) || (by === socket ? "" : "The connection broke: that may not have arrived."));
      refusals.delete(n);
    }, NO_REFUSAL_MS);
    return true;
  }

  function setState(state) {
    if (link.state === state) return;
    link.state = state;
    draw(new Set());
  }

  async function open() {
    clearTimeout(timer);
    timer = 0;
    try {
      const answer = await fetch("/api/ticket", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ page, who }),
        signal: AbortSignal.timeout(5000),
      });
      const reply = await answer.json();
      if (reply.code === "login-needed") {
        leaving = true;
        location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      }
      if (!answer.ok) {
        link.noAccess = reply.text ?? "";
        setState("refused");
        return reconnectLater();
      }
      const ws = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
      socket = ws;
      openedAt = performance.now();
      ws.onopen = () => ws.send(JSON.stringify({ ticket: reply.ticket }));
      ws.onmessage = (event) => ws === socket && receive(JSON.parse(event.data));
      ws.onclose = () => ws === socket && closed();
    } catch {
      reconnectLater();
    }
  }

  function closed() {
    socket = null;
    reconnectLater();
  }

  // Full jitter: a thousand pages that lose one server do not come back at one moment.
  function reconnectLater() {
    if (timer) return;
    const longest = Math.min(MAX_RECONNECT_MS, reconnectWithinMs * 2 ** tries);
    tries += 1;
    timer = setTimeout(open, Math.random() * longest);
  }

  function receive(frames) {
    const now = performance.now();
    const changed = new Set();
    const hasContent = frames.some((frame) => frame.type !== "hello"); // hello alone says nothing of the room
    if (hasContent) link.lastFrameAt = now;
    for (const frame of frames) {
      if (frame.type === "hello") {
        link.me = frame;
        link.connections += 1;
        beatMs = frame.beat_ms;
        reconnectWithinMs = frame.again_ms;
        tries = 0;
      } else if (frame.type === "reset") {
        for (const key of room(frame.room).keys()) changed.add(`${frame.room} ${key}`);
        link.rooms.set(frame.room, new Map());
      } else if (frame.type === "set") {
        if (!link.rooms.has(frame.room)) link.rooms.set(frame.room, new Map());
        link.rooms.get(frame.room).set(frame.key, { body: frame.body, at: now - frame.age });
        changed.add(`${frame.room} ${frame.key}`);
      } else if (frame.type === "drop") {
        link.rooms.get(frame.room)?.delete(frame.key);
        changed.add(`${frame.room} ${frame.key}`);
      } else if (frame.type === "refused") {
        link.refusal = frame.text;
        refusedAt = now;
        if (refusals.has(frame.n)) refusals.set(frame.n, frame.text);
        changed.add("refused");
      }
    }
    const stateBefore = link.state;
    if (hasContent) link.state = "live";
    if (changed.size || stateBefore !== link.state) draw(changed);
  }

  // After three missed heartbeats the page is stale and greys out, after five the connection is replaced.
  function check() {
    const now = performance.now();
    if (now - refusedAt > REFUSAL_MS) link.refusal = "";
    if (link.state === "live" && now - link.lastFrameAt > 3 * beatMs) setState("stale");
    if (socket && now - Math.max(link.lastFrameAt ?? 0, openedAt) > 5 * beatMs) {
      const old = socket;
      socket = null;
      old.onclose = null;
      old.close();
      reconnectLater();
    }
  }
  setInterval(check, 250);

  const reconnectNow = () => {
    if (!socket && timer && document.visibilityState === "visible") {
      tries = 0;
      open();
    }
  };
  addEventListener("online", reconnectNow);
  document.addEventListener("visibilitychange", reconnectNow);
  open();
  return link;
}
