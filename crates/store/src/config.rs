//! Settings of the store: `[store]` in the configuration.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Retention;

/// Where records rest and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// A PostgreSQL database that several nodes share, such as
    /// `postgresql://bartizan@db.example/bartizan?sslmode=verify-full`. When absent, records rest
    /// in SQLite in the data directory. A password belongs into the environment variable of this
    /// key, not into the file.
    pub database_url: Option<String>,
    /// NATS with JetStream, which carries events to other nodes, such as
    /// `tls://nats.example:4222`. When absent, events stay within this node's database.
    pub nats_url: Option<String>,
    /// Redis, which counts limits for all nodes that share it, such as
    /// `rediss://redis.example:6379/0`. When absent, each node counts for itself.
    pub redis_url: Option<String>,
    /// What happens to requests with a limit while Redis is away.
    pub limits_when_away: WhenAway,
    /// The file of the master key, which encrypts every tenant's data key. When absent, and
    /// `master_key_env` too, it is `master.key` in the data directory, generated at the first start.
    pub master_key_file: Option<PathBuf>,
    /// The environment variable that holds the master key: 64 hexadecimal digits; several,
    /// separated by commas, while a rotation goes on, the new one first. It goes before the file.
    pub master_key_env: Option<String>,
    /// The folder of backups, on this machine: whoever administers from elsewhere names a file in
    /// it, and can make none anywhere else. When absent, it is `backups` in the data directory.
    pub backup_dir: Option<PathBuf>,
    /// How long each class of data rests, where it is not the default of the class.
    pub retention: BTreeMap<String, RetentionSettings>,
}

/// What happens to a request whose limits cannot be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenAway {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on uncounted, and the log and the ledger say so.
    Allow,
}

/// How long the records of one class rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Records older than this many days are removed; 0 keeps them however old.
    pub days: Option<u32>,
    /// The oldest records beyond this many bytes a tenant are removed; 0 keeps them however many.
    pub bytes_max: Option<u64>,
}

impl StoreSettings {
    /// What holds for a class.
    pub(crate) fn retention(&self, name: &str, default: Retention) -> Retention {
        let Some(set) = self.retention.get(name) else { return default };
        Retention {
            days: set.days.map_or(default.days, |days| Some(days).filter(|days| *days > 0)),
            bytes_max: set
                .bytes_max
                .map_or(default.bytes_max, |bytes| Some(bytes).filter(|bytes| *bytes > 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_replaces_its_half_of_the_default_and_zero_lifts_it() {
        let default = Retention::days(90).bytes_max(1000);
        let with = |days, bytes_max| {
            let mut settings = StoreSettings::default();
            settings.retention.insert("decision".into(), RetentionSettings { days, bytes_max });
            settings.retention("decision", default)
        };
        assert_eq!(with(None, None), default);
        assert_eq!(with(Some(7), None), Retention::days(7).bytes_max(1000));
        assert_eq!(with(Some(0), Some(0)), Retention::FOREVER);
        assert_eq!(StoreSettings::default().retention("decision", default), default);
    }
}
