//! A gossip peer and its tools.

mod admin;
mod config;
mod crypto;
mod demo;
mod ledger;
mod start;
#[cfg(test)]
mod tests;
mod text;
mod time;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A gossip peer that speaks Hyperledger Fabric's protocol, and its tools.
///
/// RUST_LOG says what is logged to stderr, for example RUST_LOG=gossip_tokio=debug. Without it a
/// peer logs what operators should know, and the tools nothing but errors.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Ledger(ledger::Args),
    Peers(admin::Args),
    Start(start::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let default = match cli.command {
        Command::Demo(_) | Command::Ledger(_) | Command::Peers(_) => "error",
        Command::Start(_) => "info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).init();
    let ending = match cli.command {
        Command::Demo(args) => demo::run(&args).map(|ending| match ending {
            demo::Ending::Complete => ExitCode::SUCCESS,
            demo::Ending::Missing => ExitCode::FAILURE,
            demo::Ending::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
        }),
        Command::Ledger(args) => ledger::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Peers(args) => admin::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Start(args) => start::run(&args).map(|()| ExitCode::SUCCESS),
    };
    ending.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// What shells take for "ended by Ctrl-C".
const EXIT_INTERRUPTED: u8 = 130;
