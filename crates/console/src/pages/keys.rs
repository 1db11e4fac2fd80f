//! Keys and routes: making, rotating, revoking and testing keys; what routes there are.

use askama::Template;
use axum::{
    extract::State,
    http::Uri,
    routing::{get, post},
};
use bartizan_core::{Id, Timestamp, json};
use bartizan_gateway::{
    config::LimitConfig,
    keys::{Key, NewKey, Secret, Unaccepted},
};
use bartizan_policy::{Access, Area, Principal, Request};

use super::{Page, Section, health};
use crate::{
    Admin, Failure, charts,
    endpoints::{self, Needs},
    frame::{Answer, Frame, go, page},
    params::Params,
    permit::{Act, Permit},
    take::Of,
    visitor::Visitor,
};

pub(super) static PAGE: Page = Page {
    path: "/keys",
    title: "Keys and routes",
    letter: Some('k'),
    section: Section::Protect,
    icon: "key",
    needs: Needs::Read(Area::Keys),
    serve: || get(list),
};
const MANAGE: Needs = Needs::Manage(Area::Keys);
pub(super) static ONE: Page =
    Page::below("/keys/{id}", "Key", Needs::Read(Area::Keys), || get(one));
pub(super) static CREATE: Page = Page::below("/keys/create", "New key", MANAGE, || post(create));
pub(super) static TEST: Page =
    Page::below("/keys/test", "Test a key", Needs::Read(Area::Keys), || post(test));
pub(super) static REVOKE: Page =
    Page::below("/keys/{id}/revoke", "Revoke a key", MANAGE, || post(revoke));
pub(super) static ROTATE: Page =
    Page::below("/keys/{id}/rotate", "Rotate a key", MANAGE, || post(rotate));

#[derive(Template)]
#[template(path = "keys.html")]
struct Keys {
    f: Frame,
    may: bool,
    made: Option<Made>,
    test: Option<Told>,
    keys: Vec<Row>,
    routes: Vec<RouteRow>,
}

#[derive(Template)]
#[template(path = "key.html")]
struct One {
    f: Frame,
    api: String,
    may: bool,
    key: Row,
}

/// A secret, shown this once.
struct Made {
    words: String,
    secret: String,
}

/// What a test came to.
struct Told {
    class: &'static str,
    words: String,
}

struct Row {
    id: String,
    name: String,
    hint: String,
    state: &'static str,
    routes: String,
    models: String,
    limits: String,
    created: Timestamp,
    expires: Option<Timestamp>,
    revoked: Option<Timestamp>,
}

struct RouteRow {
    name: String,
    models: String,
    targets: Vec<Target>,
    keep_text: bool,
}

struct Target {
    name: String,
    class: &'static str,
    words: &'static str,
}

impl Row {
    fn of(key: Key, now: Timestamp) -> Self {
        let all = |list: &[String], all: &str| match list {
            [] => all.to_owned(),
            some => some.join(", "),
        };
        Self {
            id: key.id.to_string(),
            state: state(&key, now),
            routes: all(&key.routes, "every route"),
            models: all(&key.models, "every model"),
            limits: key
                .limits
                .map_or_else(|| "those of the route".to_owned(), |limits| limit_words(&limits)),
            created: key.created_at,
            expires: key.expires_at,
            revoked: key.revoked_at,
            name: key.name,
            hint: key.hint,
        }
    }
}

/// In what state a key is.
pub(super) fn state(key: &Key, now: Timestamp) -> &'static str {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if at <= now => "expired",
        _ => "active",
    }
}

fn limit_words(limits: &LimitConfig) -> String {
    let window = if limits.window_s == 0 { 60 } else { limits.window_s };
    let part = |n: Option<u64>, what: &str| n.map(|n| format!("{} {what}", charts::number(n)));
    let parts = [
        part(limits.requests, "requests"),
        part(limits.tokens, "tokens"),
        part(limits.cost_micros, "millionths of cost"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "unlimited".to_owned(),
        false => format!("{} in {window} s", parts.join(", ")),
    }
}

fn may(admin: &Admin, visitor: &Visitor) -> bool {
    visitor.permit.also(admin, Access::Manage(Area::Keys)).is_ok()
}

async fn shown(
    admin: &Admin,
    visitor: &Visitor,
    uri: &Uri,
    made: Option<Made>,
    test: Option<Told>,
) -> Answer {
    let now = admin.gateway.cx.now();
    let keys = admin.gateway.keys.list(visitor.permit.tenant()).await?;
    let live = admin.gateway.live();
    let target = |target: bartizan_gateway::upstream::TargetState| {
        let (class, words) = health::condition(&target.condition);
        Target { name: target.name, class, words }
    };
    let routes = live.routes.values().map(|route| RouteRow {
        name: route.name.clone(),
        models: route.config.models.join(", "),
        targets: route.pool.states().into_iter().map(target).collect(),
        keep_text: route.config.keep_text,
    });
    page(&Keys {
        f: Frame::new(visitor, &PAGE, uri),
        may: may(admin, visitor),
        made,
        test,
        keys: keys.into_iter().map(|key| Row::of(key, now)).collect(),
        routes: routes.collect(),
    })
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    Params::of_query(uri.query(), &[])?;
    shown(&admin, &visitor, &uri, None, None).await
}

async fn one(State(admin): State<Admin>, visitor: Visitor, uri: Uri, Of(id): Of) -> Answer {
    let keys = admin.gateway.keys.list(visitor.permit.tenant()).await?;
    let key = keys.into_iter().find(|key| key.id == id);
    let key = key.ok_or_else(|| Failure::not_found(format!("there is no key `{id}`")))?;
    page(&One {
        f: Frame::new(&visitor, &PAGE, &uri).below(&key.name, PAGE.path.to_owned()),
        api: "/api/v1/keys".to_owned(),
        may: may(&admin, &visitor),
        key: Row::of(key, admin.gateway.cx.now()),
    })
}

async fn create(State(admin): State<Admin>, visitor: Visitor, uri: Uri, form: Params) -> Answer {
    let made = endpoints::keys::make(&admin, &visitor.permit, new_key(&form)?).await?;
    show_secret(&admin, &visitor, &uri, made).await
}

async fn rotate(State(admin): State<Admin>, visitor: Visitor, uri: Uri, Of(id): Of) -> Answer {
    let made = endpoints::keys::renew(&admin, &visitor.permit, id).await?;
    show_secret(&admin, &visitor, &uri, made).await
}

/// Not by way of another address: a secret is in this one answer, and nowhere else.
async fn show_secret(
    admin: &Admin,
    visitor: &Visitor,
    uri: &Uri,
    (key, secret): (Key, Secret),
) -> Answer {
    let words = format!("The key `{}` is made.", key.name);
    let made = Made { words, secret: secret.reveal().to_owned() };
    shown(admin, visitor, uri, Some(made), None).await
}

async fn revoke(State(admin): State<Admin>, visitor: Visitor, Of(id): Of) -> Answer {
    endpoints::keys::end(&admin, &visitor.permit, id).await?;
    go("/keys?done=revoked")
}

fn new_key(form: &Params) -> Result<NewKey, Failure> {
    let list = |name: &str| -> Vec<String> {
        let parts = form.get(name).unwrap_or_default().split(',').map(str::trim);
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let limits = LimitConfig {
        window_s: form.number("window_s")?.unwrap_or(0),
        requests: form.number("requests")?,
        tokens: form.number("tokens")?,
        cost_micros: None,
    };
    let limited = limits.requests.is_some() || limits.tokens.is_some();
    Ok(NewKey {
        name: form.need("name")?.to_owned(),
        routes: list("routes"),
        models: list("models"),
        expires_at: form.get("expires_at").map(local_time).transpose()?,
        limits: limited.then_some(limits),
    })
}

/// The browser's field for a time names neither seconds nor a zone; the page says UTC.
fn local_time(text: &str) -> Result<Timestamp, Failure> {
    let forms = [text.to_owned(), format!("{text}Z"), format!("{text}:00Z")];
    forms.iter().find_map(|form| Timestamp::parse(form)).ok_or_else(|| {
        let shown = json::clip(text, 40);
        Failure::invalid(format!(
            "`expires_at` is `{shown}`: expected a time, such as `2026-01-31T12:00`"
        ))
    })
}

async fn test(State(admin): State<Admin>, visitor: Visitor, uri: Uri, form: Params) -> Answer {
    let told = try_key(&admin, &visitor.permit, form.need("secret")?, form.need("model")?).await?;
    shown(&admin, &visitor, &uri, None, Some(told)).await
}

/// Goes the way of a request up to the point where it would be sent.
async fn try_key(
    admin: &Admin,
    permit: &Permit,
    secret: &str,
    model: &str,
) -> Result<Told, Failure> {
    let bad = |words: String| Ok(Told { class: "bad", words });
    let gateway = &admin.gateway;
    let key = match gateway.keys.authenticate(Some(secret.trim())).await? {
        Ok(key) if key.tenant == *permit.tenant() => key,
        Ok(_) | Err(Unaccepted::Unknown | Unaccepted::Missing) => {
            return bad("Refused: no such key is known".to_owned());
        }
        Err(Unaccepted::Revoked) => return bad("Refused: the key is revoked".to_owned()),
        Err(Unaccepted::Expired) => return bad("Refused: the key has expired".to_owned()),
    };
    let id = key.id.to_string();
    let act = Act {
        kind: "admin.key.tested",
        subject: &format!("key:{id}"),
        details: &[("model", model)],
    };
    permit.record(admin, &act).await?;
    let live = gateway.live();
    let shown = json::clip(model, 128);
    let Some(route) = live.route_of(model) else {
        return bad(format!(
            "The key `{}` is accepted, but no route serves the model `{shown}`",
            key.name
        ));
    };
    let principal = Principal::Key(bartizan_policy::Key {
        id: &id,
        name: &key.name,
        tenant: &key.tenant,
        routes: &key.routes,
        models: &key.models,
        expires_at: key.expires_at,
        revoked: key.revoked_at.is_some(),
    });
    let ask = Request::new(principal, &key.tenant, Access::Call { route: &route.name, model });
    match gateway.authorizer.authorize(&gateway.cx, &ask) {
        Err(denied) => bad(format!("Refused by the policies: {denied}")),
        Ok(_) => Ok(Told {
            class: "good",
            words: format!(
                "Let through: the key `{}` may ask for `{shown}`, by the route `{}`",
                key.name, route.name
            ),
        }),
    }
}

/// The name of a key, for pages that know its id.
pub(super) async fn names(admin: &Admin, permit: &Permit) -> Result<Vec<(Id, String)>, Failure> {
    let keys = admin.gateway.keys.list(permit.tenant()).await?;
    Ok(keys.into_iter().map(|key| (key.id, key.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_browser_are_taken() {
        for text in ["2026-01-31T12:00", "2026-01-31T12:00:00", "2026-01-31T12:00:00Z"] {
            assert!(local_time(text).is_ok(), "{text}");
        }
        assert!(local_time("tomorrow").is_err());
    }

    #[test]
    fn limits_are_told_in_words() {
        let limits =
            LimitConfig { requests: Some(1000), tokens: Some(5), ..LimitConfig::default() };
        assert_eq!(limit_words(&limits), "1,000 requests, 5 tokens in 60 s");
        assert_eq!(limit_words(&LimitConfig::default()), "unlimited");
    }
}
