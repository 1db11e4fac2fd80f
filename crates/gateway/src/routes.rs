//! Routes in force: which models go where, compiled from the configuration.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_guard::Profile;
use bartizan_net::Client;
use bartizan_policy::fits;

use crate::{
    Error,
    config::{GatewayConfig, Price, RouteConfig},
    identity::Network,
    protocols::OPAQUE_KINDS,
    upstream::Pool,
};

/// One route in force.
#[derive(Debug)]
pub struct Route {
    pub name: String,
    pub config: RouteConfig,
    pub profile: Profile,
    pub pool: Pool,
}

/// Everything that a reload replaces, as a whole or not at all.
#[derive(Debug)]
pub struct Live {
    pub config: GatewayConfig,
    pub routes: BTreeMap<String, Arc<Route>>,
    pub trusted: Vec<Network>,
}

impl Live {
    /// Compiles the configuration.
    ///
    /// # Errors
    /// Names the route and what is wrong with it.
    pub fn new(config: GatewayConfig, client: &Client) -> Result<Self, Error> {
        let mut routes = BTreeMap::new();
        for (name, route) in &config.routes {
            routes.insert(name.clone(), Arc::new(compile(name, route, client)?));
        }
        one_route_a_model(&config)?;
        let trusted = config.data.trusted_proxies.iter().map(|text| {
            Network::parse(text).ok_or_else(|| {
                Error::Invalid(format!("`data.trusted_proxies`: `{text}` is not a network: expected such as `10.0.0.0/8`"))
            })
        });
        let trusted = trusted.collect::<Result<_, _>>()?;
        Ok(Self { config, routes, trusted })
    }

    /// The route that serves a model: the longest pattern that fits.
    pub fn route_of(&self, model: &str) -> Option<&Arc<Route>> {
        let fitting = self.routes.values().flat_map(|route| {
            route
                .config
                .models
                .iter()
                .filter(|pattern| fits(pattern, model))
                .map(move |pattern| (pattern.len(), route))
        });
        fitting.max_by_key(|(len, _)| *len).map(|(_, route)| route)
    }

    /// The route that passes a path on uninspected.
    pub fn route_of_path(&self, path: &str) -> Option<&Arc<Route>> {
        self.routes
            .values()
            .find(|route| route.config.pass_paths.iter().any(|listed| listed == path))
    }

    /// What a model costs; nothing where the table is silent.
    pub fn price_of(&self, model: &str) -> Price {
        let fitting = self.config.prices.iter().filter(|(pattern, _)| fits(pattern, model));
        fitting
            .max_by_key(|(pattern, _)| pattern.len())
            .map(|(_, price)| *price)
            .unwrap_or_default()
    }
}

fn compile(name: &str, config: &RouteConfig, client: &Client) -> Result<Route, Error> {
    let wrong = |problem: String| Error::Route { route: name.to_owned(), problem };
    if config.models.is_empty() && config.pass_paths.is_empty() {
        return Err(wrong(
            "`models` is empty: name the models that it serves, such as `[\"gpt-4o*\"]`".to_owned(),
        ));
    }
    if config.targets.is_empty() {
        return Err(wrong(
            "`targets` is empty: add `[[routes.NAME.targets]]` with a `url`".to_owned(),
        ));
    }
    for kind in &config.allow_opaque {
        if !OPAQUE_KINDS.contains(&kind.as_str()) {
            return Err(wrong(format!(
                "`allow_opaque`: `{kind}` is none of {}",
                OPAQUE_KINDS.join(", ")
            )));
        }
    }
    let mut profile = Profile::default();
    for (code, rule) in &config.rules {
        profile
            .set(code, rule.mode, rule.action)
            .map_err(|e| wrong(format!("`rules.{code}`: {e}")))?;
    }
    let pool =
        Pool::new(name, &config.targets, client.clone()).map_err(|e| wrong(e.to_string()))?;
    Ok(Route { name: name.to_owned(), config: config.clone(), profile, pool })
}

/// Two routes that list the same pattern would make the choice an accident.
fn one_route_a_model(config: &GatewayConfig) -> Result<(), Error> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, route) in &config.routes {
        for pattern in &route.models {
            if let Some(other) = seen.insert(pattern, name) {
                return Err(Error::Route {
                    route: name.clone(),
                    problem: format!(
                        "the model `{pattern}` is listed by route `{other}` too; keep one"
                    ),
                });
            }
        }
    }
    Ok(())
}
