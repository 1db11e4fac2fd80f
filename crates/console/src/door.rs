//! The door of the pages: who comes, by which cookie, from which site. Every request for
//! a page passes it before its handler, so that no handler can forget a check.
//!
//! Sources: OWASP, Cross-Site Request Forgery Prevention Cheat Sheet (a token bound to
//! the session, and Fetch Metadata); RFC 6265bis (`__Host-`, `SameSite`).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Redirect, Response},
};
use bartizan_core::Id;
use bartizan_gateway::identity::client_address;
use bartizan_policy::{Access, Area};

use crate::{
    Admin, Failure,
    endpoints::Needs,
    people::{
        account::{self, Account},
        codes, enter,
        sessions::{self, Begun, Origin, Session, Stage},
    },
    permit::{By, Permit, Who},
    router,
    take::Fields,
    visitor::Visitor,
};

/// LIMIT: a form, in bytes. The longest, a key with its routes and models, is a tenth of it.
pub(crate) const FORM_BYTES_MAX: usize = 256 * 1024;
/// LIMIT: what is looked at for cookies, in bytes; ours have some 100.
const COOKIES_BYTES_MAX: usize = 8 * 1024;
/// The field and the header that hold the token against forged forms.
const CSRF_FIELD: &str = "csrf";
const CSRF_HEADER: &str = "x-csrf-token";

/// Who comes to a page, signed in or not.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) session: Option<(Id, Session)>,
    /// Of the session; active.
    pub(crate) account: Option<Account>,
    /// For the forms of the page.
    pub(crate) csrf: String,
    pub(crate) from: Origin,
}

impl Caller {
    /// The session, where it has come this far.
    pub(crate) fn at(&self, stage: Stage) -> Option<(Id, &Session, &Account)> {
        let (id, session) = self.session.as_ref()?;
        let account = self.account.as_ref()?;
        (session.stage == stage).then_some((*id, session, account))
    }

    /// What the person may do with the own account.
    pub(crate) fn permit(&self, admin: &Admin, access: Access<'_>) -> Result<Permit, Failure> {
        let (Some((id, _)), Some(account)) = (&self.session, &self.account) else {
            return Err(signed_out());
        };
        let who = Who::person(account.person(), By::Session(*id));
        Permit::ask(admin, Arc::new(who), bartizan_core::Tenant::default(), access)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            let message = "the request did not come through the door of the pages";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
        })
    }
}

/// Pages for those who are signed in. `needs` says what the policies must permit for a
/// path as it is matched.
pub(crate) fn behind(
    admin: &Admin,
    pages: Router<Admin>,
    needs: fn(&str, &Method) -> Option<Needs>,
) -> Router<Admin> {
    pages.route_layer(from_fn_with_state((admin.clone(), needs), visit))
}

/// Finds out who comes, and refuses what another site sent.
pub(crate) async fn meet(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    match met(&admin, request).await {
        Ok((request, fresh)) => {
            let mut response = next.run(request).await;
            if let Some(value) = fresh {
                let name = cookie_name(&admin, Cookie::Form);
                set_cookie(&admin, &mut response, name, &value, None);
            }
            response
        }
        Err(failure) => failure.into_response(),
    }
}

async fn met(admin: &Admin, mut request: Request) -> Result<(Request, Option<String>), Failure> {
    let from = origin(admin, &request);
    let token = cookie(request.headers(), cookie_name(admin, Cookie::Session));
    let (session, account) = signed_in(admin, token.as_deref()).await?.unzip();
    let form = cookie(request.headers(), cookie_name(admin, Cookie::Form));
    let (secret, fresh) = match (token.filter(|_| session.is_some()), form) {
        (Some(token), _) => (token, None),
        (None, Some(form)) => (form, None),
        (None, None) => {
            let made = codes::secret(&admin.gateway.cx, "");
            (made.clone(), Some(made))
        }
    };
    let csrf = sessions::csrf(&secret);
    if !request.method().is_safe() {
        let checked = check(admin, request, &csrf).await;
        request = checked.inspect_err(|failure| {
            if failure.code == "csrf" {
                enter::refused(admin, &from, "csrf");
            }
        })?;
    }
    request.extensions_mut().insert(Caller { session, account, csrf, from });
    Ok((request, fresh))
}

/// The session of a cookie's value and its person, if both are in force.
async fn signed_in(
    admin: &Admin,
    token: Option<&str>,
) -> Result<Option<((Id, Session), Account)>, Failure> {
    let Some(token) = token else { return Ok(None) };
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    let Some(session) = sessions::find(store, cx, admin.people().lasts(), token).await? else {
        return Ok(None);
    };
    let account = account::find(store, session.1.person).await?;
    Ok(account.filter(Account::is_active).map(|account| (session, account)))
}

/// A request that changes something must come from a page of ours.
async fn check(admin: &Admin, request: Request, csrf: &str) -> Result<Request, Failure> {
    same_site(admin, request.headers(), request.uri())?;
    let (mut parts, body) = request.into_parts();
    let bytes = to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| {
        let message = format!("the form cannot be read, or is larger than {FORM_BYTES_MAX} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    })?;
    let fields = Fields::read(&parts.headers, &bytes);
    let header = parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
    let sent = header.or_else(|| fields.text(CSRF_FIELD)).unwrap_or_default();
    if !codes::same(&admin.gateway.cx, csrf, sent) {
        return Err(forged(
            "this form is out of date, or was not made by this console; open its page again, and sign in if it asks you to",
        ));
    }
    parts.extensions.insert(fields);
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn forged(message: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "csrf", message)
}

/// Browsers say from where a request comes; what they say must be us.
fn same_site(admin: &Admin, headers: &HeaderMap, uri: &Uri) -> Result<(), Failure> {
    let foreign = || forged("the request comes from another site, and was not carried out");
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return Err(foreign());
    }
    let Some(origin) = text("origin") else { return Ok(()) };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = text("host").or_else(|| uri.authority().map(|authority| authority.as_str()));
    let people = admin.people();
    let known = people.url.split_once("://").map(|(_, authority)| authority);
    match authority {
        Some(authority) if host == Some(authority) || known == Some(authority) => Ok(()),
        _ => Err(foreign()),
    }
}

/// What a path and a method of the pages need.
type NeedsOf = fn(&str, &Method) -> Option<Needs>;

/// Makes the visitor, or leads to where one becomes it.
async fn visit(
    State((admin, needs)): State<(Admin, NeedsOf)>,
    mut request: Request,
    next: Next,
) -> Response {
    match visitor(&admin, needs, &mut request) {
        Ok(mut visitor) => {
            if *request.method() == Method::GET && wants_page(request.headers()) {
                visitor.waiting = waiting(&admin, &visitor.permit).await;
            }
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(Away::To(place)) => Redirect::to(&place).into_response(),
        Err(Away::Failed(failure)) => failure.into_response(),
    }
}

enum Away {
    To(String),
    Failed(Failure),
}

impl From<Failure> for Away {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn visitor(
    admin: &Admin,
    needs: fn(&str, &Method) -> Option<Needs>,
    request: &mut Request,
) -> Result<Visitor, Away> {
    let missing = || {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            "the request did not come through the door of the pages",
        )
    };
    let caller = request.extensions().get::<Caller>().cloned().ok_or_else(missing)?;
    let reads = *request.method() == Method::GET && wants_page(request.headers());
    let (id, session, account) = match (&caller.session, &caller.account) {
        (Some((id, session)), Some(account)) => (*id, session, account),
        _ if reads => return Err(Away::To(sign_in_path(request.uri()))),
        _ => return Err(signed_out().into()),
    };
    match session.stage {
        Stage::Full => {}
        Stage::Factor if reads => return Err(Away::To("/sign-in/factor".to_owned())),
        Stage::Enrol if reads => return Err(Away::To("/sign-in/enrol".to_owned())),
        Stage::Factor | Stage::Enrol => return Err(signed_out().into()),
    }
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let access = match needs(path.unwrap_or_default(), request.method()) {
        Some(Needs::Read(area)) => Access::Read(area),
        Some(Needs::Manage(area)) => Access::Manage(area),
        // A method that is not served is refused below, by the router.
        None => Access::Read(Area::Account),
    };
    let person = account.person();
    let tenant = router::take_tenant(request)?;
    let who = Arc::new(Who::person(person.clone(), By::Session(id)));
    let permit = Permit::ask(admin, who, tenant, access).inspect_err(|_| {
        admin.gateway.count_refusal(&format!("person:{}", person.id), "denied");
    })?;
    Ok(Visitor { permit, person, csrf: caller.csrf, waiting: 0 })
}

/// How many approvals wait, for who may see them. A page is not refused over it.
async fn waiting(admin: &Admin, permit: &Permit) -> u64 {
    if permit.also(admin, Access::Read(Area::Approvals)).is_err() {
        return 0;
    }
    if let Some(count) = admin.desk.waiting(permit.tenant()) {
        return count;
    }
    let holds = admin.gateway.holds.list(permit.tenant(), Some("pending")).await;
    let pending = holds.unwrap_or_default();
    let pending = pending.iter().filter(|one| one.is_pending(&admin.gateway.cx)).count();
    let count = u64::try_from(pending).unwrap_or(u64::MAX);
    admin.desk.set_waiting(permit.tenant(), count);
    count
}

/// Who asks for a page that there is not, if that is somebody who is signed in.
pub(crate) async fn lost(admin: &Admin, request: Request) -> Option<Visitor> {
    if *request.method() != Method::GET || !wants_page(request.headers()) {
        return None;
    }
    let (mut request, _) = met(admin, request).await.ok()?;
    let mut visitor = visitor(admin, |_, _| None, &mut request).ok()?;
    visitor.waiting = waiting(admin, &visitor.permit).await;
    Some(visitor)
}

/// What a request says of who sends it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) headers: HeaderMap,
    uri: Uri,
    safe: bool,
    pub(crate) from: Origin,
}

impl Head {
    pub(crate) fn of(admin: &Admin, request: &Request) -> Self {
        Self {
            headers: request.headers().clone(),
            uri: request.uri().clone(),
            safe: request.method().is_safe(),
            from: origin(admin, request),
        }
    }
}

/// Who asks the API with the cookie of a session; nobody where there is none. What
/// changes something needs the header against forged requests, too.
pub(crate) async fn by_cookie(admin: &Admin, head: &Head) -> Result<Option<Who>, Failure> {
    let Some(token) = cookie(&head.headers, cookie_name(admin, Cookie::Session)) else {
        return Ok(None);
    };
    let Some(((id, session), account)) = signed_in(admin, Some(&token)).await? else {
        return Err(signed_out());
    };
    if session.stage != Stage::Full {
        return Err(signed_out());
    }
    let checked = same_site(admin, &head.headers, &head.uri).and_then(|()| {
        let sent = head.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
        let right =
            codes::same(&admin.gateway.cx, &sessions::csrf(&token), sent.unwrap_or_default());
        if head.safe || right {
            return Ok(());
        }
        Err(forged(
            "send the header `x-csrf-token` with what the page's forms hold; or use an API token",
        ))
    });
    checked.inspect_err(|_| enter::refused(admin, &head.from, "csrf"))?;
    Ok(Some(Who::person(account.person(), By::Session(id))))
}

pub(crate) fn signed_out() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "signed_out", "your session has ended; sign in again")
}

/// The way to sign in, and back to where one wanted to go.
fn sign_in_path(uri: &Uri) -> String {
    let to = uri.path_and_query().map_or("/", |to| to.as_str());
    match to {
        "/" => "/sign-in".to_owned(),
        to => {
            let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
            format!("/sign-in?to={to}")
        }
    }
}

/// A place of ours to go to: nothing that a browser takes for another site's.
pub(crate) fn place(to: Option<&str>) -> String {
    let ours = |to: &&str| {
        let plain = to.chars().all(|c| c.is_ascii_graphic() && c != '\\');
        to.starts_with('/') && !to.starts_with("//") && plain && to.len() <= 2048
    };
    to.filter(ours).filter(|to| !to.starts_with("/sign-in")).unwrap_or("/").to_owned()
}

/// Whether a browser wants a page to show, not data.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Behind a proxy that the configuration trusts (`data.trusted_proxies`), the address
/// that it names.
fn origin(admin: &Admin, request: &Request) -> Origin {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = peer.map(|peer| {
        let trusted = &admin.gateway.live().trusted;
        client_address(peer.0.ip(), request.headers(), trusted).to_canonical().to_string()
    });
    let address = address.unwrap_or_else(|| "unknown".to_owned());
    let browser = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Origin { address, browser: browser.unwrap_or_default().to_owned() }
}

/// Our cookies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cookie {
    Session,
    /// Of who is not signed in, for forms.
    Form,
    /// Of a sign-in that is under way at the provider.
    Oidc,
}

/// With `__Host-`, browsers take it from us alone, and by TLS alone.
pub(crate) fn cookie_name(admin: &Admin, cookie: Cookie) -> &'static str {
    match (cookie, admin.people().secure()) {
        (Cookie::Session, true) => "__Host-bartizan",
        (Cookie::Session, false) => "bartizan_session",
        (Cookie::Form, true) => "__Host-bartizan-form",
        (Cookie::Form, false) => "bartizan_form",
        (Cookie::Oidc, true) => "__Host-bartizan-oidc",
        (Cookie::Oidc, false) => "bartizan_oidc",
    }
}

pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    texts.find_map(|text| {
        let text = bartizan_core::json::clip(text, COOKIES_BYTES_MAX);
        text.split(';').find_map(|pair| {
            let (found, value) = pair.trim().split_once('=')?;
            (found == name).then(|| value.to_owned())
        })
    })
}

pub(crate) fn set_cookie(
    admin: &Admin,
    response: &mut Response,
    name: &str,
    value: &str,
    seconds: Option<u64>,
) {
    let secure = if admin.people().secure() { "; Secure" } else { "" };
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Goes to a place with a session that was just begun.
pub(crate) fn enter_with(admin: &Admin, begun: &Begun, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    carry(admin, begun, &mut response);
    response
}

/// Gives the browser a session that was just begun.
pub(crate) fn carry(admin: &Admin, begun: &Begun, response: &mut Response) {
    let name = cookie_name(admin, Cookie::Session);
    let seconds = admin.people().config.session_max_s;
    set_cookie(admin, response, name, &begun.token, Some(seconds));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_ours_are_gone_to() {
        for ours in ["/", "/people", "/traffic?verdict=block&x=%2F%2Fevil"] {
            assert_eq!(place(Some(ours)), ours);
        }
        for other in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "evil",
            "",
            "/a\nb",
            "/\u{0}",
            "/sign-in?to=/sign-in",
            "javascript:alert(1)",
        ] {
            assert_eq!(place(Some(other)), "/", "{other}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; bartizan_session=x=y ;b"));
        headers.append(header::COOKIE, HeaderValue::from_static("c=2"));
        assert_eq!(cookie(&headers, "bartizan_session").as_deref(), Some("x=y"));
        assert_eq!(cookie(&headers, "c").as_deref(), Some("2"));
        assert_eq!(cookie(&headers, "bartizan"), None);
    }
}
