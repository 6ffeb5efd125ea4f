// The connection to the server: ticket, websocket, the newest value of every key. Reconnects by itself.

const LONGEST_WAIT_MS = 30_000;
const FIRST_WAIT_MS = 500; // until the server has sent its own time
const REFUSAL_MS = 5000; // how long a refusal is shown
const ANSWER_MS = 1000; // the server answers only what it refuses: no answer within this time means that it was done

/**
 * @param page "agent" or "board"
 * @param who id or name from the address, may be empty
 * @param draw called after every message and every change of state
 * @returns link: rooms (Map room -> Map key -> {body, at}), state, heardAt, me, connections (so far), send(do, then), room(name), check()
 *   state: "connecting" | "live" | "stale" | "refused"; `at` and `heardAt` are readings of performance.now().
 */
export function connect(page, who, draw) {
  const link = { rooms: new Map(), state: "connecting", heardAt: null, me: null, refusal: "", connections: 0, send, room, trouble: "", check };
  let socket = null;
  let tries = 0;
  let timer = 0;
  let beat = 2000;
  let first = FIRST_WAIT_MS;
  let openedAt = 0;
  let refusedAt = -Infinity;

  function room(name) {
    return link.rooms.get(name) ?? new Map();
  }

  // Returns whether it was sent. If so, `then` is called later with why it was not done, or "".
  function send(message, then) {
    if (link.state !== "live" || socket?.readyState !== WebSocket.OPEN) return false;
    const [by, at] = [socket, performance.now()];
    by.send(JSON.stringify(message));
    if (then) setTimeout(() => then(refusedAt >= at ? link.refusal : by === socket ? "" : "The connection broke: that may not have arrived."), ANSWER_MS);
    return true;
  }

  function change(state) {
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
      const said = await answer.json();
      if (said.code === "login-needed") location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
      if (!answer.ok) {
        link.trouble = said.text ?? "";
        change("refused");
        return again();
      }
      const ws = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
      socket = ws;
      openedAt = performance.now();
      ws.onopen = () => ws.send(JSON.stringify({ ticket: said.ticket }));
      ws.onmessage = (event) => ws === socket && take(JSON.parse(event.data));
      ws.onclose = () => ws === socket && lost();
    } catch {
      again();
    }
  }

  function lost() {
    socket = null;
    again();
  }

  // Full jitter: a thousand pages that lose one server do not come back at one moment.
  function again() {
    if (timer) return;
    const longest = Math.min(LONGEST_WAIT_MS, first * 2 ** tries);
    tries += 1;
    timer = setTimeout(open, Math.random() * longest);
  }

  function take(frames) {
    const now = performance.now();
    const changed = new Set();
    const told = frames.some((frame) => frame.type !== "hello"); // hello alone says nothing of the room
    if (told) link.heardAt = now;
    for (const frame of frames) {
      if (frame.type === "hello") {
        link.me = frame;
        link.connections += 1;
        beat = frame.beat_ms;
        first = frame.again_ms;
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
        changed.add("refused");
      }
    }
    const was = link.state;
    if (told) link.state = "live";
    if (changed.size || was !== link.state) draw(changed);
  }

  // After three missed heartbeats the page is stale and greys out, after five the connection is replaced.
  function check() {
    const now = performance.now();
    if (now - refusedAt > REFUSAL_MS) link.refusal = "";
    if (link.state === "live" && now - link.heardAt > 3 * beat) change("stale");
    if (socket && now - Math.max(link.heardAt ?? 0, openedAt) > 5 * beat) {
      const old = socket;
      socket = null;
      old.onclose = null;
      old.close();
      again();
    }
  }
  setInterval(check, 250);

  const atOnce = () => {
    if (!socket && timer && document.visibilityState === "visible") {
      tries = 0;
      open();
    }
  };
  addEventListener("online", atOnce);
  document.addEventListener("visibilitychange", atOnce);
  open();
  return link;
}
