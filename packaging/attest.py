"""Writes what goes beside a released binary: its bill of materials (CycloneDX 1.6,
`bartizan.cdx.json`) and, with a key, a signed statement that binds the two
(`bartizan.dsse.json`, and the public key as `release.pub`).

The bill lists what cargo builds the binary from, and no more: the graph comes from
`cargo tree`, which resolves features as a build does, and the checksums from Cargo.lock.
Two things are linked that no package list names: SQLite, whose source one crate carries,
and Rust's standard library.

The statement is in-toto's (v1) in a DSSE envelope, signed by openssl. Sources:
https://cyclonedx.org/docs/1.6/json, https://github.com/in-toto/attestation,
https://github.com/secure-systems-lab/dsse
"""

import argparse
import base64
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import tomllib
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "bartizan"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def cargo(*arguments):
    return run(os.environ.get("CARGO", "cargo"), *arguments)


def tree(edges, target):
    """What `cargo tree` shows along these edges: package -> those it depends on."""
    shown = cargo("tree", "--locked", "-p", PACKAGE, "--target", target, "-e", edges,
                  "--prefix", "depth", "--format", " {p}")
    graph, above = {}, []
    for line in shown.splitlines():
        depth, name, version = re.match(r"(\d+) (\S+) v(\S+)", line).groups()
        package = (name, version)
        graph.setdefault(package, set())
        del above[int(depth):]
        if above:
            graph[above[-1]].add(package)
        above.append(package)
    return graph


def reference(package):
    return "{}@{}".format(*package)


def purl(kind, name, version):
    return f"pkg:{kind}/{name}@{urllib.parse.quote(version, safe='.')}"


def component(package, locked, details, linked):
    name, version = package
    # Our own crates are in no registry: a name there would be somebody else's.
    checksum = locked[package].get("checksum")
    found = {
        "type": "library",
        "bom-ref": reference(package),
        "name": name,
        "version": version,
        "scope": "required" if package in linked else "excluded",
        "licenses": [{"expression": re.sub(r" */ *", " OR ", details[package]["license"])}],
        "purl": purl("cargo" if checksum else "generic", name, version),
    }
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return found


def generic(name, version, licence, **more):
    return {"type": "library", "bom-ref": f"{name}@{version}", "name": name, "version": version,
            "scope": "required", "licenses": [licence],
            "purl": purl("generic", name, version), **more}


def sqlite(details):
    """SQLite, as the crate that carries it says of itself."""
    crate = next(package for package in details if package[0] == "libsqlite3-sys")
    header = pathlib.Path(details[crate]["manifest_path"]).parent / "sqlite3/sqlite3.h"
    version = re.search(r'#define SQLITE_VERSION\s+"([\d.]+)"', header.read_text()).group(1)
    cpe = f"cpe:2.3:a:sqlite:sqlite:{version}:*:*:*:*:*:*:*"
    return crate, generic("sqlite", version, {"license": {"id": "blessing"}}, cpe=cpe)


def commit_time():
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct")
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)


def bill(digest, target):
    graph = tree("normal,build", target)
    linked = tree("normal,no-proc-macro", target).keys()
    with open(ROOT / "Cargo.lock", "rb") as file:
        locked = {(p["name"], p["version"]): p for p in tomllib.load(file)["package"]}
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--locked",
                                "--filter-platform", target))
    details = {(p["name"], p["version"]): p for p in metadata["packages"]}
    root = next(package for package in graph if package[0] == PACKAGE)

    application = component(root, locked, details, linked)
    application["type"] = "application"
    application["hashes"] = [{"alg": "SHA-256", "content": digest}]
    rust = re.search(r"release: (\S+)", run("rustc", "-vV")).group(1)
    either = {"expression": "MIT OR Apache-2.0"}
    standard = generic("rust-std", rust, either)
    carrier, database = sqlite(details)
    components = [component(package, locked, details, linked)
                  for package in sorted(graph) if package != root] + [database, standard]
    depends = {reference(package): {reference(one) for one in on} for package, on in graph.items()}
    depends[reference(carrier)].add(database["bom-ref"])
    depends[reference(root)].add(standard["bom-ref"])
    depends |= {database["bom-ref"]: set(), standard["bom-ref"]: set()}
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": commit_time().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "component": application,
            "properties": [{"name": "bartizan:target", "value": target}],
        },
        "components": components,
        "dependencies": [{"ref": one, "dependsOn": sorted(on)}
                         for one, on in sorted(depends.items())],
    }
    # The same release gives the same bill: its number comes from what it says.
    content = json.dumps(made, sort_keys=True)
    made["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return made


def sign(statement, key, out):
    payload = json.dumps(statement, separators=(",", ":")).encode()
    # What DSSE signs: the type and the payload, each with its length before it.
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(),
                                      len(payload), payload)
    public = out / "release.pub"
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    with tempfile.NamedTemporaryFile() as file:
        file.write(signed)
        file.flush()
        signature = subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", file.name],
            check=True, capture_output=True).stdout
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": hashlib.sha256(public.read_bytes()).hexdigest(),
                        "sig": base64.b64encode(signature).decode()}],
    }
    (out / "bartizan.dsse.json").write_text(json.dumps(envelope, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--target", required=True, help="what the binary was built for")
    parser.add_argument("--key", help="an Ed25519 private key, PEM")
    parser.add_argument("out", type=pathlib.Path, help="the folder with the binary")
    given = parser.parse_args()
    digest = hashlib.sha256((given.out / PACKAGE).read_bytes()).hexdigest()
    made = bill(digest, given.target)
    (given.out / "bartizan.cdx.json").write_text(json.dumps(made, indent=1) + "\n")
    if given.key:
        sign({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": PACKAGE, "digest": {"sha256": digest}}],
            "predicateType": "https://cyclonedx.org/bom",
            "predicate": made,
        }, given.key, given.out)


if __name__ == "__main__":
    main()
