//! `bartizan reference`: the generated pages, for those who work on Bartizan itself.

use std::{fs, path::PathBuf};

use anyhow::Context as _;

use crate::{output::Outcome, reference, trouble::trouble};

/// Write the generated pages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the pages.
    #[arg(long, value_name = "DIR", default_value = "docs/reference")]
    out: PathBuf,
    /// Change nothing, and fail when a page is not current.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut stale = Vec::new();
    for page in reference::ALL {
        let path = args.out.join(page.file);
        let text = (page.write)()?;
        if args.check {
            let current = fs::read_to_string(&path).is_ok_and(|current| current == text);
            if !current {
                stale.push(format!("`{}`", path.display()));
            }
        } else {
            fs::create_dir_all(&args.out)
                .and_then(|()| fs::write(&path, text))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
    }
    if stale.is_empty() {
        return Ok(Outcome::Clean);
    }
    Err(trouble(
        format!("not current: {}", stale.join(", ")),
        "run `cargo run -- reference` and commit what it changes",
    ))
}
