//! A request in Cedar's terms: identities, facts about them, circumstances.

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

use bartizan_core::{Cx, Tenant, Timestamp};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request as CedarRequest,
    RestrictedExpression as Value, Schema,
};

use crate::{Access, ApprovalRecord, Key, Person, Principal, Request, Role, fits};

/// One request as Cedar takes it.
pub(crate) struct Question {
    pub(crate) facts: Arc<Facts>,
    pub(crate) request: CedarRequest,
}

/// Who asks for what, and what is known of both: all of a request but its circumstances.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) principal: EntityUid,
    pub(crate) action: &'static str,
    pub(crate) resource: EntityUid,
    pub(crate) entities: Entities,
}

/// The facts of calls by keys, which come again and again: to make them and check them
/// against the schema takes three times as long as to decide.
#[derive(Debug, Default)]
pub(crate) struct Known(RwLock<HashMap<Vec<u8>, Arc<Facts>>>);

impl Known {
    /// LIMIT: calls that differ. Clients name models as they like.
    const CALLS_MAX: usize = 1024;
    /// LIMIT: bytes by which a call is known.
    const BYTES_MAX: usize = 4096;

    fn get(&self, call: &[u8]) -> Option<Arc<Facts>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(call).cloned()
    }

    fn keep(&self, call: Vec<u8>, facts: &Arc<Facts>) {
        if call.len() > Self::BYTES_MAX {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::CALLS_MAX {
            known.clear();
        }
        known.insert(call, facts.clone());
    }
}

/// Everything that the facts of a call by a key are made of; nothing for other requests.
fn call_of(request: &Request<'_>) -> Option<Vec<u8>> {
    let Request {
        principal: Principal::Key(key),
        tenant: _,
        access: Access::Call { route, model },
    } = request
    else {
        return None;
    };
    // Each field by its name, so that a new one is not forgotten here.
    let Key { id, name, tenant, routes, models, expires_at, revoked } = key;
    let mut call = vec![u8::from(*revoked), u8::from(expires_at.is_some())];
    call.extend(expires_at.map_or(0, Timestamp::millis).to_le_bytes());
    let mut add = |text: &str| {
        call.extend(text.len().to_le_bytes());
        call.extend(text.as_bytes());
    };
    for text in [id, name, tenant.as_str(), route, model] {
        add(text);
    }
    for texts in [routes, models] {
        add(&texts.len().to_string());
        texts.iter().for_each(|text| add(text));
    }
    Some(call)
}

/// The names of the schema's types, read once.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    action: EntityTypeName,
    approval: EntityTypeName,
    area: EntityTypeName,
    key: EntityTypeName,
    model: EntityTypeName,
    pattern: EntityTypeName,
    person: EntityTypeName,
    role: EntityTypeName,
    route: EntityTypeName,
    tenant: EntityTypeName,
}

impl Types {
    pub(crate) fn new() -> Result<Self, String> {
        let read = |name: &str| EntityTypeName::from_str(name).map_err(|e| e.to_string());
        Ok(Self {
            action: read("Action")?,
            approval: read("Approval")?,
            area: read("Area")?,
            key: read("Key")?,
            model: read("Model")?,
            pattern: read("Pattern")?,
            person: read("Person")?,
            role: read("Role")?,
            route: read("Route")?,
            tenant: read("Tenant")?,
        })
    }

    /// Translates a request.
    ///
    /// # Errors
    /// When the request does not fit the schema, such as a person who calls a model.
    pub(crate) fn question(
        &self,
        cx: &Cx,
        request: &Request<'_>,
        schema: &Schema,
        known: &Known,
    ) -> Result<Question, String> {
        let context = self.circumstances(cx.now(), request.tenant)?;
        let ask = |facts: &Facts, schema| {
            let act = uid(&self.action, facts.action);
            CedarRequest::new(facts.principal.clone(), act, facts.resource.clone(), context, schema)
                .map_err(text)
        };
        let call = call_of(request);
        // What is known was checked against the schema when it became so.
        if let Some(facts) = call.as_deref().and_then(|call| known.get(call)) {
            let request = ask(&facts, None)?;
            return Ok(Question { facts, request });
        }
        let facts = Arc::new(self.facts(request, schema)?);
        let request = ask(&facts, Some(schema))?;
        if let Some(call) = call {
            known.keep(call, &facts);
        }
        Ok(Question { facts, request })
    }

    fn facts(&self, request: &Request<'_>, schema: &Schema) -> Result<Facts, String> {
        let who = self.principal(&request.principal)?;
        let (action, what) = self.resource(request)?;
        let (principal, resource) = (who.uid(), what.uid());
        let entities = Entities::from_entities([who, what], Some(schema)).map_err(text)?;
        Ok(Facts { principal, action, resource, entities })
    }

    fn principal(&self, principal: &Principal<'_>) -> Result<Entity, String> {
        match principal {
            Principal::Key(key) => self.key(key),
            Principal::Administrator(actor) => {
                self.person(&Person { id: actor, name: actor, actor, role: Role::Administrator })
            }
            Principal::Person(person) => self.person(person),
        }
    }

    fn person(&self, person: &Person<'_>) -> Result<Entity, String> {
        let facts = facts([("name", string(person.name)), ("actor", string(person.actor))]);
        let roles = HashSet::from([uid(&self.role, person.role.as_str())]);
        Entity::new(uid(&self.person, person.id), facts, roles).map_err(text)
    }

    fn key(&self, key: &Key<'_>) -> Result<Entity, String> {
        let set = |of: &EntityTypeName, names: &[String]| {
            Value::new_set(names.iter().map(|name| Value::new_entity_uid(uid(of, name))))
        };
        let tenant = uid(&self.tenant, key.tenant.as_str());
        let mut facts = facts([
            ("name", string(key.name)),
            ("tenant", Value::new_entity_uid(tenant.clone())),
            ("every_route", Value::new_bool(key.routes.is_empty())),
            ("routes", set(&self.route, key.routes)),
            ("every_model", Value::new_bool(key.models.is_empty())),
            ("models", set(&self.pattern, key.models)),
            ("revoked", Value::new_bool(key.revoked)),
        ]);
        if let Some(at) = key.expires_at {
            facts.insert("expires_at".to_owned(), Value::new_long(at.millis()));
        }
        Entity::new(uid(&self.key, key.id), facts, HashSet::from([tenant])).map_err(text)
    }

    fn resource(&self, request: &Request<'_>) -> Result<(&'static str, Entity), String> {
        let route = |name: &str| Entity::new_no_attrs(uid(&self.route, name), HashSet::new());
        Ok(match request.access {
            Access::Call { route, model } => {
                ("call", self.model(&request.principal, route, model)?)
            }
            Access::Inspect { route: name } => ("inspect", route(name)),
            Access::Pass { route: name } => ("pass", route(name)),
            Access::Read(area) => ("read", self.of_tenant(request.tenant, area.as_str())),
            Access::Manage(area) => ("manage", self.of_tenant(request.tenant, area.as_str())),
            Access::Decide(approval) => ("decide", self.approval(request.tenant, approval)?),
        })
    }

    /// A model is a member of its route and of those of the key's patterns that it fits.
    fn model(&self, who: &Principal<'_>, route: &str, model: &str) -> Result<Entity, String> {
        let mut parents = HashSet::from([uid(&self.route, route)]);
        if let Principal::Key(key) = who {
            let fitting = key.models.iter().filter(|pattern| fits(pattern, model));
            parents.extend(fitting.map(|pattern| uid(&self.pattern, pattern)));
        }
        Entity::new(uid(&self.model, model), facts([("name", string(model))]), parents)
            .map_err(text)
    }

    fn of_tenant(&self, tenant: &Tenant, area: &str) -> Entity {
        let parents = HashSet::from([uid(&self.tenant, tenant.as_str())]);
        Entity::new_no_attrs(uid(&self.area, area), parents)
    }

    fn approval(&self, tenant: &Tenant, approval: &ApprovalRecord) -> Result<Entity, String> {
        let facts = facts([
            ("kind", string(&approval.kind)),
            ("requested_by", string(&approval.requested_by)),
            ("by_another", Value::new_bool(approval.by_another)),
        ]);
        let parents = HashSet::from([uid(&self.tenant, tenant.as_str())]);
        Entity::new(uid(&self.approval, &approval.id.to_string()), facts, parents).map_err(text)
    }

    fn circumstances(&self, now: Timestamp, tenant: &Tenant) -> Result<Context, String> {
        let tenant = uid(&self.tenant, tenant.as_str());
        let pairs =
            [("now", Value::new_long(now.millis())), ("tenant", Value::new_entity_uid(tenant))];
        Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(text)
    }
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

fn string(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

fn facts<const N: usize>(pairs: [(&str, Value); N]) -> HashMap<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(problem: impl Display) -> String {
    problem.to_string()
}
