//! What must hold: each checker sees what the hosts do and says when that may not be.

mod arrivals;
mod blocks;
mod frames;
mod liveness;
mod load;
mod messages;
mod requests;
mod shape;
mod stamps;
mod views;
mod words;

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use gossip_core::{
    ChannelId, ChannelPeer, Command, Endpoint, Instant, Limits, MemberView, Notice, PkiId, Table,
    UnixTime,
};

use super::{crypto::Authority, hash::Map, layout::Layout};

pub use self::liveness::{Unmet, bound, is_well, unmet};
pub use self::shape::MESSAGE_KINDS;
use self::{
    arrivals::Arrivals,
    blocks::Blocks,
    frames::{Endpoints, Frames},
    load::Load,
    messages::Messages,
    requests::Requests,
    stamps::Stamps,
    views::{Authors, Expired, Flips},
    words::Words,
};
pub(crate) use self::{
    frames::{describe, open},
    load::ACTIONS_ALLOWED,
    requests::ENDS,
};

/// Something that a host did, as the checkers see it. Hosts are numbered.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A node was started.
    Started {
        /// Its own identity.
        pki_id: PkiId,
        /// Its wall clock.
        wall: UnixTime,
        /// Where it listens: for its organisation, and for others if it does.
        endpoints: (&'a Endpoint, Option<&'a Endpoint>),
        /// Its bounds.
        limits: &'a Limits,
    },
    /// A node wants to sign a payload.
    Signed {
        /// The payload.
        payload: &'a Bytes,
    },
    /// A node sent a frame.
    Sent {
        /// To whom.
        to: usize,
        /// How many frames of this connection its driver holds, with this one.
        unwritten: u32,
        /// The frame.
        frame: &'a Bytes,
    },
    /// A node dialled.
    Dialled {
        /// The endpoint.
        endpoint: &'a Endpoint,
    },
    /// A node had a block committed.
    Committed {
        /// The channel.
        channel: &'a ChannelId,
        /// The number that it claims.
        number: u64,
        /// The height of the ledger before.
        height: u64,
        /// The block.
        block: &'a Bytes,
    },
    /// A node told something.
    Noticed(&'a Notice),
    /// A node took a command.
    Commanded(&'a Command),
    /// A host goes on that stood still.
    Resumed,
    /// What a node tells of the living members of a channel.
    Channel {
        /// The channel.
        channel: &'a ChannelId,
        /// They.
        peers: &'a [ChannelPeer],
    },
    /// All that a node did after one event.
    Batch {
        /// How many actions.
        actions: usize,
    },
    /// A node was given a tick.
    Ticked {
        /// When the next is due.
        next: Option<Instant>,
    },
    /// A look into a node from outside.
    View {
        /// Its wall clock.
        wall: UnixTime,
        /// Whom it holds alive.
        members: &'a [MemberView<'a>],
        /// Which identities it knows of those that expire.
        expiring: &'a [PkiId],
        /// How many connections are open.
        connections: u64,
        /// How much it holds of what peers send.
        tables: &'a [Table],
    },
}

/// What checkers may know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The time.
    pub now: Instant,
    /// Who is who.
    pub layout: &'a Layout,
    /// Who signed what.
    pub authority: &'a Authority,
    /// Whose each identity is, with what it means, whether it is in use or not.
    pub(crate) issued: &'a Map<PkiId, Issued>,
    /// Those that expire, and when.
    pub expiring: &'a [(PkiId, UnixTime)],
    /// Since when there are no faults, and all are as they must be.
    pub calm_since: Option<Instant>,
}

/// Lends the checkers what they know of a world, which they stand in themselves.
macro_rules! facts {
    ($world:ident) => {
        Facts {
            now: $world.now,
            layout: &$world.layout,
            authority: &$world.authority,
            issued: &$world.issued,
            expiring: &$world.expiring,
            calm_since: $world.calm_since,
        }
    };
}
pub(super) use facts;

/// An identity that was issued.
#[derive(Clone, Copy, Debug)]
pub struct Issued {
    /// To whom.
    pub host: usize,
    /// When it expires.
    pub expires_at: Option<UnixTime>,
    /// Whether its owner is hostile.
    pub is_byzantine: bool,
}

/// Something that may not be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// When it was seen.
    pub at: Instant,
    /// Which checker saw it.
    pub checker: &'static str,
    /// Who did it.
    pub hosts: Vec<usize>,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (at {})", self.checker, self.what, self.at)
    }
}

/// One thing that must hold.
trait Check: fmt::Debug {
    /// Names it.
    fn name(&self) -> &'static str;

    /// Looks at something that a host did.
    ///
    /// # Errors
    ///
    /// If it may not be.
    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String>;
}

/// All checkers of safety.
#[derive(Debug)]
pub struct Checkers {
    frames: Frames,
    endpoints: Endpoints,
    stamps: Stamps,
    blocks: Blocks,
    flips: Flips,
    authors: Authors,
    expired: Expired,
    load: Load,
    requests: Requests,
    messages: Messages,
    arrivals: Arrivals,
    words: Words,
}

impl Checkers {
    /// Makes the checkers for a number of hosts.
    #[must_use]
    pub fn new(hosts: usize) -> Self {
        Self {
            frames: Frames::default(),
            endpoints: Endpoints,
            stamps: Stamps::new(hosts),
            blocks: Blocks::new(hosts),
            flips: Flips::new(hosts),
            authors: Authors::new(hosts),
            expired: Expired::new(hosts),
            load: Load::new(hosts),
            requests: Requests::new(hosts),
            messages: Messages::new(hosts),
            arrivals: Arrivals::new(hosts),
            words: Words::new(hosts),
        }
    }

    /// Counts the messages that honest peers sent, by kind.
    #[must_use]
    pub fn messages(&self) -> BTreeMap<&'static str, u64> {
        self.frames.counts()
    }

    /// Counts how the requests of honest peers ended that had to be acknowledged.
    #[must_use]
    pub fn ends(&self) -> BTreeMap<&'static str, u64> {
        self.requests.ends()
    }

    /// Shows what a host did to those whom it concerns.
    ///
    /// # Errors
    ///
    /// If one says that it may not be.
    pub fn see(
        &mut self,
        host: usize,
        seen: &Seen<'_>,
        facts: &Facts<'_>,
    ) -> Result<(), Violation> {
        let violation = |checker, what: String| Violation {
            at: facts.now,
            checker,
            hosts: vec![host],
            what: format!("{}: {what}", facts.layout.names[host]),
        };
        let mut is_of_an_application = false;
        if let Seen::Sent { to, frame, .. } = *seen {
            let looked = self.frames.sent(host, to, frame, facts);
            is_of_an_application = looked.map_err(|(checker, what)| violation(checker, what))?;
        }
        let Self { endpoints, stamps, blocks, flips, authors, expired, load, .. } = self;
        let Self { requests, messages, arrivals, words, .. } = self;
        let concerned: &mut [&mut dyn Check] = match seen {
            Seen::Started { .. } => &mut [
                stamps, blocks, flips, authors, expired, load, requests, messages, arrivals, words,
            ],
            Seen::Signed { .. } => &mut [stamps, authors, words],
            Seen::Sent { .. } if is_of_an_application => &mut [load, messages],
            Seen::Sent { .. } | Seen::Batch { .. } | Seen::Ticked { .. } => &mut [load],
            Seen::Dialled { .. } => &mut [endpoints],
            Seen::Committed { .. } => &mut [blocks],
            Seen::Noticed(Notice::Message { .. } | Notice::SendFinished { .. }) => {
                &mut [messages, requests, arrivals]
            }
            Seen::Noticed(_) => &mut [blocks, flips],
            Seen::Commanded(_) => &mut [requests, messages, arrivals, words],
            Seen::Resumed => &mut [requests],
            Seen::Channel { .. } => &mut [words],
            Seen::View { .. } => &mut [flips, authors, expired, load, requests, arrivals],
        };
        for check in concerned {
            let looked = check.see(host, seen, facts);
            looked.map_err(|what| violation(check.name(), what))?;
        }
        Ok(())
    }
}
