//! The blocks of one channel in a database of their own.

use std::{
    fmt,
    fs::{self, File},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process,
};

use aws_lc_rs::digest;
use bytes::Bytes;
use gossip_msp::{ChannelConfig, is_config_block};
use redb::{
    Builder, ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase,
    ReadableTable, TableDefinition, WriteTransaction,
};

use super::{
    chain::{Chain, check_link, header},
    error::{Problem, StoreError},
};

/// The blocks of a channel, without a gap from the first to the last.
///
/// Each is stored with a checksum over its number and its bytes. One process may append while any
/// number of others read.
pub(crate) struct Store<D> {
    path: PathBuf,
    facts: Facts,
    /// Or why it was given up.
    database: Result<D, StoreError>,
}

/// Blocks that can be read. What is appended after it was opened is not seen.
pub(crate) type Reader = Store<ReadOnlyDatabase>;

/// Blocks to which others can be appended.
pub(crate) type Writer = Store<Database>;

/// What is in a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Facts {
    channel: String,
    first: u64,
    height: u64,
    config_block: u64,
    tip: [u8; 32],
}

impl<D: ReadableDatabase> Store<D> {
    /// Returns the channel's name.
    pub(crate) fn channel(&self) -> &str {
        &self.facts.channel
    }

    /// Returns the number of the first block, a configuration.
    pub(crate) const fn first(&self) -> u64 {
        self.facts.first
    }

    /// Returns the number of the next block.
    pub(crate) const fn height(&self) -> u64 {
        self.facts.height
    }

    /// Returns the number of the last configuration block.
    pub(crate) const fn config_block(&self) -> u64 {
        self.facts.config_block
    }

    /// Returns the hash of the last block's header.
    pub(crate) const fn tip(&self) -> [u8; 32] {
        self.facts.tip
    }

    /// Returns where the store is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a block that is there.
    ///
    /// # Errors
    ///
    /// If it is damaged, missing, or cannot be read.
    pub(crate) fn get(&mut self, number: u64) -> Result<Bytes, StoreError> {
        let record = self.call(|database| {
            let record = database.begin_read()?.open_table(BLOCKS)?.get(number)?;
            Ok(record.map(|record| Bytes::copy_from_slice(record.value())))
        })?;
        let damaged = |what: &str| self.error(Problem::Damaged(format!("block {number} {what}")));
        let mut record = record.ok_or_else(|| damaged("is missing"))?;
        if record.len() < CHECKSUM_LEN {
            return Err(damaged("is cut short"));
        }
        let block = record.split_off(CHECKSUM_LEN);
        match record[..] == checksum(number, &block) {
            true => Ok(block),
            false => Err(damaged("differs from its checksum")),
        }
    }

    /// Reads the configuration that holds after the last block.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and if it cannot be used.
    pub(crate) fn config(&mut self) -> Result<ChannelConfig, StoreError> {
        let number = self.facts.config_block;
        let config = ChannelConfig::from_block(&self.get(number)?);
        let config = config.map_err(|error| {
            let text = format!("block {number}, its last configuration, cannot be used: {error}");
            self.error(Problem::Damaged(text))
        })?;
        match config.channel() == self.facts.channel {
            true => Ok(config),
            false => {
                let text = format!("block {number} is of channel {}", config.channel());
                Err(self.error(Problem::Damaged(text)))
            }
        }
    }

    /// Returns the chain to which blocks can be added.
    ///
    /// # Errors
    ///
    /// As [`config`](Self::config).
    pub(crate) fn chain(&mut self) -> Result<Chain, StoreError> {
        let config = self.config()?;
        let Facts { config_block, height, tip, .. } = self.facts;
        Ok(Chain::resume(config, config_block, height, tip))
    }

    fn new(path: &Path, database: D) -> Result<Self, StoreError> {
        let mut store =
            Self { path: path.to_owned(), facts: Facts::default(), database: Ok(database) };
        store.facts = store.read_facts()?;
        Ok(store)
    }

    fn read_facts(&mut self) -> Result<Facts, StoreError> {
        let format = self.number(META_FORMAT)?;
        if format != FORMAT {
            return Err(self.error(Problem::Format(format)));
        }
        let channel = String::from_utf8(self.entry(META_CHANNEL)?);
        let channel = channel.map_err(|_| self.error(Problem::Foreign))?;
        let (first, config_block) = (self.number(META_FIRST)?, self.number(META_CONFIG)?);
        let last = self.call(|database| {
            let blocks = database.begin_read()?.open_table(BLOCKS)?;
            Ok(blocks.last()?.map(|(number, _)| number.value()))
        })?;
        let last = last.ok_or_else(|| self.error(Problem::Foreign))?;
        let tip = check_link(&self.get(last)?, last, None)
            .map_err(|expected| self.error(Problem::Damaged(format!("expected {expected}"))))?;
        Ok(Facts { channel, first, height: last.saturating_add(1), config_block, tip })
    }

    fn number(&mut self, key: &str) -> Result<u64, StoreError> {
        let bytes = self.entry(key)?.try_into();
        bytes.map(u64::from_be_bytes).map_err(|_| self.error(Problem::Foreign))
    }

    fn entry(&mut self, key: &str) -> Result<Vec<u8>, StoreError> {
        let entry = self.call(|database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get(key)?.map(|entry| entry.value().to_vec()))
        })?;
        entry.ok_or_else(|| self.error(Problem::Foreign))
    }

    fn error(&self, problem: Problem) -> StoreError {
        StoreError::new(&self.path, problem)
    }

    /// Lets the database be used, which panics over some kinds of damage.
    fn call<T>(
        &mut self,
        work: impl FnOnce(&D) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let database = self.database.as_ref().map_err(Clone::clone)?;
        match catch_unwind(AssertUnwindSafe(|| work(database))) {
            Ok(result) => result.map_err(|error| StoreError::of(&self.path, error)),
            Err(_) => {
                let error = self.error(Problem::Damaged(NO_SENSE.to_owned()));
                // To close it would be to stumble over the same damage.
                mem::forget(mem::replace(&mut self.database, Err(error.clone())));
                Err(error)
            }
        }
    }
}

impl Reader {
    /// Opens a store to read it, while another process may append to it.
    ///
    /// # Errors
    ///
    /// If it is damaged or foreign, or cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let open = || opened(path, || builder().open_read_only(path));
        let database = match open() {
            Err(error) if error.problem == Problem::Unclean => {
                // Of a process that was killed. To open it for writing makes it whole.
                drop(opened(path, || builder().open(path))?);
                open()?
            }
            result => result?,
        };
        Self::new(path, database)
    }
}

impl Writer {
    /// Makes a store that begins with a configuration block.
    ///
    /// # Errors
    ///
    /// If there is a store already, the block is none, or the file cannot be made. No store is
    /// made then.
    pub(crate) fn create(path: &Path, channel: &str, block: &Bytes) -> Result<Self, StoreError> {
        let io = |error| StoreError::of(path, redb::Error::Io(error));
        // Under its name it appears when all is in it.
        let draft = path.with_extension(format!("new-{}", process::id()));
        let _ = fs::remove_file(&draft);
        let published = write_first(&draft, channel, block)
            .and_then(|()| fs::hard_link(&draft, path).map_err(io));
        let _ = fs::remove_file(&draft);
        published?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        Self::open(path)
    }

    /// Opens a store that is there, to append to it.
    ///
    /// # Errors
    ///
    /// If another process appends to it, it is damaged or foreign, or cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::new(path, opened(path, || builder().open(path))?)
    }

    /// Appends blocks that follow the last, and returns when they are on disk.
    ///
    /// # Errors
    ///
    /// If one does not follow the one before, or the disk fails. None of them is there then, as
    /// far as can be told; after a failure the store is opened anew when it is needed.
    pub(crate) fn append(&mut self, blocks: &[Bytes]) -> Result<(), StoreError> {
        let mut facts = self.facts.clone();
        for block in blocks {
            let tip = check_link(block, facts.height, Some(facts.tip));
            facts.tip = tip.map_err(|expected| self.error(Problem::Unfit(expected)))?;
            if is_config_block(block) {
                facts.config_block = facts.height;
            }
            facts.height = facts.height.saturating_add(1);
        }
        let (first, config_block) = (self.facts.height, facts.config_block);
        let written = self.call(|database| {
            let transaction = database.begin_write()?;
            insert(&transaction, first, blocks)?;
            transaction.open_table(META)?.insert(META_CONFIG, &config_block.to_be_bytes()[..])?;
            commit(transaction)
        });
        match written {
            Ok(()) => self.facts = facts,
            // redb refuses all further work after an error.
            Err(error) => self.database = Err(error),
        }
        self.database.as_ref().map(drop).map_err(Clone::clone)
    }

    /// Opens the store anew if it was given up because the disk failed, and reads how far it is.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) fn recover(&mut self) -> Result<(), StoreError> {
        if let Err(error) = &self.database
            && !matches!(error.problem, Problem::Damaged(_))
        {
            *self = Self::open(&self.path)?;
        }
        Ok(())
    }
}

impl<D> fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, facts) = (&self.path, &self.facts);
        f.debug_struct("Store").field("path", path).field("facts", facts).finish_non_exhaustive()
    }
}

fn write_first(draft: &Path, channel: &str, block: &Bytes) -> Result<(), StoreError> {
    let unfit = |expected| StoreError::new(draft, Problem::Unfit(expected));
    let number = header(block).map_err(unfit)?.number;
    let database = opened(draft, || builder().create(draft))?;
    let write = || {
        let transaction = database.begin_write()?;
        insert(&transaction, number, std::slice::from_ref(block))?;
        let mut meta = transaction.open_table(META)?;
        let number = number.to_be_bytes();
        meta.insert(META_FORMAT, &FORMAT.to_be_bytes()[..])?;
        meta.insert(META_CHANNEL, channel.as_bytes())?;
        meta.insert(META_FIRST, &number[..])?;
        meta.insert(META_CONFIG, &number[..])?;
        drop(meta);
        commit(transaction)
    };
    write().map_err(|error| StoreError::of(draft, error))
}

fn insert(transaction: &WriteTransaction, first: u64, blocks: &[Bytes]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(BLOCKS)?;
    for (number, block) in (first..).zip(blocks) {
        let mut record = table.insert_reserve(number, CHECKSUM_LEN + block.len())?;
        let (start, rest) = record.as_mut().split_at_mut(CHECKSUM_LEN);
        start.copy_from_slice(&checksum(number, block));
        rest.copy_from_slice(block);
    }
    Ok(())
}

fn commit(mut transaction: WriteTransaction) -> Result<(), redb::Error> {
    // What is free is written down each time, so that a ledger of any size opens at once after a
    // crash.
    transaction.set_quick_repair(true);
    Ok(transaction.commit()?)
}

fn opened<D>(
    path: &Path,
    open: impl FnOnce() -> Result<D, DatabaseError>,
) -> Result<D, StoreError> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(result) => result.map_err(|error| StoreError::of(path, error.into())),
        Err(_) => Err(StoreError::new(path, Problem::Damaged(NO_SENSE.to_owned()))),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// SHA-256 over a block's number, in eight bytes, and its bytes.
fn checksum(number: u64, block: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&number.to_be_bytes());
    context.update(block);
    let mut checksum = [0; CHECKSUM_LEN];
    checksum.copy_from_slice(context.finish().as_ref());
    checksum
}

/// By number: a checksum and the block.
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");

/// What is known of all of them; numbers in eight bytes, the highest first.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const META_FORMAT: &str = "format";
const META_CHANNEL: &str = "channel";
const META_FIRST: &str = "first";

/// The number of the last configuration block.
const META_CONFIG: &str = "config";

/// Counts up when older versions could not read what is written.
pub(super) const FORMAT: u64 = 1;

const CHECKSUM_LEN: usize = 32;

/// For each channel. Blocks are written once and seldom read.
const CACHE_BYTES: usize = 16 << 20;

const NO_SENSE: &str = "its pages make no sense";

#[cfg(test)]
mod tests;
