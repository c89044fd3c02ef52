//! What is in ledgers.

use std::{
    fs,
    io::{self, ErrorKind, Write},
};

use serde_json::json;

use super::{Failure, args::Info, hex, readers, store::Reader};

pub(super) fn run(args: &Info) -> Result<(), Box<Failure>> {
    let readers = readers(&args.place.folder()?, args.channel.as_deref())?;
    let mut text = String::new();
    for mut reader in readers {
        text += &describe(&mut reader, args.json)?;
    }
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn describe(reader: &mut Reader, as_json: bool) -> Result<String, Box<Failure>> {
    let sequence = reader.config()?.sequence();
    let file = reader.path().display().to_string();
    let bytes = fs::metadata(reader.path()).map_err(|error| format!("{file}: {error}"))?.len();
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
         \x20 file           {file}, {bytes} bytes\n"
    ))
}
