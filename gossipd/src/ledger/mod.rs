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

use std::error::Error;

pub(crate) use self::{
    args::Args,
    chain::{Chain, header, is_same_block},
    error::Problem,
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

/// Opens the ledgers of a folder to read them: that of one channel, or all.
fn readers(folder: &Folder, channel: Option<&str>) -> Result<Vec<Reader>, Box<Failure>> {
    let files = match channel {
        Some(channel) => vec![folder.existing(channel)?],
        None => folder.files()?,
    };
    let mut readers = Vec::new();
    for file in files {
        readers.push(Reader::open(&file)?);
    }
    Ok(readers)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
