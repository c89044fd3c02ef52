//! What is in ledgers.

use std::{fs, os::unix::fs::MetadataExt};

use serde_json::json;

use super::{Failure, args::Info, hex, print, read_each, store::Reader};

pub(super) fn run(args: &Info) -> Result<(), Box<Failure>> {
    read_each(&args.place.folder()?, args.channel.as_deref(), |reader| {
        print(&describe(reader, args.json)?)
    })
}

fn describe(reader: &mut Reader, as_json: bool) -> Result<String, Box<Failure>> {
    let sequence = reader.config()?.sequence();
    let file = reader.path().display().to_string();
    let metadata = fs::metadata(reader.path()).map_err(|error| format!("{file}: {error}"))?;
    let bytes = metadata.blocks() * UNIT_BYTES;
    let (channel, first, height) = (reader.channel(), reader.first(), reader.height());
    let (config_block, hash) = (reader.config_block(), hex(&reader.tip()));
    if as_json {
        let object = json!({
            "channel": channel,
            "first": first,
            "height": height,
            "config_block": config_block,
            "config_sequence": sequence,
            "last_hash": hash,
            "bytes": bytes,
            "file": file,
        });
        return Ok(format!("{object}\n"));
    }
    let last = height.saturating_sub(1);
    Ok(format!(
        "{channel}\n\
         \x20 height         {height}: blocks {first} to {last}\n\
         \x20 configuration  {sequence}, of block {config_block}\n\
         \x20 last hash      {hash}\n\
         \x20 file           {file}, {bytes} bytes on disk\n"
    ))
}

/// In which systems count what files take. Databases have holes.
const UNIT_BYTES: u64 = 512;
