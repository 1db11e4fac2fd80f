// Everything by keyboard. What a key does is written where it is done: an element with
// `data-key` is pressed, followed, or entered; rows are walked with j and k.

import { all, one, near } from "./dom.js";
import { remember, remembered, restore } from "./swap.js";

/** How long `g` waits for its letter, in milliseconds. */
const GO_MS = 1200;
let going = 0;

export function start() {
  document.addEventListener("keydown", press);
  document.addEventListener("click", (event) => {
    if (near(event, "[data-id] a.rowlink", HTMLAnchorElement)) remember();
    const opener = near(event, "[data-opens]", HTMLElement);
    if (opener && open(opener.dataset.opens ?? "")) event.preventDefault();
    const closer = near(event, "[data-closes]", HTMLElement);
    if (closer) closer.closest("dialog")?.close();
    const checker = near(event, "[data-checks]", HTMLInputElement);
    if (checker) check(checker.checked);
  });
  restore(remembered());
}

/** @param {string} id */
function open(id) {
  const dialog = one(`#${id}`, HTMLDialogElement);
  dialog?.showModal();
  return dialog !== null;
}

/** @param {boolean} on */
function check(on) {
  for (const box of all('main input[name="ids"]', HTMLInputElement)) box.checked = on;
}

/** @param {KeyboardEvent} event */
function press(event) {
  const typing = near(event, "input:not([type=checkbox]):not([type=radio]), select, textarea", HTMLElement);
  if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    open("palette");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing) {
    if (event.key === "Escape") leave(typing);
    if (event.key === "Enter" && typing instanceof HTMLSelectElement) {
      event.preventDefault();
      // The button that the field belongs to stands after it.
      one("button", HTMLButtonElement, typing.parentElement ?? document)?.click();
    }
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (act(event.key)) event.preventDefault();
}

/**
 * Does what a key stands for; says whether it stands for anything.
 * @param {string} key
 */
function act(key) {
  if (going > Date.now()) {
    going = 0;
    const link = one(`nav a[data-letter="${CSS.escape(key)}"]`, HTMLAnchorElement);
    link?.click();
    return link !== null;
  }
  switch (key) {
    case "g":
      going = Date.now() + GO_MS;
      return true;
    case "j":
    case "ArrowDown":
      return step(1);
    case "k":
    case "ArrowUp":
      return step(-1);
    case "x":
      return pick();
    case "o": {
      const link = row()?.querySelector("a.rowlink");
      if (link instanceof HTMLAnchorElement) link.click();
      return link !== null && link !== undefined;
    }
    case "/":
      return enter(one("[data-search]", HTMLElement)) || open("palette");
    case "?":
      return open("help");
    case "e":
    case "a":
      onlyThis();
      return enter(one(`main [data-key="${key}"]`, HTMLElement));
    case "u":
      return enter(one(".toast form button", HTMLElement));
    case "Escape":
      return back();
    case "n":
    case "p":
      return enter(one(`main [data-key="${key}"]`, HTMLElement));
    default:
      return false;
  }
}

/** Presses, follows or enters an element. @param {HTMLElement | null} what */
function enter(what) {
  if (!what) return false;
  if (what.matches("input, select, textarea")) {
    row()?.classList.add("at");
    what.focus();
  } else what.click();
  if (what instanceof HTMLInputElement && what.type !== "checkbox") what.select();
  return true;
}

/** Lets go of a field, back to the row that one came from. @param {HTMLElement} field */
function leave(field) {
  const link = row()?.querySelector("a.rowlink");
  if (link instanceof HTMLElement) link.focus();
  else field.blur();
}

/** The row that the cursor is in, or was in before it went to a field. @returns {HTMLElement | null} */
function row() {
  const active = document.activeElement?.closest("[data-id]");
  return active instanceof HTMLElement ? active : one("main .at", HTMLElement);
}

/** @param {1 | -1} by */
function step(by) {
  const rows = all("main [data-id]", HTMLElement);
  if (!rows.length) return false;
  const here = row();
  const at = here ? rows.indexOf(here) + by : by > 0 ? 0 : rows.length - 1;
  const next = rows[Math.max(0, Math.min(rows.length - 1, at))];
  const link = next && one("a.rowlink", HTMLAnchorElement, next);
  for (const left of all("main .at", HTMLElement)) left.classList.remove("at");
  link?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
  return true;
}

function pick() {
  const here = row();
  const box = here && one('input[name="ids"]', HTMLInputElement, here);
  if (!box) return false;
  box.checked = !box.checked;
  box.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

/** Where no row is selected, the one with the cursor is meant. */
function onlyThis() {
  const boxes = all('main input[name="ids"]', HTMLInputElement);
  if (boxes.length && !boxes.some((box) => box.checked)) pick();
}

/** Lets go of the selection; else one level up. */
function back() {
  const picked = all('main input[name="ids"]:checked', HTMLInputElement);
  if (picked.length) {
    check(false);
    return true;
  }
  const up = one("[data-up]", HTMLAnchorElement);
  if (up) up.click();
  else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  return true;
}
