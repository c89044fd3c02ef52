//! What a node says of others is true, as far as it can know.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use gossip_core::{Endpoint, MemberView, Notice, PkiId, Stamp};
use gossip_proto::gossip::{GossipMessage, gossip_message::Content};
use prost::Message as _;

use super::{Check, Facts, Seen};
use crate::sim::hash::Map;

/// Nobody is alive and dead at once: notices alternate, and agree with the view.
#[derive(Debug)]
pub(super) struct Flips {
    alive: Vec<BTreeSet<PkiId>>,
}

impl Flips {
    pub(super) fn new(hosts: usize) -> Self {
        Self { alive: vec![BTreeSet::new(); hosts] }
    }
}

impl Check for Flips {
    fn name(&self) -> &'static str {
        "nobody alive and dead at once"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, _: &Facts<'_>) -> Result<(), String> {
        let alive = &mut self.alive[host];
        match *seen {
            Seen::Started { .. } => alive.clear(),
            Seen::Noticed(Notice::MemberAlive { pki_id, .. }) if !alive.insert(*pki_id) => {
                return Err(format!("{pki_id} came alive who was alive"));
            }
            Seen::Noticed(Notice::MemberDead { pki_id }) if !alive.remove(pki_id) => {
                return Err(format!("{pki_id} died who was not alive"));
            }
            Seen::Noticed(Notice::MemberForgotten { pki_id }) => {
                alive.remove(pki_id);
            }
            Seen::View { members, .. } => {
                // Both are in order.
                if members.iter().map(|member| member.pki_id).eq(alive.iter()) {
                    return Ok(());
                }
                let viewed: BTreeSet<_> = members.iter().map(|member| *member.pki_id).collect();
                let differ: Vec<_> = viewed.symmetric_difference(alive).collect();
                return Err(format!("the view and the notices differ in {differ:?}"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A view tells of a peer what that peer said: no endpoint, metadata or version that it never
/// signed.
#[derive(Debug)]
pub(super) struct Authors {
    said: Map<PkiId, Said>,
    own: Vec<Option<PkiId>>,
}

#[derive(Debug, Default)]
struct Said {
    /// Where it ever listened: seldom more than two.
    endpoints: Vec<Endpoint>,
    /// In order and without repetitions.
    metadata: Vec<Bytes>,
    highest: Stamp,
}

impl Authors {
    pub(super) fn new(hosts: usize) -> Self {
        Self { said: Map::default(), own: vec![None; hosts] }
    }

    fn signed(&mut self, host: usize, payload: &Bytes) {
        let Some(said) = self.own[host].and_then(|own| self.said.get_mut(&own)) else { return };
        let Ok(message) = GossipMessage::decode(payload.clone()) else { return };
        if let Some(Content::AliveMsg(alive)) = message.content {
            let time = alive.timestamp.unwrap_or_default();
            let stamp = Stamp { incarnation: time.inc_num, sequence: time.seq_num };
            said.highest = said.highest.max(stamp);
            let metadata = alive.membership.unwrap_or_default().metadata;
            if said.metadata.last() != Some(&metadata) {
                said.metadata.push(metadata);
            }
        }
    }

    fn check(&self, member: &MemberView<'_>, facts: &Facts<'_>) -> Result<(), String> {
        let MemberView { pki_id, internal_endpoint, external_endpoint, metadata, stamp, .. } =
            *member;
        let said = self.said.get(pki_id);
        let is_said = |said: &Said| {
            let mut named = internal_endpoint.into_iter().chain(external_endpoint);
            named.all(|at| said.endpoints.contains(at))
                && said.metadata.iter().rev().any(|said| said == metadata)
                && stamp <= said.highest
        };
        if said.is_some_and(is_said) {
            return Ok(());
        }
        let issued = facts.issued.get(pki_id);
        let issued = issued.ok_or_else(|| format!("{pki_id} is alive, whom nobody knows"))?;
        let name = &facts.layout.names[issued.host];
        match said {
            // A hostile peer may say of itself what it likes.
            _ if issued.is_byzantine => Ok(()),
            None => Err(format!("{name} is alive, who never was")),
            Some(_) => Err(format!("{name} never said {member:?}")),
        }
    }
}

impl Check for Authors {
    fn name(&self) -> &'static str {
        "views tell what was signed"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        match *seen {
            Seen::Started { pki_id, endpoints: (internal, external), .. } => {
                self.own[host] = Some(pki_id);
                let said = self.said.entry(pki_id).or_default();
                for endpoint in [internal].into_iter().chain(external) {
                    if !said.endpoints.contains(endpoint) {
                        said.endpoints.push(endpoint.clone());
                    }
                }
                Ok(())
            }
            Seen::Signed { payload } => {
                self.signed(host, payload);
                Ok(())
            }
            Seen::View { members, .. } => {
                members.iter().try_for_each(|member| self.check(member, facts))
            }
            _ => Ok(()),
        }
    }
}

/// Identities that have expired on a peer's clock leave its view.
#[derive(Debug)]
pub(super) struct Expired {
    own: Vec<Option<PkiId>>,
}

impl Expired {
    pub(super) fn new(hosts: usize) -> Self {
        Self { own: vec![None; hosts] }
    }
}

impl Check for Expired {
    fn name(&self) -> &'static str {
        "expired identities leave"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        if let Seen::Started { pki_id, .. } = *seen {
            self.own[host] = Some(pki_id);
        }
        let Seen::View { wall, members, expiring, .. } = *seen else { return Ok(()) };
        let expired = facts.expiring.iter().filter(|(_, at)| *at + GRACE < wall);
        for (pki_id, _) in expired.filter(|(pki_id, _)| Some(*pki_id) != self.own[host]) {
            if members.iter().any(|member| member.pki_id == pki_id) {
                return Err(format!("holds alive {pki_id}, who has expired"));
            }
            if expiring.contains(pki_id) {
                return Err(format!("knows {pki_id}, who has expired"));
            }
        }
        Ok(())
    }
}

/// How long an expired identity may stay.
const GRACE: Duration = Duration::from_secs(1);
