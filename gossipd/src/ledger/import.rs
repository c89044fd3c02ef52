//! Blocks out of a file.

use bytes::Bytes;

use super::{
    Failure,
    args::Import,
    chain::{Chain, channel_name, header, is_same_block},
    file::Blocks,
    folder::Folder,
    print,
    progress::Progress,
    store::Writer,
};

pub(super) fn run(args: &Import) -> Result<(), Box<Failure>> {
    let folder = args.place.folder()?;
    let mut blocks = Blocks::open(&args.file)?;
    let Some(first) = blocks.next().transpose()? else {
        return Err(blocks.fault("a block, found the end of the file").into());
    };
    let mut importer = Importer::new(&folder, &blocks, &first)?;
    let mut progress = Progress::new(format!("{}: imported", importer.store.channel()));
    let mut result = match importer.added {
        0 => importer.take(&blocks, &first),
        _ => Ok(()),
    };
    while result.is_ok() {
        let block = match blocks.next() {
            None => break,
            Some(Ok(block)) => block,
            Some(Err(error)) => {
                result = Err(error.into());
                break;
            }
        };
        result = importer.take(&blocks, &block);
        progress.tell(importer.chain.height().saturating_sub(1));
    }
    // What came before a bad block is good.
    importer.flush()?;
    drop(progress);
    let (channel, height) = (importer.store.channel(), importer.store.height());
    let (added, passed) = (importer.added, importer.passed);
    result.map_err(|error| format!("{error}; {channel} has height {height}"))?;
    print(&format!("{channel}: height {height}; blocks added: {added}, there before: {passed}\n"))
}

/// Takes the blocks of a channel, many at a time.
struct Importer {
    store: Writer,
    chain: Chain,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    added: u64,
    passed: u64,
}

impl Importer {
    /// Opens the ledger of a block's channel, or makes one that begins with it.
    fn new(folder: &Folder, blocks: &Blocks, first: &Bytes) -> Result<Self, Box<Failure>> {
        let Some(channel) = channel_name(first) else {
            return Err(blocks.fault("a block of a channel").into());
        };
        let file = folder.file(&channel)?;
        let (mut store, added) = match file.exists() {
            true => (Writer::open(&file)?, 0),
            false => {
                Chain::begin(first).map_err(|expected| {
                    let problem = format!("there is no ledger of {channel} that it follows");
                    blocks.fault(format!("{expected}; {problem}"))
                })?;
                (folder.create(&channel, first)?, 1)
            }
        };
        let chain = store.chain()?;
        Ok(Self { store, chain, batch: Vec::new(), batch_bytes: 0, added, passed: 0 })
    }

    /// Takes a block: the next one, or one that is there.
    fn take(&mut self, blocks: &Blocks, block: &Bytes) -> Result<(), Box<Failure>> {
        let number = header(block).map_err(|expected| blocks.fault(expected))?.number;
        if number < self.store.height() {
            return self.pass(blocks, number, block);
        }
        self.chain.push(block).map_err(|expected| blocks.fault(expected))?;
        self.batch_bytes += block.len();
        self.batch.push(block.clone());
        match self.batch.len() >= BATCH_MAX || self.batch_bytes >= BATCH_BYTES_MAX {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn pass(&mut self, blocks: &Blocks, number: u64, block: &Bytes) -> Result<(), Box<Failure>> {
        if number >= self.store.first() && !is_same_block(&self.store.get(number)?, block) {
            let expected = format!("block {number} as in the ledger, found another");
            return Err(blocks.fault(expected).into());
        }
        self.passed += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Box<Failure>> {
        if !self.batch.is_empty() {
            self.store.append(&self.batch)?;
            self.added += self.batch.len() as u64;
            self.batch.clear();
            self.batch_bytes = 0;
        }
        Ok(())
    }
}

/// Blocks that one write to disk takes at most.
const BATCH_MAX: usize = 256;

/// Their bytes, after which no further block is taken along.
const BATCH_BYTES_MAX: usize = 8 << 20;
