//! A gossip peer and its tools.

mod config;
mod crypto;
mod demo;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A gossip peer that speaks Hyperledger Fabric's protocol, and its tools.
///
/// RUST_LOG says what is logged to stderr, for example RUST_LOG=gossip_tokio=debug.
/// Nothing but errors is logged without it.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let Command::Demo(args) = cli.command;
    match demo::run(&args) {
        Ok(demo::Ending::Complete) => ExitCode::SUCCESS,
        Ok(demo::Ending::Missing) => ExitCode::FAILURE,
        Ok(demo::Ending::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What shells take for "ended by Ctrl-C".
const EXIT_INTERRUPTED: u8 = 130;
