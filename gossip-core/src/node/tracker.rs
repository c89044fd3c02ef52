//! Who came to a channel and who went, told at intervals
//! (docs/protocol/60-channel.md §17).

use alloc::{collections::BTreeMap, vec::Vec};
use core::mem;

use crate::{Endpoint, Notice, PeerEndpoints, PkiId};

use super::{ChannelIx, Node, TimerKey};

/// The members of a channel when they were last looked at. There is none at first.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    basis: Basis,
    members: BTreeMap<PkiId, Vec<Endpoint>>,
}

/// What follows from who is alive and who is in a channel is the same as long as this is: how often
/// the living and the channel have changed, and whether we left it.
type Basis = Option<(u64, u64, bool)>;

impl Tracker {
    /// Compares with the last look: who is new and who is gone; `None` if at the endpoints nothing
    /// has changed, as when a peer has a new identity (CH-68).
    fn look(
        &mut self,
        members: BTreeMap<PkiId, Vec<Endpoint>>,
    ) -> Option<(Vec<PeerEndpoints>, Vec<PeerEndpoints>)> {
        let before = mem::replace(&mut self.members, members);
        let online = missing(&self.members, &before);
        let offline = missing(&before, &self.members);
        (endpoints(&online) != endpoints(&offline)).then_some((online, offline))
    }
}

impl Node {
    pub(super) fn arm_tracker(&mut self, ix: ChannelIx) {
        let at = self.clock.now + self.config.membership_tracker_interval;
        self.set_timer(TimerKey::Tracker(ix), at);
    }

    /// Tells who came to a channel and who went since the last look.
    pub(super) fn track_members(&mut self, ix: ChannelIx) {
        self.arm_tracker(ix);
        self.refresh_roster();
        let channel = &self.channels[ix.0 as usize];
        let basis = Some((self.roster.changes(), channel.changes(), channel.has_left()));
        if self.trackers[ix.0 as usize].basis == basis {
            let known = &self.trackers[ix.0 as usize].members;
            debug_assert!(*known == self.members_at(ix), "all changes were told of");
            return;
        }
        self.trackers[ix.0 as usize].basis = basis;
        let members = self.members_at(ix);
        if let Some((online, offline)) = self.trackers[ix.0 as usize].look(members) {
            let channel = self.channels[ix.0 as usize].id().clone();
            self.notify(Notice::ChannelMembership { channel, online, offline });
        }
    }

    /// Lists the living members of a channel, and where they are reached.
    fn members_at(&self, ix: ChannelIx) -> BTreeMap<PkiId, Vec<Endpoint>> {
        let members = self.living_members(ix).map(|(pki_id, peer, _)| {
            let internal = peer.internal_endpoint.as_ref();
            let internal = internal.filter(|internal| peer.endpoint.as_ref() != Some(internal));
            (*pki_id, peer.endpoint.iter().chain(internal).cloned().collect())
        });
        members.collect()
    }
}

/// Lists those of some members who are not among the others.
fn missing(
    members: &BTreeMap<PkiId, Vec<Endpoint>>,
    others: &BTreeMap<PkiId, Vec<Endpoint>>,
) -> Vec<PeerEndpoints> {
    let missing = members.iter().filter(|(pki_id, _)| !others.contains_key(*pki_id));
    let peer = |(pki_id, endpoints): (&PkiId, &Vec<Endpoint>)| PeerEndpoints {
        pki_id: *pki_id,
        endpoints: endpoints.clone(),
    };
    missing.map(peer).collect()
}

fn endpoints(peers: &[PeerEndpoints]) -> Vec<&Endpoint> {
    let mut endpoints: Vec<_> = peers.iter().flat_map(|peer| &peer.endpoints).collect();
    endpoints.sort_unstable();
    endpoints
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn members(names: &[(u8, &str)]) -> BTreeMap<PkiId, Vec<Endpoint>> {
        let member = |(byte, at): &(u8, &str)| (PkiId::new([*byte; 32]), vec![Endpoint::from(*at)]);
        names.iter().map(member).collect()
    }

    fn ids(peers: &[PeerEndpoints]) -> Vec<u8> {
        peers.iter().map(|peer| peer.pki_id.as_bytes()[0]).collect()
    }

    /// CH-68.
    #[test]
    fn only_a_change_of_the_endpoints_is_told() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.look(members(&[])), None, "nobody came, nobody went");
        let (online, offline) = tracker.look(members(&[(1, "a:1"), (2, "b:1")])).expect("news");
        assert_eq!((ids(&online), ids(&offline)), (vec![1, 2], vec![]));
        assert_eq!(tracker.look(members(&[(1, "a:1"), (2, "b:1")])), None);
        assert_eq!(tracker.look(members(&[(1, "a:2"), (2, "b:1")])), None, "it only moved");
        let renewed = members(&[(3, "a:2"), (2, "b:1")]);
        assert_eq!(tracker.look(renewed), None, "the same peer under a new identity");
        let (online, offline) = tracker.look(members(&[(4, "c:1"), (2, "b:1")])).expect("news");
        assert_eq!((ids(&online), ids(&offline)), (vec![4], vec![3]));
        let (online, offline) = tracker.look(members(&[])).expect("news");
        assert_eq!((ids(&online), ids(&offline)), (vec![], vec![2, 4]));
    }
}
