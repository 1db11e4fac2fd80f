//! Ways past the checks on the way upstream: none compiles.

use std::path::Path;

use crate::forge;

#[test]
fn no_way_upstream_leads_past_the_checks() {
    forge::none_compiles(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forge"));
}
