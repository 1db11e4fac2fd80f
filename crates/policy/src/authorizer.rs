//! Authorization by Cedar: the shipped policies and the operator's, typed by a schema.
//!
//! Source: Cutler et al., Cedar: A New Language for Expressive, Fast, Safe, and
//! Analyzable Authorization (OOPSLA 2024), <https://www.cedarpolicy.com>.

use std::{str::FromStr, sync::Arc};

use bartizan_core::{Cx, Tenant, json};
use cedar_policy::{ParseErrors, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::{
    Access, Error, Principal, Request,
    question::{Known, Question, Types},
};

const SCHEMA: &str = include_str!("cedar/bartizan.cedarschema");
const SHIPPED: &str = include_str!("cedar/shipped.cedar");
/// LIMIT: the operator's policies, in bytes. The largest sets in Cedar's own
/// benchmarks are a tenth of this; more is a mistake.
const EXTRA_BYTES_MAX: usize = 256 * 1024;
/// LIMIT: names in messages, in bytes.
const SHOWN_BYTES_MAX: usize = 128;

/// Decides by policy.
#[derive(Clone, Debug)]
pub struct Authorizer {
    cedar: cedar_policy::Authorizer,
    schema: Schema,
    policies: PolicySet,
    types: Types,
    known: Arc<Known>,
}

/// The proof that policies permit something. Minted by [`Authorizer::authorize`] alone.
#[derive(Debug)]
#[must_use = "what was authorized has not been done yet"]
pub struct Authorized<T>(T);

impl<T> Authorized<T> {
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The thing itself, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What was permitted, to whom, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Such as `Key::"0190c5a4-7b1e-7c3a-9f00-3c1d2e4f5a6b"`.
    pub principal: String,
    pub action: &'static str,
    /// Such as `Model::"gpt-4o"`.
    pub resource: String,
    /// The route that it is for, where there is one.
    pub route: Option<String>,
    pub tenant: Tenant,
    /// The policies that permit it, by their ids.
    pub policies: Vec<String>,
}

/// Why policies do not permit something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    pub reason: String,
    /// The policies that forbid it, by their ids; none where no policy permits it.
    pub policies: Vec<String>,
}

impl Authorizer {
    /// The shipped policies, and those of the operator.
    ///
    /// # Errors
    /// When the operator's policies are too long, cannot be read, do not fit the
    /// schema, or name themselves like another.
    pub fn new(extra: &str) -> Result<Self, Error> {
        if extra.len() > EXTRA_BYTES_MAX {
            return Err(Error::TooLong { len: extra.len(), max: EXTRA_BYTES_MAX });
        }
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA)
            .map_err(|e| Error::Malformed(format!("the shipped schema: {e}")))?;
        let mut policies = PolicySet::new();
        add(&mut policies, SHIPPED, "shipped")?;
        add(&mut policies, extra, "operator")?;
        let validated = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if let Some(problem) = validated.validation_errors().next() {
            return Err(Error::Invalid(problem.to_string()));
        }
        let types = Types::new().map_err(Error::Malformed)?;
        Ok(Self {
            cedar: cedar_policy::Authorizer::new(),
            schema,
            policies,
            types,
            known: Arc::default(),
        })
    }

    /// Decides one request.
    ///
    /// # Errors
    /// Says why it is denied. What cannot be evaluated is denied too.
    pub fn authorize(&self, cx: &Cx, request: &Request<'_>) -> Result<Authorized<Grant>, Denied> {
        let Question { facts, request: asked } =
            self.types.question(cx, request, &self.schema, &self.known).map_err(unclear)?;
        let answer = self.cedar.is_authorized(&asked, &self.policies, &facts.entities);
        // Cedar leaves a policy out that cannot be evaluated. Were it one that
        // forbids, leaving it out would permit.
        if let Some(problem) = answer.diagnostics().errors().next() {
            return Err(unclear(problem.to_string()));
        }
        let mut policies: Vec<_> = answer.diagnostics().reason().cloned().collect();
        policies.sort_unstable();
        if answer.decision() == cedar_policy::Decision::Deny {
            return Err(self.denied(request, facts.action, &policies));
        }
        Ok(Authorized(Grant {
            principal: facts.principal.to_string(),
            action: facts.action,
            resource: facts.resource.to_string(),
            route: request.access.route().map(str::to_owned),
            tenant: request.tenant.clone(),
            policies: policies.iter().map(ToString::to_string).collect(),
        }))
    }

    fn denied(&self, request: &Request<'_>, action: &str, policies: &[PolicyId]) -> Denied {
        let reasons =
            policies.iter().filter_map(|id| self.policies.policy(id)?.annotation("reason"));
        let mut reason = reasons.collect::<Vec<_>>().join("; ");
        let policies: Vec<_> = policies.iter().map(ToString::to_string).collect();
        if reason.is_empty() && policies.is_empty() {
            reason = format!("no policy lets {}", sentence(request, action));
        } else if reason.is_empty() {
            reason = format!("forbidden by policy `{}`", policies.join("`, `"));
        }
        Denied { reason, policies }
    }
}

/// Adds policies under their `@id`, or under a number where they carry none.
fn add(into: &mut PolicySet, text: &str, source: &str) -> Result<(), Error> {
    let malformed = |problem: String| Error::Malformed(format!("{source}: {problem}"));
    let parsed = PolicySet::from_str(text).map_err(|e| malformed(with_line(text, &e)))?;
    if parsed.num_of_templates() > 0 {
        return Err(malformed("templates (`?principal`, `?resource`) have no use here".to_owned()));
    }
    for policy in parsed.policies() {
        let id = match policy.annotation("id") {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => format!("{source}-{}", policy.id()),
        };
        let policy = policy.new_id(PolicyId::new(&id));
        into.add(policy).map_err(|_| Error::Twice(json::clip(&id, SHOWN_BYTES_MAX).to_owned()))?;
    }
    Ok(())
}

/// The first thing that the parser stumbled over, and in which line.
fn with_line(text: &str, errors: &ParseErrors) -> String {
    let first = errors.iter().next();
    let offset = first.and_then(|e| e.labels()?.next()).map(|label| label.offset());
    let before = offset.and_then(|at| text.get(..at));
    match (first, before) {
        (Some(e), Some(before)) => format!("line {}: {e}", before.matches('\n').count() + 1),
        _ => errors.to_string(),
    }
}

/// A request that is denied since it could not be decided.
fn unclear(problem: impl ToString) -> Denied {
    let reason = format!("denied, since the policies cannot be evaluated: {}", problem.to_string());
    Denied { reason, policies: Vec::new() }
}

/// Who may not do what, for a person to read.
fn sentence(request: &Request<'_>, action: &str) -> String {
    let clip = |text| json::clip(text, SHOWN_BYTES_MAX);
    let who = match request.principal {
        Principal::Key(key) => format!("key `{}`", clip(key.id)),
        Principal::Administrator(name) => format!("`{}`", clip(name)),
        Principal::Person(person) => format!("`{}` ({})", clip(person.name), person.role),
    };
    let what = match request.access {
        Access::Call { route, model } => {
            format!("call model `{}` through route `{}`", clip(model), clip(route))
        }
        Access::Inspect { route } => format!("have texts inspected by route `{}`", clip(route)),
        Access::Pass { route } => {
            format!("pass requests through route `{}` uninspected", clip(route))
        }
        Access::Read(area) | Access::Manage(area) => format!("{action} {}", area.as_str()),
        Access::Decide(approval) => format!("decide approval `{}`", approval.id),
    };
    format!("{who} {what}")
}
