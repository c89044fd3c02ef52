//! One channel: who is in it, what they have, and its blocks (docs/protocol/60-channel.md).

mod blocks;
mod leadership;
mod own;
mod requests;
mod tables;

use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::Envelope;

use crate::{
    Chaincode, ChannelConfig, ChannelId, Config, Endpoint, Instant, Notice, OrgId, PkiId, Stamp,
    cx,
    node::Verified,
    wire::{self, Element, Elements, StateInfo},
};

use self::{
    blocks::{Backlog, Window},
    leadership::Leaders,
    own::Own,
    requests::Requests,
};

type Cx<'a> = cx::Cx<'a, Effect>;

/// A channel that was joined.
#[derive(Debug)]
pub(crate) struct Channel {
    id: ChannelId,
    pki_id: PkiId,
    /// Stands for the channel in what we say.
    mac: [u8; 32],
    sequence: u64,
    /// The organisations in the channel, and their anchor peers.
    orgs: BTreeMap<OrgId, BTreeSet<Endpoint>>,
    own: Own,
    /// The newest StateInfo of each peer, ours among them once published.
    infos: BTreeMap<PkiId, Arc<StateInfo>>,
    infos_max: usize,
    /// Grows whenever an organisation or an author comes or goes, or somebody leaves or is back.
    changes: u64,
    leaders: Leaders,
    window: Window,
    backlog: Backlog,
    /// Why the block whose turn it is could not be committed, if it was tried.
    failure: Option<CommitFailure>,
    /// Whether any peer is alive at all: else nothing is published (CH-23).
    has_company: bool,
    requests: Requests,
}

/// What a channel waits for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    Commit,
    Expiry,
    Publish,
    Request,
    Sweep,
}

/// What a channel wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Sign our StateInfo; answer with `on_own_signed`.
    Sign {
        payload: Bytes,
    },
    /// Push our own StateInfo.
    Gossip(Arc<StateInfo>),
    /// Append a block to the ledger; answer with `on_committed`.
    Commit {
        number: u64,
        block: Bytes,
    },
    SetTimer {
        timer: Timer,
        at: Instant,
    },
}

/// What the window makes of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BlockFate {
    /// It is new: store it, pass it on, deliver it.
    New,
    /// It is past the window, but our ledger lacks it: deliver it.
    Late,
    /// It is known or old.
    Stale,
}

/// The ledger's last failure with the block that it should commit.
#[derive(Debug)]
struct CommitFailure {
    reason: Cow<'static, str>,
    /// How long it then rests.
    pause: Duration,
}

/// What the ledger made of a block.
#[derive(Clone, Debug)]
pub(crate) enum Committed {
    Done,
    Rejected(Cow<'static, str>),
    Failed(Cow<'static, str>),
}

impl Channel {
    pub(crate) fn new(id: ChannelId, height: Option<u64>, cx: &mut Cx<'_>) -> Self {
        let config = cx.config;
        let limits = &config.limits;
        let pki_id = config.pki_id;
        // The clock may have gone back since the start; an incarnation must not.
        let joined_at = cx.wall.max(config.wall_clock);
        let mut channel = Self {
            mac: wire::channel_mac(&pki_id, &id),
            id,
            pki_id,
            sequence: 0,
            orgs: BTreeMap::new(),
            own: Own::new(joined_at),
            infos: BTreeMap::new(),
            infos_max: limits.members_max,
            changes: 0,
            leaders: Leaders::new(config, joined_at),
            window: Window::new(config.max_block_count_to_store, config.pull_interval * 100),
            backlog: Backlog::new(None, limits.buffered_blocks_max, limits.buffered_bytes_max),
            failure: None,
            has_company: false,
            requests: Requests::new(cx.now),
        };
        cx.emit(Effect::SetTimer { timer: Timer::Sweep, at: cx.now + config.pull_interval * 5 });
        cx.emit(Effect::SetTimer { timer: Timer::Request, at: channel.requests.due() });
        if let Some(height) = height {
            channel.set_height(height, cx);
        }
        channel
    }

    /// Takes a configuration, unless it is empty or older than the current one (CH-12, CH-13).
    /// Forgets what peers of organisations said that are in the channel no more (CH-14). Says
    /// whether organisations or anchor peers are others than before (CH-15).
    pub(crate) fn configure(&mut self, config: &ChannelConfig, cx: &mut Cx<'_>) -> bool {
        let is_first = self.orgs.is_empty();
        if config.orgs.is_empty() || (!is_first && config.sequence < self.sequence) {
            return false;
        }
        self.sequence = config.sequence;
        let mut orgs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (org, anchors) in &config.orgs {
            orgs.entry(org.clone()).or_default().extend(anchors.iter().cloned());
        }
        if orgs == self.orgs {
            return false;
        }
        self.orgs = orgs;
        self.changes += 1;
        let Self { infos, orgs, pki_id, .. } = self;
        infos.retain(|author, _| {
            author == pki_id || cx.org(author).is_some_and(|org| orgs.contains_key(org))
        });
        true
    }

    /// Says that we leave (CH-67).
    pub(crate) fn leave(&mut self, cx: &mut Cx<'_>) {
        if !self.own.has_left() {
            self.own.set_left(true, cx.wall);
            self.arm_publish(cx);
        }
    }

    /// Says that we are back, if we had left.
    pub(crate) fn rejoin(&mut self, cx: &mut Cx<'_>) {
        if self.own.has_left() {
            self.own.set_left(false, cx.wall);
            self.arm_publish(cx);
        }
    }

    /// Takes note of our ledger's height, published with the next StateInfo (CH-22); it never
    /// falls.
    pub(crate) fn set_height(&mut self, height: u64, cx: &mut Cx<'_>) {
        let height = self.backlog.set_next(height);
        self.own.set_height(height, cx.wall);
        self.arm_publish(cx);
        self.commit_next(cx);
    }

    /// Takes note of our chaincodes, and publishes them at once (CH-24).
    pub(crate) fn set_chaincodes(&mut self, chaincodes: Vec<Chaincode>, cx: &mut Cx<'_>) {
        self.own.set_chaincodes(chaincodes, cx.wall);
        self.publish(cx);
    }

    /// Takes note of who is alive. With new company, what it says is asked for soon.
    pub(crate) fn on_company(&mut self, has_company: bool, has_newcomer: bool, cx: &mut Cx<'_>) {
        if has_company && !self.has_company {
            self.own.not_before(cx.now + INTRODUCTION);
        }
        self.has_company = has_company;
        if has_newcomer {
            let at = self.requests.hurry(cx.now);
            cx.emit(Effect::SetTimer { timer: Timer::Request, at });
        }
        self.arm_publish(cx);
    }

    /// Handles all timers but [`Timer::Request`] and [`Timer::Sweep`], which need to know others.
    pub(crate) fn on_timer(&mut self, timer: Timer, cx: &mut Cx<'_>) {
        match timer {
            Timer::Commit => {
                if let Some((number, block)) = self.backlog.again() {
                    cx.emit(Effect::Commit { number, block });
                }
            }
            Timer::Expiry => {
                if let Some(at) = self.window.expire(cx.now) {
                    cx.emit(Effect::SetTimer { timer: Timer::Expiry, at });
                }
            }
            Timer::Publish => {
                if self.has_company {
                    self.publish(cx);
                }
            }
            Timer::Request | Timer::Sweep => {}
        }
    }

    /// Forgets what peers said whom nobody knows any more (CH-31).
    pub(crate) fn sweep(&mut self, knows: impl Fn(&PkiId) -> bool, cx: &mut Cx<'_>) {
        let authors = self.infos.len();
        self.infos.retain(|author, _| knows(author));
        self.changes += u64::from(self.infos.len() < authors);
        let at = cx.now + cx.config.pull_interval * 5;
        cx.emit(Effect::SetTimer { timer: Timer::Sweep, at });
    }

    /// Forgets what a peer said whose identity is gone.
    pub(crate) fn forget(&mut self, pki_id: &PkiId) {
        self.changes += u64::from(self.infos.remove(pki_id).is_some());
    }

    // Our own StateInfo.

    fn arm_publish(&self, cx: &mut Cx<'_>) {
        let due = if self.has_company { self.own.due(cx.now) } else { None };
        if let Some(at) = due {
            cx.emit(Effect::SetTimer { timer: Timer::Publish, at });
        }
    }

    fn publish(&mut self, cx: &mut Cx<'_>) {
        let next = cx.now + cx.config.publish_state_info_interval;
        if let Some(payload) = self.own.begin(&self.pki_id, &self.mac, next) {
            cx.emit(Effect::Sign { payload });
        }
    }

    /// Takes the signature of our StateInfo, `None` if there is none to be had.
    pub(crate) fn on_own_signed(
        &mut self,
        payload: Bytes,
        signature: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) {
        let Some(signature) = signature else {
            self.own.signing_failed();
            return self.arm_publish(cx);
        };
        self.own.signed();
        let envelope = Envelope { payload, signature, secret_envelope: None };
        if let Ok(info) = StateInfo::parse_nested(envelope, usize::MAX) {
            let info = Arc::new(info);
            self.infos.insert(self.pki_id, Arc::clone(&info));
            cx.emit(Effect::Gossip(info));
        }
        self.arm_publish(cx);
    }

    /// Says whether a StateInfo of ours would outdo what we say now: one of an earlier run, when
    /// our clock was ahead.
    pub(crate) fn is_outdone_by(&self, heard: Stamp, now: Instant, config: &Config) -> bool {
        self.own.is_outdone_by(heard, now, config.alive_expiration_timeout)
    }

    /// Outdoes our own words of an earlier run: takes a higher incarnation, and says so.
    pub(crate) fn on_outdone(&mut self, heard: &Verified<Arc<StateInfo>>, cx: &mut Cx<'_>) {
        if self.is_outdone_by(heard.stamp, cx.now, cx.config) {
            self.own.outdone(cx.now);
            self.take_incarnation(heard.stamp.outdone(cx.wall).incarnation, cx);
        }
    }

    /// Speaks under a later incarnation than so far, if this is one.
    pub(crate) fn take_incarnation(&mut self, incarnation: u64, cx: &mut Cx<'_>) {
        self.own.take_incarnation(incarnation, cx.wall);
        self.leaders.take_incarnation(incarnation);
        self.arm_publish(cx);
    }

    // What others say.

    /// Says whether a StateInfo is newer than what its author said before (CH-28).
    pub(crate) fn would_accept_info(&self, info: &StateInfo) -> bool {
        match self.infos.get(&info.pki_id) {
            Some(known) => known.stamp < info.stamp,
            None => self.has_room(),
        }
    }

    /// Says whether what one more peer says is stored; ours always is.
    fn has_room(&self) -> bool {
        let ours = usize::from(self.infos.contains_key(&self.pki_id));
        self.infos.len() - ours < self.infos_max
    }

    /// Takes what a peer says about itself, if it is still news; returns what was stored.
    pub(crate) fn on_state_info(
        &mut self,
        info: Verified<Arc<StateInfo>>,
        cx: &mut Cx<'_>,
    ) -> Option<Arc<StateInfo>> {
        // Organisations may have left while the signature was checked (CH-29).
        if !self.is_member(&info.pki_id, cx) {
            return None;
        }
        let info = info.into_inner();
        if let Some(known) = self.infos.get_mut(&info.pki_id) {
            if known.stamp >= info.stamp {
                return None;
            }
            self.changes += u64::from(known.left != info.left);
            *known = Arc::clone(&info);
        } else if self.has_room() {
            self.changes += 1;
            self.infos.insert(info.pki_id, Arc::clone(&info));
        } else {
            return None;
        }
        if info.pki_id != self.pki_id {
            let (pki_id, height, left) = (info.pki_id, info.height, info.left);
            let channel = self.id.clone();
            cx.notify(Notice::ChannelPeer { channel, pki_id, height, left });
        }
        Some(info)
    }

    /// Makes a snapshot of what `may_learn` lets its receiver see (9.2).
    pub(crate) fn snapshot(&self, may_learn: impl Fn(&PkiId) -> bool) -> Bytes {
        let mut elements = Elements::default();
        for (_, info) in self.infos.iter().filter(|(author, _)| may_learn(author)) {
            elements.push(Element::First, &info.frame());
        }
        wire::snapshot(&self.id, &elements)
    }

    // Leadership.

    /// Numbers our next leadership message.
    pub(crate) const fn next_leadership(&mut self) -> Stamp {
        self.leaders.next()
    }

    /// Notes that a leadership message of ours is sent; false if a newer one was.
    pub(crate) fn send_leadership(&mut self, stamp: Stamp) -> bool {
        self.leaders.send(stamp)
    }

    /// Says whether a leadership message is newer than what its author said before (CH-60).
    pub(crate) fn would_accept_leadership(&self, author: &PkiId, at: Stamp, now: Instant) -> bool {
        self.leaders.would_accept(author, at, now)
    }

    /// Remembers a leadership message, so that nothing older is taken.
    pub(crate) fn note_leadership(&mut self, author: PkiId, stamp: Stamp, now: Instant) {
        self.leaders.insert(author, stamp, now);
    }

    // Blocks.

    /// Says what would become of a block, before it is verified.
    pub(crate) fn fate(&self, number: u64) -> BlockFate {
        if self.window.would_accept(number) {
            BlockFate::New
        } else if !self.window.contains(number) && self.backlog.lacks(number) {
            // Fabric drops it and waits for state transfer; it is here, it is asked for: take it.
            BlockFate::Late
        } else {
            BlockFate::Stale
        }
    }

    /// Takes a verified block; says what became of it (CH-41). Without its frame it is not served.
    pub(crate) fn on_block(
        &mut self,
        number: u64,
        block: Bytes,
        frame: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) -> BlockFate {
        let fate = self.fate(number);
        if let Some(frame) = frame.filter(|_| fate == BlockFate::New) {
            self.store(number, frame, cx);
        }
        if fate != BlockFate::Stale {
            self.backlog.insert(number, block);
            self.commit_next(cx);
        }
        fate
    }

    /// Lists the numbers of the blocks that are served.
    pub(crate) fn served(&self) -> impl Iterator<Item = u64> + '_ {
        self.window.served()
    }

    /// Returns a block that is served, as the frame that it came in.
    pub(crate) fn served_frame(&self, number: u64) -> Option<Bytes> {
        self.window.frame(number)
    }

    /// Says whether a block that a peer offers lacks here (P-40).
    pub(crate) fn wants(&self, number: u64) -> bool {
        number >= self.height() && self.fate(number) != BlockFate::Stale
    }

    /// Returns the number of the block that the ledger waits for, if it has not come.
    pub(crate) fn missing(&self) -> Option<u64> {
        self.backlog.missing()
    }

    /// Says whether the ledger lacks a block that does not wait here yet.
    pub(crate) fn lacks(&self, number: u64) -> bool {
        self.backlog.lacks(number)
    }

    /// Returns the first number of which the ledger lacks the block and none waits here; `None`
    /// while the ledger's height is not known.
    pub(crate) fn first_lacking(&self) -> Option<u64> {
        self.backlog.first_lacking()
    }

    /// Says whether later blocks wait for one that has not come.
    pub(crate) fn has_gap(&self) -> bool {
        self.backlog.has_gap()
    }

    /// Returns the greatest number of blocks that another says it has, alive or dead; else 0.
    pub(crate) fn best_height(&self) -> u64 {
        let others = self.infos.iter().filter(|(author, _)| **author != self.pki_id);
        others.map(|(_, info)| info.height).max().unwrap_or(0)
    }

    /// Says whether the ledger waits for a block that has not come, and that somebody has.
    pub(crate) fn is_behind(&self) -> bool {
        let is_behind = || self.missing().is_some_and(|next| next < self.best_height());
        self.has_gap() || is_behind()
    }

    /// Takes a block of our own, to be served; it is for the caller to commit it (CH-49).
    pub(crate) fn on_own_block(&mut self, number: u64, frame: Bytes, cx: &mut Cx<'_>) {
        self.store(number, frame, cx);
    }

    /// Takes the ledger's answer.
    pub(crate) fn on_committed(&mut self, number: u64, committed: Committed, cx: &mut Cx<'_>) {
        let channel = self.id.clone();
        match committed {
            Committed::Done => {
                self.failure = None;
                let Some(height) = self.backlog.committed() else {
                    return;
                };
                cx.notify(Notice::BlockCommitted { channel, number });
                self.set_height(height, cx);
            }
            Committed::Rejected(reason) => {
                self.failure = None;
                self.backlog.rejected();
                self.window.remove(number);
                cx.notify(Notice::CommitFailed { channel, number, reason });
            }
            Committed::Failed(reason) => {
                let last = self.failure.take();
                let pause = last.as_ref().map_or(COMMIT_PAUSE_MIN, |last| last.pause * 2);
                let pause = pause.min(COMMIT_PAUSE_MAX);
                if last.is_none_or(|last| last.reason != reason) {
                    let reason = reason.clone();
                    cx.notify(Notice::CommitFailed { channel, number, reason });
                }
                self.failure = Some(CommitFailure { reason, pause });
                let at = cx.now + pause;
                cx.emit(Effect::SetTimer { timer: Timer::Commit, at });
            }
        }
    }

    fn store(&mut self, number: u64, frame: Bytes, cx: &mut Cx<'_>) {
        if self.window.insert(number, frame, cx.now)
            && let Some(at) = self.window.next_expiry()
        {
            cx.emit(Effect::SetTimer { timer: Timer::Expiry, at });
        }
    }

    fn commit_next(&mut self, cx: &mut Cx<'_>) {
        if let Some((number, block)) = self.backlog.begin() {
            cx.emit(Effect::Commit { number, block });
        }
    }

    // Predicates of section 6.

    /// Says whether an organisation is in the channel.
    pub(crate) fn has_org(&self, org: &OrgId) -> bool {
        self.orgs.contains_key(org)
    }

    /// Says whether a peer's organisation is in the channel; ourselves we always believe.
    pub(crate) fn is_member<E>(&self, peer: &PkiId, cx: &cx::Cx<'_, E>) -> bool {
        *peer == self.pki_id || cx.org(peer).is_some_and(|org| self.has_org(org))
    }

    /// Returns what a peer last said about itself here.
    pub(crate) fn info(&self, peer: &PkiId) -> Option<&Arc<StateInfo>> {
        self.infos.get(peer)
    }

    /// Lists those who said something about themselves here, by PKI-ID.
    pub(crate) fn authors(&self) -> impl Iterator<Item = PkiId> + '_ {
        self.infos.keys().copied()
    }

    /// Says whether blocks are worth sending to a peer: it is here, and has not left (Q60-2).
    pub(crate) fn is_eligible(&self, peer: &PkiId) -> bool {
        self.infos.get(peer).is_some_and(|info| !info.left)
    }

    /// Counts the changes of who is eligible: what was derived from that holds until then.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) const fn id(&self) -> &ChannelId {
        &self.id
    }

    pub(crate) const fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    pub(crate) const fn height(&self) -> u64 {
        self.own.height()
    }

    pub(crate) const fn has_left(&self) -> bool {
        self.own.has_left()
    }
}

/// How long our alive message is given to go before our StateInfo: peers that do not know us yet
/// drop it.
const INTRODUCTION: Duration = Duration::from_millis(100);

/// How long the ledger rests after it failed; each time in a row twice as long.
const COMMIT_PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest that it rests.
const COMMIT_PAUSE_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
