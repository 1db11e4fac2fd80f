// New rows as they happen: the server sends each as it would stand in the page. The
// browser asks again after the last that it had (Last-Event-ID), so that none is missing.

import { all, one, onSwap } from "./dom.js";

/** Rows that are kept in the page. */
const ROWS_MAX = 200;
/** How long after new rows chart and counts are read again, in milliseconds. */
const AFTER_MS = 2000;

/** @type {EventSource | null} */
let source = null;
let timer = 0;

export function start() {
  begin();
  onSwap(begin);
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-live-toggle]") : null;
    if (!button) return;
    if (source) end();
    else begin();
  });
}

function begin() {
  end();
  const table = one("table[data-live]", HTMLTableElement);
  const body = table?.tBodies[0];
  if (!table?.dataset.live || !body) return;
  source = new EventSource(table.dataset.live);
  source.addEventListener("open", () => state("on", "Live"));
  source.addEventListener("error", () => state("off", "Reconnecting"));
  source.addEventListener("row", (event) => {
    if (event instanceof MessageEvent && typeof event.data === "string") add(body, event.data);
  });
}

function end() {
  source?.close();
  source = null;
  clearTimeout(timer);
  timer = 0;
  state("off", "Paused");
}

/**
 * @param {"on" | "off"} what
 * @param {string} words
 */
function state(what, words) {
  const sign = one(".live", HTMLElement);
  if (!sign) return;
  sign.dataset.state = what;
  const text = one("[data-live-word]", HTMLElement, sign);
  if (text) text.textContent = words;
  const button = one("[data-live-toggle]", HTMLElement);
  if (button) {
    button.hidden = false;
    button.textContent = words === "Paused" ? "Resume" : "Pause";
  }
}

/**
 * @param {HTMLTableSectionElement} body
 * @param {string} html
 */
function add(body, html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const row = holder.content.querySelector("tr");
  if (!(row instanceof HTMLTableRowElement) || !row.dataset.id) return;
  if (body.querySelector(`tr[data-id="${CSS.escape(row.dataset.id)}"]`)) return;
  if (!timer) timer = window.setTimeout(() => void count(), AFTER_MS);
  row.classList.add("new");
  row.dataset.arrived = String(Date.now());
  // Rows that come late find their place by the time that they carry.
  const key = row.dataset.at ?? "";
  const rows = [...body.rows].filter((other) => other.dataset.id);
  const before = rows.find((other) => (other.dataset.at ?? "") <= key);
  body.insertBefore(row, before ?? null);
  body.querySelector("tr:not([data-id])")?.remove();
  const table = body.closest("table");
  if (table?.hidden) {
    table.hidden = false;
    table.parentElement?.querySelector(".vacant")?.remove();
  }
  const last = body.rows[body.rows.length - 1];
  if (body.rows.length > ROWS_MAX && last && !last.contains(document.activeElement)) last.remove();
}

/** Puts what counts the rows in the place of what counted them before. */
async function count() {
  const answer = await fetch(location.href, { credentials: "same-origin" }).catch(() => null);
  timer = 0;
  if (!source || !answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of all("[data-fresh]", HTMLElement)) {
    const fresh = one(`[data-fresh="${old.dataset.fresh}"]`, HTMLElement, page);
    // What somebody is at stays as it is until the next time.
    if (!fresh || old.contains(document.activeElement) || one(".brush", SVGElement, old)) continue;
    const folds = all("details", HTMLDetailsElement, old);
    all("details", HTMLDetailsElement, fresh).forEach((fold, at) => {
      const was = folds[at];
      if (was) fold.open = was.open;
    });
    old.replaceWith(document.adoptNode(fresh));
  }
}
