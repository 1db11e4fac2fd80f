// Times stand in UTC; pointing at one shows it in the place of who looks.

import { near } from "./dom.js";

export function start() {
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, show);
}

/** @param {Event} event */
function show(event) {
  const time = near(event, "time[datetime]", HTMLTimeElement);
  if (!time || time.dataset.local) return;
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  time.dataset.local = "1";
  time.title = `${at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" })} (${ago(at)})`;
}

/** @param {Date} at */
function ago(at) {
  const seconds = Math.round((at.getTime() - Date.now()) / 1000);
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  /** @type {[Intl.RelativeTimeFormatUnit, number][]} */
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return words.format(Math.round(seconds / size), unit);
  }
  return words.format(seconds, "second");
}
