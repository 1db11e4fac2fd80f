// What the browser tests share: a Chromium of the system, signed in, that reports whatever
// it would complain about.

import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What the test that started this says: addresses, secrets, the link of the first account. */
export const given = JSON.parse(process.env.BARTIZAN_GIVEN ?? "{}");
export const url = (path) => new URL(path, given.console).href;

/** Fails the script, with everything that went wrong. */
export function verdict(problems) {
  for (const problem of problems) console.log(`PROBLEM ${problem}`);
  console.log(problems.length ? `${problems.length} problems` : "good");
  process.exitCode = problems.length ? 1 : 0;
}

export function must(truth, words) {
  if (!truth) throw new Error(words);
}

/** A browser with a directory of its own, which goes with it. */
export async function browser(options, work) {
  const dir = mkdtempSync(join(tmpdir(), "bartizan-browser-"));
  const context = await chromium.launchPersistentContext(dir, {
    executablePath: given.browser, headless: true, args: ARGS, ...options,
  });
  context.setDefaultTimeout(20_000);
  try {
    if (given.cookies) await context.addCookies(given.cookies);
    return await work(context);
  } finally {
    await context.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Gathers what a page complains about: errors, refused loads, breaches of the policy. */
export async function watched(context) {
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) said.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => said.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    said.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  return { page, said };
}

/** Makes the account by its one-time link, in a browser; its cookies are what others go on with. */
export async function signIn() {
  return browser({}, async (context) => {
    const page = await context.newPage();
    await page.goto(given.link);
    await page.fill("input[name=name]", given.name);
    await page.fill("input[name=password]", given.password);
    await page.fill("input[name=again]", given.password);
    await Promise.all([page.waitForURL((to) => to.pathname !== "/welcome"), page.click("button.first")]);
    // A second factor is offered there; it is not what is tested here.
    await page.goto(url("/"));
    await page.waitForSelector(".app");
    given.cookies = (await context.cookies()).filter((cookie) => cookie.name.includes("bartizan"));
    must(given.cookies.length, "no session was given");
  });
}

/** Saves what narrows a page now under a name, by its form; says how that was answered.
 * @param {import("playwright-core").Page} page
 * @param {string} path
 * @param {string} name */
export async function save(page, path, name) {
  await page.goto(url(path));
  if (!(await page.isVisible("#saved-name"))) await page.click(".saved summary");
  await page.fill("#saved-name", name);
  const [answer] = await Promise.all([page.waitForNavigation(), page.click(".saved .keep button")]);
  return answer.status();
}

/** Every page of the navigation, and one of each that stands below a list. */
export async function places(page) {
  await page.goto(url("/"));
  const nav = await page.$$eval(".side nav a", (links) => links.map((link) => link.getAttribute("href")));
  must(nav.length > 15, `only ${nav.length} pages are in the navigation`);
  const out = [...nav, "/help", "/search?q=GD", "/search", "/traffic?model=nothing", "/refusals?code=nothing", "/findings?state=any", "/findings?state=resolved", "/approvals?state=any", "/settings?changed=1", "/there-is-no-such-page"];
  for (const list of ["/traffic?range=90d", "/findings", "/keys", "/rules", "/ledger"]) {
    await page.goto(url(list));
    const first = await page.$eval("main tr[data-id] a.rowlink", (link) => link.getAttribute("href")).catch(() => null);
    must(first, `${list} has no row`);
    out.push(first);
    if (/^\/(traffic|findings)\//.test(first)) out.push(`${first.split("?")[0]}?tab=raw`);
  }
  return [...new Set(out)];
}

/** What axe finds, by WCAG 2.2 AA and best practice. */
export async function axe(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map((one) => {
      const where = one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any.map((check) => check.message).join("; ").slice(0, 160)}`);
      return `${one.id} (${one.nodes.length}): ${where.join(" | ")}`;
    });
  });
}

/** Asks the gateway as an application would. */
export async function ask(text, more = {}) {
  return fetch(`${given.gateway}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${given.key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "test-model", messages: [{ role: "user", content: text }], ...more }),
  });
}

/** Waits until something holds in the page. Playwright's own way needs `eval`, which our policy forbids.
 * @param {import("playwright-core").Page} page
 * @param {(argument: any) => boolean} predicate
 * @param {any} argument */
export async function until(page, predicate, argument) {
  const end = Date.now() + 20000;
  while (!(await page.evaluate(predicate, argument).catch(() => false))) {
    must(Date.now() < end, `it never held: ${predicate}`);
    await page.waitForTimeout(20);
  }
}

/** The code that an authenticator app shows now for a secret in base 32 (RFC 6238, RFC 4648).
 * @param {string} secret */
function code(secret) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replace(/\s/g, "")].map((c) => letters.indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
  const mac = createHmac("sha1", key).update(step).digest();
  const at = mac.readUInt8(mac.length - 1) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1e6).padStart(6, "0");
}
