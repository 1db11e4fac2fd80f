// How long after a request was answered its row stands in the page; that the cursor stays
// where it is meanwhile; and that nothing is missing after the line was cut.

import { ask, browser, must, signIn, url, verdict, watched } from "./lib.mjs";

const MS_MAX = 500;
const ROUNDS = 20;
const problems = [];
await signIn();
await browser({ viewport: { width: 1280, height: 860 } }, async (context) => {
  const { page, said } = await watched(context);
  await page.goto(url("/traffic"));
  await page.waitForSelector(".live[data-state=on]");
  await page.keyboard.press("j");
  const cursor = () => page.evaluate(() => document.activeElement?.closest("tr")?.dataset.id);
  const at = await cursor();
  must(at, "j leads to no row");

  const counted = () => page.textContent("[data-fresh=total]");
  const before = await counted();
  const took = [];
  for (let n = 0; n < ROUNDS; n += 1) {
    const answer = await ask(`live ${n}`);
    const id = answer.headers.get("x-bartizan-request-id");
    const answered = Date.now();
    await answer.arrayBuffer();
    const row = await page.waitForSelector(`tr[data-id="${id}"][data-arrived]`, { state: "attached", timeout: 5000 });
    took.push(Number(await row.getAttribute("data-arrived")) - answered);
  }
  took.sort((a, b) => a - b);
  console.log(`live update after the answer: median ${took[ROUNDS / 2]} ms, slowest ${took[ROUNDS - 1]} ms of ${ROUNDS}`);
  if (took[ROUNDS - 1] > MS_MAX) problems.push(`an update took ${took[ROUNDS - 1]} ms`);
  if ((await cursor()) !== at) problems.push("the cursor moved with the updates");

  // Chart and counts follow.
  for (let n = 0; n < 50 && (await counted()) === before; n += 1) await new Promise((done) => setTimeout(done, 200));
  if ((await counted()) === before) problems.push("the count beside the rows stays as it was");

  // Offline for a while: what came meanwhile is there afterwards, once.
  await context.setOffline(true);
  const missed = [];
  for (let n = 0; n < 5; n += 1) missed.push((await ask(`missed ${n}`)).headers.get("x-bartizan-request-id"));
  await context.setOffline(false);
  await page.reload();
  await page.waitForSelector(".live[data-state=on]");
  const shown = await page.$$eval("main tr[data-id]", (rows) => rows.map((row) => row.dataset.id));
  for (const id of missed) if (shown.filter((one) => one === id).length !== 1) problems.push(`${id} is shown ${shown.filter((one) => one === id).length} times`);

  // By the id of the last event, the server goes on from there.
  const last = await page.$eval("main tr[data-id]", (row) => row.dataset.at);
  const next = (await ask("after the last")).headers.get("x-bartizan-request-id");
  const resumed = await page.evaluate(async ([last]) => {
    const answer = await fetch("/traffic/events", { headers: { "last-event-id": last } });
    const reader = answer.body.getReader();
    let text = "";
    const until = Date.now() + 3000;
    while (Date.now() < until && !text.includes("after-done")) {
      const piece = await Promise.race([reader.read(), new Promise((done) => setTimeout(() => done(null), 1500))]);
      if (!piece || piece.done) break;
      text += new TextDecoder().decode(piece.value);
    }
    await reader.cancel();
    return text;
  }, [last]);
  if (!resumed.includes(next)) problems.push("a resumed stream does not bring what came after the last event");
  const wrong = await context.request.get(url("/traffic/events"), { headers: { "last-event-id": "made-by-hand" } });
  if (wrong.status() !== 400) problems.push(`a place made by hand is answered with ${wrong.status()}`);
  for (const words of said.filter((words) => !/ERR_INTERNET_DISCONNECTED|ERR_NETWORK/.test(words))) problems.push(words);
});
verdict(problems);
