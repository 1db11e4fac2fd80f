//! How the installation does: routes, their targets, the database.

use axum::{
    Extension, Json,
    extract::State,
    routing::{get, post},
};
use bartizan_core::Tenant;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, Operation, object, schema};
use crate::{Admin, Failure, router::Actor};

pub(super) const ROUTES: Endpoint = Endpoint {
    path: "/api/v1/routes",
    operations: &[Operation {
        method: "get",
        summary: "The routes in force, and how their targets do",
        takes: None,
        gives: object,
    }],
    serve: || get(routes),
};
pub(super) const STATUS: Endpoint = Endpoint {
    path: "/api/v1/status",
    operations: &[Operation {
        method: "get",
        summary: "Version, ledger, readiness",
        takes: None,
        gives: object,
    }],
    serve: || get(status),
};
pub(super) const DATABASE: Endpoint = Endpoint {
    path: "/api/v1/database",
    operations: &[Operation {
        method: "post",
        summary: "Work on the database: sweep, backup, rotate the master key, erase a tenant",
        takes: Some(schema::<Work>),
        gives: object,
    }],
    serve: || post(database),
};

/// What is to be done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "work", rename_all = "kebab-case", deny_unknown_fields)]
enum Work {
    /// Remove what its retention no longer covers.
    Sweep,
    /// Copy the database into a new file on the server's machine.
    Backup { to: std::path::PathBuf },
    /// Put a new master key in force.
    RotateMasterKey,
    /// Destroy a tenant's data key, and with it all of its text.
    EraseTenant {
        #[schemars(with = "String")]
        tenant: Tenant,
    },
}

async fn routes(State(admin): State<Admin>) -> Json<Value> {
    let live = admin.gateway.live();
    let routes: Vec<Value> = live.routes.values().map(|route| {
        let targets: Vec<Value> = route.pool.states().iter().map(|target| json!({
            "name": target.name, "priority": target.priority, "weight": target.weight,
            "condition": format!("{:?}", target.condition).to_lowercase(), "running": target.running,
        })).collect();
        json!({"name": route.name, "models": route.config.models, "targets": targets})
    }).collect();
    Json(Value::Array(routes))
}

async fn status(State(admin): State<Admin>) -> Json<Value> {
    let head = admin.gateway.ledger.head();
    let ready = admin.gateway.ready().await;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"), "ready": ready.is_ok(), "problem": ready.err().map(|e| e.to_string()),
        "ledger": {"origin": head.origin, "size": head.size}, "routes": admin.gateway.live().routes.len(),
    }))
}

async fn database(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    Json(work): Json<Work>,
) -> Result<Json<Value>, Failure> {
    let gateway = &admin.gateway;
    let tenant = match &work {
        Work::EraseTenant { tenant } => tenant.clone(),
        _ => Tenant::default(),
    };
    let (kind, subject) = match &work {
        Work::Sweep => ("admin.database.sweep", "database".to_owned()),
        Work::Backup { .. } => ("admin.database.backup", "database".to_owned()),
        Work::RotateMasterKey => ("admin.database.rotate_key", "database".to_owned()),
        Work::EraseTenant { tenant } => {
            ("admin.tenant.erase", gateway.store.tenant_tag(tenant).await?)
        }
    };
    gateway.record(&tenant, actor, kind, &subject, &[]).await?;
    Ok(Json(match work {
        Work::Sweep => {
            let swept = gateway.store.sweep(gateway.cx.now()).await?;
            json!({"removed": swept.records, "undelivered": swept.undelivered})
        }
        Work::Backup { to } => {
            gateway.store.backup(&to).await?;
            json!({"backup": to, "left_out": "the master key and the ledger: keep copies of `master.key` and the folder `ledger` elsewhere"})
        }
        Work::RotateMasterKey => {
            json!({"master_key": gateway.store.rotate_master_key(bartizan_store::NewMasterKey::Generated).await?})
        }
        Work::EraseTenant { tenant } => {
            json!({"erased": tenant, "records": gateway.store.erase_tenant(&tenant).await?})
        }
    }))
}
