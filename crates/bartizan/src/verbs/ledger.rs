//! `bartizan ledger`: read, prove and verify what cannot be altered unnoticed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bartizan_ledger::{Checkpoint, Head, SigningKey, VerifierKey, verify, witness};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Call, cell};
use crate::{
    output::{Outcome, printable},
    trouble::{Hint, trouble},
};

/// Entries that one request for them brings.
const PAGE: u64 = 1000;

/// Read, prove, verify and witness the log of everything that was decided.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the newest head with its signed checkpoint.
    Head,
    /// Print entries, oldest first.
    Entries {
        /// The first entry's index.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many; all when absent.
        #[arg(long)]
        limit: Option<u64>,
    },
    /// Verify a ledger offline, from its folder and public keys alone.
    ///
    /// Exit code 0: intact; 1: something does not verify; 2: it could not be read.
    Verify(Verify),
    /// Prove that an entry is under the newest checkpoint (C2SP tlog-proof).
    Prove {
        /// The entry's index.
        index: u64,
    },
    /// Prove that the newest tree, or that of size NEW, only adds to that of size OLD.
    Consistency { old: u64, new: Option<u64> },
    /// Write the ledger as nothing but C2SP tlog-tiles into a new folder.
    Export { out: PathBuf },
    /// Cosign another log's checkpoint, once it is shown to go on from the last one seen.
    Witness(Witness),
    /// Take a witness's cosigned checkpoint of the newest head.
    Cosigned {
        /// The file with the checkpoint.
        file: PathBuf,
        /// The witness's key (`name+id+base64`); may be given several times.
        #[arg(long = "witness", value_name = "KEY", required = true)]
        witnesses: Vec<String>,
    },
    /// Put a new signing key in force, vouched for by the one before.
    RotateKey,
    /// Begin another ledger where the one that the database remembers is gone, cut, or not the
    /// same. Its first entry names the lost one; what is there is moved aside.
    AcceptLoss {
        /// Say that this is meant.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Folders of ledgers; the installation's own when absent.
    dirs: Vec<PathBuf>,
    /// The log's public key (`name+id+base64`), or a file that holds it; `ledger.pub` in
    /// the folder when absent, which an intruder could have replaced.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A witness's key; its cosignatures in the folder are heads seen before.
    #[arg(long = "witness", value_name = "KEY")]
    witnesses: Vec<String>,
    /// A file with a checkpoint seen before, which the ledger must go on from.
    #[arg(long, value_name = "FILE")]
    remembered: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Witness {
    /// The other log's checkpoint.
    checkpoint: PathBuf,
    /// The other log's public key (`name+id+base64`), or a file that holds it.
    #[arg(long, value_name = "KEY")]
    log: String,
    /// The witness's own private key; made when the file is absent.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The witness's name, when its key is made.
    #[arg(long, default_value = "bartizan.local/witness")]
    name: String,
    /// The file that remembers the last head seen of that log; made when absent.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// A file with the consistency proof, as `ledger consistency` prints it.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

impl Verb {
    /// Whether it works through administration; the others read files.
    pub(super) fn administers(&self) -> bool {
        !matches!(
            self,
            Self::Verify(_) | Self::Export { .. } | Self::Witness(_) | Self::AcceptLoss { .. }
        )
    }
}

pub(super) async fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Verify(args) => return verify(call, &args),
        Verb::Export { out } => {
            let size = bartizan_ledger::export(&call.config()?.ledger_dir(), &out)?;
            call.out().one(&json!({"folder": out, "size": size}), |_| {
                format!("{size} entries in `{}`", out.display())
            })?;
            return Ok(Outcome::Clean);
        }
        Verb::Witness(args) => return witness(call, &args),
        Verb::AcceptLoss { yes } => return accept_loss(call, yes).await,
        _ => {}
    }
    let api = call.api("ledger").await?;
    let answered = online(call, &api, &verb).await;
    api.close().await?;
    answered.map(|()| Outcome::Clean)
}

async fn online(call: &Call<'_>, api: &crate::api::Api, verb: &Verb) -> anyhow::Result<()> {
    let mut out = call.out();
    match verb {
        Verb::Entries { from, limit } => return entries(call, api, *from, *limit).await,
        Verb::Head => {
            let head = api.get("/api/v1/ledger/head").await?;
            out.one(&head, |head| {
                format!("{}\nkey {}", cell(head, "/checkpoint"), cell(head, "/key"))
            })
        }
        Verb::Prove { index } => {
            let proof = api.get(&format!("/api/v1/ledger/entries/{index}/proof")).await?;
            out.one(&proof, |proof| cell(proof, "/proof"))
        }
        Verb::Consistency { old, new } => {
            let new = new.map(|new| format!("&new={new}")).unwrap_or_default();
            let proof = api.get(&format!("/api/v1/ledger/consistency?old={old}{new}")).await?;
            out.one(&proof, Value::to_string)
        }
        Verb::Cosigned { file, witnesses } => {
            let note = read(file)?;
            let taken = api
                .post(
                    "/api/v1/ledger/cosignatures",
                    Some(&json!({"checkpoint": note, "witnesses": witnesses})),
                )
                .await?;
            out.one(&taken, |taken| cell(taken, "/checkpoint"))
        }
        Verb::RotateKey => {
            let made = api.post("/api/v1/ledger/key/rotate", None).await?;
            out.one(&made, |made| {
                format!("the key from entry {} on: {}", cell(made, "/entry"), cell(made, "/key"))
            })
        }
        Verb::Verify(_) | Verb::Export { .. } | Verb::Witness(_) | Verb::AcceptLoss { .. } => {
            Ok(())
        }
    }
}

async fn accept_loss(call: &Call<'_>, yes: bool) -> anyhow::Result<Outcome> {
    if !yes {
        return Err(trouble(
            "what is lost of a ledger does not come back",
            "put the folder back from your newest copy; say with --yes that it is lost",
        ));
    }
    let accepted = crate::continuity::accept_loss(&call.config()?, call.cx).await?;
    call.out().one(&accepted, |accepted| {
        let kept = accepted.kept.as_ref().map_or_else(String::new, |folder| {
            format!("\nwhat was there is kept in `{}`", folder.display())
        });
        format!(
            "the ledger goes on as `{}`; its first entry names the lost one, `{}` of {} entries\nits key, for those who verify it: {}{kept}",
            accepted.ledger, accepted.lost, accepted.lost_size, accepted.key
        )
    })?;
    Ok(Outcome::Clean)
}

async fn entries(
    call: &Call<'_>,
    api: &crate::api::Api,
    from: u64,
    limit: Option<u64>,
) -> anyhow::Result<()> {
    let mut out = call.out();
    let end = limit.map_or(u64::MAX, |limit| from.saturating_add(limit));
    let mut next = Some(from);
    while let Some(from) = next.filter(|from| *from < end) {
        let page = api
            .get(&format!("/api/v1/ledger/entries?from={from}&limit={}", PAGE.min(end - from)))
            .await?;
        for entry in page.get("entries").and_then(Value::as_array).into_iter().flatten() {
            if out.is_json() {
                out.line(entry)?;
            } else {
                let time = entry.pointer("/entry/time").and_then(Value::as_i64).unwrap_or(0);
                let at = bartizan_core::Timestamp::from_millis(time);
                let body = entry.pointer("/entry/body").cloned().unwrap_or_default();
                let line = format!(
                    "{} {at} {} {} {} {body}",
                    cell(entry, "/index"),
                    cell(entry, "/entry/kind"),
                    cell(entry, "/entry/actor"),
                    cell(entry, "/entry/subject")
                );
                out.text(&(printable(&line) + "\n"))?;
            }
        }
        next = page.get("next").and_then(Value::as_u64);
    }
    out.flush()
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))
        .hint("name a file with the signed note in it")
}

/// A key as text, or the file that holds it.
fn key(text: &str) -> anyhow::Result<VerifierKey> {
    let held = if Path::new(text).is_file() { read(Path::new(text))? } else { text.to_owned() };
    Ok(VerifierKey::parse(held.trim())?)
}

fn verify(call: &Call<'_>, args: &Verify) -> anyhow::Result<Outcome> {
    let dirs =
        if args.dirs.is_empty() { vec![call.config()?.ledger_dir()] } else { args.dirs.clone() };
    let witnesses = args.witnesses.iter().map(|text| key(text)).collect::<anyhow::Result<_>>()?;
    let remembered = args
        .remembered
        .as_deref()
        .map(|path| anyhow::Ok(Checkpoint::parse(&read(path)?)?.head))
        .transpose()?;
    let options = verify::Options { remembered, witnesses };
    let mut worst = Outcome::Clean;
    let mut out = call.out();
    for dir in &dirs {
        let public = dir.join("ledger.pub");
        let log = match &args.key {
            Some(text) => key(text)?,
            None => VerifierKey::parse(read(&public).hint(format!("`{}` is no ledger's folder, or its public key is gone; name the key with --key", dir.display()))?.trim())?,
        };
        let report = verify::directory(dir, &log, &options)?;
        if !report.is_intact() {
            worst = Outcome::Findings;
        }
        let head = report.head.as_ref();
        let result = json!({
            "folder": dir, "intact": report.is_intact(), "origin": head.map(|head| head.origin.as_str()), "size": head.map(|head| head.size),
            "root": head.map(|head| STANDARD.encode(head.root)), "problems": report.problems, "torn": report.torn,
            "cosigned": report.cosigned, "not_authenticated": report.ignored,
        });
        let follows = args.key.as_ref().filter(|_| !report.is_intact());
        let follows = follows.and_then(|_| follows_another(dir, &log.to_string()));
        out.one(&result, |_| {
            let mut said = sentence(dir, &report, args.key.is_none());
            if let Some(follows) = &follows {
                said.push_str("\n  ");
                said.push_str(follows);
            }
            said
        })?;
    }
    Ok(worst)
}

/// What is to be said when the key is of a log that this one goes on from, after a restore.
fn follows_another(dir: &Path, key: &str) -> Option<String> {
    let name = |key: &str| key.split('+').next().unwrap_or_default().trim().to_owned();
    let (old, own) = (name(key), name(&std::fs::read_to_string(dir.join("ledger.pub")).ok()?));
    let base = old.split("/restored-").next()?;
    if old == own || !own.starts_with(&format!("{base}/restored-")) {
        return None;
    }
    let beside = dir.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let kept: Vec<String> = std::fs::read_dir(beside)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ledger.replaced-"))
        .map(|entry| format!("`{}`", entry.path().display()))
        .collect();
    let kept = match kept.is_empty() {
        true => "where you keep it".to_owned(),
        false => kept.join(" or "),
    };
    Some(format!(
        "the key is of the log `{old}`; this one, `{own}`, goes on from it since a restore, and its entry 0 names the old log's head. The key verifies the old part, {kept}, whose last entry names the key of the next"
    ))
}

fn sentence(dir: &Path, report: &verify::Report, own_key: bool) -> String {
    let head = report.head.as_ref();
    let size = head.map_or(0, |head| head.size);
    let mut lines = Vec::new();
    if report.is_intact() {
        lines.push(format!(
            "intact: {size} entries of `{}` in `{}`",
            head.map_or("", |head| head.origin.as_str()),
            dir.display()
        ));
    } else {
        lines.push(format!("NOT INTACT: `{}`", dir.display()));
        lines.extend(report.problems.iter().map(|problem| format!("  {problem}")));
    }
    if report.torn > 0 {
        lines.push(format!(
            "  {} entries that were never acknowledged were cut off by a crash",
            report.torn
        ));
    }
    if own_key {
        lines.push("  checked with the key in the folder itself; `--key` takes one that you kept elsewhere".to_owned());
    }
    if !report.ignored.is_empty() {
        let names: Vec<String> =
            report.ignored.iter().map(|path| path.display().to_string()).collect();
        lines.push(format!("  not covered by any signature: {}", names.join(", ")));
    }
    lines.join("\n")
}

fn witness(call: &Call<'_>, args: &Witness) -> anyhow::Result<Outcome> {
    let own = own_key(call, args)?;
    let note = read(&args.checkpoint)?;
    let log = key(&args.log)?;
    let last: Option<Head> = match args.state.exists() {
        true => Some(Checkpoint::parse(&read(&args.state)?)?.head),
        false => None,
    };
    let proof = args.proof.as_deref().map(path).transpose()?.unwrap_or_default();
    let time = u64::try_from(call.cx.now().millis() / 1000).unwrap_or(0);
    let (_, line) = witness::cosign(&note, &log, last.as_ref(), &proof, &own, time).hint("a log that rolls back or forks is what a witness is there to notice; keep both checkpoints")?;
    // Remembered before the signature is handed out, so that no crash forgets it.
    let temporary = args.state.with_extension("tmp");
    std::fs::write(&temporary, &note)
        .and_then(|()| std::fs::rename(&temporary, &args.state))
        .with_context(|| format!("cannot write `{}`", args.state.display()))?;
    let result =
        json!({"cosigned": format!("{note}{line}"), "witness": own.cosigner().to_string()});
    call.out().one(&result, |result| {
        format!("{}witness {}", cell(result, "/cosigned"), cell(result, "/witness"))
    })?;
    Ok(Outcome::Clean)
}

fn own_key(call: &Call<'_>, args: &Witness) -> anyhow::Result<SigningKey> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if args.key.exists() {
        return Ok(SigningKey::parse(&read(&args.key)?)?);
    }
    let key = SigningKey::generate(&segment_name(&args.name), call.cx)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.key)
        .with_context(|| format!("cannot make `{}`", args.key.display()))?;
    writeln!(file, "{}", key.encode())?;
    Ok(key)
}

fn segment_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_whitespace() && *c != '+').collect();
    if name.is_empty() { "witness".to_owned() } else { name }
}

/// The hashes of a proof, as `consistency` prints them.
fn path(file: &Path) -> anyhow::Result<Vec<[u8; 32]>> {
    let wrong = || {
        trouble(
            format!("`{}` is no consistency proof", file.display()),
            "`bartizan ledger consistency OLD NEW --format json` prints one",
        )
    };
    let value: Value = serde_json::from_str(&read(file)?).map_err(|_| wrong())?;
    let list = value.get("path").and_then(Value::as_array).ok_or_else(wrong)?;
    list.iter()
        .map(|hash| STANDARD.decode(hash.as_str()?).ok()?.try_into().ok())
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}
