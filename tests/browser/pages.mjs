// Every page, dark and light, wide and narrow: nothing that axe finds, no error, no breach of
// the policy, nothing that sticks out sideways. `BARTIZAN_SHOTS=DIR` keeps a picture of each.

import { mkdirSync } from "node:fs";
import { axe, browser, places, save, signIn, url, verdict, watched } from "./lib.mjs";

const shots = process.env.BARTIZAN_SHOTS;
const only = process.env.BARTIZAN_ONLY;
const problems = [];
let looked = 0;
await signIn();
if (shots) mkdirSync(shots, { recursive: true });
let walk = await browser({}, async (context) => {
  const page = await context.newPage();
  await save(page, "/traffic?verdict=block&range=7d", "Blocked this week");
  await save(page, "/traffic?model=other-model", "A name as long as one may be, which is sixty-four characters, all");
  await save(page, "/findings?state=any&severity=high", "High, whatever became of it");
  return [...await places(page), "/traffic?verdict=block&range=7d"];
});
if (only) walk = walk.filter((path) => only.split(",").includes(path));
for (const scheme of ["light", "dark"]) {
  for (const width of [1280, 390]) {
    const options = { colorScheme: scheme, viewport: { width, height: width === 390 ? 844 : 860 }, reducedMotion: "reduce" };
    await browser(options, async (context) => {
      const { page, said } = await watched(context);
      for (const path of walk) {
        said.length = 0;
        const answer = await page.goto(url(path));
        const bare = !(await page.$(".app"));
        if (!bare) await page.waitForSelector("html[data-ready]", { state: "attached" });
        looked += 1;
        const here = `${path} ${scheme} ${width}`;
        const missing = path.startsWith("/there-is-no");
        if (answer.status() >= 400 !== missing) problems.push(`${here}: status ${answer.status()}`);
        for (const violation of await axe(page)) problems.push(`${here}: ${violation}`);
        for (const words of said.filter((words) => !(missing && words.includes("404")))) problems.push(`${here}: ${words}`);
        const sticks = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (sticks > 0) problems.push(`${here}: sticks out by ${sticks} px`);
        if (shots) {
          const name = path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "ID").replaceAll(/[^a-zA-Z0-9]+/g, "_");
          await page.screenshot({ path: `${shots}/${name || "_"}-${scheme}-${width}.png`, fullPage: process.env.BARTIZAN_FULL === "1" });
        }
      }
    });
  }
}
console.log(`looked at ${looked} pages: ${walk.length} places, 2 schemes, 2 widths`);
verdict(problems);
