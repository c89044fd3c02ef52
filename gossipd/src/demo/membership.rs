//! Who knows whom.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use gossip_core::{ChannelId, PkiId};
use gossip_tokio::Stopped;
use tokio::time::sleep;

use super::{peers::Peer, view::Progress};

/// The other peers that a peer does not list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Unknown {
    /// Indices of those that it does not list as alive.
    pub(crate) alive: Vec<usize>,
    /// Indices of those that it does not list as members of the channel.
    pub(crate) channel: Vec<usize>,
}

impl Unknown {
    fn is_empty(&self) -> bool {
        self.alive.is_empty() && self.channel.is_empty()
    }
}

/// Waits until every peer lists every other as alive and as a member of the channel.
///
/// Returns whom each peer does not list when that has come, or the time is over.
///
/// # Errors
///
/// If a node has stopped.
pub(crate) async fn wait(
    peers: &[Peer],
    channel: &ChannelId,
    deadline: Instant,
    progress: &Progress,
) -> Result<Vec<Unknown>, Stopped> {
    let mut unknown = vec![Unknown::default(); peers.len()];
    let mut ask_all = true;
    loop {
        for (index, unknown) in unknown.iter_mut().enumerate() {
            if ask_all || !unknown.is_empty() {
                *unknown = look(peers, index, channel).await?;
                progress.set_known(index, unknown);
            }
        }
        let complete = unknown.iter().all(Unknown::is_empty);
        if (complete && ask_all) || Instant::now() >= deadline {
            return Ok(unknown);
        }
        // Who knew all a while ago need not know all at once with the others.
        ask_all = complete;
        if !complete {
            sleep(LOOK_INTERVAL).await;
        }
    }
}

async fn look(peers: &[Peer], index: usize, channel: &ChannelId) -> Result<Unknown, Stopped> {
    let handle = &peers[index].handle;
    let alive = handle.members().await?.into_iter().map(|member| member.pki_id).collect();
    let members = handle.channel_peers(channel.clone()).await?.unwrap_or_default();
    let members = members.into_iter().map(|peer| peer.member.pki_id).collect();
    let others = |known: BTreeSet<PkiId>| {
        let unknown = |&other: &usize| other != index && !known.contains(&peers[other].pki_id);
        (0..peers.len()).filter(unknown).collect()
    };
    Ok(Unknown { alive: others(alive), channel: others(members) })
}

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
