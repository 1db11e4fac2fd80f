#!/usr/bin/env python3
"""Makes the corpus of the guard's classifier from the templates under training/corpus.

    python3 training/generate.py OUT.jsonl [--per-template 40] [--seed 1]

Each line of OUT has `id`, `label` (1 attack, 0 honest), `family`, `lang`, `channel`, `template`
(the file and line that it came from, by which it is split) and `text`. The same templates and
seed give the same file. No two texts of it are alike: of those whose word shingles have a
Jaccard similarity of 0.7 or more by MinHash (Broder, On the resemblance and containment of
documents, 1997), the first stays. How templates are written: training/corpus/FORMAT.md.
"""
import argparse
import collections
import hashlib
import json
import pathlib
import random
import re
import sys

HERE = pathlib.Path(__file__).parent / "corpus"
SLOT = re.compile(r"[a-z0-9_]+(:[a-z0-9_]+)?")
DEPTH_MAX = 8
# MinHash: rows of a band, and bands. Two texts of similarity 0.7 share a band with
# 1 - (1 - 0.7^4)^16 = 98.8 %.
ROWS, BANDS = 4, 16
ALIKE = 0.7


class Wrong(Exception):
    """What is wrong with a template, and where."""


def parse(text, place):
    """A template as a tree: texts, ('slot', name), ('one of', [trees])."""
    at = 0

    def sequence(ends):
        nonlocal at
        out, word = [], []

        def flush():
            if word:
                out.append("".join(word))
                word.clear()

        while at < len(text):
            letter = text[at]
            if letter == "\\" and at + 1 < len(text):
                word.append("\n" if text[at + 1] == "n" else text[at + 1])
                at += 2
            elif letter in ends:
                break
            elif letter == "{":
                flush()
                at += 1
                choices = [sequence("|}")]
                while at < len(text) and text[at] == "|":
                    at += 1
                    choices.append(sequence("|}"))
                if at >= len(text):
                    raise Wrong(f"{place}: a brace is not closed")
                at += 1
                out.append(("one of", choices))
            elif letter == "<" and (name := SLOT.match(text, at + 1)) and text[name.end():name.end() + 1] == ">":
                flush()
                out.append(("slot", name.group()))
                at = name.end() + 1
            else:
                word.append(letter)
                at += 1
        flush()
        return out

    tree = sequence("")
    return tree


class Slots:
    """The values of slots, for a language or for all."""

    def __init__(self, folders):
        self.values = {}
        for folder in folders:
            for path in sorted(folder.glob("*.txt")):
                lines = [line.rstrip("\n") for line in path.open(encoding="utf-8")]
                trees = [parse(line, path) for line in lines if line.strip() and not line.startswith("#")]
                self.values.setdefault((folder, path.name[:-4]), []).extend(trees)

    def of(self, folder, name, lang, place):
        for key in (f"{name}.{lang}", name):
            if found := self.values.get((folder, key)):
                return found
        raise Wrong(f"{place}: there is no slot `{name}` for `{lang}`")


def expand(tree, slots, folder, lang, place, rng, same, depth=0):
    if depth > DEPTH_MAX:
        raise Wrong(f"{place}: slots within one another without end")
    out = []
    for piece in tree:
        if isinstance(piece, str):
            out.append(piece)
        elif piece[0] == "one of":
            out.append(expand(rng.choice(piece[1]), slots, folder, lang, place, rng, same, depth))
        else:
            name, _, label = piece[1].partition(":")
            if label and (name, label) in same:
                out.append(same[name, label])
                continue
            value = rng.choice(slots.of(folder, name, lang, place))
            value = expand(value, slots, folder, lang, place, rng, same, depth + 1)
            if label:
                same[name, label] = value
            out.append(value)
    return "".join(out)


def templates():
    """Every template: its folder, place, head and tree."""
    for path in sorted(HERE.glob("*/*.txt")):
        head = None
        for number, line in enumerate(path.open(encoding="utf-8"), 1):
            line = line.rstrip("\n")
            place = f"{path.relative_to(HERE)}:{number}"
            if line.startswith("== "):
                head = dict(pair.partition("=")[::2] for pair in line[3:].split())
                missing = {"family", "label", "channel", "lang"} - head.keys()
                if missing or head["label"] not in "01":
                    raise Wrong(f"{place}: the head needs family, label (0 or 1), channel and lang")
            elif line.strip() and not line.startswith("#"):
                if head is None:
                    raise Wrong(f"{place}: a template before the first head")
                yield path.parent / "slots", place, head, parse(line, place)


def shingles(text):
    words = re.findall(r"\w", text) if re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text) else re.findall(r"\w+", text.lower())
    size = min(3, len(words))
    return {" ".join(words[at:at + size]) for at in range(len(words) - size + 1)} if size else {text}


class Alike:
    """Finds texts that were seen in nearly the same words."""

    def __init__(self):
        self.bands = [collections.defaultdict(list) for _ in range(BANDS)]
        self.seen = []
        rng = random.Random(7)
        self.salts = [rng.getrandbits(64) for _ in range(ROWS * BANDS)]

    def known(self, text):
        own = shingles(text)
        hashes = [int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest(), "big") for one in own]
        least = [min((value ^ salt) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF for value in hashes) for salt in self.salts]
        keys = [tuple(least[band * ROWS:(band + 1) * ROWS]) for band in range(BANDS)]
        near = {at for band, key in zip(self.bands, keys) for at in band.get(key, ())}
        for at in near:
            other = self.seen[at]
            if len(own & other) >= ALIKE * len(own | other):
                return True
        self.seen.append(own)
        for band, key in zip(self.bands, keys):
            band[key].append(len(self.seen) - 1)
        return False


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("out", type=pathlib.Path)
    ask.add_argument("--per-template", type=int, default=40)
    ask.add_argument("--seed", type=int, default=1)
    asked = ask.parse_args()
    folders = sorted(HERE.glob("*/slots"))
    slots = Slots(folders)
    alike, counts, made, dry = Alike(), collections.Counter(), 0, 0
    with asked.out.open("w", encoding="utf-8") as out:
        for folder, place, head, tree in templates():
            rng = random.Random(f"{asked.seed} {place}")
            kept = 0
            for _ in range(asked.per_template * 2):
                if kept >= asked.per_template:
                    break
                text = expand(tree, slots, folder, head["lang"], place, rng, {}).strip()
                if not text or alike.known(text):
                    continue
                kept += 1
                line = {"id": f"{place}#{kept}", "label": int(head["label"]), "family": head["family"],
                        "lang": head["lang"], "channel": head["channel"], "template": place, "text": text}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
            made += kept
            dry += kept < 5
            counts[head["label"], head["family"]] += 1
    for (label, family), count in sorted(counts.items()):
        print(f"{'attack' if label == '1' else 'honest'} {family}: {count} templates")
    print(f"{made} texts of {sum(counts.values())} templates, {dry} of which gave fewer than five")


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"error: {wrong}")
