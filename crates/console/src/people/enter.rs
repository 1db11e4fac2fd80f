//! How people get in, and out again.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use bartizan_core::{Id, Tenant};
use bartizan_policy::{Access, Area, Role};

use super::{
    account::{self, Account, Origin as Vouched, State},
    links::{self, Link, Purpose},
    own, password, recovery,
    sessions::{self, Begun, Origin, Session, Stage},
    throttle,
};
use crate::{
    Admin, Failure,
    permit::{Act, By, Permit, Who},
};

/// LIMIT: tries to set a password while somebody else changes the account.
const SET_TRIES: usize = 8;

/// Signs in by name and password. What comes back may still ask for the second factor.
pub(crate) async fn sign_in(
    admin: &Admin,
    name: &str,
    password: &str,
    from: &Origin,
) -> Result<Begun, Failure> {
    let gateway = &admin.gateway;
    let limits = gateway.store.limits();
    let name = name.trim().to_ascii_lowercase();
    let trying = throttle::begin(&*limits, gateway.cx.now(), "sign-in", &name, &from.address).await;
    let trying = trying.inspect_err(|_| refused(admin, from, "sign_in_too_many"))?;
    let account = match account::name(&name) {
        Ok(name) => account::find(&gateway.store, Account::local_id(&name)).await?,
        Err(_) => None,
    };
    let stored = account.as_ref().and_then(|account| account.secrets.password.as_deref());
    let right = admin.people().passwords.verify(&gateway.cx, stored, password).await?;
    let Some(mut account) = account.filter(|account| right && account.is_active()) else {
        refused(admin, from, "sign_in_refused");
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "sign_in_refused",
            "the name or the password is not right",
        ));
    };
    trying.forgive(&*limits).await;
    if account.secrets.totp.is_some() {
        return begin(admin, &account, Stage::Factor, from).await;
    }
    let stage = if admin.people().factor_required() { Stage::Enrol } else { Stage::Full };
    open(admin, &mut account, stage, from, "password").await
}

/// The second step: a code of the app, or one of the recovery codes.
pub(crate) async fn second_factor(
    admin: &Admin,
    halfway: (Id, &Session),
    code: &str,
    from: &Origin,
) -> Result<Begun, Failure> {
    let gateway = &admin.gateway;
    let limits = gateway.store.limits();
    let person = halfway.1.person.to_string();
    let trying =
        throttle::begin(&*limits, gateway.cx.now(), "factor", &person, &from.address).await;
    let trying = trying.inspect_err(|_| refused(admin, from, "second_factor_too_many"))?;
    let wrong = || {
        refused(admin, from, "second_factor_refused");
        Failure::new(
            StatusCode::UNAUTHORIZED,
            "second_factor_refused",
            "the code is not right, or was used before; wait for the next one, and check that the clock of your device is right",
        )
    };
    let mut account = account::get(&gateway.store, halfway.1.person).await?;
    if !account.is_active() {
        return Err(wrong());
    }
    let secrets = &mut account.secrets;
    let by = if secrets.totp.as_mut().is_some_and(|totp| totp.take(&gateway.cx, code)) {
        "code"
    } else if recovery::take(&gateway.cx, &mut secrets.recovery, code) {
        "recovery-code"
    } else {
        return Err(wrong());
    };
    // Who writes first has used the code.
    account.save(&gateway.store).await.map_err(|failure| match failure.code {
        "conflict" => wrong(),
        _ => failure,
    })?;
    if !sessions::end(&gateway.store, halfway.0).await? {
        return Err(wrong());
    }
    trying.forgive(&*limits).await;
    open(admin, &mut account, Stage::Full, from, by).await
}

/// Records that a person is in, and begins the session.
pub(crate) async fn open(
    admin: &Admin,
    account: &mut Account,
    stage: Stage,
    from: &Origin,
    by: &str,
) -> Result<Begun, Failure> {
    let gateway = &admin.gateway;
    let permit = permit(admin, account, Access::Read(Area::Account))?;
    let details =
        [("by", by), ("address", from.address.as_str()), ("name", account.facts.name.as_str())];
    let subject = account.subject();
    permit
        .record(admin, &Act { kind: "person.sign_in", subject: &subject, details: &details })
        .await?;
    account.facts.signed_in_at = Some(gateway.cx.now());
    match account.save(&gateway.store).await {
        // Two sign in at once: either time is right.
        Err(failure) if failure.code == "conflict" => {}
        saved => saved?,
    }
    begin(admin, account, stage, from).await
}

/// Begins a session, unless another password was set since the account was read: who does
/// that ends the sessions that there are, and must not miss this one.
pub(super) async fn begin(
    admin: &Admin,
    account: &Account,
    stage: Stage,
    from: &Origin,
) -> Result<Begun, Failure> {
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    let begun = sessions::begin(store, cx, account.id, stage, from).await?;
    let now = account::find(store, account.id).await?;
    if now.is_some_and(|now| now.is_active() && now.secrets.password == account.secrets.password) {
        return Ok(begun);
    }
    sessions::end_of(store, &begun.token).await?;
    refused(admin, from, "sign_in_refused");
    let message = "the account was changed at the same moment; sign in again";
    Err(Failure::new(StatusCode::UNAUTHORIZED, "sign_in_refused", message))
}

/// Ends the session of who asks.
pub(crate) async fn sign_out(admin: &Admin, session: Id, person: Id) -> Result<(), Failure> {
    let account = account::get(&admin.gateway.store, person).await?;
    let permit = permit(admin, &account, Access::Read(Area::Account))?;
    let subject = account.subject();
    let act = Act { kind: "person.sign_out", subject: &subject, details: &[] };
    permit.act(admin, act, sessions::end(&admin.gateway.store, session)).await.map(|_| ())
}

/// What a link lets its holder do, to be shown before it is done.
pub(crate) struct Welcome {
    pub(crate) purpose: Purpose,
    /// Whose account it is for, where there is one.
    pub(crate) name: Option<String>,
}

/// What this link is for.
pub(crate) async fn welcome(
    admin: &Admin,
    secret: &str,
    from: &Origin,
) -> Result<Welcome, Failure> {
    let (link, account) = by_link(admin, secret, from).await?;
    Ok(Welcome { purpose: link.purpose, name: account.map(|account| account.facts.name) })
}

async fn by_link(
    admin: &Admin,
    secret: &str,
    from: &Origin,
) -> Result<(Link, Option<Account>), Failure> {
    let store = &admin.gateway.store;
    let link = links::find(store, &admin.gateway.cx, secret).await;
    let link = link.inspect_err(|_| refused(admin, from, "link_refused"))?;
    let account = match link.person {
        Some(person) => Some(account::get(store, person).await?),
        None => None,
    };
    let disabled = account.as_ref().is_some_and(|account| account.facts.state == State::Disabled);
    if disabled || (link.purpose == Purpose::First && account::any(store).await?) {
        refused(admin, from, "link_refused");
        return Err(Failure::not_found(
            "this link does not hold any more; ask an administrator for another",
        ));
    }
    Ok((link, account))
}

/// Uses a link: sets the password, makes the account where there is none, and signs in.
pub(crate) async fn accept(
    admin: &Admin,
    secret: &str,
    name: &str,
    password: &str,
    from: &Origin,
) -> Result<Begun, Failure> {
    let (gateway, store) = (&admin.gateway, &admin.gateway.store);
    let (link, account) = by_link(admin, secret, from).await?;
    let now = gateway.cx.now();
    let mut account = match account {
        Some(account) => account,
        None => Account::local(&account::name(name)?, Role::Administrator, now),
    };
    check(password, &account.facts.name)?;
    let stored = admin.people().passwords.hash(&gateway.cx, password).await?;
    let permit = permit(admin, &account, Access::Manage(Area::Account))?;
    let (subject, name) = (account.subject(), account.facts.name.clone());
    let details = [
        ("name", name.as_str()),
        ("role", account.facts.role.as_str()),
        ("address", from.address.as_str()),
    ];
    let kind = match link.purpose {
        Purpose::First => "person.first",
        Purpose::Invite => "person.join",
        Purpose::Recover => "person.recover",
    };
    let work = async {
        links::take(store, secret).await?;
        // Before, so that a crash leaves nobody in; after, for who came in meanwhile.
        put_out(admin, &permit, account.id).await?;
        set(admin, &link, &mut account, stored).await?;
        put_out(admin, &permit, account.id).await?;
        Ok::<_, Failure>(account)
    };
    let act = Act { kind, subject: &subject, details: &details };
    let mut account = permit.act(admin, act, work).await?;
    let stage = if admin.people().factor_required() { Stage::Enrol } else { Stage::Full };
    open(admin, &mut account, stage, from, "link").await
}

/// Whoever is in by the account is out: by a session, or by an API token.
async fn put_out(admin: &Admin, permit: &Permit, person: Id) -> Result<(), Failure> {
    sessions::end_all(&admin.gateway.store, person, None).await?;
    own::revoke_all(admin, permit, person, "the account was recovered").await
}

/// Sets a password in place of all by which the account let anyone in.
async fn set(
    admin: &Admin,
    link: &Link,
    account: &mut Account,
    password: String,
) -> Result<(), Failure> {
    let store = &admin.gateway.store;
    // Somebody who signs in by the old password at this moment changes the record, too.
    for _ in 0..SET_TRIES {
        let password = Some(password.clone());
        account.secrets = account::Secrets { password, ..account::Secrets::default() };
        account.facts.state = State::Active;
        match account.save(store).await {
            Err(failure) if failure.code == "conflict" && link.person.is_some() => {
                *account = account::get(store, account.id).await?;
                if account.facts.state == State::Disabled {
                    return Err(failure);
                }
            }
            saved => return saved,
        }
    }
    Err(Failure::new(
        StatusCode::CONFLICT,
        "conflict",
        "the account is changed too quickly; ask for another link and try again",
    ))
}

/// The link by which the first account is made; nothing when there is one already.
///
/// # Errors
/// When the store or the ledger fails.
pub(crate) async fn first_link(admin: &Admin) -> Result<Option<String>, Failure> {
    let gateway = &admin.gateway;
    if account::any(&gateway.store).await? {
        return Ok(None);
    }
    let tenant = Tenant::default();
    gateway.record(&tenant, "bartizan", "admin.person.first_link", "people", &[]).await?;
    let holds = Duration::from_secs(admin.people().config.link_s);
    let secret = links::make(&gateway.store, &gateway.cx, Purpose::First, None, holds).await?;
    Ok(Some(admin.people().link(&secret)))
}

/// Whether a new password will do.
pub(crate) fn check(password: &str, name: &str) -> Result<(), Failure> {
    password::problem(password, name)
        .map_or(Ok(()), |problem| Err(Failure::new(StatusCode::BAD_REQUEST, "password", problem)))
}

/// What a person who is about to get in may do.
pub(super) fn permit(
    admin: &Admin,
    account: &Account,
    access: Access<'_>,
) -> Result<Permit, Failure> {
    let who = Arc::new(Who::person(account.person(), By::Entry));
    Permit::ask(admin, who, Tenant::default(), access)
}

/// Counts and records somebody who did not get in, at most once a minute for each address.
pub(crate) fn refused(admin: &Admin, from: &Origin, code: &'static str) {
    admin.gateway.count_refusal(&format!("address:{}", throttle::block(&from.address)), code);
}

/// Whether the account is of this installation.
pub(crate) fn is_local(account: &Account) -> Result<(), Failure> {
    match account.facts.origin {
        Vouched::Local => Ok(()),
        Vouched::Oidc => Err(Failure::invalid(format!(
            "`{}` signs in through the provider: password, second factor and role are kept there",
            account.facts.name
        ))),
    }
}
