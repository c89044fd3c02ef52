//! One round of asking: who was asked, what is wanted of it, and of whom.

use alloc::{collections::BTreeMap, vec::Vec};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Config, Instant, PkiId, rng::Rng};

/// A round under way. Each has its own nonces: several may overlap.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) phase: Phase,
    begun: Instant,
    asked: SmallVec<[Asked; 4]>,
    /// What is wanted and has not come.
    items: BTreeMap<Bytes, Item>,
    until: Instant,
    /// When items that have not come are asked of others.
    retry_at: Instant,
}

/// How far a round is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// The peers say what they have.
    Digests,
    /// They send what was asked for.
    Updates,
    /// It is waited for no more, but taken.
    Over,
    /// Nothing can come any more.
    Done,
}

#[derive(Debug)]
struct Asked {
    peer: PkiId,
    nonce: u64,
    has_answered: bool,
}

#[derive(Debug, Default)]
struct Item {
    /// Who has it and was not asked for it, by place in `asked`.
    owners: SmallVec<[usize; 4]>,
    /// Who was asked for it last.
    source: Option<usize>,
}

/// What to ask a peer for, with the nonce of its hello.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Request {
    pub(super) to: PkiId,
    pub(super) nonce: u64,
    pub(super) ids: Vec<Bytes>,
}

impl Round {
    /// Begins with a hello to each of `peers`; a nonce goes with each.
    pub(super) fn new(peers: &[(PkiId, u64)], now: Instant, config: &Config) -> Self {
        let ask = |&(peer, nonce): &_| Asked { peer, nonce, has_answered: false };
        Self {
            phase: Phase::Digests,
            begun: now,
            asked: peers.iter().map(ask).collect(),
            items: BTreeMap::new(),
            until: now + config.digest_wait_time,
            retry_at: Instant::MAX,
        }
    }

    /// Counts what is wanted and has not come.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Finds the place of a peer that was asked with this nonce.
    pub(super) fn place(&self, peer: &PkiId, nonce: u64) -> Option<usize> {
        self.asked.iter().position(|asked| asked.nonce == nonce && asked.peer == *peer)
    }

    /// Notes what a peer has of what we want, up to `max` items in all; says whether all peers
    /// have answered.
    pub(super) fn on_digest(
        &mut self,
        place: usize,
        wanted: impl IntoIterator<Item = Bytes>,
        max: usize,
    ) -> bool {
        for id in wanted {
            if self.items.len() >= max && !self.items.contains_key(&id) {
                continue;
            }
            let owners = &mut self.items.entry(id).or_default().owners;
            if !owners.contains(&place) {
                owners.push(place);
            }
        }
        self.asked[place].has_answered = true;
        self.asked.iter().all(|asked| asked.has_answered)
    }

    /// Stops wanting some of the items.
    pub(super) fn drop_items(&mut self, mut is_superfluous: impl FnMut(&Bytes) -> bool) {
        self.items.retain(|id, _| !is_superfluous(id));
    }

    /// Says whether an item was asked for and may still come in time.
    pub(super) fn awaits(&self, id: &Bytes) -> bool {
        self.phase == Phase::Updates && self.items.contains_key(id)
    }

    /// Ends the digests: asks one owner for each item (P-9). Without items the round is done.
    pub(super) fn collect(&mut self, now: Instant, config: &Config, rng: &mut Rng) -> Vec<Request> {
        self.phase = if self.items.is_empty() { Phase::Done } else { Phase::Updates };
        self.until = now + config.response_wait_time;
        self.retry_at = now + config.response_wait_time / 4;
        self.assign(|_| true, false, rng)
    }

    /// Takes what a peer has sent; asks others for what it was asked for and left out, or the same
    /// again if it had no room for more.
    pub(super) fn on_update(
        &mut self,
        place: usize,
        ids: &[Bytes],
        now: Instant,
        config: &Config,
        rng: &mut Rng,
    ) -> Vec<Request> {
        let wanted = self.items.len();
        for id in ids {
            self.items.remove(id);
        }
        let is_progress = self.items.len() < wanted;
        if self.phase != Phase::Updates || !self.is_honoured(now, config) {
            return Vec::new();
        }
        self.assign(|source| source == Some(place), is_progress, rng)
    }

    /// Returns when something is to be done next.
    pub(super) fn deadline(&self) -> Instant {
        self.until.min(self.retry_at)
    }

    /// Does what is due but the end of the digests, which is for [`collect`](Self::collect).
    pub(super) fn on_deadline(
        &mut self,
        now: Instant,
        config: &Config,
        rng: &mut Rng,
    ) -> Vec<Request> {
        if self.until <= now {
            self.retry_at = Instant::MAX;
            self.until = now + config.response_wait_time * LATE;
            let is_over = self.phase == Phase::Updates && !self.items.is_empty();
            self.phase = if is_over { Phase::Over } else { Phase::Done };
            return Vec::new();
        }
        if self.retry_at > now {
            return Vec::new();
        }
        self.retry_at = now + config.response_wait_time / 4;
        if !self.is_honoured(now, config) {
            self.retry_at = Instant::MAX;
            return Vec::new();
        }
        self.assign(|_| true, false, rng)
    }

    /// Says whether peers still answer to their nonces, with some time for the way (P-24).
    fn is_honoured(&self, now: Instant, config: &Config) -> bool {
        now < self.begun + config.request_wait_time / 10 * 9
    }

    /// Chooses one owner at random for each item that is with a source of a certain kind. Items
    /// that nobody else has stay with their source, which is asked `again` or not.
    fn assign(
        &mut self,
        is_concerned: impl Fn(Option<usize>) -> bool,
        again: bool,
        rng: &mut Rng,
    ) -> Vec<Request> {
        let mut ids: BTreeMap<usize, Vec<Bytes>> = BTreeMap::new();
        for (id, item) in &mut self.items {
            if !is_concerned(item.source) {
                continue;
            }
            if !item.owners.is_empty() {
                let chosen = rng.below(item.owners.len());
                item.source = Some(item.owners.swap_remove(chosen));
            } else if !again {
                continue;
            }
            if let Some(source) = item.source {
                ids.entry(source).or_default().push(id.clone());
            }
        }
        let request = |(place, ids): (usize, Vec<Bytes>)| {
            let Asked { peer, nonce, .. } = self.asked[place];
            Request { to: peer, nonce, ids }
        };
        ids.into_iter().map(request).collect()
    }
}

/// How many times longer than it waits a round takes what comes late, over a slow line.
const LATE: u32 = 10;
