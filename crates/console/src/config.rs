//! People and how they sign in: the settings, with their defaults.

use std::{collections::BTreeMap, path::PathBuf};

use bartizan_policy::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// People, and how they sign in to the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeopleConfig {
    /// The console's address as browsers know it, such as
    /// `https://bartizan.example`. Without it links begin with the listener's address.
    pub url: Option<String>,
    /// Whether everyone who signs in with a password must have a second factor.
    pub second_factor: SecondFactor,
    /// How long a session lasts in which nothing is done, in seconds.
    pub session_idle_s: u64,
    /// How long a session lasts at most, in seconds.
    pub session_max_s: u64,
    /// How long a one-time link holds, in seconds.
    pub link_s: u64,
    /// Sign-in through a provider of OpenID Connect.
    pub oidc: Option<OidcConfig>,
}

impl Default for PeopleConfig {
    fn default() -> Self {
        Self {
            url: None,
            second_factor: SecondFactor::Optional,
            session_idle_s: 12 * 60 * 60,
            session_max_s: 7 * 24 * 60 * 60,
            link_s: 24 * 60 * 60,
            oidc: None,
        }
    }
}

/// Whether a second factor is demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactor {
    /// Each person decides.
    #[default]
    Optional,
    /// Nobody gets further without one.
    Required,
}

/// A provider of OpenID Connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// The provider's issuer, such as `https://login.example`. Its host must be
    /// listed in `net.allow` when it is private or speaks plain HTTP.
    pub issuer: String,
    /// The name by which the provider knows this installation.
    pub client_id: String,
    /// The environment variable that holds the client's secret.
    pub client_secret_env: Option<String>,
    /// The file that holds the client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// What the button on the sign-in page calls the provider.
    pub label: String,
    /// What is asked of the provider; `openid` is always asked.
    pub scopes: Vec<String>,
    /// The claim that names a person.
    pub name_claim: String,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    /// Which role the members of a group have: `administrator`, `operator`,
    /// `analyst` or `auditor`. Of several, the mightiest counts.
    #[schemars(with = "BTreeMap<String, RoleName>")]
    pub roles: BTreeMap<String, Role>,
    /// The role of who is in none of the groups; without it such a person is refused.
    #[schemars(with = "Option<RoleName>")]
    pub role_default: Option<Role>,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_env: None,
            client_secret_file: None,
            label: "single sign-on".to_owned(),
            scopes: vec!["openid".to_owned(), "profile".to_owned(), "email".to_owned()],
            name_claim: "preferred_username".to_owned(),
            groups_claim: "groups".to_owned(),
            roles: BTreeMap::new(),
            role_default: None,
        }
    }
}

/// The words of a role, for documents; the policy room's type knows nothing of schemas.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "it is the shape of a type of another room")]
pub(crate) enum RoleName {
    /// May do everything.
    Administrator,
    /// Reads all; manages keys, routes, assets and findings, and decides approvals.
    Operator,
    /// Reads all; decides approvals and findings.
    Analyst,
    /// Reads all, changes nothing.
    Auditor,
}
