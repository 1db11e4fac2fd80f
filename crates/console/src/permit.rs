//! Who acts, for which tenant, and the proof that the policies allow it.

use std::{future::Future, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use bartizan_core::{Id, Tenant};
use bartizan_policy::{self as policy, Access, Area, Authorized, Grant, Principal, Request};

use crate::{Admin, Failure, people::Scope, visitor::Person};

/// The longest detail of an act that enters the ledger, in bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// A request that was authenticated and authorized. Handlers get it from the router
/// alone, and reach the ledger by it.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    who: Arc<Who>,
    tenant: Tenant,
    _grant: Arc<Authorized<Grant>>,
}

/// Who asks, as far as it was proved.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// The holder of the administrator's token or of the machine.
    Administrator(&'static str),
    /// A person, by a session or an API token.
    Person { person: Person, actor: String, by: By },
}

/// By what a person is known.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// Being about to get in: by a password, a link, or the provider's word.
    Entry,
    /// The session of this id.
    Session(Id),
    /// An API token, which may do no more than its scopes say.
    Token { scopes: Vec<Scope> },
}

impl Who {
    pub(crate) fn person(person: Person, by: By) -> Self {
        let actor = format!("person:{}", person.id);
        Self::Person { person, actor, by }
    }

    fn actor(&self) -> &str {
        match self {
            Self::Administrator(actor) => actor,
            Self::Person { actor, .. } => actor,
        }
    }

    /// What is beyond the scopes of the token, where there is one.
    fn beyond(&self, access: &Access<'_>) -> Option<Scope> {
        let Self::Person { by: By::Token { scopes, .. }, .. } = self else { return None };
        let wanted = match access {
            Access::Read(area) => Scope { area: *area, manage: false },
            Access::Manage(area) => Scope { area: *area, manage: true },
            Access::Decide(_) => Scope { area: Area::Approvals, manage: true },
            // What only keys do.
            Access::Call { .. } | Access::Inspect { .. } | Access::Pass { .. } => return None,
        };
        (!scopes.iter().any(|scope| scope.covers(wanted))).then_some(wanted)
    }
}

/// Something that an administrator does.
#[derive(Debug)]
pub(crate) struct Act<'a> {
    /// The kind of the ledger's entry, such as `admin.key.revoke`.
    pub(crate) kind: &'a str,
    /// What it is done to, such as `key:ID`.
    pub(crate) subject: &'a str,
    pub(crate) details: &'a [(&'a str, &'a str)],
}

impl Permit {
    /// Asks the policies.
    pub(crate) fn ask(
        admin: &Admin,
        who: Arc<Who>,
        tenant: Tenant,
        access: Access<'_>,
    ) -> Result<Self, Failure> {
        let denied = |why: String| {
            Failure::new(StatusCode::FORBIDDEN, "denied", format!("not permitted: {why}"))
        };
        if let Some(scope) = who.beyond(&access) {
            return Err(denied(format!("the API token does not have the scope `{scope}`")));
        }
        let gateway = &admin.gateway;
        let id;
        let principal = match &*who {
            Who::Administrator(actor) => Principal::Administrator(actor),
            Who::Person { person, actor, .. } => {
                id = person.id.to_string();
                let (name, role) = (person.name.as_str(), person.role);
                Principal::Person(policy::Person { id: &id, name, actor, role })
            }
        };
        let request = Request::new(principal, &tenant, access);
        let grant = gateway.authorizer.authorize(&gateway.cx, &request);
        let grant = grant.map_err(|refusal| denied(refusal.to_string()))?;
        Ok(Self { who, tenant, _grant: Arc::new(grant) })
    }

    pub(crate) fn actor(&self) -> &str {
        self.who.actor()
    }

    /// The person who asks.
    ///
    /// # Errors
    /// When it is the administrator's token or the machine, which have no account.
    pub(crate) fn person(&self) -> Result<&Person, Failure> {
        match &*self.who {
            Who::Person { person, .. } => Ok(person),
            Who::Administrator(_) => Err(Failure::invalid(
                "the administrator's token and this machine have no account; sign in, or use a person's API token",
            )),
        }
    }

    /// The session by which the person is known, where it is by one.
    pub(crate) fn session(&self) -> Option<Id> {
        match &*self.who {
            Who::Person { by: By::Session(id), .. } => Some(*id),
            _ => None,
        }
    }

    /// Whose records the request is about.
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Asks the policies for more than the operation needs at least.
    pub(crate) fn also(&self, admin: &Admin, access: Access<'_>) -> Result<(), Failure> {
        Self::ask(admin, self.who.clone(), self.tenant.clone(), access).map(|_| ())
    }

    /// Records the act, does it, and makes it last. When it fails, that is recorded too.
    pub(crate) async fn act<T, E: Into<Failure>>(
        &self,
        admin: &Admin,
        act: Act<'_>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let entry = self.record(admin, &act).await?.to_string();
        match work.await.map_err(Into::into) {
            Ok(done) => {
                admin.gateway.store.flush().await?;
                Ok(done)
            }
            Err(failure) => {
                let details = [("act", act.kind), ("entry", &entry), ("code", failure.code)];
                let failed = Act { kind: "admin.failed", subject: act.subject, details: &details };
                if let Err(unrecorded) = self.record(admin, &failed).await {
                    tracing::error!(error = %unrecorded, act = act.kind, "an act failed, and that could not be recorded");
                }
                Err(failure)
            }
        }
    }

    /// Records something that was done, or is about to be.
    /// Returns the index of the entry.
    pub(crate) async fn record(&self, admin: &Admin, act: &Act<'_>) -> Result<u64, Failure> {
        let clip = |(name, text)| (name, bartizan_core::json::clip(text, DETAIL_BYTES_MAX));
        let details: Vec<_> = act.details.iter().copied().map(clip).collect();
        let subject = bartizan_core::json::clip(act.subject, DETAIL_BYTES_MAX);
        let gateway = &admin.gateway;
        Ok(gateway.record(&self.tenant, self.actor(), act.kind, subject, &details).await?)
    }
}

/// Whether the policies would let somebody of this role do this, to show it. It permits nothing.
pub(crate) fn would(
    admin: &Admin,
    role: policy::Role,
    tenant: &Tenant,
    access: Access<'_>,
) -> bool {
    let person = policy::Person { id: "anyone", name: "anyone", actor: "person:anyone", role };
    let request = Request::new(Principal::Person(person), tenant, access);
    admin.gateway.authorizer.authorize(&admin.gateway.cx, &request).is_ok()
}

impl<S: Send + Sync> FromRequestParts<S> for Permit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            let message = "the request was not authorized: this operation is not in the catalogue";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
        })
    }
}
