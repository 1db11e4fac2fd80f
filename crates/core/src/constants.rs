//! Names and numbers that several rooms must agree on, in one place.

/// Where the data plane listens when the configuration is silent.
pub const DATA_LISTEN: &str = "127.0.0.1:8480";
/// Where administration listens when the configuration is silent.
pub const ADMIN_LISTEN: &str = "127.0.0.1:8481";
/// The directory of everything that rests, when the configuration is silent.
pub const DATA_DIR: &str = "bartizan-data";
/// The configuration file that is read when none is named and it exists.
pub const CONFIG_FILE: &str = "bartizan.toml";
/// The prefix of every environment variable that Bartizan reads.
pub const ENV_PREFIX: &str = "BARTIZAN_";
/// The Unix socket of a running server, inside the data directory.
pub const SOCKET_FILE: &str = "admin.sock";
/// The edition of the Open Cybersecurity Schema Framework that events follow.
pub const OCSF_VERSION: &str = "1.5.0";
/// The edition of OWASP's Top 10 for LLM applications that findings cite.
pub const OWASP_LLM: &str = "owasp-llm@2025";
/// The edition of MITRE ATLAS that findings cite.
pub const ATLAS: &str = "atlas@5.6";
/// The largest ledger entry, in bytes of canonical JSON. An entry bundle of
/// C2SP tlog-tiles stores each length in 16 bits.
pub const LEDGER_ENTRY_BYTES_MAX: usize = 65_535;
/// The deepest nesting of JSON that is accepted from outside.
pub const JSON_DEPTH_MAX: usize = 64;
/// The most values of one JSON text from outside: a number of two bytes takes 72 in
/// memory, so that without this 32 MiB would become more than a gigabyte. The largest
/// honest texts are lists of embeddings: this is 650 of 3072 numbers each.
pub const JSON_VALUES_MAX: usize = 2_000_000;
