//! Connections: two ends, a pipe into each, and who does not reach whom.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use gossip_core::{ConnId, Instant, record::Digest};

use super::draws::scale;

/// All connections, and what is wrong between the hosts.
#[derive(Debug)]
pub(super) struct Network {
    seed: u64,
    hosts: usize,
    /// By the connection's number; `None` once closed.
    ends: Vec<Option<End>>,
    /// The numbers of those that are open, ascending, and of some that were closed lately.
    open: Vec<u64>,
    /// How many partitions keep a host (row) from reaching another (column).
    blocked: Vec<u16>,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    /// Whose it is.
    pub host: usize,
    /// The other end, whether it is open or not.
    pub other: ConnId,
    /// The host of the other end.
    pub remote: usize,
    /// What comes in.
    pub pipe: Pipe,
    /// Frames that its owner was given to write, and was not told that they are written.
    pub unwritten: u32,
    /// Those of them that were written while it still has its turn.
    pub written: u32,
    /// Whether its owner was given anything to write.
    pub has_sent: bool,
}

impl End {
    /// Says whether its owner was given nothing to write yet.
    #[must_use]
    pub(super) fn is_new(&self) -> bool {
        !self.has_sent
    }
}

/// What is on its way to an end.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// What is held back, while the pipe is blocked.
    pub held: VecDeque<Parcel>,
    /// Frames that were sent into the pipe and not read.
    pub unread: u32,
    /// Frames for which the sender gets its credit only when some are read.
    pub owed: u32,
    /// When the last parcel arrives: none overtakes another.
    pub last_at: Instant,
    /// Whether it stands still.
    pub is_stalled: bool,
}

/// Something in a pipe.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    /// A frame.
    Frame(Bytes),
    /// The end of the connection.
    Hangup {
        /// Whether it broke, as opposed to having been closed.
        is_abrupt: bool,
    },
}

impl Network {
    /// Makes a network without connections.
    #[must_use]
    pub(super) fn new(seed: u64, hosts: usize) -> Self {
        let blocked = vec![0; hosts * hosts];
        Self { seed, hosts, ends: Vec::new(), open: Vec::new(), blocked }
    }

    /// Makes a connection; nobody is told.
    pub(super) fn connect(&mut self, one: usize, other: usize) -> (ConnId, ConnId) {
        let number = self.ends.len() as u64;
        let ids = (ConnId::new(number), ConnId::new(number + 1));
        let end = |host, other, remote| End {
            host,
            other,
            remote,
            pipe: Pipe::default(),
            unwritten: 0,
            written: 0,
            has_sent: false,
        };
        self.ends.push(Some(end(one, ids.1, other)));
        self.ends.push(Some(end(other, ids.0, one)));
        self.open.extend([number, number + 1]);
        ids
    }

    /// Returns an end, `None` once it is closed.
    #[must_use]
    pub(super) fn end(&self, conn: ConnId) -> Option<&End> {
        self.ends.get(conn.get() as usize)?.as_ref()
    }

    /// Returns an end, `None` once it is closed.
    pub(super) fn end_mut(&mut self, conn: ConnId) -> Option<&mut End> {
        self.ends.get_mut(conn.get() as usize)?.as_mut()
    }

    /// Closes an end; the other one is told nothing.
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<End> {
        self.ends.get_mut(conn.get() as usize)?.take()
    }

    /// Lists the open ends for which something holds, in the order in which they were made.
    pub(super) fn ends_where(&mut self, mut holds: impl FnMut(&End) -> bool) -> Vec<ConnId> {
        let Self { ends, open, .. } = self;
        open.retain(|number| ends[*number as usize].is_some());
        let holds = |number: &&u64| ends[**number as usize].as_ref().is_some_and(&mut holds);
        open.iter().filter(holds).map(|number| ConnId::new(*number)).collect()
    }

    /// Blocks or unblocks the way from one host to another; both nest.
    pub(super) fn set_blocked(&mut self, from: usize, to: usize, is_blocked: bool) {
        let count = &mut self.blocked[from * self.hosts + to];
        *count = if is_blocked { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Says whether nothing gets from one host to another.
    #[must_use]
    pub(super) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked[from * self.hosts + to] > 0
    }

    /// Says whether either way between two hosts is blocked: nobody connects.
    #[must_use]
    pub(super) fn is_cut_off(&self, one: usize, other: usize) -> bool {
        self.is_blocked(one, other) || self.is_blocked(other, one)
    }

    /// Ends every partition.
    pub(super) fn unblock_all(&mut self) {
        self.blocked.fill(0);
    }

    /// Says whether the pipe into an end is blocked.
    #[must_use]
    pub(super) fn is_held(&self, end: &End) -> bool {
        end.pipe.is_stalled || self.is_blocked(end.remote, end.host)
    }

    /// Returns the latency of a link, the same in both directions: 0.2–1 ms if the links are alike,
    /// else up to 120 ms.
    #[must_use]
    pub(super) fn latency(&self, one: usize, other: usize, do_links_differ: bool) -> Duration {
        let mut hash = Digest::default();
        for word in [self.seed, one.min(other) as u64, one.max(other) as u64] {
            hash.word(word);
        }
        let bits = hash.value();
        let micros = match do_links_differ {
            false => 200 + scale(bits, 800),
            // One link in four is a long one.
            true if bits.is_multiple_of(4) => 20_000 + scale(bits, 100_000),
            true => 200 + scale(bits, 5_000),
        };
        Duration::from_micros(micros)
    }
}
