//! Whether all blocks are as they should be.

use super::{
    Failure, args::Verify, chain::Chain, hex, print, progress::Progress, read_each, store::Reader,
};

pub(super) fn run(args: &Verify) -> Result<(), Box<Failure>> {
    read_each(&args.place.folder()?, args.channel.as_deref(), |reader| {
        let chain = check(reader)?;
        print(&format!(
            "{}: blocks {} to {}: checksums, links and signatures hold; last hash {}\n",
            reader.channel(),
            reader.first(),
            chain.height().saturating_sub(1),
            hex(&chain.tip()),
        ))
    })
}

/// Follows the chain from its first block to its last.
fn check(reader: &mut Reader) -> Result<Chain, Box<Failure>> {
    let file = reader.path().display().to_string();
    let fault = |expected: String| format!("{file}: expected {expected}");
    let first = reader.first();
    let mut chain = Chain::begin(&reader.get(first)?).map_err(fault)?;
    if chain.channel() != reader.channel() || chain.height() != first.saturating_add(1) {
        let expected = format!("block {first} of channel {}, found another", reader.channel());
        return Err(fault(expected).into());
    }
    let mut progress = Progress::new(format!("{}: verified", reader.channel()));
    for number in chain.height()..reader.height() {
        chain.push(&reader.get(number)?).map_err(fault)?;
        progress.tell(number);
    }
    let (found, config_block) = (reader.config_block(), chain.config_block());
    if found != config_block {
        let expected = format!("{config_block} as the last configuration block, found {found}");
        return Err(fault(expected).into());
    }
    Ok(chain)
}
