//! People and roles: who has an account, what the roles may do, and everyone's sessions.

use askama::Template;
use axum::{
    extract::State,
    http::Uri,
    routing::{get, post},
};
use bartizan_core::{Id, Timestamp};
use bartizan_policy::{Access, Area, Role};

use super::{Page, Section};
use crate::{
    Admin, Failure,
    endpoints::Needs,
    frame::{Answer, Frame, go, page},
    params::Params,
    people::{account, manage, sessions},
    permit,
    take::Of,
    view,
    visitor::Visitor,
};

pub(super) static PAGE: Page = Page {
    path: "/people",
    title: "People and roles",
    letter: Some('p'),
    section: Section::House,
    icon: "people",
    needs: Needs::Read(Area::People),
    serve: || get(list),
};
const MANAGE: Needs = Needs::Manage(Area::People);
pub(super) static ONE: Page =
    Page::below("/people/{id}", "Person", Needs::Read(Area::People), || get(one));
pub(super) static INVITE: Page = Page::below("/people/invite", "Invite", MANAGE, || post(invite));
pub(super) static ROLE: Page = Page::below("/people/{id}/role", "Role", MANAGE, || post(set_role));
pub(super) static DISABLE: Page =
    Page::below("/people/{id}/disable", "Disable", MANAGE, || post(disable));
pub(super) static ENABLE: Page =
    Page::below("/people/{id}/enable", "Enable", MANAGE, || post(enable));
pub(super) static RECOVER: Page =
    Page::below("/people/{id}/recover", "Recover", MANAGE, || post(recover));
pub(super) static END: Page =
    Page::below("/people/{id}/sessions/end", "End sessions", MANAGE, || post(end));

#[derive(Template)]
#[template(path = "people.html")]
struct People {
    f: Frame,
    may: bool,
    made: Option<Made>,
    people: Vec<Row>,
    roles: Vec<&'static str>,
    matrix: Vec<(&'static str, Vec<&'static str>)>,
}

#[derive(Template)]
#[template(path = "person.html")]
struct One {
    f: Frame,
    api: String,
    may: bool,
    /// Whether it is the visitor's own account.
    own: bool,
    made: Option<Made>,
    person: Row,
    roles: Vec<(&'static str, &'static str)>,
    sessions: Vec<sessions::Shown>,
}

/// A link, shown this once.
struct Made {
    words: String,
    link: String,
}

struct Row {
    id: String,
    name: String,
    role: &'static str,
    state: &'static str,
    /// Class, icon and word of the state.
    tag: (&'static str, &'static str),
    local: bool,
    second_factor: bool,
    created: Timestamp,
    signed_in: Option<Timestamp>,
}

impl From<account::Shown> for Row {
    fn from(person: account::Shown) -> Self {
        let tag = match person.state {
            account::State::Active => ("good", "good"),
            account::State::Invited => ("note", "pending"),
            account::State::Disabled => ("bad", "block"),
        };
        Self {
            id: person.id.to_string(),
            name: person.name,
            role: person.role.as_str(),
            state: person.state.as_str(),
            tag,
            local: person.origin == account::Origin::Local,
            second_factor: person.second_factor,
            created: person.created_at,
            signed_in: person.signed_in_at,
        }
    }
}

fn may(admin: &Admin, visitor: &Visitor) -> bool {
    visitor.permit.also(admin, Access::Manage(Area::People)).is_ok()
}

/// What each role may do with each area, as the policies in force answer.
fn matrix(admin: &Admin, visitor: &Visitor) -> Vec<(&'static str, Vec<&'static str>)> {
    let word = |role: Role, area: Area| {
        let may = |access| permit::would(admin, role, visitor.permit.tenant(), access);
        match (may(Access::Manage(area)), may(Access::Read(area))) {
            (true, true) => "manage",
            (true, false) => "manage only",
            (false, true) => "read",
            (false, false) => "–",
        }
    };
    let of = |area: Area| Role::ALL.into_iter().map(|role| word(role, area)).collect();
    Area::ALL.into_iter().map(|area| (area.as_str(), of(area))).collect()
}

async fn all(admin: &Admin, visitor: &Visitor, uri: &Uri, made: Option<Made>) -> Answer {
    let people = manage::list(admin).await?;
    page(&People {
        f: Frame::new(visitor, &PAGE, uri),
        may: may(admin, visitor),
        made,
        people: people.into_iter().map(Row::from).collect(),
        roles: Role::ALL.into_iter().map(Role::as_str).collect(),
        matrix: matrix(admin, visitor),
    })
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    Params::of_query(uri.query(), &[])?;
    all(&admin, &visitor, &uri, None).await
}

async fn person(admin: &Admin, visitor: &Visitor, uri: &Uri, id: Id, made: Option<Made>) -> Answer {
    let sessions = manage::sessions_of(admin, &visitor.permit, id).await?;
    let person: Row = manage::one(admin, id).await?.into();
    page(&One {
        f: Frame::new(visitor, &PAGE, uri).below(&person.name, PAGE.path.to_owned()),
        api: "/api/v1/people".to_owned(),
        may: may(admin, visitor),
        own: visitor.person.id == id,
        made,
        person,
        roles: Role::ALL.into_iter().map(|role| (role.as_str(), role.about())).collect(),
        sessions,
    })
}

async fn one(State(admin): State<Admin>, visitor: Visitor, uri: Uri, Of(id): Of) -> Answer {
    Params::of_query(uri.query(), &[])?;
    person(&admin, &visitor, &uri, id, None).await
}

fn role(form: &Params) -> Result<Role, Failure> {
    form.need("role")?
        .parse()
        .map_err(|error: bartizan_policy::Error| Failure::invalid(error.to_string()))
}

/// Not by way of another address: a link is in this one answer, and nowhere else.
async fn invite(State(admin): State<Admin>, visitor: Visitor, uri: Uri, form: Params) -> Answer {
    let (made, link) =
        manage::invite(&admin, &visitor.permit, form.need("name")?, role(&form)?).await?;
    let words = format!("`{}` is invited as {}.", made.name, made.role);
    all(&admin, &visitor, &uri, Some(Made { words, link })).await
}

async fn recover(State(admin): State<Admin>, visitor: Visitor, uri: Uri, Of(id): Of) -> Answer {
    let link = manage::recover(&admin, &visitor.permit, id).await?;
    let words = "With this link the person sets another password and second factor.".to_owned();
    person(&admin, &visitor, &uri, id, Some(Made { words, link })).await
}

async fn set_role(
    State(admin): State<Admin>,
    visitor: Visitor,
    Of(id): Of,
    form: Params,
) -> Answer {
    manage::set_role(&admin, &visitor.permit, id, role(&form)?).await?;
    go(&format!("/people/{id}?done=saved"))
}

async fn disable(State(admin): State<Admin>, visitor: Visitor, Of(id): Of) -> Answer {
    manage::disable(&admin, &visitor.permit, id).await?;
    go(&format!("/people/{id}?done=saved"))
}

async fn enable(State(admin): State<Admin>, visitor: Visitor, Of(id): Of) -> Answer {
    manage::enable(&admin, &visitor.permit, id).await?;
    go(&format!("/people/{id}?done=saved"))
}

/// All sessions of the person, or the one that the form names.
async fn end(State(admin): State<Admin>, visitor: Visitor, Of(id): Of, form: Params) -> Answer {
    match form.get("session") {
        Some(session) => {
            let session = session
                .parse()
                .map_err(|error: bartizan_core::InvalidId| Failure::invalid(error.to_string()))?;
            manage::end_session(&admin, &visitor.permit, session).await?;
        }
        None => {
            manage::end_sessions(&admin, &visitor.permit, id).await?;
        }
    }
    go(&format!("/people/{id}?done=saved"))
}
