// Texts that would run if they were not shown as texts, in every field that a person, a
// prompt, a model or a log can fill: nothing runs, nothing is loaded, nothing is marked up.

import { browser, given, places, save, signIn, url, verdict, watched } from "./lib.mjs";

const problems = [];
await signIn();

/** As a person: into every form of the pages. */
async function fill(context) {
  const page = await context.newPage();
  for (const text of given.corpus) {
    await page.goto(url("/keys"));
    await page.fill("#k-name", text.slice(0, 100));
    await page.fill("#k-routes-in", text.slice(0, 60));
    await page.fill("#k-models", text.slice(0, 60));
    await page.click("text=Make the key");
    await page.goto(url("/findings?state=any"));
    const finding = await page.getAttribute("main tr[data-id] a.rowlink", "href");
    await page.goto(url(finding));
    await page.fill("#note", text);
    await page.click("button[value=note]");
    await page.waitForSelector(".toast");
    for (const filter of [`/traffic?model=${encodeURIComponent(text)}`, `/findings?assignee=${encodeURIComponent(text)}`]) {
      const status = await save(page, filter, [...text].slice(0, 64).join(""));
      if (status >= 400) problems.push(`saving a filter ${text} is answered with ${status}`);
    }
  }
  // Assignees that no form offers.
  const csrf = await page.getAttribute("input[name=csrf]", "value");
  await page.goto(url("/findings?state=any"));
  const ids = await page.$$eval("main tr[data-id]", (rows) => rows.map((row) => row.dataset.id));
  for (const [at, text] of given.corpus.entries()) {
    const data = { ids: [ids[at % ids.length]], assignee: text.slice(0, 120) };
    const headers = { origin: new URL(given.console).origin, "x-csrf-token": csrf };
    const answer = await context.request.post(url("/api/v1/findings/triage"), { data, headers });
    if (answer.status() >= 400) problems.push(`assigning to ${text} is answered with ${answer.status()}`);
  }
  await page.goto(url("/approvals"));
  for (const text of given.corpus) {
    const why = page.locator("input[name=why]").first();
    if (!(await why.count())) break;
    await why.fill(text);
    await page.locator("button[value=deny]").first().click();
    await page.waitForLoadState();
    await page.goto(url("/approvals"));
  }
}

await browser({ viewport: { width: 1280, height: 860 } }, async (context) => {
  await fill(context);
  const { page, said } = await watched(context);
  const loaded = [];
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (to.origin !== new URL(given.console).origin) loaded.push(request.url());
  });
  const walk = await places(page);
  for (const list of ["/traffic?range=24h", "/findings?state=any", "/ledger", "/keys", "/approvals?state=any"]) {
    await page.goto(url(list));
    const links = await page.$$eval("main tr[data-id] a.rowlink", (rows) => rows.slice(0, 40).map((link) => link.getAttribute("href")));
    walk.push(...links, ...links.map((link) => `${link.split("?")[0]}?tab=raw`).filter((link) => /^\/(traffic|findings)\//.test(link)));
  }
  // And in the address.
  for (const text of given.corpus) {
    const q = encodeURIComponent(text);
    walk.push(`/search?q=${q}`, `/ledger?q=${q}`, `/traffic?model=${q}`, `/traffic?verdict=${q}&rule=${q}`, `/rules?q=${q}`, `/settings?q=${q}`, `/findings?state=${q}`, `/traffic?range=${q}`, `/findings?assignee=${q}`, `/traffic?${q}=1`, `/rules/${q}`, `/keys?done=${q}&n=${q}&undo=${q}`);
  }
  let looked = 0;
  for (const path of new Set(walk)) {
    said.length = 0;
    await page.goto(url(path));
    looked += 1;
    const ran = await page.evaluate(() => ({
      ran: globalThis.__xss ?? null,
      elements: [...document.querySelectorAll("img, iframe, object, embed, video, audio, math, base, meta[http-equiv], script:not([src]), form[action*='example'], a[href^='javascript' i], a[href^='data' i]")].map((one) => one.outerHTML.slice(0, 120)),
      handlers: [...document.querySelectorAll("*")].filter((one) => [...one.attributes].some(({ name }) => name.startsWith("on") || name === "style")).map((one) => one.outerHTML.slice(0, 120)),
    }));
    if (ran.ran) problems.push(`${path}: ran ${ran.ran}`);
    for (const html of [...ran.elements, ...ran.handlers]) problems.push(`${path}: ${html}`);
    for (const words of said.filter((words) => /CSP|dialog|error:/.test(words))) problems.push(`${path}: ${words}`);
  }
  for (const address of loaded) problems.push(`something was loaded from ${address}`);
  // Live rows and the palette are made in the page.
  await page.goto(url("/traffic"));
  await page.waitForSelector(".live[data-state=on]");
  for (const text of given.corpus) {
    await fetch(`${given.gateway}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${given.key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: text, user: text, messages: [{ role: "user", content: text }] }),
    });
  }
  await page.waitForSelector("tr[data-arrived]");
  await page.waitForTimeout(500);
  for (const text of given.corpus.slice(0, 4)) {
    await page.keyboard.press("Control+k");
    await page.fill("#palette input", text.slice(0, 8));
    await page.waitForTimeout(200);
    await page.keyboard.press("Escape");
  }
  if (await page.evaluate(() => globalThis.__xss ?? null)) problems.push("a live row ran");
  if (await page.$("tbody img, tbody script, tbody iframe, #palette img")) problems.push("a live row is marked up");
  for (const words of said.filter((words) => /CSP|dialog/.test(words))) problems.push(`live: ${words}`);
  console.log(`${given.corpus.length} texts, ${looked} pages looked at`);
});
verdict(problems);
