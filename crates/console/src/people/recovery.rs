//! Recovery codes: ten texts on paper, each good once in place of the second factor.

use bartizan_core::Cx;

use super::codes;

const CODES: usize = 10;
/// 80 bits: nobody guesses it, so a fast hash is enough.
const CODE_BYTES: usize = 10;

/// New codes, and the hashes that rest.
pub(crate) fn make(cx: &Cx) -> (Vec<String>, Vec<String>) {
    let code = |_| {
        let text = codes::base32(&cx.random::<CODE_BYTES>()).to_lowercase();
        let letters: Vec<char> = text.chars().collect();
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join("-")
    };
    let shown: Vec<String> = (0..CODES).map(code).collect();
    let hashes = shown.iter().map(|code| codes::hash(&plain(code))).collect();
    (shown, hashes)
}

/// Takes a code out, once. Says whether it was among them.
pub(crate) fn take(cx: &Cx, hashes: &mut Vec<String>, code: &str) -> bool {
    let hash = codes::hash(&plain(code));
    let before = hashes.len();
    hashes.retain(|known| !codes::same(cx, known, &hash));
    hashes.len() < before
}

/// As people type it: with or without hyphens, in any case.
fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_counts_once_however_it_is_typed() {
        let (cx, _) = bartizan_core::sim::cx(5);
        let (shown, mut hashes) = make(&cx);
        assert_eq!((shown.len(), hashes.len()), (10, 10));
        let first = shown.first().expect("ten");
        assert_eq!(first.len(), 19, "{first}");
        assert!(take(&cx, &mut hashes, &first.replace('-', " ").to_uppercase()));
        assert!(!take(&cx, &mut hashes, first), "used");
        assert!(!take(&cx, &mut hashes, ""));
        assert!(!take(&cx, &mut hashes, "aaaa-bbbb-cccc-dddd"));
        assert_eq!(hashes.len(), 9);
        assert!(!hashes.iter().any(|hash| hash.contains(first)));
    }
}
