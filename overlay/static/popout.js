// A window of its own: always on top where the browser has Document Picture-in-Picture, a small window elsewhere.

const NAME = "call-assist-overlay";
const DEFAULT_SIZE = { width: 380, height: 780 };
const savedSize = () => JSON.parse(localStorage.getItem("window") ?? "null") ?? DEFAULT_SIZE;
const saveSize = (view) => localStorage.setItem("window", JSON.stringify({ width: view.innerWidth, height: view.innerHeight }));

/**
 * @param overlay the element that moves; the same nodes, so nothing restarts
 * @param away what stands in its place meanwhile, with a button #back
 * @param listen called with the new window's document and the window itself: its keys, its timers
 */
export async function popOut(overlay, away, listen) {
  if (window.name === NAME) return; // it is open already; reloading would lose what was typed
  const { width, height } = savedSize();
  if (!window.documentPictureInPicture) {
    const left = localStorage.getItem("side") === "side-left" ? 0 : Math.max(0, screen.availWidth - width);
    const small = open("", NAME, `popup,width=${width},height=${height},left=${left},top=0`); // the one that is open, if one is
    if (small && small.location.href !== location.href) small.location.replace(location.href);
    small?.focus();
    return;
  }
  if (documentPictureInPicture.window) return;
  const pip = await documentPictureInPicture.requestWindow({ width, height });
  const page = pip.document;
  page.documentElement.lang = "en";
  page.documentElement.className = document.documentElement.className;
  page.title = document.title;
  for (const sheet of document.querySelectorAll('link[rel="stylesheet"]')) {
    const copy = page.createElement("link");
    copy.rel = "stylesheet";
    copy.href = sheet.href;
    page.head.append(copy);
  }
  const placeholder = document.createComment("overlay");
  overlay.replaceWith(placeholder);
  page.body.append(overlay);
  away.hidden = false;
  listen(page, pip);
  away.querySelector("button").addEventListener("click", () => pip.close(), { once: true });
  pip.addEventListener("pagehide", () => {
    saveSize(pip);
    placeholder.replaceWith(overlay);
    away.hidden = true;
  });
}

/** In the small window: remember its size. */
export function inItsOwnWindow() {
  if (window.name === NAME) addEventListener("resize", () => saveSize(window));
}
