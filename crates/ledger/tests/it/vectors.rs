//! Published vectors: RFC 6962's tree of eight leaves, and, where
//! `BARTIZAN_MATERIAL` names a folder that has them, the full set of proofs.

use std::{fs, path::Path, process::Command};

use bartizan_ledger::{tree, verify_consistency, verify_inclusion};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inputs and roots of the reference implementation of RFC 6962
/// (certificate-transparency, `cpp/merkletree/merkle_tree_test.cc`).
#[test]
fn the_roots_are_those_of_the_reference_implementation() {
    let inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = tree::Frontier::default();
    assert_eq!(
        hex(&frontier.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (input, root) in inputs.iter().zip(roots) {
        let digit = |i: usize| input.get(2 * i..2 * i + 2).expect("two digits");
        let bytes: Vec<u8> =
            (0..input.len() / 2).map(|i| u8::from_str_radix(digit(i), 16).expect("hex")).collect();
        frontier.push(tree::leaf(&bytes));
        assert_eq!(hex(&frontier.root()), root);
    }
}

fn hashes(value: &Value) -> Option<Vec<tree::Hash>> {
    let Some(list) = value.as_array() else { return Some(Vec::new()) };
    list.iter().map(|hash| STANDARD.decode(hash.as_str()?).ok()?.try_into().ok()).collect()
}

fn hash(value: &Value) -> Option<tree::Hash> {
    STANDARD.decode(value.as_str()?).ok()?.try_into().ok()
}

/// A root; some cases give text that is no hash, of which only equality matters.
fn root(value: &Value) -> tree::Hash {
    let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    bytes.as_slice().try_into().unwrap_or_else(|_| tree::leaf(&bytes))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn inclusion(case: &Value) -> bool {
    let parts = (hash(&case["leafHash"]), hashes(&case["proof"]), hash(&case["root"]));
    let (Some(leaf), Some(proof), Some(root)) = parts else { return false };
    verify_inclusion(&leaf, number(&case["leafIdx"]), number(&case["treeSize"]), &proof, &root)
}

fn consistency(case: &Value) -> bool {
    let (old, new) = (root(&case["root1"]), root(&case["root2"]));
    let Some(proof) = hashes(&case["proof"]) else { return false };
    verify_consistency(number(&case["size1"]), number(&case["size2"]), &old, &new, &proof)
}

fn check(folder: &Path, verify: fn(&Value) -> bool) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            count += check(&path, verify);
        } else if path.extension().is_some_and(|e| e == "json") {
            let case: Value =
                serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
            let expected = case["wantErr"] != true;
            assert_eq!(verify(&case), expected, "{}: {}", path.display(), case["desc"]);
            count += 1;
        }
    }
    count
}

#[test]
fn every_published_proof_is_judged_right() {
    let Ok(material) = std::env::var("BARTIZAN_MATERIAL") else {
        eprintln!(
            "!! SKIPPED: the RFC 6962 proof vectors: BARTIZAN_MATERIAL names no folder with supply/tlog.tar.xz"
        );
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let archive = Path::new(&material).join("supply/tlog.tar.xz");
    let status = Command::new("tar")
        .arg("xJf")
        .arg(&archive)
        .arg("-C")
        .arg(dir.path())
        .status()
        .expect("tar");
    assert!(status.success(), "{}", archive.display());
    let vectors = dir.path().join("tlog/rfc6962");
    let count = check(&vectors.join("inclusion"), inclusion)
        + check(&vectors.join("consistency"), consistency);
    assert!(count >= 196, "only {count} vectors");
}
