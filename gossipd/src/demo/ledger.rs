//! A peer's ledger, which keeps no block: only how far it is, and since when.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use gossip_core::{ChannelId, JobError, Ledger};
use gossip_msp::{BlockVerifier, ChannelConfig, ConfigError};

/// The ledger of one peer on one channel. Block 0 is in it from the start.
#[derive(Debug)]
pub(crate) struct MemoryLedger {
    /// When blocks 1, 2, … were committed.
    commits: Mutex<Vec<Instant>>,
    height: AtomicU64,
    verifier: Arc<BlockVerifier>,
    config_blocks: Arc<BTreeSet<u64>>,
}

impl MemoryLedger {
    /// Tells `verifier` of the configuration when one of `config_blocks` is committed.
    pub(crate) fn new(verifier: Arc<BlockVerifier>, config_blocks: Arc<BTreeSet<u64>>) -> Self {
        let height = AtomicU64::new(1);
        Self { commits: Mutex::default(), height, verifier, config_blocks }
    }

    /// Returns the number of blocks, block 0 among them.
    pub(crate) fn height(&self) -> u64 {
        self.height.load(Ordering::Acquire)
    }

    /// Returns when blocks 1, 2, … were committed.
    pub(crate) fn commits(&self) -> Vec<Instant> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for MemoryLedger {
    fn commit(&self, channel: &ChannelId, number: u64, block: &Bytes) -> Result<(), JobError> {
        let now = Instant::now();
        let mut commits = self.lock();
        let height = self.height();
        if number != height {
            return Err(JobError::failed(format!("block {number} is not the next, {height}")));
        }
        if self.config_blocks.contains(&number) {
            learn_config(&self.verifier, block)
                .map_err(|error| JobError::failed(format!("{channel}: block {number}: {error}")))?;
        }
        commits.push(now);
        self.height.store(height + 1, Ordering::Release);
        Ok(())
    }
}

/// Has the blocks after a configuration block judged by it. Returns the channel's name.
///
/// # Errors
///
/// Names the part of the configuration that is missing or cannot be used.
pub(crate) fn learn_config(
    verifier: &BlockVerifier,
    config_block: &Bytes,
) -> Result<String, ConfigError> {
    let config = ChannelConfig::from_block(config_block)?;
    let channel = config.channel().to_owned();
    verifier.set_config(Arc::new(config));
    Ok(channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_taken_in_order_and_once() {
        let ledger = MemoryLedger::new(Arc::default(), Arc::default());
        let commit = |number| ledger.commit(&"demo".into(), number, &Bytes::new()).is_ok();
        assert_eq!([1, 2, 2, 4, 0, 3].map(commit), [true, true, false, false, false, true]);
        assert_eq!((ledger.height(), ledger.commits().len()), (4, 3));
    }
}
