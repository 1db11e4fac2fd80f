#!/usr/bin/env python3
"""Verifies a ledger from docs/reference/ledger-format.md alone, with nothing but Python.

Usage: verify_ledger.py DIR PUBLIC_KEY [REMEMBERED_CHECKPOINT_FILE]
Exit code 0: intact; 1: damaged; 2: could not be read.
"""
import base64, hashlib, json, pathlib, re, struct, sys
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
class Damaged(Exception): pass
def check(good, what):
    if not good: raise Damaged(what)
sha = lambda data: hashlib.sha256(data).digest()
def point(data):  # RFC 8032, section 5.1.3
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    check((x * x - square) % P == 0 and not (x == 0 and sign), "no point of the curve")
    x = P - x if x % 2 != sign else x
    return (x, y, 1, x * y % P)
def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return (i * j % P, k * m % P, j * k % P, i * m % P)
def times(n, a):
    out = (0, 1, 1, 0)
    while n:
        out, a, n = add(out, a) if n & 1 else out, add(a, a), n >> 1
    return out
def ed25519(key, text, signature):  # RFC 8032, section 5.1.7
    try:
        a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    except Damaged:
        return False
    base = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    left, right = times(s, base), add(r, times(k, a))
    return len(signature) == 64 and s < L and all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))
def parse_key(text):
    name, _, key = text.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    return name, sha(name.encode() + b"\n" + key)[:4], key[1:]
def parse_note(data):
    text, _, lines = data.decode().rpartition("\n\n")
    text, signatures = text + "\n", []
    check(len(text.split("\n")) >= 4 and lines.endswith("\n") and len(data) <= 65536, "a note is malformed")
    origin, size, root = text.split("\n")[:3]
    root = base64.b64decode(root, validate=True)
    check(re.fullmatch("0|[1-9][0-9]*", size) and origin and len(root) == 32, "a checkpoint is malformed")
    for match in (re.fullmatch("\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)", line) for line in lines.splitlines()):
        check(match, "a signature line is malformed")
        signatures.append((match[1], base64.b64decode(match[2], validate=True)))
    return origin, int(size), root, text.encode(), signatures
def signed(note, key):
    mine = [s[4:] for name, s in note[4] if name == key[0] and s[:4] == key[1]]
    return bool(mine) and all(ed25519(key[2], note[3], s) for s in mine)
def unbundle(data):
    out = []
    while data:
        check(len(data) >= 2 and len(data) >= 2 + struct.unpack(">H", data[:2])[0], "a bundle is cut")
        end = 2 + struct.unpack(">H", data[:2])[0]
        out, data = out + [data[2:end]], data[end:]
    return out
def bundle(folder, n, width):
    groups = "".join(f"x{g}/" for g in [part.zfill(3) for part in f"{n // 1000:,}".split(",")]) if n >= 1000 else ""
    full = folder / f"tile/entries/{groups}{n % 1000:03d}"
    partial = full.with_name(f"{full.name}.p") / str(width)
    found = unbundle((partial if partial.exists() else full).read_bytes())
    check(len(found) >= width, f"bundle {n} is too short")
    return found[:width]
def records(data):
    at = 0
    while at + 5 <= len(data) and any(data[at:]):
        length, kind = struct.unpack(">Ic", data[at:at + 5])
        check(length <= 65535, "a record of the journal is too long")
        if at + 5 + length > len(data): return
        yield kind, data[at + 5:at + 5 + length]
        at += 5 + length
def grow(leaves):
    levels = [leaves]
    while len(levels[-1]) > 1:
        last = levels[-1]
        levels.append([sha(b"\x01" + last[i] + last[i + 1]) for i in range(0, len(last) - 1, 2)])
    return levels
def root(levels, start, end):
    size = end - start
    if size & (size - 1) == 0:
        return levels[size.bit_length() - 1][start // size] if size else sha(b"")
    middle = start + (1 << (size - 1).bit_length() - 1)
    return sha(b"\x01" + root(levels, start, middle) + root(levels, middle, end))
def replay(folder, base, entries, notes):
    waiting, size = [], None
    for i, (kind, payload) in enumerate(records((folder / "journal").read_bytes())):
        check((kind == b"B") == (i == 0) and kind in b"BEC", "a record does not belong there")
        if kind == b"B":
            size = struct.unpack(">Q", payload)[0]
            check(size <= base, "the journal begins after the tiles end")
        elif kind == b"E":
            waiting.append(payload)
        else:
            for entry in waiting:
                check(size >= base or entries[size] == entry, f"entry {size} of the journal is another one")
                entries += [entry] if size >= base else []
                size += 1
            waiting, note = [], parse_note(payload)
            check(note[1] == size, "a checkpoint of the journal has another size")
            notes.append(note)
    check(notes and size is not None, "there is no checkpoint, or no journal")
def verify(folder, key, remembered):
    notes = [parse_note(path.read_bytes()) for path in folder.glob("checkpoint")]
    base = notes[0][1] if notes else 0
    entries = [e for n in range(-(-base // 256)) for e in bundle(folder, n, min(256, base - n * 256))]
    replay(folder, base, entries, notes)
    terms, levels = [(0, key)], grow([sha(b"\x00" + entry) for entry in entries])
    for index, entry in enumerate(entries):
        value = json.loads(entry)
        plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        check(plain == entry, f"entry {index} is not canonical")
        if value["kind"] == "ledger.key_rotated":
            terms.append((index + 1, parse_key(value["body"]["key"])))
    terms = terms[max((i for i, (_, k) in enumerate(terms) if k == key), default=0):]
    for (_, old), (size, new) in zip(terms, terms[1:]):
        note = parse_note((folder / f"rotations/{size:020d}").read_bytes())
        good = note[1] == size and note[2] == root(levels, 0, size) and signed(note, old) and signed(note, new)
        check(good, f"the rotation at {size} is not vouched for")
    for note in notes:
        check(note[1] <= len(entries) and note[2] == root(levels, 0, note[1]), f"the checkpoint of size {note[1]} has another root")
        fitting = [k for size, k in terms if size <= note[1]]
        check(not fitting or signed(note, fitting[-1]) and note[0] == fitting[-1][0], f"the checkpoint of size {note[1]} is not signed")
    for path in (folder / "tile").rglob("*"):
        match = re.fullmatch(r"tile/(entries|[0-7])/((?:x\d{3}/)*\d{3})(?:\.p/(\d+))?", path.relative_to(folder).as_posix())
        if match and path.is_file():
            n, width, level = int(re.sub("[x/]", "", match[2])), int(match[3] or 256), 0 if match[1] == "entries" else 8 * int(match[1])
            nodes, data = levels[level][n * 256:n * 256 + width] if level < len(levels) else [], path.read_bytes()
            leaves = [sha(b"\x00" + e) for e in unbundle(data)] if match[1] == "entries" else [data[i:i + 32] for i in range(0, len(data), 32)]
            check(nodes == leaves and len(nodes) == width, f"{path.name} is not what was signed")
    if remembered and remembered[0] == notes[-1][0]:
        check(remembered[1] <= len(entries) and root(levels, 0, remembered[1]) == remembered[2], "rolled back or rewritten")
    return len(entries)
def main(folder, key, *remembered):
    try:
        print("intact:", verify(pathlib.Path(folder), parse_key(key), parse_note(pathlib.Path(remembered[0]).read_bytes()) if remembered else None), "entries")
        return 0
    except (Damaged, OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        print("damaged:", error)
        return 1
sys.exit(main(*sys.argv[1:]) if len(sys.argv) in (3, 4) and pathlib.Path(sys.argv[1]).is_dir() else 2)
