#!/usr/bin/env python3
"""Verifies a ledger from docs/reference/ledger-format.md alone, with nothing but Python.

Usage: verify_ledger.py DIR PUBLIC_KEY [REMEMBERED_CHECKPOINT_FILE]; exit code 0: intact; 1: damaged; 2: could not be verified."""
import base64, functools, hashlib, json, pathlib, re, struct, sys
P, L, BODY = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493, 8388608
KINDS = [(level, level) for level in range(8)] + [("entries", 0)]
D = -121665 * pow(121666, P - 2, P) % P
sha = lambda data: hashlib.sha256(data).digest()
class Damaged(Exception): pass
def check(good, what):
    if not good: raise Damaged(what)
    return True
def point(data):  # RFC 8032, section 5.1.3
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x % 2 != sign else x
    return check((x * x - square) % P == 0, "no point of the curve") and (x, y, 1, x * y % P)
def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return ((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)
def times(n, a, out=(0, 1, 1, 0)):
    while n: out, a, n = add(out, a) if n & 1 else out, add(a, a), n >> 1
    return out
@functools.cache
def ed25519(key, text, signature):
    if len(signature) != 64 or (s := int.from_bytes(signature[32:], "little")) >= L: return False
    (x, y, z, t), base = point(key), point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    x, y, z, _ = add(times(s, base), times(k, (P - x, y, z, P - t)))
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]
def decode(text):
    data = base64.b64decode(text, validate=True)
    return check(base64.b64encode(data).decode() == text, "base64 with unused bits") and data
def parse_key(text):
    name, number, data = text.strip().split("+", 2)
    data = decode(data)
    return check(len(data) == 33 and data[0] == 1 and sha(name.encode() + b"\n" + data)[:4].hex() == number, "no key") and (name, data)
def parse_note(data):
    check(len(data) <= 65536 and data.endswith(b"\n") and not re.search(rb"[\0-\x09\x0b-\x1f]", data), "a note is malformed")
    text, parted, lines = data.decode()[:-1].rpartition("\n\n")
    origin, size, number, *more = text.split("\n") + [""] * (2 - text.count("\n"))
    lines, number = lines.split("\n"), decode(number)
    is_size = re.fullmatch("0|[1-9][0-9]{,19}", size) and int(size) < 2**64
    check(parted and origin and is_size and all(more) and len(number) == 32 and len(lines) <= 64, "a note is malformed")
    lines = [check(match := re.fullmatch(r"— ([^\s+]+) (\S+)", line), "no signature line") and (match[1], decode(match[2])) for line in lines]
    check(all(len(signature) >= 4 for _, signature in lines), "a signature is too short")
    return origin, int(size), number, (text + "\n").encode(), lines
def signed(note, key):
    mine = [signature[4:] for name, signature in note[4] if name == key[0] and signature[:4] == sha(key[0].encode() + b"\n" + key[1])[:4]]
    return note[0] == key[0] and bool(mine) and all(ed25519(key[1][1:], note[3], one) for one in mine)
def pairs(items):
    keys = [key.encode("utf-16-be") for key, _ in items]
    return check(keys == sorted(set(keys)), "keys are out of order or twice") and dict(items)
def whole(text): return check(len(text) < 18 and abs(int(text)) < 2**53, "a number is too large, or not whole") and int(text)
def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)
def parse_entry(data):
    value = json.loads(data.decode(), object_pairs_hook=pairs, parse_int=whole, parse_float=whole, parse_constant=whole)
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return check(plain == data and depth(value) <= 64, "an entry is not canonical") and (value if isinstance(value, dict) else {})
def split(data, count=2**64):
    out = []
    while len(data) and len(out) < count:
        out.append(bytes(data[2:(end := 2 + struct.unpack(">H", data[:2])[0])]))
        data = check(len(data) >= end, "an entry is cut") and data[end:]
    return out, bytes(data)
def zeros(data, place, end):
    return any(not any(one) for at in range(place // 512 * 512, end, 512) if len(one := data[max(at, place):at + 512]) > 1)
def batches(data):
    check(data[:19] == b"bartizan journal 1\n" and len(data) >= 27, "no journal")
    place, due = 27, struct.unpack(">Q", data[19:27])[0]
    while len(data) - place >= 56:
        length, count, first, digest, mark = struct.unpack(">IIQ32s8s", data[place:place + 56])
        start, end = place + 56, place + 56 + length
        if sha(data[place:place + 48])[:8] != mark or length > BODY or count == 0:
            return check(len(data) - place <= 56 + BODY and zeros(data, place, start), "the head of a batch was altered")
        if end > len(data): return
        if sha(data[start:end]) != digest:
            return check(end == len(data) and zeros(data, -(-start // 512) * 512, end), "a batch was altered")
        (entries, note), place = split(memoryview(data)[start:end], count), end
        due = check(first == due and len(entries) == count, "a batch does not follow the one before") and due + count
        yield first, entries, parse_note(note)
def root(levels, start, end):
    if (size := end - start) & (size - 1) == 0: return levels[size.bit_length() - 1][start // size] if size else sha(b"")
    middle = start + (1 << (size - 1).bit_length() - 1)
    return sha(b"\x01" + root(levels, start, middle) + root(levels, middle, end))
def name(kind, n, width):
    *above, last = [group.zfill(3) for group in f"{n:,}".split(",")]
    return f"tile/{kind}/" + "".join(f"x{group}/" for group in above) + last + (f".p/{width}" if width < 256 else "")
def read(files, notes, journal):
    entries, tiled, end = [], notes[0][1] if notes else 0, struct.unpack(">Q", journal[19:27])[0]
    for n, width in ((n, min(256, tiled - 256 * n)) for n in range(-(-tiled // 256))):
        found = split(files.get(name("entries", n, width), files.get(name("entries", n, 256))).read_bytes())[0]
        entries += check(len(found) >= width, "a bundle is too short") and found[:width]
    check(end <= tiled, "the journal begins after the tiles end")
    for first, batch, note in batches(journal):
        end = first + len(batch)
        check(note[1] == end and all(i >= tiled or entries[i] == e for i, e in enumerate(batch, first)), "the journal does not fit the tiles")
        entries += batch[max(0, tiled - first):]
        notes.append(note)
    check(notes and entries and end >= tiled, "there is no checkpoint, or the journal ends before the tiles")
    return entries, tiled
def verify(folder, key, remembered):
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    notes = [parse_note(files["checkpoint"].read_bytes())] if "checkpoint" in files else []
    (entries, tiled), terms = read(files, notes, files["journal"].read_bytes()), [(0, key)]
    levels, values = [[sha(b"\x00" + entry) for entry in entries]], [parse_entry(entry) for entry in entries]
    while len(levels[-1]) > 1: levels.append([sha(b"\x01" + left + right) for left, right in zip(levels[-1][::2], levels[-1][1::2])])
    terms += [(i + 1, parse_key(value["body"]["key"])) for i, value in enumerate(values) if value.get("kind") == "ledger.key_rotated"]
    terms = terms[max((i for i, (_, other) in enumerate(terms) if other == key), default=0):]
    for note in notes:
        check(note[1] <= len(entries) and note[2] == root(levels, 0, note[1]) and note[0] == notes[-1][0], "a checkpoint has another root or origin")
        term = [other for size, other in terms if size <= note[1]][-1:]
        check(signed(note, term[0]) if term else note is not notes[-1], "a checkpoint is not signed")
    vouchers = {file[10:]: parse_note(path.read_bytes()) for file, path in files.items() if re.match(r"rotations/(?!.*\.tmp$)", file)}
    check(all(f"{note[1]:020d}" == file for file, note in vouchers.items()), "a voucher is of another size")
    for (_, old), (size, new) in zip(terms, terms[1:]):
        note = vouchers.get(f"{size:020d}") or next((note for note in notes if note[1] == size), None)
        check(note and note[2] == root(levels, 0, size) and signed(note, old) and signed(note, new), "a change of keys is not vouched for")
    for kind, have, n in [(kind, tiled >> 8 * level, n) for kind, level in KINDS for n in range(-(-(tiled >> 8 * level) // 256))]:
        check(name(kind, n, min(256, have - 256 * n)) in files or name(kind, n, 256) in files, f"tile {n} of {kind} is missing")
    for file, path in files.items():
        match = re.fullmatch(r"tile/(entries|[0-7])/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", file, re.A)
        n, width = (int(re.sub("[x/]", "", match[2])), int(match[3] or 256)) if match else (0, 0)
        if not match or name(match[1], n, width) != file or width > 256: continue
        level, data = 0 if match[1] == "entries" else 8 * int(match[1]), path.read_bytes()
        found = [sha(b"\x00" + e) for e in split(data)[0]] if match[1] == "entries" else [data[i:i + 32] for i in range(0, len(data), 32)]
        nodes = levels[level][n * 256:n * 256 + width] if level < len(levels) else []
        check(len(nodes) == width and nodes == found, file + " is not what was signed")
    if remembered and remembered[0] == notes[-1][0]:
        check(remembered[1] <= len(entries) and root(levels, 0, remembered[1]) == remembered[2], "rolled back or rewritten")
    elif remembered:
        heir = values[0]["body"]["previous"]
        same = heir["size"] > remembered[1] or (heir["size"], decode(heir["root"])) == remembered[1:3]
        check(heir["origin"] == remembered[0] and same, "the remembered head is of another log")
    return len(entries)
def main(folder, key, *memory):
    try: key, memory = parse_key(key), parse_note(pathlib.Path(*memory).read_bytes()) if memory else None
    except (Damaged, OSError, ValueError) as error: return print("cannot verify:", error) or 2
    try: return print("intact:", verify(pathlib.Path(folder), key, memory), "entries") or 0
    except (Damaged, OSError, LookupError, TypeError, AttributeError, ValueError, RecursionError, struct.error) as error:
        return print("damaged:", error) or 1
if __name__ == "__main__": sys.exit(main(*sys.argv[1:]) if len(sys.argv) in (3, 4) and pathlib.Path(sys.argv[1]).is_dir() else 2)
