//! What must hold: each checker sees what the hosts do and says when that may not be.

mod blocks;
mod frames;
mod liveness;
mod load;
mod stamps;
mod views;

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use gossip_core::{
    ChannelId, Endpoint, Identity, Instant, Limits, Member, Notice, OrgId, PkiId, Table, UnixTime,
};

use super::{crypto::Authority, layout::Layout};

pub use self::frames::MESSAGE_KINDS;
pub(crate) use self::frames::describe;
pub use self::liveness::{Unmet, bound, unmet};
use self::{
    blocks::Blocks,
    frames::{OrgBorder, Tap},
    load::Load,
    stamps::Stamps,
    views::{Authors, Expired, Flips},
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
        members: &'a [Member],
        /// The identities that it knows.
        identities: &'a [(PkiId, Identity, OrgId)],
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
    pub issued: &'a BTreeMap<PkiId, Issued>,
}

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
    tap: Tap,
    others: Vec<Box<dyn Check>>,
}

impl Checkers {
    /// Makes the checkers for a number of hosts.
    #[must_use]
    pub fn new(hosts: usize) -> Self {
        let others: Vec<Box<dyn Check>> = vec![
            Box::new(Stamps::new(hosts)),
            Box::new(Blocks::new(hosts)),
            Box::new(Flips::new(hosts)),
            Box::new(Authors::new(hosts)),
            Box::new(Expired::default()),
            Box::new(OrgBorder),
            Box::new(Load::new(hosts)),
        ];
        Self { tap: Tap::default(), others }
    }

    /// Counts the messages that honest peers sent, by kind.
    #[must_use]
    pub fn messages(&self) -> &BTreeMap<&'static str, u64> {
        self.tap.messages()
    }

    /// Shows them what a host did.
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
        let tap: &mut dyn Check = &mut self.tap;
        let others = self.others.iter_mut().map(|check| &mut **check as &mut dyn Check);
        for check in [tap].into_iter().chain(others) {
            check.see(host, seen, facts).map_err(|what| Violation {
                at: facts.now,
                checker: check.name(),
                hosts: vec![host],
                what: format!("{}: {what}", facts.layout.names[host]),
            })?;
        }
        Ok(())
    }
}
