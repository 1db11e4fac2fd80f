//! `bartizan db`: moving, keeping and ending what rests.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bartizan_core::Tenant;
use bartizan_store::Store;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Call, cell};
use crate::{
    api::Api,
    lock::DirectoryLock,
    output::Outcome,
    restore::Done,
    trouble::{Hint, trouble},
    wiring,
};

/// Export, import, back up, restore, sweep, and erase a tenant.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write all records as JSON Lines, while work goes on.
    Export {
        /// Where to; standard output when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Write texts in clear, so that any store can read them, and anyone else too.
        #[arg(long)]
        clear: bool,
        /// Of this tenant only.
        #[arg(long)]
        tenant: Option<Tenant>,
    },
    /// Read records that `export` wrote. No server may run meanwhile.
    Import {
        file: PathBuf,
    },
    /// Copy the database into a new file while work goes on. Keys and ledger stay out.
    Backup {
        to: PathBuf,
    },
    /// Put a backup in the place of the database. The ledger goes on under a new
    /// origin, whose first entry names the old head.
    Restore {
        backup: PathBuf,
    },
    /// Remove what its retention no longer covers.
    Sweep,
    /// Put a new master key in force, while work goes on.
    RotateKey {
        /// Take the first key that the master key's file holds now, above the present one: where
        /// several nodes share the database, all of which have this file.
        #[arg(long)]
        from_file: bool,
    },
    Seed(super::seed::Args),
    /// Destroy a tenant's data key, and with it all of its text, for ever.
    EraseTenant {
        tenant: Tenant,
        /// Say that this is meant.
        #[arg(long)]
        yes: bool,
    },
}

impl Verb {
    /// Whether it works through administration; the others need the directory.
    pub(super) fn administers(&self) -> bool {
        !matches!(self, Self::Import { .. } | Self::Restore { .. } | Self::Seed(_))
    }
}

pub(super) async fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Export { out, clear, tenant } => export(call, out, clear, tenant).await,
        Verb::Import { file } => import(call, file).await,
        Verb::Restore { backup } => restore(call, &backup).await,
        Verb::Seed(args) => super::seed::run(call, args).await,
        Verb::Backup { to } => {
            let to = std::path::absolute(to)?;
            work(call, "", json!({"work": "backup", "to": to})).await
        }
        Verb::Sweep => work(call, "", json!({"work": "sweep"})).await,
        Verb::RotateKey { from_file } => {
            work(call, "", json!({"work": "rotate-master-key", "from_file": from_file})).await
        }
        Verb::EraseTenant { tenant, yes } if yes => {
            work(call, &format!("?tenant={tenant}"), json!({"work": "erase-tenant"})).await
        }
        Verb::EraseTenant { tenant, .. } => Err(trouble(
            format!("erasing `{tenant}` cannot be undone"),
            "say that it is meant with --yes",
        )),
    }
}

/// What the API does, in this process or in the server.
async fn work(call: &Call<'_>, query: &str, body: Value) -> anyhow::Result<Outcome> {
    let api = call.api("db").await?;
    let done = api.post(&format!("/api/v1/database{query}"), Some(&body)).await;
    api.close().await?;
    call.out().one(&done?, sentence)?;
    Ok(Outcome::Clean)
}

fn sentence(done: &Value) -> String {
    match cell(done, "/done").as_str() {
        "swept" => {
            let removed = done.pointer("/removed").and_then(Value::as_object);
            let classes: Vec<String> = removed
                .into_iter()
                .flatten()
                .filter(|(_, count)| count.as_u64() != Some(0))
                .map(|(class, count)| format!("{count} of class {class}"))
                .collect();
            match classes.as_slice() {
                [] => "nothing was beyond its retention".to_owned(),
                some => format!("removed: {}", some.join(", ")),
            }
        }
        "backed-up" => format!(
            "backed up to `{}`\nleft out: the master key `{}`, without which it cannot be read, and the folder `ledger`; keep copies of both elsewhere",
            cell(done, "/file"),
            cell(done, "/master_key"),
        ),
        "master-key-rotated" => {
            format!(
                "the master key is now `{}`; keep a copy of it elsewhere",
                cell(done, "/master_key")
            )
        }
        "tenant-erased" => format!(
            "tenant `{}` is erased: its data key is destroyed, {} records went with it",
            cell(done, "/tenant"),
            cell(done, "/records"),
        ),
        _ => done.to_string(),
    }
}

/// The store alone, in a directory that no server holds.
async fn store(call: &Call<'_>) -> anyhow::Result<(Store, DirectoryLock)> {
    let config = call.config()?;
    let lock = DirectoryLock::take(&config.data_dir, "db")?;
    Ok((Store::open(&config.store, &config.data_dir, wiring::classes(), call.cx).await?, lock))
}

async fn export(
    call: &Call<'_>,
    out: Option<PathBuf>,
    clear: bool,
    tenant: Option<Tenant>,
) -> anyhow::Result<Outcome> {
    let whose = match &tenant {
        Some(tenant) => format!("tenant={tenant}"),
        None => "every_tenant=true".to_owned(),
    };
    let path = format!("/api/v1/database/export?clear={clear}&{whose}");
    let api = call.api("db export").await?;
    let written = match &out {
        Some(file) => pour(&api, &path, file).await,
        None => {
            let mut out = call.out();
            let poured = api.pour(&path, out.writer()).await;
            poured.and_then(|()| out.flush())
        }
    };
    api.close().await?;
    written?;
    if let Some(file) = out {
        let result = json!({"file": file, "in_clear": clear});
        call.out().one(&result, |_| format!("exported to `{}`", file.display()))?;
    }
    Ok(Outcome::Clean)
}

/// Into a new file of the owner's alone, which is whole or not there.
async fn pour(api: &Api, path: &str, file: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write `{}`", file.display());
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut to = BufWriter::new(new.with_context(cannot).hint("name a new file")?);
    let poured = api.pour(path, &mut to).await;
    let kept = poured
        .and_then(|()| to.flush().and_then(|()| to.get_ref().sync_all()).with_context(cannot));
    if kept.is_err() {
        std::fs::remove_file(file).with_context(cannot)?;
    }
    kept
}

async fn import(call: &Call<'_>, file: PathBuf) -> anyhow::Result<Outcome> {
    let mut from = BufReader::new(
        File::open(&file).with_context(|| format!("cannot read `{}`", file.display()))?,
    );
    let (store, _lock) = store(call).await?;
    let read = store.import(&mut from).await;
    store.close().await?;
    let read = read?;
    let result = json!({"added": read.added, "updated": read.updated, "kept": read.kept});
    call.out().one(&result, |_| {
        format!(
            "{} records added, {} updated, {} kept as they were",
            read.added, read.updated, read.kept
        )
    })?;
    Ok(Outcome::Clean)
}

async fn restore(call: &Call<'_>, backup: &Path) -> anyhow::Result<Outcome> {
    let config = call.config()?;
    let _lock = DirectoryLock::take(&config.data_dir, "db restore")?;
    let done = crate::restore::restore(&config, backup, call.cx).await?;
    call.out().one(&done, restored)?;
    Ok(Outcome::Clean)
}

fn restored(done: &Done) -> String {
    let mut lines = vec![format!("restored `{}`", done.restored.display())];
    if let Some(replaced) = &done.replaced {
        lines.push(format!("the database before is kept as `{}`", replaced.display()));
    }
    match (&done.old_ledger, done.old_size) {
        (Some(folder), Some(size)) => lines.push(format!(
            "the ledger goes on as `{}`; its first entry names the old head of size {size}, kept in `{}`",
            done.ledger,
            folder.display()
        )),
        _ => lines.push(format!("the ledger begins as `{}`", done.ledger)),
    }
    lines.push(format!("its key, for those who verify it: {}", done.key));
    if done.erased_again > 0 {
        lines
            .push(format!("{} tenants that were erased since are erased again", done.erased_again));
    }
    if done.erasures_unknown {
        lines.push(
            "the database before could not be read: erase again the tenants that were erased since the backup"
                .to_owned(),
        );
    }
    lines.join("\n")
}
