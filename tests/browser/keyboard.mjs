// Fifty findings by keyboard alone: walked, some assigned, all resolved, one taken back; and
// the ways about: palette, help, `g` and a letter, detail after detail.

import { browser, must, save, signIn, url, verdict, watched, until } from "./lib.mjs";

const problems = [];
await signIn();
await browser({ viewport: { width: 1280, height: 860 } }, async (context) => {
  const { page, said } = await watched(context);
  const keys = async (...all) => {
    for (const key of all) await page.keyboard.press(key);
  };
  const open = () => page.$$eval("main tr[data-id]", (rows) => rows.length);
  const ready = () => page.waitForSelector("html[data-ready]", { state: "attached" });

  await page.goto(url("/"));
  await ready();
  await keys("g", "f");
  await page.waitForURL("**/findings");
  await ready();
  const before = await open();
  must(before === 50, `${before} findings stand on the first page, 50 were made for it`);

  // The help and the palette open, and close again.
  await keys("?");
  must(await page.isVisible("#help"), "? does not open the help");
  await keys("Escape");
  await page.keyboard.press("Control+k");
  must(await page.isVisible("#palette"), "Ctrl-K does not open the palette");
  await page.keyboard.type("ledg");
  await page.waitForSelector("#palette li");
  const first = await page.textContent("#palette li[aria-selected=true] span");
  must(first === "Ledger", `the palette offers ${first}`);
  await keys("Escape");

  // A saved filter is where the palette leads.
  await save(page, "/traffic?range=7d&verdict=block", "Weekly look");
  await ready();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("weekly");
  await page.waitForSelector("#palette li:has-text('Weekly look')");
  await keys("Enter");
  await page.waitForURL("**/traffic?verdict=block&range=7d");
  await ready();
  await keys("g", "f");
  await page.waitForURL("**/findings");
  await ready();

  // Five are given to oneself.
  const start = Date.now();
  for (let n = 0; n < 5; n += 1) await keys("j", "x");
  const picked = await page.$$eval("input[name=ids]:checked", (boxes) => boxes.length);
  must(picked === 5, `${picked} rows are selected after five times j x`);
  await keys("a");
  must(await page.evaluate(() => document.activeElement?.id === "assignee"), "a does not lead to the assignee");
  await keys("Tab", "Enter");
  await page.waitForSelector(".toast:has-text('5 findings assigned')");
  const at = await page.evaluate(() => document.activeElement?.closest("tr")?.rowIndex);
  if (!at) problems.push("the cursor is lost after findings were assigned");

  // One after the other in their details: resolving leads to the next.
  await page.goto(url("/findings"));
  await ready();
  await keys("j", "Enter");
  await page.waitForURL("**/findings/*");
  await ready();
  for (let n = 0; n < 10; n += 1) {
    const here = page.url();
    await keys("e");
    await until(page, (here) => location.href !== here && !document.querySelector("main.busy"), here.split("?")[0]);
    await page.waitForSelector(".toast:has-text('resolved')");
    await until(page, (here) => !location.href.startsWith(here), here.split("?")[0]);
  }
  await keys("n");
  await page.waitForLoadState();
  await ready();
  await keys("p");
  await page.waitForLoadState();
  await ready();

  // The rest in the list, row after row.
  await keys("Escape");
  await page.waitForURL("**/findings*");
  await ready();
  let left = await open();
  for (let n = 0; n < 5; n += 1) {
    await keys("j");
    const here = await page.evaluate(() => document.activeElement?.closest("tr")?.dataset.id);
    must(here, "j leads to no finding");
    await keys("e");
    await until(page, (id) => !document.querySelector(`main tr[data-id="${id}"]`), here);
  }
  // And all that are left at once.
  left = await open();
  for (let n = 0; n < 35; n += 1) {
    await keys("x", "j");
  }
  const many = await page.$$eval("input[name=ids]:checked", (boxes) => boxes.length);
  must(many >= 34, `${many} rows are selected after 35 times x j, of ${left}`);
  await keys("e");
  await page.waitForSelector(".toast:has-text('findings resolved')");
  console.log(`triage of ${15 + many} findings by keyboard took ${Date.now() - start} ms`);
  const resolved = 15 + many;
  must(resolved >= 49, `${resolved} findings were resolved`);

  // Taken back.
  const rows = await open();
  await page.focus(".toast button");
  await keys("Enter");
  await page.waitForSelector(".toast:has-text('Undone')");
  must((await open()) > rows, "undoing brought nothing back");

  for (const words of said) problems.push(words);
});
verdict(problems);
