// Starts what makes the pages quicker. Without it they all work, by links and forms.

import { start as brush } from "./brush.js";
import { start as copy } from "./copy.js";
import { start as keyboard } from "./keyboard.js";
import { start as live } from "./live.js";
import { start as palette } from "./palette.js";
import { start as swap } from "./swap.js";
import { start as time } from "./time.js";
import { start as verify } from "./verify.js";

for (const begin of [time, copy, swap, brush, verify, live, palette, keyboard]) begin();
document.documentElement.dataset.ready = "";
