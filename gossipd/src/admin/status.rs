//! Whom a peer knows, as it is told.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use gossip_core::{ChannelId, KnownPeer, Member, PkiId};
use gossip_tokio::{Handle, Stopped};
use serde::{Deserialize, Serialize};

use crate::time::rfc3339;

/// What a peer knows of itself, of others and of its channels.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Status {
    #[serde(rename = "self")]
    pub(super) own: Peer,
    pub(super) peers: Vec<Other>,
    pub(super) channels: Vec<Channel>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Peer {
    pub(super) peer: String,
    pub(super) org: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) external_endpoint: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Other {
    #[serde(flatten)]
    pub(super) peer: Peer,
    pub(super) state: State,
    pub(super) since: String,
    pub(super) connection: Option<Connection>,
    pub(super) channels: Vec<Height>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Alive,
    Dead,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Connection {
    pub(super) inbound: bool,
    pub(super) remote: String,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Height {
    pub(super) channel: String,
    pub(super) height: u64,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Channel {
    pub(super) channel: String,
    pub(super) height: u64,
    pub(super) members: Vec<MemberHeight>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct MemberHeight {
    pub(super) peer: String,
    pub(super) height: u64,
}

/// Asks a node for all of it.
///
/// # Errors
///
/// If the node has stopped.
pub(super) async fn ask(node: &Handle) -> Result<Status, Stopped> {
    let mut channels = Vec::new();
    let mut heights: BTreeMap<PkiId, Vec<Height>> = BTreeMap::new();
    for id in node.channels().await? {
        let (channel, members) = of_channel(node, &id).await?;
        for (pki_id, height) in members {
            let height = Height { channel: channel.channel.clone(), height };
            heights.entry(pki_id).or_default().push(height);
        }
        channels.push(channel);
    }
    let own = peer(&node.self_membership().await?);
    let now = SystemTime::now();
    let known = node.known_peers().await?.into_iter();
    let peers = known.map(|known| {
        let channels = heights.remove(&known.member.pki_id).unwrap_or_default();
        other(known, channels, |since| now - node.elapsed_since(since))
    });
    Ok(Status { own, peers: peers.collect(), channels })
}

async fn of_channel(
    node: &Handle,
    id: &ChannelId,
) -> Result<(Channel, Vec<(PkiId, u64)>), Stopped> {
    let members = node.channel_peers(id.clone()).await?.unwrap_or_default();
    let members: Vec<_> =
        members.iter().map(|peer| (peer.member.pki_id, peer.ledger_height)).collect();
    let height = node.ledger_height(id.clone()).await?.unwrap_or_default();
    let listed = members
        .iter()
        .map(|(pki_id, height)| MemberHeight { peer: format!("{pki_id:#}"), height: *height });
    let channel = Channel { channel: id.to_string(), height, members: listed.collect() };
    Ok((channel, members))
}

fn other(
    known: KnownPeer,
    channels: Vec<Height>,
    time: impl Fn(gossip_core::Instant) -> SystemTime,
) -> Other {
    let connection = known
        .connection
        .map(|connection| Connection { inbound: connection.inbound, remote: connection.remote });
    Other {
        peer: peer(&known.member),
        state: if known.is_alive { State::Alive } else { State::Dead },
        since: rfc3339(time(known.since)),
        connection,
        channels,
    }
}

fn peer(member: &Member) -> Peer {
    Peer {
        peer: format!("{:#}", member.pki_id),
        org: member.org.as_ref().map(ToString::to_string),
        endpoint: member.internal_endpoint.as_ref().map(ToString::to_string),
        external_endpoint: member.external_endpoint.as_ref().map(ToString::to_string),
    }
}

/// How long an answer may take, either way.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
