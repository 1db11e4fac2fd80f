//! An asset: what can be attacked, protected or owned.

use serde::{Deserialize, Serialize};

use crate::Id;

/// The kinds of asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// A model, local or behind a provider's API.
    Model,
    /// An application that calls models.
    Application,
    /// A data set.
    Dataset,
    /// A tool that an agent may call.
    Tool,
    /// A machine.
    Host,
    /// A person's or a program's account.
    Account,
}

/// Something of worth: the subject of events and findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    pub id: Id,
    pub kind: AssetKind,
    /// Its name among its owners, such as `gpt-4o` or `support-bot`.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
