//! The table of peers: what each last said about itself, and whether it is alive.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::Envelope;
use prost::Message as _;

use crate::{Endpoint, Instant, PkiId, Stamp, changed::Changed, timers::Timers, wire::Alive};

/// Another peer, alive or dead.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The newest statement that was taken from it.
    pub(crate) message: Arc<Alive>,
    /// The one before: its version, and the serialized envelope.
    previous: Option<(Stamp, Bytes)>,
    /// Where other organisations reach it.
    pub(crate) endpoint: Option<Endpoint>,
    /// Where its own organisation reaches it, also if the newest copy came without (D-18).
    pub(crate) internal_endpoint: Option<Endpoint>,
    /// What it says about itself.
    pub(crate) metadata: Bytes,
    /// When it last said something new.
    pub(crate) last_seen: Instant,
    /// Since when it is alive, or dead.
    pub(crate) since: Instant,
    is_alive: bool,
    /// The newest statement that was pushed to us: no older one is passed on (D8.2.b).
    pushed: Option<Stamp>,
}

impl Peer {
    /// Says whether a statement is, byte for byte but for its secret, one of the last two that were
    /// taken from it.
    pub(super) fn has_said(&self, alive: &Alive) -> bool {
        if self.message.stamp == alive.stamp {
            return self.message.is_same_statement(alive);
        }
        let is_previous = || {
            let (_, frame) = self.previous.as_ref().filter(|(stamp, _)| *stamp == alive.stamp)?;
            let Envelope { payload, signature, .. } = Envelope::decode(frame.clone()).ok()?;
            Some(payload == alive.envelope.payload && signature == alive.envelope.signature)
        };
        is_previous().unwrap_or(false)
    }

    /// Takes note of a statement that was pushed.
    fn note(&mut self, way: Way, stamp: Stamp) {
        if way == Way::Pushed {
            self.pushed = Some(stamp);
        }
    }

    /// Returns the version of its newest statement.
    pub(crate) fn stamp(&self) -> Stamp {
        self.message.stamp
    }

    /// Returns what is dialled to reach it (D-46).
    pub(crate) fn preferred_endpoint(&self) -> Option<&Endpoint> {
        self.internal_endpoint.as_ref().or(self.endpoint.as_ref())
    }

    pub(crate) const fn is_alive(&self) -> bool {
        self.is_alive
    }
}

/// All peers but ourselves. One entry each, so that none is both alive and dead (D-50).
#[derive(Debug)]
pub(super) struct Peers {
    entries: BTreeMap<PkiId, Peer>,
    alive: usize,
    /// Who came alive or died, or can do something else or be reached elsewhere than before.
    changed: Changed,
    forgotten: Forgotten,
}

/// What a statement changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// The peer is new, and alive.
    Learned,
    /// It was alive and still is.
    Refreshed,
    /// It was dead.
    Resurrected,
    /// Nothing: it is not newer than what is known.
    Stale,
    /// Nothing: the peer is not known.
    Unknown,
}

/// How a statement came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// By itself.
    Pushed,
    /// In a request or a response.
    Exchanged,
}

impl Peers {
    /// Makes an empty table that remembers at most `forgotten_max` peers that it forgot.
    pub(super) fn new(forgotten_max: usize) -> Self {
        let forgotten =
            Forgotten { words: BTreeMap::new(), until: Timers::new(), max: forgotten_max };
        Self { entries: BTreeMap::new(), alive: 0, changed: Changed::default(), forgotten }
    }

    pub(super) fn get(&self, pki_id: &PkiId) -> Option<&Peer> {
        self.entries.get(pki_id)
    }

    pub(super) fn is_alive(&self, pki_id: &PkiId) -> bool {
        self.get(pki_id).is_some_and(|peer| peer.is_alive)
    }

    /// Iterates over the living, by PKI-ID.
    pub(super) fn alive(&self) -> impl Iterator<Item = (&PkiId, &Peer)> {
        self.entries.iter().filter(|(_, peer)| peer.is_alive)
    }

    /// Iterates over the dead, by PKI-ID.
    pub(super) fn dead(&self) -> impl Iterator<Item = (&PkiId, &Peer)> {
        self.entries.iter().filter(|(_, peer)| !peer.is_alive)
    }

    pub(super) const fn alive_len(&self) -> usize {
        self.alive
    }

    /// Tells who changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Option<Changed> {
        self.changed.take()
    }

    /// Counts all, alive or dead.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Counts the forgotten that are not.
    pub(super) fn forgotten_len(&self) -> usize {
        self.forgotten.words.len()
    }

    /// Says whether a statement is newer than all that were pushed: Fabric's message store.
    pub(super) fn is_unseen(&self, alive: &Alive) -> bool {
        let seen = match self.get(&alive.pki_id) {
            Some(peer) => peer.pushed,
            None => self.forgotten.words.get(&alive.pki_id).map(|last| last.stamp),
        };
        seen.is_none_or(|seen| seen < alive.stamp)
    }

    /// Says whether a statement is newer than what is known of its peer (D-15, D-16).
    pub(super) fn is_news(&self, alive: &Alive) -> bool {
        self.get(&alive.pki_id).is_none_or(|peer| peer.stamp() < alive.stamp)
    }

    /// Takes the first statement of a peer that is not known as a proof of life.
    pub(super) fn meet(&mut self, alive: &Arc<Alive>, way: Way, now: Instant) -> Change {
        self.insert(alive, true, way, now);
        Change::Learned
    }

    /// Takes a statement of a peer that is known as a proof of life, if it is news (§9.2).
    pub(super) fn take(&mut self, alive: &Arc<Alive>, way: Way, now: Instant) -> Change {
        let Some(peer) = self.entries.get_mut(&alive.pki_id) else {
            return Change::Unknown;
        };
        peer.note(way, alive.stamp);
        if alive.stamp <= peer.stamp() {
            return Change::Stale;
        }
        let mut is_same = peer.message.extensions == alive.extensions;
        // A copy that passed through another organisation has lost its secret: that is no news.
        if alive.envelope.secret_envelope.is_some() {
            is_same &= take_over(&mut peer.internal_endpoint, &alive.internal_endpoint);
        }
        is_same &= take_over(&mut peer.endpoint, &alive.endpoint);
        peer.metadata = alive.metadata.clone();
        peer.previous = Some((peer.stamp(), peer.message.frame()));
        peer.message = Arc::clone(alive);
        peer.last_seen = now;
        if peer.is_alive {
            if !is_same {
                self.changed.note(alive.pki_id);
            }
            return Change::Refreshed;
        }
        self.changed.note(alive.pki_id);
        peer.is_alive = true;
        peer.since = now;
        self.alive += 1;
        Change::Resurrected
    }

    /// Takes note of a peer that others hold dead, unless it is known (D-34): `true` if it was not.
    pub(super) fn take_dead(&mut self, alive: &Arc<Alive>, now: Instant) -> bool {
        let is_new = !self.entries.contains_key(&alive.pki_id);
        if is_new {
            self.insert(alive, false, Way::Exchanged, now);
        }
        is_new
    }

    /// Takes a living peer for dead: `false` if it is not alive (D-21).
    pub(super) fn bury(&mut self, pki_id: &PkiId, now: Instant) -> bool {
        let Some(peer) = self.entries.get_mut(pki_id).filter(|peer| peer.is_alive) else {
            return false;
        };
        peer.is_alive = false;
        peer.since = now;
        self.alive -= 1;
        self.changed.note(*pki_id);
        true
    }

    /// Removes a peer; until `until` its statements so far stay refused (D-36).
    pub(super) fn forget(&mut self, pki_id: &PkiId, until: Instant) -> bool {
        let Some(peer) = self.entries.remove(pki_id) else {
            return false;
        };
        self.alive -= usize::from(peer.is_alive);
        self.changed.note(*pki_id);
        self.forgotten.insert(peer.message, until);
        true
    }

    /// Returns the last statement of a peer that was forgotten.
    pub(super) fn last_words(&self, pki_id: &PkiId) -> Option<&Alive> {
        self.forgotten.words.get(pki_id).map(AsRef::as_ref)
    }

    /// Returns for how long the living one that is silent longest is; zero if nobody lives.
    pub(super) fn longest_silence(&self, now: Instant) -> Duration {
        self.alive().map(|(_, peer)| now - peer.last_seen).max().unwrap_or_default()
    }

    /// Lists the living that were silent for longer than `timeout` (D-19, D-20).
    pub(super) fn silent(&self, timeout: Duration, now: Instant) -> Vec<PkiId> {
        let is_silent = |peer: &Peer| now - peer.last_seen > timeout;
        self.alive().filter(|(_, peer)| is_silent(peer)).map(|(id, _)| *id).collect()
    }

    /// Drops the memory of forgotten peers whose time is over.
    pub(super) fn sweep_forgotten(&mut self, now: Instant) {
        self.forgotten.sweep(now);
    }

    fn insert(&mut self, alive: &Arc<Alive>, is_alive: bool, way: Way, now: Instant) {
        let mut peer = Peer {
            message: Arc::clone(alive),
            previous: None,
            endpoint: alive.endpoint.clone(),
            internal_endpoint: alive.internal_endpoint.clone(),
            metadata: alive.metadata.clone(),
            last_seen: now,
            since: now,
            is_alive,
            pushed: self.forgotten.remove(&alive.pki_id).map(|last| last.stamp),
        };
        peer.note(way, alive.stamp);
        self.alive += usize::from(is_alive);
        self.changed.note(alive.pki_id);
        self.entries.insert(alive.pki_id, peer);
    }
}

/// Replaces an endpoint; says whether it was the same.
fn take_over(known: &mut Option<Endpoint>, said: &Option<Endpoint>) -> bool {
    let is_same = known == said;
    if !is_same {
        known.clone_from(said);
    }
    is_same
}

/// The last statements of peers that were forgotten: without them the other peers' lists of the
/// dead would bring each back.
#[derive(Debug)]
struct Forgotten {
    words: BTreeMap<PkiId, Arc<Alive>>,
    until: Timers<PkiId>,
    max: usize,
}

impl Forgotten {
    /// Remembers a statement; of too many, the one whose time is over first makes room.
    fn insert(&mut self, alive: Arc<Alive>, until: Instant) {
        self.until.set(alive.pki_id, until);
        self.words.insert(alive.pki_id, alive);
        while self.words.len() > self.max {
            let Some((_, oldest)) = self.until.next() else {
                break;
            };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, pki_id: &PkiId) -> Option<Arc<Alive>> {
        self.until.cancel(*pki_id);
        self.words.remove(pki_id)
    }

    fn sweep(&mut self, now: Instant) {
        while let Some(pki_id) = self.until.pop_due(now) {
            self.words.remove(&pki_id);
        }
    }
}
