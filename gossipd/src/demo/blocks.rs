//! Where the blocks of a demonstration come from: made on the spot, or out of a file.

use std::{collections::BTreeSet, sync::Arc, thread};

use bytes::Bytes;
use gossip_core::ChannelId;
use gossip_msp::{BlockDraft, BlockVerifier, SigningIdentity};
use tokio::sync::mpsc;

use super::{
    Failure,
    args::Args,
    chain::ChainFile,
    ledger::learn_config,
    network::{Organisation, Role},
};

/// The blocks of one channel, from block 1.
#[derive(Debug)]
pub(crate) struct Supply {
    channel: String,
    count: u64,
    config_blocks: Arc<BTreeSet<u64>>,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Made(Box<Maker>),
    Recorded(ChainFile),
}

impl Supply {
    /// Opens the chain that the arguments name, else sets up an orderer that makes blocks.
    ///
    /// # Errors
    ///
    /// If the file holds no chain, or no certificate can be made.
    pub(crate) fn new(args: &Args, seed: u64) -> Result<Self, Box<Failure>> {
        if let Some(path) = &args.chain {
            let mut chain = ChainFile::open(path, args.blocks())?;
            return Ok(Self {
                channel: chain.channel.clone(),
                count: chain.count,
                config_blocks: Arc::new(std::mem::take(&mut chain.config_blocks)),
                origin: Origin::Recorded(chain),
            });
        }
        let org = Organisation::new("orderer")?;
        let signer = org.member("orderer0", Role::Orderer)?;
        Ok(Self {
            channel: CHANNEL.to_owned(),
            count: args.blocks(),
            config_blocks: Arc::default(),
            origin: Origin::Made(Box::new(Maker { org, signer, size: args.block_size.0, seed })),
        })
    }

    /// Returns the channel's id.
    pub(crate) fn channel(&self) -> ChannelId {
        self.channel.as_str().into()
    }

    /// Returns the number of blocks, from block 1.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Returns the blocks that replace the channel's configuration.
    pub(crate) fn config_blocks(&self) -> Arc<BTreeSet<u64>> {
        Arc::clone(&self.config_blocks)
    }

    /// Tells a verifier who signs the blocks: as the configuration in block 0 has it or, where
    /// blocks are made, one of the only orderer's organisation.
    ///
    /// # Errors
    ///
    /// If the configuration or the organisation cannot be used.
    pub(crate) fn introduce(&self, verifier: &BlockVerifier) -> Result<(), Box<Failure>> {
        match &self.origin {
            Origin::Made(maker) => {
                verifier.set_channel(&self.channel, [maker.org.msp()?], SIGNERS_MIN);
            }
            Origin::Recorded(chain) => {
                learn_config(verifier, &chain.genesis)?;
            }
        }
        Ok(())
    }

    /// Starts to make or read the blocks on a thread of their own, a bounded number ahead.
    ///
    /// # Errors
    ///
    /// If the system starts no thread. The receiver gets what goes wrong later.
    pub(crate) fn start(self) -> Result<mpsc::Receiver<Result<Bytes, String>>, Box<Failure>> {
        let block_bytes = match &self.origin {
            Origin::Made(maker) => maker.size,
            Origin::Recorded(chain) => chain.bytes_max,
        };
        let ahead = (AHEAD_BYTES_MAX / block_bytes.max(1)).clamp(1, AHEAD_MAX);
        let (sender, receiver) = mpsc::channel(ahead);
        let send = move || {
            let give = |block| sender.blocking_send(block).is_ok();
            match &self.origin {
                Origin::Made(maker) => maker.make(&self.channel, self.count, give),
                Origin::Recorded(chain) => read(chain, give),
            }
        };
        thread::Builder::new().name("blocks".to_owned()).spawn(send)?;
        Ok(receiver)
    }
}

/// Stands for the ordering service.
#[derive(Debug)]
struct Maker {
    org: Organisation,
    signer: SigningIdentity,
    size: usize,
    seed: u64,
}

impl Maker {
    /// Makes blocks 1 to `count` until `give` takes no more.
    fn make(&self, channel: &str, count: u64, give: impl Fn(Result<Bytes, String>) -> bool) {
        let noise = noise(self.seed, TRANSACTION_BYTES_MAX);
        // Nobody needs block 0 but for its hash: peers begin with it.
        let mut previous = [0; 32];
        for number in 0..=count {
            let draft = BlockDraft {
                channel,
                number,
                previous_hash: if number == 0 { &[] } else { &previous },
                last_config: 0,
            };
            let sealed = draft.seal(&payloads(&noise, self.size), &self.signer);
            let taken = match sealed {
                Ok(block) => {
                    previous = block.header_hash;
                    number == 0 || give(Ok(block.bytes))
                }
                Err(error) => {
                    let _ = give(Err(error.to_string()));
                    false
                }
            };
            if !taken {
                return;
            }
        }
    }
}

fn read(chain: &ChainFile, give: impl Fn(Result<Bytes, String>) -> bool) {
    match chain.blocks() {
        Ok(mut blocks) => {
            let _ = blocks.all(|block| give(block.map_err(|error| error.to_string())));
        }
        Err(error) => {
            let _ = give(Err(error.to_string()));
        }
    }
}

/// Cuts `size` bytes into transactions of about the same length.
fn payloads(noise: &Bytes, size: usize) -> Vec<Bytes> {
    let count = size.div_ceil(TRANSACTION_BYTES_MAX);
    let lengths = (0..count).map(|index| size * (index + 1) / count - size * index / count);
    lengths.map(|length| noise.slice(..length)).collect()
}

/// Makes bytes that no link on the way could compress.
fn noise(seed: u64, len: usize) -> Bytes {
    // Marsaglia's xorshift64; it must not start at zero.
    let mut state = seed | 1;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(word).take(len).collect()
}

const CHANNEL: &str = "demo";

/// How many orderers must have signed a block that was made here: there is but one.
const SIGNERS_MIN: usize = 1;

const TRANSACTION_BYTES_MAX: usize = 32 << 10;

/// Blocks that wait to be published, at most.
const AHEAD_MAX: usize = 64;

/// The same in bytes, but for one block.
const AHEAD_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_make_up_the_size_and_none_is_long() {
        let noise = noise(0, TRANSACTION_BYTES_MAX);
        for (size, count) in [(1, 1), (32 << 10, 1), ((32 << 10) + 1, 2), (100 << 10, 4)] {
            let lengths: Vec<_> = payloads(&noise, size).iter().map(Bytes::len).collect();
            assert_eq!((lengths.len(), lengths.iter().sum()), (count, size));
            assert!(lengths.iter().all(|length| (1..=TRANSACTION_BYTES_MAX).contains(length)));
        }
    }

    #[test]
    fn made_blocks_verify_and_end_when_nobody_takes_them() {
        let org = Organisation::new("orderer").expect("authorities");
        let signer = org.member("orderer0", Role::Orderer).expect("a member");
        let verifier = BlockVerifier::new();
        verifier.set_channel("made", [org.msp().expect("rules")], SIGNERS_MIN);
        let maker = Maker { org, signer, size: 10 << 10, seed: 7 };
        let taken = std::cell::Cell::new(0);
        maker.make("made", 5, |block| {
            taken.set(taken.get() + 1);
            let block = block.expect("a block");
            assert_eq!(verifier.verify("made", taken.get(), &block), Ok(()));
            taken.get() < 3
        });
        assert_eq!(taken.get(), 3);
    }
}
