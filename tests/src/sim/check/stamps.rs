//! A peer's own statements carry versions that grow.

use std::collections::BTreeMap;

use bytes::Bytes;
use gossip_core::{PkiId, Stamp};
use gossip_proto::gossip::{GossipMessage, PeerTime, gossip_message::Content};
use prost::Message as _;

use super::{Check, Facts, Seen};

/// Own stamps grow strictly, also across a restart unless it begins with an incarnation that is no
/// higher than the last: then nothing is known of it until others tell.
#[derive(Debug)]
pub(super) struct Stamps(Vec<Own>);

#[derive(Debug, Default)]
struct Own {
    pki_id: Option<PkiId>,
    incarnation: u64,
    last: BTreeMap<Kind, (Stamp, Bytes)>,
}

/// What is versioned: each kind of statement, per channel.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Alive,
    StateInfo(Bytes),
    Leadership(Bytes),
}

impl Stamps {
    pub(super) fn new(hosts: usize) -> Self {
        Self((0..hosts).map(|_| Own::default()).collect())
    }
}

impl Check for Stamps {
    fn name(&self) -> &'static str {
        "own stamps grow"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, _: &Facts<'_>) -> Result<(), String> {
        let own = &mut self.0[host];
        match *seen {
            Seen::Started { pki_id, wall, .. } => {
                if own.pki_id != Some(pki_id) || wall.as_nanos() <= own.incarnation {
                    own.last.clear();
                }
                (own.pki_id, own.incarnation) = (Some(pki_id), wall.as_nanos());
                Ok(())
            }
            Seen::Signed { payload } => own.signed(payload),
            _ => Ok(()),
        }
    }
}

impl Own {
    fn signed(&mut self, payload: &Bytes) -> Result<(), String> {
        // Identities and secrets are signed too; they have no version.
        let Some((kind, stamp)) = stamped(payload) else { return Ok(()) };
        self.incarnation = self.incarnation.max(stamp.incarnation);
        let last = self.last.insert(kind.clone(), (stamp, payload.clone()));
        match last {
            Some((last, same)) if stamp <= last && same != *payload => {
                Err(format!("signed {kind:?} with {stamp:?} after {last:?}"))
            }
            _ => Ok(()),
        }
    }
}

fn stamped(payload: &Bytes) -> Option<(Kind, Stamp)> {
    let message = GossipMessage::decode(payload.clone()).ok()?;
    let (kind, time) = match message.content? {
        Content::AliveMsg(alive) => (Kind::Alive, alive.timestamp),
        Content::StateInfo(info) => (Kind::StateInfo(info.channel_mac), info.timestamp),
        Content::LeadershipMsg(leader) => (Kind::Leadership(message.channel), leader.timestamp),
        _ => return None,
    };
    let PeerTime { inc_num, seq_num } = time?;
    Some((kind, Stamp { incarnation: inc_num, sequence: seq_num }))
}
