//! What administrators do to accounts. The API and the pages call these.

use std::time::Duration;

use axum::http::StatusCode;
use bartizan_core::Id;
use bartizan_policy::Role;

use super::{
    account::{self, Account, State},
    enter::is_local,
    links::{self, Purpose},
    own, sessions,
};
use crate::{
    Admin, Failure,
    permit::{Act, Permit},
};

/// Everyone, oldest first.
pub(crate) async fn list(admin: &Admin) -> Result<Vec<account::Shown>, Failure> {
    Ok(account::all(&admin.gateway.store).await?.iter().map(Account::shown).collect())
}

/// One person.
pub(crate) async fn one(admin: &Admin, id: Id) -> Result<account::Shown, Failure> {
    Ok(account::get(&admin.gateway.store, id).await?.shown())
}

/// Makes an account, and the link by which its person gets in.
pub(crate) async fn invite(
    admin: &Admin,
    permit: &Permit,
    name: &str,
    role: Role,
) -> Result<(account::Shown, String), Failure> {
    let store = &admin.gateway.store;
    let mut account = Account::local(&account::name(name)?, role, admin.gateway.cx.now());
    let (subject, name) = (account.subject(), account.facts.name.clone());
    if account::find(store, account.id).await?.is_some() {
        let message = format!(
            "there is a person `{name}` already; `bartizan people recover {name}` makes another link"
        );
        return Err(Failure::new(StatusCode::CONFLICT, "conflict", message));
    }
    let details = [("name", name.as_str()), ("role", role.as_str())];
    let act = Act { kind: "admin.person.invite", subject: &subject, details: &details };
    let work = async {
        account.save(store).await?;
        let link = link(admin, Purpose::Invite, account.id).await?;
        Ok::<_, Failure>((account.shown(), link))
    };
    permit.act(admin, act, work).await
}

/// Gives a person another role. Its sessions end, so that none goes on with the one before.
pub(crate) async fn set_role(
    admin: &Admin,
    permit: &Permit,
    id: Id,
    role: Role,
) -> Result<account::Shown, Failure> {
    not_oneself(permit, id)?;
    let mut account = account::get(&admin.gateway.store, id).await?;
    is_local(&account)?;
    let (subject, before) = (account.subject(), account.facts.role);
    let details = [("from", before.as_str()), ("to", role.as_str())];
    let act = Act { kind: "admin.person.role", subject: &subject, details: &details };
    let work = async {
        account.facts.role = role;
        account.save(&admin.gateway.store).await?;
        if role != before {
            sessions::end_all(&admin.gateway.store, id, None).await?;
        }
        Ok::<_, Failure>(account.shown())
    };
    permit.act(admin, act, work).await
}

/// Lets nobody in by the account any more: its sessions, links and API tokens end at once.
pub(crate) async fn disable(
    admin: &Admin,
    permit: &Permit,
    id: Id,
) -> Result<account::Shown, Failure> {
    not_oneself(permit, id)?;
    set_state(admin, permit, id, "admin.person.disable", |_| State::Disabled).await
}

/// Lets a person in again who was disabled.
pub(crate) async fn enable(
    admin: &Admin,
    permit: &Permit,
    id: Id,
) -> Result<account::Shown, Failure> {
    let before = |account: &Account| match account.secrets.password {
        None if is_local(account).is_ok() => State::Invited,
        _ => State::Active,
    };
    set_state(admin, permit, id, "admin.person.enable", before).await
}

async fn set_state(
    admin: &Admin,
    permit: &Permit,
    id: Id,
    kind: &str,
    state: impl Fn(&Account) -> State,
) -> Result<account::Shown, Failure> {
    let store = &admin.gateway.store;
    let mut account = account::get(store, id).await?;
    let subject = account.subject();
    let act = Act { kind, subject: &subject, details: &[] };
    let work = async {
        account.facts.state = state(&account);
        account.save(store).await?;
        if account.facts.state == State::Disabled {
            sessions::end_all(store, id, None).await?;
            links::void(store, Purpose::Recover, Some(id)).await?;
            // Whoever is let in again makes new ones.
            own::revoke_all(admin, permit, id, "the account was disabled").await?;
        }
        Ok::<_, Failure>(account.shown())
    };
    permit.act(admin, act, work).await
}

/// Makes a link with which the person sets another password and second factor. Nothing
/// changes until it is used.
pub(crate) async fn recover(admin: &Admin, permit: &Permit, id: Id) -> Result<String, Failure> {
    let account = account::get(&admin.gateway.store, id).await?;
    is_local(&account)?;
    if account.facts.state == State::Disabled {
        return Err(Failure::invalid(format!(
            "`{}` is disabled; enable the account first",
            account.facts.name
        )));
    }
    let purpose = match account.facts.state {
        State::Invited => Purpose::Invite,
        _ => Purpose::Recover,
    };
    let subject = account.subject();
    let act = Act { kind: "admin.person.recover", subject: &subject, details: &[] };
    permit.act(admin, act, link(admin, purpose, id)).await
}

async fn link(admin: &Admin, purpose: Purpose, person: Id) -> Result<String, Failure> {
    let holds = Duration::from_secs(admin.people().config.link_s);
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    let secret = links::make(store, cx, purpose, Some(person), holds).await?;
    Ok(admin.people().link(&secret))
}

/// A person's sessions, newest first.
pub(crate) async fn sessions_of(
    admin: &Admin,
    permit: &Permit,
    id: Id,
) -> Result<Vec<sessions::Shown>, Failure> {
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    account::get(store, id).await?;
    let found = sessions::of(store, cx, admin.people().lasts(), id).await?;
    Ok(found.iter().map(|(id, session)| session.shown(*id, permit.session())).collect())
}

/// Ends all sessions of a person; says how many.
pub(crate) async fn end_sessions(admin: &Admin, permit: &Permit, id: Id) -> Result<usize, Failure> {
    let account = account::get(&admin.gateway.store, id).await?;
    let subject = account.subject();
    let act = Act { kind: "admin.person.end_sessions", subject: &subject, details: &[] };
    permit.act(admin, act, sessions::end_all(&admin.gateway.store, id, None)).await
}

/// Ends one session of whomever.
pub(crate) async fn end_session(admin: &Admin, permit: &Permit, id: Id) -> Result<(), Failure> {
    let session = sessions::get(&admin.gateway.store, id).await?;
    let person = format!("person:{}", session.person);
    let subject = format!("session:{id}");
    let details = [("of", person.as_str())];
    let act = Act { kind: "admin.session.end", subject: &subject, details: &details };
    permit.act(admin, act, sessions::end(&admin.gateway.store, id)).await.map(|_| ())
}

/// Who takes the own rights away by a slip would need the machine to get them back.
fn not_oneself(permit: &Permit, id: Id) -> Result<(), Failure> {
    match permit.person() {
        Ok(person) if person.id == id => Err(Failure::invalid(
            "you cannot change your own role or disable yourself; another administrator can, and `bartizan people` on the machine",
        )),
        _ => Ok(()),
    }
}
