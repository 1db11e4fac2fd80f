//! Ways to get at a token without the check: none compiles.

use std::path::Path;

use crate::forge;

#[test]
fn tokens_cannot_be_forged_copied_or_skipped() {
    forge::none_compiles(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forge"));
}
