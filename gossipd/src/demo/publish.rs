//! Blocks on their way to the peers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gossip_core::ChannelId;
use tokio::{
    sync::mpsc,
    time::{sleep, sleep_until, timeout},
};

use super::{Failure, args::Rate, peers::Peer, view::Progress};

/// What was published, and when.
#[derive(Debug)]
pub(crate) struct Published {
    /// When blocks 1, 2, … were given to the source of each organisation.
    pub(crate) times: Vec<Vec<Instant>>,
    /// Bytes of all blocks together.
    pub(crate) bytes: u64,
}

impl Published {
    /// Returns the number of blocks.
    pub(crate) fn count(&self) -> u64 {
        self.times.first().map_or(0, |times| times.len() as u64)
    }
}

/// Gives every block to the source of each organisation when it is due.
///
/// # Errors
///
/// If a block cannot be made or read, or a source does not take it.
pub(crate) async fn publish(
    peers: &[Peer],
    channel: &ChannelId,
    mut blocks: mpsc::Receiver<Result<Bytes, String>>,
    rate: Rate,
    progress: &Progress,
) -> Result<Published, Box<Failure>> {
    let sources: Vec<_> = peers.iter().filter(|peer| peer.is_source).collect();
    let mut published = Published { times: vec![Vec::new(); sources.len()], bytes: 0 };
    let start = tokio::time::Instant::now();
    while let Some(block) = blocks.recv().await {
        let (block, index) = (block?, published.count());
        sleep_until(start + rate.due(index)).await;
        for (source, times) in sources.iter().zip(&mut published.times) {
            times.push(Instant::now());
            source.publish(channel, index + 1, block.clone()).await?;
        }
        published.bytes += block.len() as u64;
        progress.set_published(published.count());
    }
    Ok(published)
}

/// Waits until all peers have `height` blocks; `false` if the time is over before.
pub(crate) async fn follow(peers: &[Peer], height: u64, limit: Duration) -> bool {
    let all_have_it = async {
        for peer in peers {
            while peer.ledger.height() < height {
                sleep(LOOK_INTERVAL).await;
            }
        }
    };
    timeout(limit, all_have_it).await.is_ok()
}

/// How often ledgers are looked at, which are only counters.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
