//! The node: where the subsystems meet.
//!
//! Only this module knows more than one of them. Each call into a subsystem leaves effects in one
//! queue, which is drained in a loop: nothing recurses.

/// Lends a subsystem the world: everything but the subsystem itself, which is borrowed beside it.
macro_rules! lend {
    ($node:ident, $rng:ident, $effects:ident) => {
        $crate::cx::Cx {
            now: $node.clock.now,
            wall: $node.clock.wall(),
            config: &$node.config,
            identities: &$node.identities,
            rng: &mut $node.rngs.$rng,
            stats: &mut $node.stats,
            actions: &mut $node.actions,
            effects: &mut $effects,
        }
    };
}

mod admission;
mod block_pull;
mod commands;
mod effects;
mod flights;
mod foreign;
mod identity_pull;
mod inbound;
mod jobs;
mod leadership;
mod lists;
mod messages;
mod pull;
mod requests;
mod roster;
mod routing;
mod state_serving;
mod state_transfer;
mod tables;
mod tracker;
mod verdicts;
mod verified;
mod views;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::{mem, time::Duration};

use crate::{
    Action, ChannelId, CloseReason, Command, CommandError, Config, ConfigError, Event, Instant,
    Job, JobKind, MessageKind, Notice, Stats, UnixTime,
    channel::{self, Channel},
    comm::{self, Comm},
    cx::Cx,
    discovery::{self, Discovery},
    emitter::Emitter,
    identity::Identities,
    rng::Rng,
    timers::Timers,
};

pub(crate) use self::verified::Verified;
pub use self::views::{
    ChannelPeer, ChannelStatement, KnownPeer, Member, MemberView, OpenConnection, PeerProof,
};
use self::{
    block_pull::BlockPull,
    flights::Flights,
    foreign::ForeignInfos,
    identity_pull::IdentityPull,
    jobs::{Jobs, Purpose},
    pull::Puller,
    requests::Requests,
    roster::{Crowd, Roster},
    state_serving::Serving,
    state_transfer::Transfer,
    tracker::Tracker,
};

/// A gossip node that performs no I/O.
///
/// A driver repeats three steps, in any batch sizes:
///
/// 1. give events with [`handle`](Self::handle) and requests with [`command`](Self::command),
///    [`Event::Tick`] when the time that [`poll_timeout`](Self::poll_timeout) named has come;
/// 2. take actions with [`poll_action`](Self::poll_action) until it returns `None`, and carry each
///    out;
/// 3. wait for the next event or that time.
///
/// Time never goes back: an earlier `now` than before counts as the one before. The same
/// configuration, seed and sequence of events and commands give the same actions, bit for bit.
#[derive(Debug)]
pub struct Node {
    config: Config,
    clock: Clock,
    stats: Stats,
    timers: Timers<TimerKey>,
    actions: VecDeque<Action>,
    queue: VecDeque<Effect>,
    jobs: Jobs,
    flights: Flights,
    identities: Identities,
    comm: Comm,
    discovery: Discovery,
    emitter: Emitter,
    channels: Vec<Channel>,
    channel_index: BTreeMap<ChannelId, ChannelIx>,
    foreign: ForeignInfos,
    identity_pull: IdentityPull,
    /// By [`ChannelIx`], as the channels.
    block_pulls: Vec<BlockPull>,
    /// By [`ChannelIx`], too.
    trackers: Vec<Tracker>,
    roster: Roster,
    /// By [`ChannelIx`], too.
    crowds: Vec<Crowd>,
    /// By [`ChannelIx`], too.
    transfers: Vec<Transfer>,
    /// By [`ChannelIx`], too.
    servings: Vec<Serving>,
    requests: Requests,
    /// The messages of other applications that ours takes.
    accepted: BTreeSet<MessageKind>,
    rngs: Rngs,
    scratch: Scratch,
    stopped: bool,
}

/// Names a channel inside the node; channels are never removed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct ChannelIx(u32);

#[derive(Debug)]
struct Clock {
    now: Instant,
    /// The wall clock's reading at some moment: it runs on from there.
    wall: UnixTime,
    wall_at: Instant,
}

impl Clock {
    fn wall(&self) -> UnixTime {
        self.wall + (self.now - self.wall_at)
    }
}

/// One stream of random choices for each use: they do not shift each other.
#[derive(Debug)]
struct Rngs {
    channel: Rng,
    comm: Rng,
    discovery: Rng,
    pull: Rng,
    requests: Rng,
    routing: Rng,
    state: Rng,
}

/// Buffers that are used again and again.
#[derive(Debug, Default)]
struct Scratch {
    channel: Vec<channel::Effect>,
    comm: Vec<comm::Effect>,
    discovery: Vec<discovery::Effect>,
    pull: Vec<crate::pull::Effect>,
}

#[derive(Debug)]
enum Effect {
    Channel(ChannelIx, channel::Effect),
    Comm(comm::Effect),
    Discovery(discovery::Effect),
    Pull(Puller, crate::pull::Effect),
}

/// Names a timer. The order is that in which timers go that are due together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum TimerKey {
    Comm(comm::Timer),
    Jobs,
    Identity(IdentityTimer),
    Discovery(discovery::Timer),
    Channel(ChannelIx, channel::Timer),
    Pull(Puller, crate::pull::Timer),
    Lag(ChannelIx),
    Transfer(ChannelIx),
    Requests,
    Tracker(ChannelIx),
    Emit,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum IdentityTimer {
    Expiry,
    Unused,
}

/// What the node waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimerKind {
    /// A connection message, or the end of a replaced connection.
    Connection,
    /// The answer to a job.
    Job,
    /// The next alive message.
    Heartbeat,
    /// The silence check, the memory of silent peers.
    Membership,
    /// Dead, bootstrap and anchor peers.
    Contact,
    /// Asking for members.
    Sync,
    /// Identities that expire or go unused.
    Identity,
    /// The next batch.
    Emit,
    /// StateInfo of a channel.
    StateInfo,
    /// Blocks of a channel.
    Block,
    /// Asking for identities and blocks.
    Pull,
    /// A look at whether blocks lack that only a range of them brings, or such a range.
    State,
    /// Acknowledgements of a message.
    Request,
    /// A look at who came to a channel and who went.
    Tracker,
}

impl Node {
    /// Makes a node. Its first timers are due at once.
    ///
    /// # Errors
    ///
    /// If no node can run with this configuration.
    pub fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        let fork = |name| Rng::fork(&config.rng_seed, name);
        let rngs = Rngs {
            channel: fork("channel"),
            comm: fork("comm"),
            discovery: fork("discovery"),
            pull: fork("pull"),
            requests: fork("requests"),
            routing: fork("routing"),
            state: fork("state"),
        };
        let mut node = Self {
            clock: Clock { now, wall: config.wall_clock, wall_at: now },
            stats: Stats::default(),
            timers: Timers::new(),
            actions: VecDeque::new(),
            queue: VecDeque::new(),
            jobs: Jobs::default(),
            flights: Flights::default(),
            identities: Identities::new(&config, now),
            comm: Comm::default(),
            discovery: Discovery::new(&config, now, config.wall_clock),
            emitter: Emitter::new(&config),
            channels: Vec::new(),
            channel_index: BTreeMap::new(),
            foreign: ForeignInfos::new(&config),
            identity_pull: IdentityPull::new(),
            block_pulls: Vec::new(),
            trackers: Vec::new(),
            roster: Roster::new(&config),
            crowds: Vec::new(),
            transfers: Vec::new(),
            servings: Vec::new(),
            requests: Requests::default(),
            accepted: BTreeSet::new(),
            rngs,
            scratch: Scratch::default(),
            stopped: false,
            config,
        };
        node.arm_unused_identities();
        node.discovery(|discovery, cx| discovery.start(cx));
        node.start_identity_pull();
        node.settle();
        Ok(node)
    }

    /// Takes an event. Never fails: a peer's fault is counted and noticed, a late or unknown
    /// connection, dial or job is ignored.
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.clock.now = self.clock.now.max(now);
        if self.stopped {
            if let Event::Connected { conn, .. } = event {
                self.actions.push_back(Action::Close { conn, reason: CloseReason::Stopping });
            }
            return;
        }
        match event {
            Event::Tick => self.on_tick(),
            Event::Message { conn, frame } => self.on_message(conn, frame),
            Event::JobDone(completion) => self.on_job_done(completion.id, completion.outcome),
            Event::WallClock(time) => self.on_wall_clock(time),
            Event::Connected { .. }
            | Event::Pinged { .. }
            | Event::DialFailed { .. }
            | Event::Disconnected { .. }
            | Event::Sent { .. } => self.comm(|comm, cx| comm::route(comm, event, cx)),
        }
        self.settle();
    }

    /// Takes a request of the application.
    ///
    /// # Errors
    ///
    /// If the request makes no sense now; nothing changed then.
    pub fn command(&mut self, now: Instant, command: Command) -> Result<(), CommandError> {
        self.clock.now = self.clock.now.max(now);
        if self.stopped {
            return Err(CommandError::Stopped);
        }
        let result = self.on_command(command);
        self.settle();
        result
    }

    /// Returns the next thing for the driver to do.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns when [`Event::Tick`] is next due, `None` once stopped. O(1).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().map(|(at, _)| at)
    }

    /// Returns what the next timer is for.
    #[must_use]
    pub fn next_timer(&self) -> Option<TimerKind> {
        self.timers.next().map(|(_, key)| key.kind())
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn on_tick(&mut self) {
        while let Some(key) = self.timers.pop_due(self.clock.now) {
            match key {
                TimerKey::Comm(timer) => self.comm(|comm, cx| comm.on_timer(timer, cx)),
                TimerKey::Jobs => self.on_job_timeout(),
                TimerKey::Identity(IdentityTimer::Expiry) => self.expire_identities(),
                TimerKey::Identity(IdentityTimer::Unused) => self.drop_unused_identities(),
                TimerKey::Discovery(timer) => self.discovery(|d, cx| d.on_timer(timer, cx)),
                TimerKey::Channel(ix, channel::Timer::Request) => self.request_state_info(ix),
                TimerKey::Channel(ix, channel::Timer::Sweep) => self.sweep_channel(ix),
                TimerKey::Channel(ix, timer) => self.channel(ix, |c, cx| c.on_timer(timer, cx)),
                TimerKey::Pull(puller, timer) => self.on_pull_timer(puller, timer),
                TimerKey::Lag(ix) => self.on_lag_timer(ix),
                TimerKey::Transfer(ix) => self.on_transfer_timer(ix),
                TimerKey::Requests => self.on_request_timer(),
                TimerKey::Tracker(ix) => self.track_members(ix),
                TimerKey::Emit => {}
            }
            self.drain();
        }
    }

    /// Carries out all effects; then lets the batch go that they have filled.
    fn settle(&mut self) {
        self.drain();
        while let Some(batch) = self.emitter.take(self.clock.now, &self.config) {
            self.send_batch(&batch);
            self.emitter.give_back(batch);
            self.drain();
        }
        if let Some(at) = self.emitter.arm() {
            self.set_timer(TimerKey::Emit, at);
        }
        self.stats.connections = self.comm.open_connections();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.queue.pop_front() {
            match effect {
                Effect::Channel(ix, effect) => self.on_channel_effect(ix, effect),
                Effect::Comm(effect) => self.on_comm_effect(effect),
                Effect::Discovery(effect) => self.on_discovery_effect(effect),
                Effect::Pull(puller, effect) => self.on_pull_effect(puller, effect),
            }
        }
    }

    fn notify(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notify(notice));
    }

    /// Sets a timer, to a time after now: what a tick sets off is never due in the same tick.
    fn set_timer(&mut self, key: TimerKey, at: Instant) {
        let at = at.max(self.clock.now + Duration::from_nanos(1));
        match at > self.clock.now {
            true => self.timers.set(key, at),
            // Time has come to its end.
            false => self.timers.cancel(key),
        }
    }

    fn begin_job(&mut self, kind: JobKind, purpose: Purpose) {
        match kind {
            JobKind::Sign { .. } => self.stats.signs += 1,
            JobKind::Verify { ref secret, .. } | JobKind::CheckAccess { ref secret, .. } => {
                self.stats.verifies += 1 + u64::from(secret.is_some());
            }
            JobKind::VerifyBlock { .. } => self.stats.verifies += 1,
            JobKind::ValidateIdentity { .. } => self.stats.validations += 1,
            JobKind::Commit { .. } | JobKind::ReadBlocks { .. } => {}
        }
        let deadline = self.clock.now + self.config.job_timeout;
        let id = self.jobs.begin(purpose, deadline);
        // An armed timer goes no later than this one's time; then it is set to the oldest's.
        if self.jobs.arm() {
            self.set_timer(TimerKey::Jobs, deadline);
        }
        self.actions.push_back(Action::Job(Job::new(id, kind)));
    }

    // Calls into the subsystems: each is lent the world, and its effects are queued.

    fn comm<R>(&mut self, f: impl FnOnce(&mut Comm, &mut Cx<'_, comm::Effect>) -> R) -> R {
        let mut effects = mem::take(&mut self.scratch.comm);
        let mut cx = lend!(self, comm, effects);
        let result = f(&mut self.comm, &mut cx);
        queue(&mut self.queue, &mut effects, Effect::Comm);
        self.scratch.comm = effects;
        result
    }

    fn discovery<R>(
        &mut self,
        f: impl FnOnce(&mut Discovery, &mut Cx<'_, discovery::Effect>) -> R,
    ) -> R {
        let mut effects = mem::take(&mut self.scratch.discovery);
        let mut cx = lend!(self, discovery, effects);
        let result = f(&mut self.discovery, &mut cx);
        queue(&mut self.queue, &mut effects, Effect::Discovery);
        self.scratch.discovery = effects;
        result
    }

    fn channel<R>(
        &mut self,
        ix: ChannelIx,
        f: impl FnOnce(&mut Channel, &mut Cx<'_, channel::Effect>) -> R,
    ) -> R {
        let mut effects = mem::take(&mut self.scratch.channel);
        let mut cx = lend!(self, channel, effects);
        let result = f(&mut self.channels[ix.0 as usize], &mut cx);
        queue(&mut self.queue, &mut effects, |effect| Effect::Channel(ix, effect));
        self.scratch.channel = effects;
        result
    }

    fn channel_ixs(&self) -> impl Iterator<Item = ChannelIx> + use<> {
        (0..self.channels.len()).map(|ix| ChannelIx(u32::try_from(ix).unwrap_or(u32::MAX)))
    }
}

/// Moves effects into the queue of all.
fn queue<E>(queue: &mut VecDeque<Effect>, effects: &mut Vec<E>, of: impl Fn(E) -> Effect) {
    // As a rule there is none.
    if !effects.is_empty() {
        queue.extend(effects.drain(..).map(of));
    }
}

impl TimerKey {
    const fn kind(self) -> TimerKind {
        match self {
            Self::Comm(_) => TimerKind::Connection,
            Self::Jobs => TimerKind::Job,
            Self::Identity(_) => TimerKind::Identity,
            Self::Discovery(timer) => match timer {
                discovery::Timer::AliveCheck | discovery::Timer::Expiry => TimerKind::Membership,
                discovery::Timer::Contact(_) | discovery::Timer::Reconnect => TimerKind::Contact,
                discovery::Timer::Heartbeat => TimerKind::Heartbeat,
                discovery::Timer::Sync => TimerKind::Sync,
            },
            Self::Channel(_, timer) => match timer {
                channel::Timer::Commit | channel::Timer::Expiry => TimerKind::Block,
                channel::Timer::Publish | channel::Timer::Request | channel::Timer::Sweep => {
                    TimerKind::StateInfo
                }
            },
            Self::Pull(..) | Self::Lag(_) => TimerKind::Pull,
            Self::Transfer(_) => TimerKind::State,
            Self::Requests => TimerKind::Request,
            Self::Tracker(_) => TimerKind::Tracker,
            Self::Emit => TimerKind::Emit,
        }
    }
}

#[cfg(test)]
mod tests;
