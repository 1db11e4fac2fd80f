// Buttons that copy: `data-copy` holds the text, or `link` for this page's address.

import { near, say } from "./dom.js";

export function start() {
  document.addEventListener("click", async (event) => {
    const button = near(event, "[data-copy]", HTMLElement);
    const wanted = button?.dataset.copy;
    if (!wanted) return;
    event.preventDefault();
    const text = wanted === "link" ? location.href : wanted.replaceAll("{origin}", location.origin);
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      // Without TLS browsers lend no clipboard: the person copies it from here.
      window.prompt("Copy this", text);
    }
  });
}
