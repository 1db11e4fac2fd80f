//! The bill of materials names everything that is in the binary, is signed together with
//! it, and whoever alters either is found out: by openssl and coreutils alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::{common::BINARY, has, root, shell, succeeds};

/// What the guide tells a user to run, one check a step.
fn verifying() -> String {
    let page = fs::read_to_string(root().join("docs/guides/release.md")).unwrap();
    let mut blocks = page.split("```sh\n").skip(1);
    let block = blocks.find(|block| block.contains("pkeyutl -verify")).expect("the guide verifies");
    block.split("```").next().unwrap().to_owned()
}

/// A release of the binary under test, made by the release script with a fresh key, in the
/// folder `dist`.
fn release(dir: &Path) -> Value {
    succeeds(dir, "openssl genpkey -algorithm ed25519 -out release.key 2> openssl.log");
    let script = format!(
        "CARGO={} bash {}/packaging/release.sh --key release.key --binary {BINARY} dist",
        env!("CARGO"),
        root().display()
    );
    succeeds(dir, &script);
    serde_json::from_slice(&fs::read(dir.join("dist/bartizan.cdx.json")).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {value}"))
}

/// Name and version -> checksum of every package of Cargo.lock.
fn locked() -> BTreeMap<(String, String), Option<String>> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let field = |package: &str, name: &str| {
        let start = format!("{name} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .skip(1)
        .map(|package| {
            let name = field(package, "name").unwrap();
            ((name, field(package, "version").unwrap()), field(package, "checksum"))
        })
        .collect()
}

/// The packages whose source files the binary names, as every panic does with its place:
/// what is in the binary by its own word.
fn named_by_the_binary() -> BTreeSet<String> {
    const BEFORE: &[u8] = b"/registry/src/";
    let bytes = fs::read(BINARY).unwrap();
    let mut found = BTreeSet::new();
    let mut rest = bytes.as_slice();
    while let Some(at) = rest.windows(BEFORE.len()).position(|window| window == BEFORE) {
        rest = &rest[at + BEFORE.len()..];
        // The registry's folder, then the package's, where a whole path stands.
        let path = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut parts = path.splitn(3, |byte| *byte == b'/').skip(1);
        if let (Some(folder), Some(_)) = (parts.next(), parts.next()) {
            found.insert(String::from_utf8_lossy(folder).into_owned());
        }
    }
    found
}

/// CycloneDX 1.6, section by section: what its schema requires, and that it fits together.
fn is_whole(bill: &Value) {
    assert_eq!(text(bill, "bomFormat"), "CycloneDX");
    assert_eq!(text(bill, "specVersion"), "1.6");
    assert_eq!(bill["version"], 1);
    let serial = text(bill, "serialNumber").strip_prefix("urn:uuid:").expect("a URN");
    assert_eq!(serial.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{serial}");
    let application = &bill["metadata"]["component"];
    assert_eq!(text(application, "type"), "application");
    assert_eq!(text(application, "version"), env!("CARGO_PKG_VERSION"));

    let components = bill["components"].as_array().unwrap();
    let mut references = BTreeSet::from([text(application, "bom-ref")]);
    for one in components {
        assert_eq!(text(one, "type"), "library");
        assert!(["required", "excluded"].contains(&text(one, "scope")), "{one}");
        assert!(text(one, "purl").starts_with("pkg:"), "{one}");
        let licence = &one["licenses"][0];
        assert!(licence["expression"].is_string() || licence["license"]["id"].is_string(), "{one}");
        for hash in one["hashes"].as_array().into_iter().flatten() {
            assert_eq!(text(hash, "alg"), "SHA-256");
            assert_eq!(text(hash, "content").len(), 64);
        }
        assert!(references.insert(text(one, "bom-ref")), "twice: {one}");
    }
    let mut described = BTreeSet::new();
    for one in bill["dependencies"].as_array().unwrap() {
        assert!(references.contains(text(one, "ref")), "resolves to nothing: {one}");
        assert!(described.insert(text(one, "ref")), "twice: {one}");
        for on in one["dependsOn"].as_array().unwrap() {
            assert!(references.contains(on.as_str().unwrap()), "resolves to nothing: {on}");
        }
    }
    assert_eq!(described, references, "the graph is not that of the components");
}

#[test]
fn the_bill_names_what_the_binary_is_made_of() {
    if !has("python3") || !has("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bill = release(dir.path());
    is_whole(&bill);

    let locked = locked();
    let mut linked = BTreeSet::new();
    let mut ours = 0;
    for one in bill["components"].as_array().unwrap() {
        let (name, version) = (text(one, "name").to_owned(), text(one, "version").to_owned());
        let folder = format!("{name}-{version}");
        match locked.get(&(name.clone(), version.clone())) {
            Some(Some(checksum)) => {
                assert_eq!(text(&one["hashes"][0], "content"), checksum, "{one}");
                let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
                assert_eq!(text(one, "purl"), purl);
            }
            Some(None) => {
                assert!(name.starts_with("bartizan-"), "{one}");
                ours += 1;
            }
            None => assert!(["sqlite", "rust-std"].contains(&name.as_str()), "{one}"),
        }
        if text(one, "scope") == "required" {
            linked.insert(folder);
        }
    }
    assert!(ours >= 8, "only {ours} of our own crates");
    let named = named_by_the_binary();
    assert!(named.len() > 40, "the binary names only {named:?}");
    let missing: Vec<&String> = named.difference(&linked).collect();
    assert!(missing.is_empty(), "in the binary, and not in its bill: {missing:?}");
    for crate_of_tests in ["proptest", "tempfile", "rcgen"] {
        assert!(!bill["components"].to_string().contains(crate_of_tests), "{crate_of_tests}");
    }
}

/// Takes seconds: the binary is copied and hashed for each alteration.
#[test]
fn a_release_verifies_without_us_and_an_altered_one_does_not() {
    if !has("python3") || !has("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let bill = release(dir);
    let verify = verifying();
    succeeds(dir, &verify);

    // The same inputs make the same bill.
    let first = fs::read(dir.join("dist/bartizan.cdx.json")).unwrap();
    assert_eq!(release(dir), bill);
    assert_eq!(fs::read(dir.join("dist/bartizan.cdx.json")).unwrap(), first);
    succeeds(dir, &verify);

    let envelope = "dist/bartizan.dsse.json";
    for (what, alter) in [
        ("a byte more in the binary", "printf x >> dist/bartizan".to_owned()),
        ("another version in the bill", "sed -i s/1.6/1.7/ dist/bartizan.cdx.json".to_owned()),
        (
            "a component less in the bill",
            "sed -i '/\"name\": \"ring\"/d' dist/bartizan.cdx.json".to_owned(),
        ),
        ("another payload", format!("sed -i 's/\"payload\":\"ey/\"payload\":\"fy/' {envelope}")),
        ("another signature", format!("sed -i 's/\"sig\":\"..../\"sig\":\"AAAA/' {envelope}")),
        ("no signature", format!("sed -i 's/\"sig\":\"[^\"]*\"/\"sig\":\"\"/' {envelope}")),
        (
            "another signer, who signs all of it",
            format!(
                "cp dist/release.pub pinned.pub; openssl genpkey -algorithm ed25519 -out other.key; \
                 CARGO={} bash {}/packaging/release.sh --key other.key --binary {BINARY} dist; \
                 cp pinned.pub dist/release.pub",
                env!("CARGO"),
                root().display()
            ),
        ),
    ] {
        succeeds(dir, &format!("cp -r dist whole; {alter}"));
        let output = shell(dir, &verify);
        assert!(!output.status.success(), "{what} was not noticed");
        succeeds(dir, "rm -rf dist; mv whole dist");
        succeeds(dir, &verify);
    }
}
