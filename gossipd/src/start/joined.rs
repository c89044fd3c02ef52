//! Which channels a peer is in when it starts: those of its ledgers and of its channel blocks.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use tracing::info;

use super::{Failure, channel::Channel, channels::Joined};
use crate::ledger::{Folder, Writer, is_same_block};

/// Opens all ledgers, and makes those that channel blocks ask for.
///
/// # Errors
///
/// If a ledger cannot be used; or a channel block does not belong to its channel's ledger.
pub(crate) fn open(
    folder: &Folder,
    channel_blocks: &[PathBuf],
) -> Result<Vec<Joined>, Box<Failure>> {
    let mut all = Vec::new();
    for file in folder.files()? {
        all.push(resume(&file)?);
    }
    let mut named = Vec::new();
    for file in channel_blocks {
        let (channel, block) = Channel::read(file)?;
        let id = channel.id();
        let problem = match all.iter_mut().find(|joined: &&mut Joined| joined.channel.id() == id) {
            _ if named.contains(&id) => {
                Err(format!("expected another channel: {id} is joined already"))
            }
            Some(joined) => compare(&mut joined.ledger, channel.number, &block),
            None => {
                let ledger = folder.create(channel.config.channel(), &block)?;
                all.push(Joined { channel, ledger });
                Ok(())
            }
        };
        problem.map_err(|problem| format!("{}: {problem}", file.display()))?;
        named.push(id);
    }
    for Joined { channel, ledger } in &all {
        let (id, height, file) = (channel.id(), ledger.height(), ledger.path().display());
        info!("channel {id}: height {height}, blocks in {file}");
    }
    Ok(all)
}

fn resume(file: &Path) -> Result<Joined, Box<Failure>> {
    let mut ledger = Writer::open(file)?;
    if file.file_stem().is_none_or(|stem| stem != ledger.channel()) {
        let (file, channel) = (file.display(), ledger.channel());
        return Err(format!("{file}: found channel {channel}: name the file after it").into());
    }
    let config = Arc::new(ledger.config()?);
    Ok(Joined { channel: Channel { number: ledger.config_block(), config }, ledger })
}

/// Checks that a channel block is in a ledger; the error says what is wrong with it.
fn compare(ledger: &mut Writer, number: u64, block: &Bytes) -> Result<(), String> {
    let (first, height) = (ledger.first(), ledger.height());
    let name = ledger.path().display().to_string();
    if number < first || number >= height {
        let last = height.saturating_sub(1);
        return Err(format!(
            "expected one of the blocks {first} to {last} of the ledger {name}, found block \
             {number}: start without it, or move the ledger away to begin with it"
        ));
    }
    let known = ledger.get(number).map_err(|error| error.to_string())?;
    match is_same_block(&known, block) {
        true => Ok(()),
        false => Err(format!(
            "expected block {number} as in the ledger {name}, found another: the file is of \
             another network, or the ledger is"
        )),
    }
}

#[cfg(test)]
mod tests;
