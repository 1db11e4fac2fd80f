// Without JavaScript: every page is read, and every act is done by links and forms.

import { ask, browser, given, must, places, save, signIn, url, verdict } from "./lib.mjs";

const problems = [];
await signIn();
await browser({ javaScriptEnabled: false, viewport: { width: 1280, height: 860 } }, async (context) => {
  const page = await context.newPage();
  for (const path of await browser({}, async (other) => places(await other.newPage()))) {
    const answer = await page.goto(url(path));
    if (answer.status() >= 400 && !path.startsWith("/there-is-no")) problems.push(`${path}: status ${answer.status()}`);
    if (!(await page.locator("h1, h2").first().isVisible())) problems.push(`${path}: no heading is seen`);
  }
  const says = async (words) => {
    const text = await page.textContent("body");
    must(text.includes(words), `the page does not say ${words}`);
  };

  // A finding is resolved, and that is taken back.
  await page.goto(url("/findings"));
  await page.locator("input[name=ids]").first().check();
  await page.click("button[value=resolve]");
  await says("1 finding resolved");
  await page.click(".toast button");
  await says("Undone");

  // A filter, from the facets.
  await page.goto(url("/traffic?range=24h"));
  await page.locator(".facets a", { hasText: "block" }).first().click();
  must(page.url().includes("verdict=block"), "the facet does not narrow");
  must((await page.locator("main tr[data-id]").count()) > 0, "no blocked request is shown");
  // It is saved under a name, found by search, and deleted.
  await save(page, page.url(), "Blocked today");
  await says("The filter is saved");
  await page.goto(url("/search?q=blocked%20to"));
  await page.click("main a.rowlink");
  must(page.url().endsWith("/traffic?verdict=block&range=24h"), `the saved filter leads to ${page.url()}`);
  must((await page.locator(".saved a[aria-current=true]").textContent()) === "Blocked today", "the saved filter is not marked");
  await page.click("button[aria-label='Delete the saved filter Blocked today']");
  await says("The filter is deleted");
  must((await page.locator(".saved li").count()) === 0, "the saved filter is still there");
  // A bar of the histogram narrows to its time.
  await page.goto(url("/traffic?range=24h"));
  const bar = await page.locator("svg.plot a:has(rect.f-block)").first().getAttribute("href");
  await page.goto(url(bar));
  must((await page.locator("main tr[data-id]").count()) > 0, "the bar leads to nothing");

  // A key is made, tested, rotated and revoked.
  await page.goto(url("/keys"));
  await page.fill("#k-name", "made-by-hand");
  await page.fill("#k-requests", "100");
  await page.click("text=Make the key");
  const secret = await page.textContent(".secret");
  must(secret.startsWith("bz_"), "no secret is shown");
  await page.fill("#k-secret", secret);
  await page.fill("#k-model", "test-model");
  await page.click("button:has-text('Test')");
  await says("Let through: the key `made-by-hand` may ask for `test-model`");
  await page.goto(url("/keys"));
  await page.locator("tr", { hasText: "made-by-hand" }).first().locator("button:has-text('Revoke')").click();
  await says("The key is revoked");
  await page.fill("#k-secret", secret);
  await page.fill("#k-model", "test-model");
  await page.click("button:has-text('Test')");
  await says("Refused: the key is revoked");

  // A held request is approved, and passes then.
  const held = await ask(given.held);
  must(held.status === 403 || held.status === 400 || held.status === 409, `a held request answered ${held.status}`);
  await page.goto(url("/approvals"));
  await page.locator("input[name=why]").first().fill("looked at it");
  await page.locator("button[value=approve]").first().click();
  await says("Approved");
  const again = await ask(given.held);
  must(again.status === 200, `an approved request answered ${again.status}`);

  // Another is read where it waits, and denied: not without a reason.
  const other = `${given.held} And this.`;
  await ask(other);
  const until = async (path, words) => {
    const said = async () => words.test(await page.textContent("body"));
    for (let n = 0; n < 40 && !(await said()); n += 1) {
      await new Promise((done) => setTimeout(done, 250));
      await page.goto(url(path));
    }
    must(await said(), `${path} does not say ${words}`);
  };
  await until("/settings", /1 waiting/);
  await page.goto(url("/approvals"));
  await page.click("text=read it here");
  await says(other);
  const token = await page.inputValue("input[name=csrf]");
  const path = await page.locator("form:has(button[value=deny])").first().getAttribute("action");
  const silent = await context.request.post(url(path), { form: { csrf: token, decision: "deny", why: " " } });
  must(silent.status() === 400 && (await silent.text()).includes("say why"), `a silent denial answered ${silent.status()}`);
  await page.locator("input[name=why]").first().fill("not for outsiders");
  await page.locator("button[value=deny]").first().click();
  await says("Denied");
  await page.goto(url("/approvals?state=denied"));
  await says(`by ${given.name}`);
  must((await ask(other)).status === 403, "a denied request went through");

  // What was refused before a verdict is counted, and where it came from.
  for (let n = 0; n < 3; n += 1) await fetch(`${given.gateway}/v1/models`, { headers: { authorization: "Bearer bz_no_such_key" } });
  await until("/refusals?code=unknown_key", /[3-9]unknown_key/);

  // What is not there says so where one is.
  await page.goto(url("/no-such-page"));
  must(await page.$("nav[aria-label=Pages]"), "a page that is not there has no navigation");

  // The ledger verifies, and two heads are compared.
  await page.goto(url("/ledger"));
  await page.locator("main tr[data-id] a.rowlink").nth(3).click();
  await says("The server verified it");
  const checkpoint = await (await context.request.get(url("/ledger/checkpoint"))).text();
  await ask("hello");
  await page.goto(url("/ledger"));
  await page.fill("#l-old", checkpoint);
  await page.click("button:has-text('Verify')");
  await says("Consistent: from");
  await page.fill("#l-old", checkpoint.replace(/\n(\d+)\n/, (_, size) => `\n${Number(size) - 1}\n`));
  await page.click("button:has-text('Verify')");
  await says("not signed by this ledger");

  // Colours.
  await page.goto(url("/settings"));
  await page.click(".me summary");
  await page.click("button[name=scheme][value=dark]");
  must((await page.getAttribute("html", "data-scheme")) === "dark", "the colours did not change");
});
verdict(problems);
