//! Ways to get at a token without the check: none compiles.

#[test]
fn tokens_cannot_be_forged_copied_or_skipped() {
    trybuild::TestCases::new().compile_fail("tests/forge/*.rs");
}
