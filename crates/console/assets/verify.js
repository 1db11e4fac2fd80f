// Verifies a ledger's entry here, in the browser, from what the server sent: the entry's
// bytes, the path of hashes, the signed checkpoint. (RFC 9162 section 2.1.3; C2SP signed
// notes.) And it keeps the heads that it saw: the tree must only ever have grown.

import { all, one, onSwap } from "./dom.js";

/** @typedef {{ entry: string, proof: string, key: string }} Evidence */

const HEADS = "bartizan.heads.";

export function start() {
  run();
  onSwap(run);
}

function run() {
  for (const place of all("[data-verify]", HTMLElement)) void check(place);
  const head = one("[data-head]", HTMLElement);
  if (head) void seen(head);
}

/** @param {HTMLElement} place */
async function check(place) {
  const out = one("[data-verified]", HTMLElement, place);
  const { entry, proof, logKey } = place.dataset;
  if (!out || !entry || !proof || !logKey) return;
  out.hidden = false;
  if (!crypto.subtle) return tell(out, "note", "This browser lends no cryptography without TLS; the server verified it instead");
  try {
    const { size } = await verify({ entry, proof, key: logKey });
    tell(out, "good", `Verified in this browser: the entry is under the signed checkpoint of ${size} entries`);
  } catch (error) {
    tell(out, "bad", `Does not verify in this browser: ${error instanceof Error ? error.message : "unreadable"}`);
  }
}

/**
 * @param {HTMLElement} out
 * @param {string} kind
 * @param {string} words
 */
function tell(out, kind, words) {
  out.className = `note ${kind}`;
  out.textContent = words;
  out.dataset.verified = kind;
}

/** @param {Evidence} evidence */
export async function verify({ entry, proof, key }) {
  const [head, ...rest] = proof.split("\n\n");
  const lines = (head ?? "").split("\n");
  const index = Number(lines[1]?.replace("index ", ""));
  const path = lines.slice(2).filter((line) => line).map(bytes);
  const checkpoint = await opened(rest.join("\n\n"), key);
  const bytesOfEntry = new TextEncoder().encode(entry);
  let hash = await sha256(join(new Uint8Array([0]), bytesOfEntry));
  let at = index;
  let last = checkpoint.size - 1;
  if (!(index >= 0 && index <= last)) throw new Error("the index is outside of the tree");
  for (const other of path) {
    if (last === 0) throw new Error("the path is too long");
    if (at % 2 === 1 || at === last) {
      hash = await sha256(join(new Uint8Array([1]), other, hash));
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else {
      hash = await sha256(join(new Uint8Array([1]), hash, other));
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  if (last !== 0) throw new Error("the path is too short");
  if (!same(hash, checkpoint.root)) throw new Error("the path does not lead to the signed root");
  return checkpoint;
}

/**
 * Reads a checkpoint, once its signature fits the key.
 * @param {string} note
 * @param {string} key as `name+id+base64`
 */
async function opened(note, key) {
  const end = note.indexOf("\n\n");
  const text = note.slice(0, end + 1);
  const [, , coded] = split(key);
  const raw = bytes(coded);
  const [name, id] = split(key);
  const verifier = await crypto.subtle.importKey("raw", raw.slice(1), "Ed25519", false, ["verify"]);
  const message = new TextEncoder().encode(text);
  for (const line of note.slice(end + 2).split("\n")) {
    const [, signer, signed] = line.split(" ");
    if (signer !== name || !signed) continue;
    const signature = bytes(signed);
    if (hex(signature.slice(0, 4)) !== id) continue;
    if (await crypto.subtle.verify("Ed25519", verifier, signature.slice(4), message)) {
      const [, size, root] = text.split("\n");
      return { size: Number(size), root: bytes(root ?? "") };
    }
  }
  throw new Error("the checkpoint is not signed by the ledger's key");
}

/** @param {string} key @returns {[string, string, string]} */
function split(key) {
  const first = key.indexOf("+");
  const second = key.indexOf("+", first + 1);
  return [key.slice(0, first), key.slice(first + 1, second), key.slice(second + 1)];
}

/**
 * Compares the head with those that this browser saw before.
 * @param {HTMLElement} place
 */
async function seen(place) {
  const out = one("[data-seen]", HTMLElement, place);
  const { origin, size, root } = place.dataset;
  if (!out || !origin || !size || !root) return;
  const name = HEADS + origin;
  const before = localStorage.getItem(name)?.split(" ");
  localStorage.setItem(name, `${size} ${root}`);
  if (!before?.[0] || !before[1]) return note(out, "", "This browser had not seen this ledger before, and remembers its head from now on");
  const [oldSize, oldRoot] = before;
  if (oldSize === size) {
    return oldRoot === root ? note(out, "good", "The same head as this browser saw last") : note(out, "bad", "A head of the same size with another root was seen here before");
  }
  if (Number(oldSize) > Number(size)) return note(out, "bad", `This browser saw ${oldSize} entries before, and now there are fewer`);
  if (!crypto.subtle || oldSize === "0") return;
  try {
    const answer = await fetch(`/ledger/consistency?form=json&old=${oldSize}&new=${size}`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error("no proof");
    /** @type {{ path: string[] }} */
    const { path } = await answer.json();
    const grew = await consistent(Number(oldSize), Number(size), bytes(oldRoot), bytes(root), path.map(bytes));
    if (!grew) throw new Error("the proof does not hold");
    note(out, "good", `Only grew since this browser saw it last, at ${oldSize} entries: verified here`);
  } catch (error) {
    localStorage.setItem(name, before.join(" "));
    note(out, "bad", `It cannot be shown that the ledger only grew since ${oldSize} entries: ${error instanceof Error ? error.message : ""}`);
  }
}

/**
 * @param {HTMLElement} out
 * @param {string} kind
 * @param {string} words
 */
function note(out, kind, words) {
  out.textContent = words;
  out.className = `note ${kind}`;
  out.hidden = false;
}

/**
 * RFC 9162, section 2.1.4.2.
 * @param {number} old
 * @param {number} size
 * @param {Uint8Array} oldRoot
 * @param {Uint8Array} root
 * @param {Uint8Array[]} path
 */
export async function consistent(old, size, oldRoot, root, path) {
  const steps = Number.isInteger(Math.log2(old)) ? [oldRoot, ...path] : path;
  const [first, ...rest] = steps;
  if (!first) return false;
  let at = old - 1;
  let last = size - 1;
  while (at % 2 === 1) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  let was = first;
  let is = first;
  const one = new Uint8Array([1]);
  for (const step of rest) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      was = await sha256(join(one, step, was));
      is = await sha256(join(one, step, is));
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else {
      is = await sha256(join(one, is, step));
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && same(was, oldRoot) && same(is, root);
}

/** @param {Uint8Array<ArrayBuffer>} data */
async function sha256(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** @param {...Uint8Array} parts @returns {Uint8Array<ArrayBuffer>} */
function join(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** @param {string} text base64 @returns {Uint8Array<ArrayBuffer>} */
function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** @param {Uint8Array} data */
function hex(data) {
  return [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
function same(a, b) {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
