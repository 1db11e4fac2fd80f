//! Approvals: one thing, once, for a while, by the right person.

use std::time::Duration;

use bartizan_core::{Cx, sim};
use bartizan_policy::{Approval, Decision, Error};
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);
const THING: &str = "hmac-sha256:aa";

fn asked(cx: &Cx) -> Approval {
    Approval::request(cx, "held-request", THING, "GD001 spoke", "key-1", HOUR)
}

fn approved(cx: &Cx) -> Approval {
    let mut approval = asked(cx);
    approval.decide(cx, "ada", Decision::Approve, "a test").unwrap();
    approval
}

#[test]
fn an_approved_thing_passes_once() {
    let (cx, _) = sim::cx(1);
    let mut approval = approved(&cx);
    let passed = approval.redeem(&cx, THING, "the thing").unwrap();
    assert_eq!(passed.approval(), approval.id);
    assert_eq!(*passed.get(), "the thing");
    assert_eq!(passed.into_inner(), "the thing");
    assert_eq!(approval.state_name(), "used");
    let again = approval.redeem(&cx, THING, "the thing").unwrap_err();
    assert_eq!(again, Error::Used { id: approval.id, at: cx.now() });
}

#[test]
fn another_thing_does_not_pass_and_does_not_use_it_up() {
    let (cx, _) = sim::cx(1);
    let mut approval = approved(&cx);
    for other in ["hmac-sha256:ab", "", "hmac-sha256:a", "hmac-sha256:aa "] {
        let refused = approval.redeem(&cx, other, ()).unwrap_err();
        assert!(matches!(refused, Error::OtherSubject { .. }), "{other}: {refused}");
    }
    assert!(approval.redeem(&cx, THING, ()).is_ok());
}

#[test]
fn without_a_yes_nothing_passes() {
    let (cx, _) = sim::cx(1);
    let mut pending = asked(&cx);
    assert_eq!(pending.redeem(&cx, THING, ()).unwrap_err(), Error::Pending { id: pending.id });
    let mut denied = asked(&cx);
    denied.decide(&cx, "ada", Decision::Deny, "looks like an attack").unwrap();
    let refused = denied.redeem(&cx, THING, ()).unwrap_err().to_string();
    assert!(refused.ends_with("was denied by `ada`: looks like an attack"), "{refused}");
}

#[test]
fn time_runs_out_for_deciding_and_for_using() {
    let (cx, clock) = sim::cx(1);
    let (mut late, mut unused) = (asked(&cx), approved(&cx));
    clock.advance_ms(3_599_999);
    assert!(late.is_pending(&cx) && !unused.is_expired(&cx));
    clock.advance_ms(1);
    assert!(!late.is_pending(&cx));
    let decided = late.decide(&cx, "ada", Decision::Approve, "").unwrap_err();
    assert!(matches!(decided, Error::Expired { .. }), "{decided}");
    let used = unused.redeem(&cx, THING, ()).unwrap_err();
    assert!(matches!(used, Error::Expired { .. }), "{used}");
    assert_eq!(unused.state_name(), "approved");
}

#[test]
fn a_decision_stands() {
    let (cx, _) = sim::cx(1);
    for first in [Decision::Approve, Decision::Deny] {
        let mut approval = asked(&cx);
        approval.decide(&cx, "ada", first, "").unwrap();
        for second in [Decision::Approve, Decision::Deny] {
            let again = approval.decide(&cx, "bob", second, "").unwrap_err();
            assert!(matches!(again, Error::Decided { .. }), "{again}");
        }
    }
}

#[test]
fn where_two_people_are_asked_for_one_is_not_enough() {
    let (cx, _) = sim::cx(1);
    let mut approval = asked(&cx).by_another();
    let alone = approval.decide(&cx, "key-1", Decision::Approve, "").unwrap_err();
    assert!(matches!(alone, Error::SamePerson { .. }), "{alone}");
    assert_eq!(approval.decide(&cx, "ada", Decision::Approve, ""), Ok(()));
}

/// What may be done to an approval.
#[derive(Clone, Debug)]
enum Step {
    Decide(bool, Decision),
    Redeem(bool),
    Wait(i64),
    Rest,
}

fn step() -> impl Strategy<Value = Step> {
    let decision = prop_oneof![Just(Decision::Approve), Just(Decision::Deny)];
    prop_oneof![
        (any::<bool>(), decision).prop_map(|(same, decision)| Step::Decide(same, decision)),
        any::<bool>().prop_map(Step::Redeem),
        (0i64..2_000_000).prop_map(Step::Wait),
        Just(Step::Rest),
    ]
}

proptest! {
    /// Whatever is tried in whatever order: at most one pass, after a yes of
    /// another person, within the hour, for the right thing.
    #[test]
    fn an_approval_lets_at_most_one_thing_pass(steps in proptest::collection::vec(step(), 0..40)) {
        let (cx, clock) = sim::cx(1);
        let mut approval = asked(&cx).by_another();
        let (mut yes, mut decided, mut elapsed, mut passed) = (false, false, 0, 0);
        for step in steps {
            match step {
                Step::Decide(same, decision) => {
                    let by = if same { "key-1" } else { "ada" };
                    let accepted = approval.decide(&cx, by, decision, "").is_ok();
                    prop_assert_eq!(accepted, !decided && !same && elapsed < 3_600_000);
                    decided |= accepted;
                    yes |= accepted && decision == Decision::Approve;
                }
                Step::Redeem(right) => {
                    let subject = if right { THING } else { "hmac-sha256:ab" };
                    let redeemed = approval.redeem(&cx, subject, ()).is_ok();
                    prop_assert_eq!(redeemed, right && yes && passed == 0 && elapsed < 3_600_000);
                    passed += u32::from(redeemed);
                }
                Step::Wait(millis) => {
                    clock.advance_ms(millis);
                    elapsed += millis;
                }
                Step::Rest => {
                    let text = serde_json::to_string(&approval).unwrap();
                    approval = serde_json::from_str(&text).unwrap();
                }
            }
        }
        prop_assert!(passed <= 1);
    }
}
