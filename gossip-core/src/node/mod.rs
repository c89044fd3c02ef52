//! The node: where the subsystems meet.

mod views;

use crate::{Action, Command, CommandError, Config, ConfigError, Event, Instant, Stats};

pub use self::views::{ChannelPeer, Member};

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
    stats: Stats,
}

impl Node {
    /// Makes a node. Its first timers are due at once.
    ///
    /// # Errors
    ///
    /// If no node can run with this configuration.
    pub fn new(config: Config, _now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { stats: Stats::default() })
    }

    /// Takes an event. Never fails: a peer's fault is counted and noticed, a late or unknown
    /// connection, dial or job is ignored.
    pub fn handle(&mut self, _now: Instant, _event: Event) {}

    /// Takes a request of the application.
    ///
    /// # Errors
    ///
    /// If the request makes no sense now; nothing changed then.
    pub fn command(&mut self, _now: Instant, _command: Command) -> Result<(), CommandError> {
        Err(CommandError::Stopped)
    }

    /// Returns the next thing for the driver to do.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }

    /// Returns when [`Event::Tick`] is next due, `None` once stopped. O(1).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Returns what the next timer is for.
    #[must_use]
    pub fn next_timer(&self) -> Option<TimerKind> {
        None
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// What the node waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimerKind {
    /// A connection message, a redial, or the end of a replaced connection.
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
}
