// The palette: every page by name, and whatever the server finds under a text.

import { all, one } from "./dom.js";

/** How long it waits for more letters before it asks, in milliseconds. */
const PAUSE_MS = 90;

/** @typedef {{ title: string, hint: string, href: string }} Item */

export function start() {
  const dialog = one("#palette", HTMLDialogElement);
  const input = dialog && one("input", HTMLInputElement, dialog);
  const list = dialog && one("ul", HTMLUListElement, dialog);
  if (!dialog || !input || !list) return;
  new Palette(dialog, input, list);
}

class Palette {
  /** @type {Item[]} */ items = [];
  /** @type {Item[]} */ pages;
  at = 0;
  timer = 0;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {HTMLInputElement} input
   * @param {HTMLUListElement} list
   */
  constructor(dialog, input, list) {
    this.dialog = dialog;
    this.input = input;
    this.list = list;
    this.pages = all(".side nav a[data-letter], .side nav a.empty, .drop a", HTMLAnchorElement).map((link) => ({
      title: link.dataset.title ?? link.textContent?.trim() ?? "",
      hint: link.dataset.letter ? `g ${link.dataset.letter}` : "page",
      href: link.getAttribute("href") ?? "/",
    }));
    input.addEventListener("input", () => this.ask());
    input.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("click", (event) => {
      const row = event.target instanceof Element ? event.target.closest("li") : null;
      if (row) this.go([...list.children].indexOf(row));
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    new MutationObserver(() => {
      if (!dialog.open) return;
      input.value = "";
      this.show(this.pages);
    }).observe(dialog, { attributeFilter: ["open"] });
  }

  ask() {
    const text = this.input.value.trim();
    const here = this.pages.filter((page) => fits(page.title, text));
    this.show(here);
    clearTimeout(this.timer);
    if (!text) return;
    this.timer = window.setTimeout(async () => {
      const answer = await fetch(`/search?form=json&q=${encodeURIComponent(text)}`, { credentials: "same-origin" }).catch(() => null);
      if (!answer?.ok || this.input.value.trim() !== text) return;
      /** @type {{ found: Item[] }} */
      const { found } = await answer.json();
      this.show([...here, ...found.filter((item) => !here.some((page) => page.href === item.href))]);
    }, PAUSE_MS);
  }

  /** @param {Item[]} items */
  show(items) {
    this.items = items.slice(0, 40);
    this.at = 0;
    this.list.replaceChildren(...this.items.map((item, at) => {
      const row = document.createElement("li");
      row.id = `palette-${at}`;
      row.setAttribute("role", "option");
      const title = document.createElement("span");
      title.textContent = item.title;
      const hint = document.createElement("small");
      hint.textContent = item.hint;
      row.append(title, hint);
      return row;
    }));
    if (!this.items.length) {
      const row = document.createElement("li");
      row.setAttribute("role", "option");
      row.setAttribute("aria-disabled", "true");
      row.textContent = "Nothing by this name; Enter searches everything";
      this.list.append(row);
    }
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === this.at)));
    const row = this.list.children[this.at];
    row?.scrollIntoView({ block: "nearest" });
    if (row) this.input.setAttribute("aria-activedescendant", row.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) {
      event.preventDefault();
      this.at = (this.at + by + this.items.length) % Math.max(1, this.items.length);
      this.mark();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.go(this.at);
    }
  }

  /** @param {number} at */
  go(at) {
    const text = this.input.value.trim();
    const to = this.items[at]?.href ?? (text ? `/search?q=${encodeURIComponent(text)}` : null);
    if (to) location.assign(to);
  }
}

/**
 * Whether the letters stand in the title, in this order.
 * @param {string} title
 * @param {string} letters
 */
function fits(title, letters) {
  let from = 0;
  const low = title.toLowerCase();
  for (const letter of letters.toLowerCase().replaceAll(" ", "")) {
    from = low.indexOf(letter, from) + 1;
    if (from === 0) return false;
  }
  return true;
}
