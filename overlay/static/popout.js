// A window of its own: always on top where the browser has Document Picture-in-Picture, a small window elsewhere.

/**
 * @param overlay the element that moves; the same nodes, so nothing restarts
 * @param away what stands in its place meanwhile, with a button #back
 * @param listen called with the new window's document, for its keys
 */
export async function popOut(overlay, away, listen) {
  const saved = JSON.parse(localStorage.getItem("window") ?? "null") ?? { width: 380, height: 760 };
  if (!window.documentPictureInPicture) {
    open(location.href, "call-assist-overlay", `popup,width=${saved.width},height=${saved.height}`);
    return;
  }
  if (documentPictureInPicture.window) return;
  const pip = await documentPictureInPicture.requestWindow(saved);
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
  const home = document.createComment("overlay");
  overlay.replaceWith(home);
  page.body.append(overlay);
  away.hidden = false;
  listen(page);
  const back = () => pip.close();
  away.querySelector("button").addEventListener("click", back, { once: true });
  pip.addEventListener("pagehide", () => {
    localStorage.setItem("window", JSON.stringify({ width: pip.innerWidth, height: pip.innerHeight }));
    home.replaceWith(overlay);
    away.hidden = true;
  });
}
