//! The benchmark of the gateway: a mock upstream, the hops that are compared, a load
//! generator and the stages that measure. `bench/gateway.sh` runs it.

mod answer;
mod closed;
mod figures;
mod hops;
mod machine;
mod open;
mod process;
mod prompts;
mod stages;
mod upstream;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // One thread: the machine's cores are shared with everything that is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.as_slice() {
        ["upstream", port] => runtime.block_on(upstream::serve(port.parse()?, false)),
        ["upstream", port, "silent"] => runtime.block_on(upstream::serve(port.parse()?, true)),
        ["run", rest @ ..] => {
            let options = stages::Options::parse(rest)?;
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, stages::run(&options))
        }
        _ => bail!("expected `upstream PORT [silent]` or `run OPTIONS STAGE...`"),
    }
}
