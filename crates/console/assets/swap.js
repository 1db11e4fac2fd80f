// Forms marked `data-swap` are sent without leaving the page: the server's answer is a
// whole page, of which the main part takes the place of ours. The cursor stays.

import { all, one, onSwap, say, swapped } from "./dom.js";

const CURSOR = "bartizan.cursor";

export function start() {
  document.addEventListener("submit", send);
  settle();
  onSwap(settle);
}

/** @param {SubmitEvent} event */
async function send(event) {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.matches("[data-swap]")) return;
  event.preventDefault();
  const data = new FormData(form, event.submitter);
  const body = new URLSearchParams();
  for (const [name, value] of data) if (typeof value === "string") body.append(name, value);
  const target = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action") ?? "";
  await visit(target, { method: "POST", body });
}

/**
 * Puts the main part of what an address answers in the place of ours.
 * @param {string} address
 * @param {RequestInit} [init]
 */
export async function visit(address, init = {}) {
  const main = one("main", HTMLElement);
  if (!main) return;
  const place = cursor();
  main.classList.add("busy");
  try {
    const answer = await fetch(address, { credentials: "same-origin", ...init });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = one("main", HTMLElement, page);
    const toasts = one(".toasts", HTMLElement, page);
    for (const part of [".crumbs", ".side nav"]) {
      const fresh = one(part, HTMLElement, page);
      if (fresh) one(part, HTMLElement)?.replaceWith(document.adoptNode(fresh));
    }
    if (!next) throw new Error("no page");
    if (answer.redirected && !answer.url.startsWith(location.origin + "/sign")) {
      history.replaceState(null, "", answer.url);
    }
    main.replaceWith(document.adoptNode(next));
    document.title = page.title;
    if (toasts) one(".toasts", HTMLElement)?.replaceWith(document.adoptNode(toasts));
    restore(place);
    swapped();
  } catch {
    main.classList.remove("busy");
    say("Not done: the server did not answer. Try again", "bad");
  }
}

/** @typedef {{ id: string, at: number, after?: string[] }} Place */

/** Where the cursor is: in which row. @returns {Place | null} */
export function cursor() {
  const rows = all("main [data-id]", HTMLElement);
  const at = rows.findIndex((row) => row.contains(document.activeElement) || row.classList.contains("at"));
  const row = rows[at];
  const after = rows.slice(at + 1).map((other) => other.dataset.id ?? "");
  return row?.dataset.id ? { id: row.dataset.id, at, after } : null;
}

/** @param {Place | null} place */
export function restore(place) {
  if (!place) return;
  const rows = all("main [data-id]", HTMLElement);
  // Where it was; else in the first row after it that is still there.
  const by = new Map(rows.map((row) => [row.dataset.id, row]));
  const next = [place.id, ...(place.after ?? [])].find((id) => by.has(id));
  const row = by.get(next) ?? rows[Math.min(place.at, rows.length - 1)];
  if (row) one("a.rowlink", HTMLAnchorElement, row)?.focus();
}

/** What was done is said once: a page that is read again does not say it again. */
function settle() {
  const here = new URL(location.href);
  const said = ["done", "n", "undo"].filter((name) => here.searchParams.has(name));
  for (const name of said) here.searchParams.delete(name);
  if (said.length) history.replaceState(null, "", here);
  for (const toast of document.querySelectorAll(".toast:not([data-timed])")) {
    toast.setAttribute("data-timed", "");
    setTimeout(() => toast.remove(), toast.querySelector("form") ? 15000 : 6000);
  }
}

/** Keeps the cursor over a visit to another page and back. */
export function remember() {
  const place = cursor();
  if (place) sessionStorage.setItem(CURSOR + location.pathname, JSON.stringify(place));
}

/** @returns {Place | null} */
export function remembered() {
  const text = sessionStorage.getItem(CURSOR + location.pathname);
  if (!text) return null;
  try {
    /** @type {unknown} */
    const place = JSON.parse(text);
    if (place && typeof place === "object" && "id" in place && "at" in place) {
      return { id: String(place.id), at: Number(place.at) || 0 };
    }
  } catch {
    sessionStorage.removeItem(CURSOR + location.pathname);
  }
  return null;
}
