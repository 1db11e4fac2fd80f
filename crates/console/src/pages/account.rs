//! My account: password, second factor, sessions, API tokens, and how I like pages.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::State,
    http::Uri,
    response::Response,
    routing::{get, post},
};
use bartizan_policy::{Access, Area};

use super::Page;
use crate::{
    Admin, Failure,
    door::{self, Caller},
    endpoints::Needs,
    frame::{Answer, Frame, go, page},
    params::Params,
    people::{
        Scope, account, own, sessions,
        tokens::{self, NewToken},
    },
    permit::Permit,
    take::Of,
    view,
    visitor::Visitor,
};

const READ: Needs = Needs::Read(Area::Account);
const MANAGE: Needs = Needs::Manage(Area::Account);
pub(super) static PAGE: Page = Page::below("/account", "My account", READ, || get(show));
pub(super) static PASSWORD: Page =
    Page::below("/account/password", "Password", MANAGE, || post(set_password));
pub(super) static DROP_FACTOR: Page =
    Page::below("/account/factor/drop", "Second factor", MANAGE, || post(drop_factor));
pub(super) static RECOVERY: Page =
    Page::below("/account/recovery", "Recovery codes", MANAGE, || post(renew_recovery));
pub(super) static END: Page =
    Page::below("/account/sessions/{id}/end", "End a session", MANAGE, || post(end));
pub(super) static END_OTHERS: Page =
    Page::below("/account/sessions/end", "End sessions", MANAGE, || post(end_others));
pub(super) static TOKENS: Page =
    Page::below("/account/tokens", "API tokens", MANAGE, || post(make_token));
pub(super) static REVOKE: Page =
    Page::below("/account/tokens/{id}/revoke", "Revoke", MANAGE, || post(revoke));

/// How long a token may last, in days, as the page offers it.
const DAYS: &[u64] = &[7, 30, 90, 365];

#[derive(Template)]
#[template(path = "account.html")]
struct Mine {
    f: Frame,
    me: account::Shown,
    local: bool,
    required: bool,
    recovery_left: usize,
    said: Option<Said>,
    sessions: Vec<sessions::Shown>,
    tokens: Vec<TokenRow>,
    scopes: Vec<Scope>,
    days: &'static [u64],
}

/// What is shown this once, or what was wrong.
enum Said {
    Token(String),
    Codes(Vec<String>),
    Wrong(String),
}

struct TokenRow {
    token: tokens::Shown,
    state: &'static str,
    scopes: String,
}

async fn shown(admin: &Admin, visitor: &Visitor, uri: &Uri, said: Option<Said>) -> Answer {
    let permit = &visitor.permit;
    let me = own::shown(admin, permit).await?;
    let now = admin.gateway.cx.now();
    let row = |token: tokens::Shown| {
        let state = match token.revoked_at {
            Some(_) => "revoked",
            None if token.expires_at <= now => "expired",
            None => "active",
        };
        let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
        TokenRow { state, scopes: scopes.join(" "), token }
    };
    page(&Mine {
        f: Frame::new(visitor, &PAGE, uri),
        local: me.origin == account::Origin::Local,
        me,
        required: admin.people().factor_required(),
        recovery_left: own::recovery_left(admin, permit).await?,
        said,
        sessions: own::sessions_of(admin, permit).await?,
        tokens: own::tokens_of(admin, permit).await?.into_iter().map(row).collect(),
        scopes: offered(admin, permit),
        days: DAYS,
    })
}

/// The scopes of what the person may do now.
fn offered(admin: &Admin, permit: &Permit) -> Vec<Scope> {
    let may = |scope: &Scope| {
        let access = match scope.manage {
            true => Access::Manage(scope.area),
            false => Access::Read(scope.area),
        };
        permit.also(admin, access).is_ok()
    };
    Scope::all().filter(may).collect()
}

async fn show(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    Params::of_query(uri.query(), &[])?;
    shown(&admin, &visitor, &uri, None).await
}

/// The page again with what was wrong, where it is the person's to mend.
async fn wrong(admin: &Admin, visitor: &Visitor, uri: &Uri, failure: Failure) -> Answer {
    if failure.status.is_server_error() {
        return Err(failure);
    }
    let mut answer = shown(admin, visitor, uri, Some(Said::Wrong(failure.message))).await?;
    *answer.status_mut() = failure.status;
    Ok(answer)
}

/// On to a page with another session.
fn with(admin: &Admin, begun: &sessions::Begun, mut answer: Response) -> Response {
    door::carry(admin, begun, &mut answer);
    answer
}

async fn set_password(
    State(admin): State<Admin>,
    visitor: Visitor,
    caller: Caller,
    uri: Uri,
    form: Params,
) -> Answer {
    let (old, new) = (form.need("old")?, form.need("new")?);
    let set = match form.get("again") == Some(new) {
        true => own::set_password(&admin, &visitor.permit, (old, new), &caller.from).await,
        false => Err(Failure::invalid("the two new passwords are not the same")),
    };
    match set {
        Ok(begun) => Ok(with(&admin, &begun, go("/account?done=saved")?)),
        Err(failure) => wrong(&admin, &visitor, &uri, failure).await,
    }
}

async fn drop_factor(
    State(admin): State<Admin>,
    visitor: Visitor,
    caller: Caller,
    uri: Uri,
    form: Params,
) -> Answer {
    match own::drop_factor(&admin, &visitor.permit, form.need("password")?, &caller.from).await {
        Ok(begun) => Ok(with(&admin, &begun, go("/account?done=saved")?)),
        Err(failure) => wrong(&admin, &visitor, &uri, failure).await,
    }
}

async fn renew_recovery(
    State(admin): State<Admin>,
    visitor: Visitor,
    caller: Caller,
    uri: Uri,
    form: Params,
) -> Answer {
    let made =
        own::renew_recovery(&admin, &visitor.permit, form.need("password")?, &caller.from).await;
    match made {
        Ok(codes) => shown(&admin, &visitor, &uri, Some(Said::Codes(codes))).await,
        Err(failure) => wrong(&admin, &visitor, &uri, failure).await,
    }
}

async fn end(State(admin): State<Admin>, visitor: Visitor, Of(id): Of) -> Answer {
    own::end_session(&admin, &visitor.permit, id).await?;
    go("/account?done=saved")
}

async fn end_others(State(admin): State<Admin>, visitor: Visitor) -> Answer {
    own::end_others(&admin, &visitor.permit).await?;
    go("/account?done=saved")
}

async fn make_token(
    State(admin): State<Admin>,
    visitor: Visitor,
    uri: Uri,
    form: Params,
) -> Answer {
    match new_token(&admin, &form) {
        Ok(new) => match own::make_token(&admin, &visitor.permit, new).await {
            Ok((_, secret)) => shown(&admin, &visitor, &uri, Some(Said::Token(secret))).await,
            Err(failure) => wrong(&admin, &visitor, &uri, failure).await,
        },
        Err(failure) => wrong(&admin, &visitor, &uri, failure).await,
    }
}

fn new_token(admin: &Admin, form: &Params) -> Result<NewToken, Failure> {
    let scopes: Result<Vec<Scope>, Failure> = form.all("scope").map(str::parse).collect();
    let days: u64 = form.number("days")?.unwrap_or(30);
    if !DAYS.contains(&days) {
        return Err(Failure::invalid(format!(
            "a token does not last {days} days: choose one of those offered"
        )));
    }
    let expires_at = admin.gateway.cx.now().after(Duration::from_secs(days * 24 * 60 * 60));
    Ok(NewToken { name: form.need("name")?.to_owned(), scopes: scopes?, expires_at })
}

async fn revoke(State(admin): State<Admin>, visitor: Visitor, Of(id): Of) -> Answer {
    own::revoke_token(&admin, &visitor.permit, id).await?;
    go("/account?done=saved")
}
