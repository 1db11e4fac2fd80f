//! Who acts, for which tenant, and the proof that the policies allow it.

use std::{future::Future, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use bartizan_core::Tenant;
use bartizan_policy::{Access, Authorized, Grant, Principal, Request};

use crate::{Admin, Failure};

/// The longest detail of an act that enters the ledger, in bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// A request that was authenticated and authorized. Handlers get it from the router
/// alone, and reach the ledger by it.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    actor: &'static str,
    tenant: Tenant,
    _grant: Arc<Authorized<Grant>>,
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
        actor: &'static str,
        tenant: Tenant,
        access: Access<'_>,
    ) -> Result<Self, Failure> {
        let gateway = &admin.gateway;
        let request = Request::new(Principal::Administrator(actor), &tenant, access);
        let grant = gateway.authorizer.authorize(&gateway.cx, &request).map_err(|denied| {
            Failure::new(StatusCode::FORBIDDEN, "denied", format!("not permitted: {denied}"))
        })?;
        Ok(Self { actor, tenant, _grant: Arc::new(grant) })
    }

    pub(crate) fn actor(&self) -> &'static str {
        self.actor
    }

    /// Whose records the request is about.
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Asks the policies for more than the operation needs at least.
    pub(crate) fn also(&self, admin: &Admin, access: Access<'_>) -> Result<(), Failure> {
        Self::ask(admin, self.actor, self.tenant.clone(), access).map(|_| ())
    }

    /// Records the act, does it, and makes it last. When it fails, that is recorded too.
    pub(crate) async fn act<T, E: Into<Failure>>(
        &self,
        admin: &Admin,
        act: Act<'_>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        self.record(admin, &act).await?;
        match work.await.map_err(Into::into) {
            Ok(done) => {
                admin.gateway.store.flush().await?;
                Ok(done)
            }
            Err(failure) => {
                let details = [("act", act.kind), ("code", failure.code)];
                let failed = Act { kind: "admin.failed", subject: act.subject, details: &details };
                if let Err(unrecorded) = self.record(admin, &failed).await {
                    tracing::error!(error = %unrecorded, act = act.kind, "an act failed, and that could not be recorded");
                }
                Err(failure)
            }
        }
    }

    /// Records something that was done, or is about to be.
    pub(crate) async fn record(&self, admin: &Admin, act: &Act<'_>) -> Result<(), Failure> {
        let clip = |(name, text)| (name, bartizan_core::json::clip(text, DETAIL_BYTES_MAX));
        let details: Vec<_> = act.details.iter().copied().map(clip).collect();
        let subject = bartizan_core::json::clip(act.subject, DETAIL_BYTES_MAX);
        let gateway = &admin.gateway;
        gateway.record(&self.tenant, self.actor, act.kind, subject, &details).await?;
        Ok(())
    }
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
