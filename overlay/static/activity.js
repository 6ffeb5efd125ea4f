// Whoever types or moves the pointer is there: the login does not end meanwhile. An open page by itself says nothing.

const TELL_EVERY_MS = 60_000;
let toldAt = performance.now(); // loading the page told it

async function tell() {
  if (performance.now() - toldAt < TELL_EVERY_MS) return;
  toldAt = performance.now();
  const me = await fetch("/api/me").then((answer) => answer.json()).catch(() => null);
  if (["none", "proxy"].includes(me?.login)) toldAt = Infinity; // no login ends here
}

export function tellActivity(page) {
  for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) page.addEventListener(kind, tell, { capture: true, passive: true });
}
