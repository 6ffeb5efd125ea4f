// Plays a stored recording beside its transcript: the word being played is marked; a click on a word plays from there.

import { clock, h, put, write } from "./shared.js";

const SPEEDS = [1, 1.25, 1.5, 2];

/**
 * @param address of the sound; asked for in parts, so a jump does not fetch it all
 * @param it the incident record
 * @param onTime called with the time in ms while it plays
 * @returns node, toggle(), seek(ms, play), follow(rows), stop()
 */
export function player(address, it, onTime) {
  const audio = h("audio", { src: address, preload: "metadata" });
  const button = h("button", { class: "btn", "aria-keyshortcuts": "Space", onclick: toggle }, "Play");
  const slider = h("input", { type: "range", min: 0, max: Math.max(1, Math.ceil(it.duration_ms / 1000)), step: 1, "aria-label": "Place in the recording", oninput: () => seek(Number(slider.value) * 1000) });
  slider.value = 0;
  const time = h("span", { class: "second" }, clock(0));
  const speed = h("button", { class: "btn", "aria-label": "Speed", onclick: () => {
    audio.playbackRate = SPEEDS[(SPEEDS.indexOf(audio.playbackRate) + 1) % SPEEDS.length];
    write(speed, `${audio.playbackRate}×`);
  } }, "1×");
  const error = h("span", { class: "second small", role: "status" });
  const node = h("div", { class: "player", role: "group", "aria-label": "Recording" }, button, slider, time, speed, error, audio);
  let words = []; // [from ms, to ms, node], by time
  let marked = [];

  function toggle() {
    if (audio.paused) audio.play().catch(() => write(error, "This recording cannot be played here."));
    else audio.pause();
  }

  function seek(ms, play = false) {
    audio.currentTime = ms / 1000;
    show();
    if (play && audio.paused) toggle();
  }

  function show() {
    const ms = audio.currentTime * 1000;
    write(time, clock(ms));
    put(slider, "aria-valuetext", clock(ms));
    slider.value = Math.floor(ms / 1000);
    onTime(ms);
    const heard = words.filter(([from, to]) => from <= ms && ms < to).map(([, , word]) => word);
    for (const word of marked) if (!heard.includes(word)) word.classList.remove("now");
    for (const word of heard) word.classList.add("now");
    marked = heard;
  }

  function animate() {
    if (audio.paused) return;
    show();
    requestAnimationFrame(animate);
  }

  function follow(rows) {
    words = [...rows.querySelectorAll(".w")].map((word) => [Number(word.dataset.from), Number(word.dataset.to), word]);
  }

  audio.addEventListener("play", () => { write(button, "Pause"); animate(); });
  audio.addEventListener("pause", () => { write(button, "Play"); show(); });
  audio.addEventListener("error", () => write(error, "This recording cannot be played here."));
  return { node, toggle, seek, follow, stop: () => audio.pause() };
}
