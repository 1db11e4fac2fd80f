// Small words that the other modules share.

/**
 * The first element that fits.
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @param {ParentNode} [within]
 * @returns {T | null}
 */
export function one(selector, type, within = document) {
  const found = within.querySelector(selector);
  return found instanceof type ? found : null;
}

/**
 * Every element that fits.
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @param {ParentNode} [within]
 * @returns {T[]}
 */
export function all(selector, type, within = document) {
  /** @type {T[]} */
  const out = [];
  for (const found of within.querySelectorAll(selector)) if (found instanceof type) out.push(found);
  return out;
}

/**
 * The element that an event happened in, or its nearest parent that fits.
 * @template {Element} T
 * @param {Event} event
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T | null}
 */
export function near(event, selector, type) {
  const found = event.target instanceof Element ? event.target.closest(selector) : null;
  return found instanceof type ? found : null;
}

/** What is called when the main part was replaced. @type {(() => void)[]} */
const listeners = [];

/** @param {() => void} listener */
export function onSwap(listener) {
  listeners.push(listener);
}

export function swapped() {
  for (const listener of listeners) listener();
}

/**
 * Says something at the foot of the page, for a while.
 * @param {string} words
 * @param {"good" | "bad"} [kind]
 */
export function say(words, kind = "good") {
  const toasts = one(".toasts", HTMLElement);
  if (!toasts) return;
  const toast = document.createElement("div");
  toast.className = `toast ${kind}`;
  const text = document.createElement("p");
  text.textContent = words;
  toast.append(text);
  toasts.append(toast);
  setTimeout(() => toast.remove(), kind === "bad" ? 12000 : 4000);
}
