//! What people do to their own accounts. The API and the pages call these.

use axum::http::StatusCode;
use bartizan_core::Id;

use super::{
    account::{self, Account},
    enter::{self, is_local},
    recovery,
    sessions::{self, Begun, Origin, Stage},
    throttle,
    tokens::{self, NewToken},
    totp::Totp,
};
use crate::{
    Admin, Failure, door,
    permit::{Act, Permit},
    visitor::Preferences,
};

async fn account(admin: &Admin, permit: &Permit) -> Result<Account, Failure> {
    account::get(&admin.gateway.store, permit.person()?.id).await
}

/// The account of who asks.
pub(crate) async fn shown(admin: &Admin, permit: &Permit) -> Result<account::Shown, Failure> {
    Ok(account(admin, permit).await?.shown())
}

pub(crate) async fn set_preferences(
    admin: &Admin,
    permit: &Permit,
    preferences: Preferences,
) -> Result<(), Failure> {
    let mut account = account(admin, permit).await?;
    let subject = account.subject();
    let act = Act { kind: "person.preferences", subject: &subject, details: &[] };
    let work = async {
        account.facts.preferences = preferences;
        account.save(&admin.gateway.store).await
    };
    permit.act(admin, act, work).await
}

/// Sets another password. Every session ends; who asks gets a new one.
pub(crate) async fn set_password(
    admin: &Admin,
    permit: &Permit,
    (old, new): (&str, &str),
    from: &Origin,
) -> Result<Begun, Failure> {
    let mut account = account(admin, permit).await?;
    is_local(&account)?;
    enter::check(new, &account.facts.name)?;
    prove(admin, &account, old, from).await?;
    let stored = admin.people().passwords.hash(&admin.gateway.cx, new).await?;
    let subject = account.subject();
    let act = Act { kind: "person.password", subject: &subject, details: &[] };
    let work = async {
        account.secrets.password = Some(stored);
        account.save(&admin.gateway.store).await?;
        anew(admin, &account, from).await
    };
    permit.act(admin, act, work).await
}

/// That it is the person who asks, and not who found an open browser.
async fn prove(
    admin: &Admin,
    account: &Account,
    password: &str,
    from: &Origin,
) -> Result<(), Failure> {
    let gateway = &admin.gateway;
    let limits = gateway.store.limits();
    let id = account.id.to_string();
    let trying =
        throttle::begin(&*limits, gateway.cx.now(), "password", &id, &from.address).await?;
    let stored = account.secrets.password.as_deref();
    if !admin.people().passwords.verify(&gateway.cx, stored, password).await? {
        enter::refused(admin, from, "password_refused");
        let message = "your present password is not right";
        return Err(Failure::new(StatusCode::FORBIDDEN, "password_refused", message));
    }
    trying.forgive(&*limits).await;
    Ok(())
}

/// Another session in place of all that there are.
async fn anew(admin: &Admin, account: &Account, from: &Origin) -> Result<Begun, Failure> {
    sessions::end_all(&admin.gateway.store, account.id, None).await?;
    enter::begin(admin, account, Stage::Full, from).await
}

/// A second factor to set up: the same until it is confirmed or dropped.
pub(crate) async fn offer_factor(
    admin: &Admin,
    permit: &Permit,
) -> Result<(String, Totp), Failure> {
    let mut account = account(admin, permit).await?;
    is_local(&account)?;
    let name = account.facts.name.clone();
    if let Some(offered) = account.secrets.offered {
        return Ok((name, offered));
    }
    let offered = Totp::new(&admin.gateway.cx);
    account.secrets.offered = Some(offered.clone());
    account.save(&admin.gateway.store).await?;
    Ok((name, offered))
}

/// Puts the offered second factor in force, by its first code; in place of another, by
/// the password, too. Gives the recovery codes, which are shown this once, and another
/// session.
pub(crate) async fn confirm_factor(
    admin: &Admin,
    permit: &Permit,
    (code, password): (&str, &str),
    from: &Origin,
) -> Result<(Vec<String>, Begun), Failure> {
    let gateway = &admin.gateway;
    let mut account = account(admin, permit).await?;
    is_local(&account)?;
    if account.secrets.totp.is_some() {
        prove(admin, &account, password, from).await?;
    }
    let limits = gateway.store.limits();
    let id = account.id.to_string();
    let trying = throttle::begin(&*limits, gateway.cx.now(), "factor", &id, &from.address).await?;
    let offered = account.secrets.offered.take();
    let Some(mut totp) = offered else {
        return Err(Failure::invalid("no second factor is being set up; begin again"));
    };
    if !totp.take(&gateway.cx, code) {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "second_factor_refused",
            "the code is not right; check that the clock of your device is right, and try the next one",
        ));
    }
    trying.forgive(&*limits).await;
    let subject = account.subject();
    let act = Act { kind: "person.second_factor", subject: &subject, details: &[] };
    let work = async {
        let (shown, hashes) = recovery::make(&gateway.cx);
        account.secrets.totp = Some(totp);
        account.secrets.recovery = hashes;
        account.save(&gateway.store).await?;
        Ok::<_, Failure>((shown, anew(admin, &account, from).await?))
    };
    permit.act(admin, act, work).await
}

/// Takes the second factor away. It needs the password.
pub(crate) async fn drop_factor(
    admin: &Admin,
    permit: &Permit,
    password: &str,
    from: &Origin,
) -> Result<Begun, Failure> {
    let mut account = account(admin, permit).await?;
    if admin.people().factor_required() {
        return Err(Failure::invalid(
            "this installation demands a second factor (`people.second_factor`); set up another in its place",
        ));
    }
    prove(admin, &account, password, from).await?;
    let subject = account.subject();
    let act = Act { kind: "person.no_second_factor", subject: &subject, details: &[] };
    let work = async {
        account.secrets.totp = None;
        account.secrets.recovery.clear();
        account.save(&admin.gateway.store).await?;
        anew(admin, &account, from).await
    };
    permit.act(admin, act, work).await
}

/// Another ten recovery codes; those before are void. It needs the password.
pub(crate) async fn renew_recovery(
    admin: &Admin,
    permit: &Permit,
    password: &str,
    from: &Origin,
) -> Result<Vec<String>, Failure> {
    let mut account = account(admin, permit).await?;
    if account.secrets.totp.is_none() {
        return Err(Failure::invalid(
            "recovery codes stand in for a second factor; set one up first",
        ));
    }
    prove(admin, &account, password, from).await?;
    let subject = account.subject();
    let act = Act { kind: "person.recovery_codes", subject: &subject, details: &[] };
    let work = async {
        let (shown, hashes) = recovery::make(&admin.gateway.cx);
        account.secrets.recovery = hashes;
        account.save(&admin.gateway.store).await?;
        Ok::<_, Failure>(shown)
    };
    permit.act(admin, act, work).await
}

/// How many recovery codes are left.
pub(crate) async fn recovery_left(admin: &Admin, permit: &Permit) -> Result<usize, Failure> {
    Ok(account(admin, permit).await?.secrets.recovery.len())
}

/// The own sessions, newest first.
pub(crate) async fn sessions_of(
    admin: &Admin,
    permit: &Permit,
) -> Result<Vec<sessions::Shown>, Failure> {
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    let found = sessions::of(store, cx, admin.people().lasts(), permit.person()?.id).await?;
    Ok(found.iter().map(|(id, session)| session.shown(*id, permit.session())).collect())
}

/// Ends one of the own sessions.
pub(crate) async fn end_session(admin: &Admin, permit: &Permit, id: Id) -> Result<(), Failure> {
    let store = &admin.gateway.store;
    let session = sessions::get(store, id).await?;
    if session.person != permit.person()?.id {
        return Err(Failure::not_found(format!("you have no session `{id}`; it may have ended")));
    }
    let subject = format!("session:{id}");
    let act = Act { kind: "person.session.end", subject: &subject, details: &[] };
    permit.act(admin, act, sessions::end(store, id)).await.map(|_| ())
}

/// Ends all of the own sessions but the one that asks; says how many.
pub(crate) async fn end_others(admin: &Admin, permit: &Permit) -> Result<usize, Failure> {
    let id = permit.person()?.id;
    let subject = format!("person:{id}");
    let act = Act { kind: "person.session.end_others", subject: &subject, details: &[] };
    permit.act(admin, act, sessions::end_all(&admin.gateway.store, id, permit.session())).await
}

/// The own API tokens, newest first.
pub(crate) async fn tokens_of(
    admin: &Admin,
    permit: &Permit,
) -> Result<Vec<tokens::Shown>, Failure> {
    let found = tokens::of(&admin.gateway.store, permit.person()?.id).await?;
    Ok(found.iter().map(|(id, token)| token.shown(*id)).collect())
}

/// Makes an API token; its secret is shown this once.
pub(crate) async fn make_token(
    admin: &Admin,
    permit: &Permit,
    new: NewToken,
) -> Result<(tokens::Shown, String), Failure> {
    let person = permit.person()?.id;
    // A token that makes tokens would outlive its own end and scopes.
    let Some(session) = permit.session() else {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "denied",
            "not permitted: an API token makes no others; sign in to make one",
        ));
    };
    let scopes: Vec<String> = new.scopes.iter().map(ToString::to_string).collect();
    let (scopes, name, ends) = (scopes.join(" "), new.name.clone(), new.expires_at.to_string());
    let details =
        [("name", name.as_str()), ("scopes", scopes.as_str()), ("expires_at", ends.as_str())];
    let subject = format!("person:{person}");
    let act = Act { kind: "person.token.create", subject: &subject, details: &details };
    let work = async {
        let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
        let (id, token, secret) = tokens::make(store, cx, person, new).await?;
        // A session that ended meanwhile leaves no token behind: who ended all, and revoked
        // what tokens there were, may have been too early to see this one.
        if sessions::get(store, session).await.is_err() {
            tokens::revoke(store, cx, person, id).await?;
            return Err(door::signed_out());
        }
        // Which one it was is known only now; its secret is not shown unless that is on record.
        let subject = format!("token:{id}");
        permit
            .record(admin, &Act { kind: "person.token.created", subject: &subject, details: &[] })
            .await?;
        Ok::<_, Failure>((token.shown(id), secret))
    };
    permit.act(admin, act, work).await
}

/// Ends one of the own API tokens at once.
pub(crate) async fn revoke_token(
    admin: &Admin,
    permit: &Permit,
    id: Id,
) -> Result<tokens::Shown, Failure> {
    let person = permit.person()?.id;
    let subject = format!("token:{id}");
    let act = Act { kind: "person.token.revoke", subject: &subject, details: &[] };
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    let token = permit.act(admin, act, tokens::revoke(store, cx, person, id)).await?;
    Ok(token.shown(id))
}

/// Ends every API token of a person: each is on record by itself.
pub(super) async fn revoke_all(
    admin: &Admin,
    permit: &Permit,
    person: Id,
    because: &str,
) -> Result<(), Failure> {
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    for (id, token) in tokens::of(store, person).await? {
        if token.revoked_at.is_some() {
            continue;
        }
        let subject = format!("token:{id}");
        let details = [("because", because)];
        let act = Act { kind: "person.token.revoke", subject: &subject, details: &details };
        permit.act(admin, act, tokens::revoke(store, cx, person, id)).await?;
    }
    Ok(())
}
