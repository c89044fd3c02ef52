//! The blocks that a peer keeps, and the tools for them.

mod args;
mod chain;
mod error;
mod export;
mod file;
mod folder;
mod import;
mod info;
mod progress;
mod store;
mod verify;

use std::{
    error::Error,
    io::{self, ErrorKind, Write},
};

pub(crate) use self::{
    args::Args,
    chain::{Chain, header, is_same_block},
    error::{Problem, StoreError},
    file::{Blocks, FileError},
    folder::Folder,
    store::Writer,
};
use self::{args::Command, store::Reader};

/// Why something could not be done, for people.
type Failure = dyn Error + Send + Sync;

/// Does what was asked for.
///
/// # Errors
///
/// Names the file and what was expected of it.
pub(crate) fn run(args: &Args) -> Result<(), Box<Failure>> {
    match &args.command {
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
        Command::Info(args) => info::run(args),
        Command::Verify(args) => verify::run(args),
    }
}

/// Reads the ledger of one channel, or all in a folder, one after the other.
///
/// # Errors
///
/// What was wrong with any of them, when all were read.
fn read_each(
    folder: &Folder,
    channel: Option<&str>,
    mut read: impl FnMut(&mut Reader) -> Result<(), Box<Failure>>,
) -> Result<(), Box<Failure>> {
    let files = match channel {
        Some(channel) => vec![folder.existing(channel)?],
        None => folder.files()?,
    };
    if files.is_empty() {
        eprintln!("no ledgers in {folder}");
    }
    let mut problems = Vec::new();
    for file in files {
        let done = match Reader::open(&file) {
            Ok(mut reader) => read(&mut reader),
            Err(error) => Err(error.into()),
        };
        problems.extend(done.err().map(|error| error.to_string()));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n").into()),
    }
}

/// Writes a text to stdout. Whoever wants no more of it is not bothered.
fn print(text: &str) -> Result<(), Box<Failure>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("stdout: {error}").into())
        }
        _ => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
