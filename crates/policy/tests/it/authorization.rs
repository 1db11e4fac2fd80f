//! Authorization: the shipped policies, the operator's, and what is wrong with some.

use std::{sync::LazyLock, time::Duration};

use bartizan_core::{Cx, Tenant, sim};
use bartizan_policy::{
    Access, Approval, Area, Authorizer, Denied, Error, Grant, Key, Person, Principal, Request,
    Role, fits,
};
use proptest::prelude::*;

const CALL: Access<'_> = Access::Call { route: "chat", model: "gpt-4o-mini" };

fn ask(extra: &str, principal: Principal<'_>, access: Access<'_>) -> Result<Grant, Denied> {
    let (cx, _) = sim::cx(1);
    ask_at(&cx, extra, principal, access)
}

fn ask_at(cx: &Cx, extra: &str, who: Principal<'_>, access: Access<'_>) -> Result<Grant, Denied> {
    let tenant = Tenant::default();
    let authorizer = Authorizer::new(extra).expect("valid policies");
    let authorized = authorizer.authorize(cx, &Request::new(who, &tenant, access))?;
    Ok(authorized.into_inner())
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn a_grant_says_who_what_and_why() {
    let tenant = Tenant::default();
    let grant = ask("", Principal::Key(Key::new("key-1", &tenant)), CALL).unwrap();
    assert_eq!(grant.principal, r#"Key::"key-1""#);
    assert_eq!((grant.action, grant.resource.as_str()), ("call", r#"Model::"gpt-4o-mini""#));
    assert_eq!((grant.policies, grant.tenant), (names(&["key-call"]), tenant));
}

#[test]
fn a_key_is_for_its_routes_and_models() {
    let tenant = Tenant::default();
    for (routes, models, allowed) in [
        (&["chat"][..], &["gpt-4o*"][..], true),
        (&[], &["gpt-4o*"], true),
        (&["chat"], &[], true),
        (&["code", "chat"], &["o1", "*mini"], true),
        (&["code"], &["gpt-4o*"], false),
        (&["chat"], &["gpt-4o"], false),
        (&["chat*"], &[], false),
    ] {
        let (routes, models) = (names(routes), names(models));
        let key = Key { routes: &routes, models: &models, ..Key::new("key-1", &tenant) };
        let answer = ask("", Principal::Key(key), CALL);
        assert_eq!(answer.is_ok(), allowed, "{routes:?} {models:?}: {answer:?}");
    }
}

#[test]
fn what_no_policy_permits_is_denied_with_who_and_what() {
    let (tenant, models) = (Tenant::default(), names(&["o1"]));
    let key = Key { models: &models, ..Key::new("key-1", &tenant) };
    let denied = ask("", Principal::Key(key), CALL).unwrap_err();
    assert_eq!(
        denied.reason,
        "no policy lets key `key-1` call model `gpt-4o-mini` through route `chat`"
    );
    assert!(denied.policies.is_empty());
}

#[test]
fn what_cannot_be_seen_needs_a_key_for_every_model() {
    let (tenant, models) = (Tenant::default(), names(&["gpt-4o*"]));
    let narrow = Principal::Key(Key { models: &models, ..Key::new("key-1", &tenant) });
    let wide = Principal::Key(Key::new("key-2", &tenant));
    assert!(ask("", narrow, Access::Pass { route: "chat" }).is_err());
    assert!(ask("", wide, Access::Pass { route: "chat" }).is_ok());
    assert!(ask("", narrow, Access::Inspect { route: "chat" }).is_ok());
}

#[test]
fn revoked_expired_and_foreign_keys_are_forbidden_whatever_permits_them() {
    let permit_all = "permit (principal, action, resource);";
    let (cx, clock) = sim::cx(1);
    let (here, there) = (Tenant::default(), "there".parse::<Tenant>().unwrap());
    let revoked = Key { revoked: true, ..Key::new("key-1", &here) };
    let ends = Some(cx.now().after(Duration::from_secs(1)));
    let expiring = Key { expires_at: ends, ..Key::new("key-2", &here) };
    let forbidden =
        |key| ask_at(&cx, permit_all, Principal::Key(key), CALL).map_err(|denied| denied.reason);
    assert_eq!(forbidden(revoked), Err("the key was revoked".to_owned()));
    let foreign = forbidden(Key::new("key-3", &there));
    assert_eq!(foreign, Err("the key belongs to another tenant".to_owned()));
    assert!(forbidden(expiring).is_ok());
    clock.advance_ms(1000);
    assert_eq!(forbidden(expiring), Err("the key has expired".to_owned()));
}

#[test]
fn an_administrator_reads_manages_and_decides() {
    let (cx, _) = sim::cx(1);
    let ada = Principal::Administrator("ada");
    for area in Area::ALL {
        assert!(ask("", ada, Access::Read(area)).is_ok());
        assert!(ask("", ada, Access::Manage(area)).is_ok());
    }
    let request = |by| Approval::request(&cx, "break-glass", "x", "", by, Duration::from_secs(60));
    assert!(ask("", ada, Access::Decide(&request("ada"))).is_ok());
    assert!(ask("", ada, Access::Decide(&request("bob").by_another())).is_ok());
    let own = ask("", ada, Access::Decide(&request("ada").by_another())).unwrap_err();
    assert_eq!(own.policies, ["another-person"]);
}

fn person(role: Role) -> Principal<'static> {
    Principal::Person(Person { id: "p-1", name: "eve", actor: "person:p-1", role })
}

#[test]
fn roles_read_all_and_manage_what_is_theirs() {
    for (role, manages) in [
        (Role::Administrator, Area::ALL.to_vec()),
        (
            Role::Operator,
            vec![
                Area::Keys,
                Area::Routes,
                Area::Approvals,
                Area::Findings,
                Area::Assets,
                Area::Account,
            ],
        ),
        (Role::Analyst, vec![Area::Approvals, Area::Findings, Area::Account]),
        (Role::Auditor, vec![Area::Account]),
    ] {
        for area in Area::ALL {
            assert!(ask("", person(role), Access::Read(area)).is_ok(), "{role} reads {area:?}");
            let answer = ask("", person(role), Access::Manage(area));
            assert_eq!(answer.is_ok(), manages.contains(&area), "{role} manages {area:?}");
        }
    }
}

#[test]
fn all_but_auditors_decide_and_never_what_they_asked_for() {
    let (cx, _) = sim::cx(1);
    let request = |by| Approval::request(&cx, "break-glass", "x", "", by, Duration::from_secs(60));
    for role in Role::ALL {
        let decides = |approval: &Approval| ask("", person(role), Access::Decide(approval));
        assert_eq!(
            decides(&request("key:1").by_another()).is_ok(),
            role != Role::Auditor,
            "{role}"
        );
        assert!(decides(&request("person:p-1").by_another()).is_err(), "{role}");
        // Another account of the same name is another person.
        assert_eq!(decides(&request("eve").by_another()).is_ok(), role != Role::Auditor, "{role}");
    }
}

#[test]
fn a_person_is_denied_by_name_and_role() {
    let denied = ask("", person(Role::Auditor), Access::Manage(Area::Keys)).unwrap_err();
    assert_eq!(denied.reason, "no policy lets `eve` (auditor) manage keys");
    let extra = r#"@id("no-eve") @reason("eve is on leave")
        forbid (principal, action == Action::"read", resource) when { principal.name == "eve" };"#;
    let denied = ask(extra, person(Role::Administrator), Access::Read(Area::Keys)).unwrap_err();
    assert_eq!(denied.reason, "eve is on leave");
}

#[test]
fn roles_have_names() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
    assert!("Administrator".parse::<Role>().is_err() && "".parse::<Role>().is_err());
}

#[test]
fn a_key_administers_nothing_and_a_person_calls_nothing() {
    let tenant = Tenant::default();
    let key = Principal::Key(Key::new("key-1", &tenant));
    let permit_all = "permit (principal, action, resource);";
    for access in Area::ALL.into_iter().flat_map(|area| [Access::Read(area), Access::Manage(area)])
    {
        assert!(ask(permit_all, key, access).is_err(), "{access:?}");
    }
    assert!(ask(permit_all, Principal::Administrator("ada"), CALL).is_err());
}

#[test]
fn the_operator_forbids_and_says_why() {
    let tenant = Tenant::default();
    let key = Principal::Key(Key { name: "support-bot", ..Key::new("key-1", &tenant) });
    let extra = r#"
        @id("no-mini") @reason("small models are for tests only")
        forbid (principal, action == Action::"call", resource)
        when { resource.name like "*-mini" && principal.name == "support-bot" };"#;
    let denied = ask(extra, key, CALL).unwrap_err();
    assert_eq!(denied.reason, "small models are for tests only");
    assert_eq!(denied.policies, ["no-mini"]);
    let silent = r#"forbid (principal, action == Action::"call", resource);"#;
    let denied = ask(silent, key, CALL).unwrap_err();
    assert_eq!(denied.reason, "forbidden by policy `operator-policy0`");
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    // The sum overflows: Cedar then leaves the policy out, and it forbids.
    let tenant = Tenant::default();
    let extra = r#"forbid (principal, action == Action::"call", resource)
        when { context.now + 9223372036854775807 > 0 };"#;
    let denied = ask(extra, Principal::Key(Key::new("key-1", &tenant)), CALL).unwrap_err();
    assert!(denied.reason.starts_with("denied, since the policies cannot be"), "{denied}");
}

#[track_caller]
fn refused(extra: &str, says: &str) {
    let problem = Authorizer::new(extra).expect_err("a wrong policy").to_string();
    assert!(problem.contains(says), "{problem}");
}

#[test]
fn wrong_policies_are_refused_with_what_and_where() {
    refused("permit (principal, action, resource);\npermit (principal", "operator: line 2: ");
    refused(r#"permit (principal == Kye::"a", action, resource);"#, "Kye");
    refused("forbid (principal, action, resource) when { principal.nmae == \"x\" };", "nmae");
    refused("forbid (principal, action, resource) when { context.now == \"x\" };", "schema");
    refused(r#"permit (principal == ?principal, action, resource);"#, "templates");
    refused(r#"@id("key-call") permit (principal, action, resource);"#, "`key-call` stands twice");
    let long = format!("// {}", "x".repeat(300_000));
    assert_eq!(Authorizer::new(&long).err(), Some(Error::TooLong { len: 300_003, max: 262_144 }));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,3}", Just("a\"b\\::\u{0}\u{1f600}".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    /// The shipped policies against what they mean, written in Rust.
    #[test]
    fn keys_may_call_what_their_lists_say(
        routes in proptest::collection::vec(name(), 0..3),
        models in proptest::collection::vec("[ab*]{0,3}", 0..3),
        (route, model) in (name(), name()),
        (revoked, foreign) in (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)),
        expires in proptest::option::of(-2i64..3),
    ) {
        let (cx, _) = sim::cx(1);
        let (here, there) = (Tenant::default(), "there".parse::<Tenant>().unwrap());
        let expires_at = expires
            .map(|offset| bartizan_core::Timestamp::from_millis(cx.now().millis() + offset));
        let tenant = if foreign { &there } else { &here };
        let key = Key { name: "k", routes: &routes, models: &models, expires_at, revoked, ..Key::new("key-1", tenant) };
        let expected = (routes.is_empty() || routes.contains(&route))
            && (models.is_empty() || models.iter().any(|pattern| fits(pattern, &model)))
            && !revoked && !foreign && expires.is_none_or(|offset| offset > 0);
        // Made once: reading the schema for each case would take the most time.
        static AUTHORIZER: LazyLock<Authorizer> =
            LazyLock::new(|| Authorizer::new("").expect("the shipped policies"));
        let access = Access::Call { route: &route, model: &model };
        // Once more with what is known of the call by then.
        for _ in 0..2 {
            let ask = Request::new(Principal::Key(key), &here, access);
            let answer = AUTHORIZER.authorize(&cx, &ask);
            prop_assert_eq!(answer.is_ok(), expected, "{:?}", answer);
        }
    }
}

/// Pieces of policies, in an order that often is one.
fn policies() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "permit",
        "forbid",
        "(principal, action, resource)",
        "when { ",
        "unless { ",
        " }",
        ";",
        "@id(\"a\")",
        "principal.name",
        "context.now",
        " == ",
        " in ",
        " like ",
        "\"x*\"",
        "Role::\"r\"",
        "[",
        "]",
        "1",
        " + ",
        "?principal",
        "\n",
        "// c\n",
        "\u{0}",
        "é",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_for_policies_ends_in_an_answer(text in policies()) {
        if let Err(problem) = Authorizer::new(&text) {
            prop_assert!(!problem.to_string().is_empty());
        }
    }
}
