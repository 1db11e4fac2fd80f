// A range of time, drawn with the pointer over a histogram. By keyboard, and without this,
// each bar is a link and the two fields beside the chart take any range.

import { near } from "./dom.js";

/** Shorter strokes are clicks, in pixels. */
const STROKE_MIN = 6;

export function start() {
  document.addEventListener("pointerdown", (event) => {
    const plot = near(event, "svg.brushable", SVGSVGElement);
    if (plot && event.button === 0 && event.pointerType === "mouse") draw(plot, event);
  });
}

/**
 * @param {SVGSVGElement} plot
 * @param {PointerEvent} begun
 */
function draw(plot, begun) {
  const frame = plot.getBoundingClientRect();
  const view = plot.viewBox.baseVal;
  const band = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  band.setAttribute("class", "brush");
  band.setAttribute("y", "0");
  band.setAttribute("height", String(view.height));
  const share = (/** @type {number} */ x) => Math.max(0, Math.min(1, (x - frame.left) / frame.width));
  const from = share(begun.clientX);
  let to = from;
  const move = (/** @type {PointerEvent} */ event) => {
    to = share(event.clientX);
    if (!band.parentNode) plot.append(band);
    band.setAttribute("x", String(Math.min(from, to) * view.width));
    band.setAttribute("width", String(Math.abs(to - from) * view.width));
  };
  const stop = (/** @type {PointerEvent} */ event) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", stop);
    band.remove();
    if (Math.abs(to - from) * frame.width < STROKE_MIN) return;
    event.preventDefault();
    addEventListener("click", (click) => click.preventDefault(), { once: true, capture: true });
    choose(plot, Math.min(from, to), Math.max(from, to));
  };
  begun.preventDefault();
  addEventListener("pointermove", move);
  addEventListener("pointerup", stop);
}

/**
 * @param {SVGSVGElement} plot
 * @param {number} from
 * @param {number} to
 */
function choose(plot, from, to) {
  const first = Number(plot.dataset.from);
  const last = Number(plot.dataset.to);
  const at = (/** @type {number} */ share) => new Date(Math.round((first + (last - first) * share) / 1000) * 1000);
  const here = new URL(location.href);
  for (const name of ["range", "after"]) here.searchParams.delete(name);
  here.searchParams.set("since", at(from).toISOString().replace(".000Z", "Z"));
  here.searchParams.set("until", at(to).toISOString().replace(".000Z", "Z"));
  location.assign(here);
}
