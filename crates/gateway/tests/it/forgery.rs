//! Ways past the checks on the way upstream: none compiles.

#[test]
fn no_way_upstream_leads_past_the_checks() {
    trybuild::TestCases::new().compile_fail("tests/forge/*.rs");
}
