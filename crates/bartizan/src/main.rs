//! `bartizan`: one binary that protects, tests and governs AI systems.

mod api;
mod config;
mod continuity;
mod demo;
mod demo_house;
mod doctor;
mod lock;
mod notify;
mod output;
mod reference;
mod restore;
mod serve;
mod system;
mod trouble;
mod verbs;
mod wiring;

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;

use output::{Outcome, reader_left};

/// A request makes hundreds of short-lived texts on several threads, and musl's own allocator
/// serves one at a time. Elsewhere the system's keeps less memory.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = verbs::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start")),
    };
    match runtime.block_on(verbs::run(cli, &system::cx())) {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Exit code 2: the work could not be done.
fn fail(error: &anyhow::Error) -> ExitCode {
    let mut stderr = std::io::stderr();
    let colour = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let _unseen = trouble::print(error, &mut stderr, colour);
    ExitCode::from(2)
}
