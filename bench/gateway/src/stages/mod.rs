//! The stages of the benchmark, by the names that the command line takes.

mod idle;
mod latency;
mod overhead;
mod streams;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{
    hops::{self, Bartizan, Hop},
    machine,
};

/// What the command line asks for.
#[derive(Debug, Default)]
pub struct Options {
    pub bartizan: PathBuf,
    pub dir: PathBuf,
    pub nginx: Option<PathBuf>,
    pub litellm: Option<PathBuf>,
    pub quick: bool,
    pub per_second: u32,
    stages: Vec<String>,
}

/// Every stage, in the order in which they run.
const STAGES: [&str; 4] = ["overhead", "latency", "idle", "streams"];
/// Requests a second of the latency stage, unless told otherwise.
const PER_SECOND: u32 = 500;

impl Options {
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { per_second: PER_SECOND, ..Self::default() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
            match *word {
                "--bartizan" => options.bartizan = value()?.into(),
                "--dir" => options.dir = value()?.into(),
                "--nginx" => options.nginx = Some(value()?.into()),
                "--litellm" => options.litellm = Some(value()?.into()),
                "--rate" => {
                    options.per_second = value()?.parse().context("--rate takes a number")?
                }
                "--quick" => options.quick = true,
                stage if STAGES.contains(&stage) => options.stages.push(stage.to_owned()),
                other => bail!("`{other}` is no stage; there are {}", STAGES.join(", ")),
            }
        }
        Ok(options)
    }

    fn has(&self, stage: &str) -> bool {
        self.stages.is_empty() || self.stages.iter().any(|asked| asked == stage)
    }
}

/// Runs the stages; an error when any answer was wrong.
pub async fn run(options: &Options) -> Result<()> {
    machine::print(options);
    let mut errors = 0;
    if options.has("overhead") {
        errors += overhead::run(options).await?;
    }
    if options.has("latency") {
        errors += latency::run(options)?;
    }
    if options.has("idle") {
        errors += idle::run(options)?;
    }
    if options.has("streams") {
        errors += streams::run(options).await?;
    }
    if errors > 0 {
        bail!("{errors} requests failed: the figures do not count");
    }
    Ok(())
}

/// Starts the model, nginx where there is one, and Bartizan, in this order.
fn start_plain(options: &Options) -> Result<Vec<Hop>> {
    let direct = hops::direct(&options.dir)?;
    let port = direct.address(false).port();
    let nginx = options.nginx.as_deref().map(|nginx| hops::nginx(nginx, &options.dir, &direct));
    let bartizan = Bartizan::install(&options.bartizan, &options.dir, port, "")?.serve()?;
    let mut hops = vec![direct];
    hops.extend(nginx.transpose()?);
    hops.push(bartizan);
    Ok(hops)
}
