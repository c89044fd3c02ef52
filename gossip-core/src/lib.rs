//! A permissioned gossip node as a pure state machine that speaks Hyperledger Fabric's protocol.
//!
//! The node does no I/O, reads no clock, draws no entropy and holds no key. A driver gives it
//! [`Event`]s and [`Command`]s and carries out its [`Action`]s:
//!
//! ```text
//!            Event ─▶ ┌──────┐ ─▶ Action::{Dial, Send, Close}   connections
//!   (driver)          │ Node │ ─▶ Action::Job                   crypto, ledger
//!          Command ─▶ └──────┘ ─▶ Action::Notify                whoever listens
//! ```
//!
//! See [`Node`] for the contract, `examples/event_loop.rs` for a whole driver.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod action;
mod changed;
mod channel;
mod comm;
mod command;
mod config;
mod cx;
mod discovery;
mod emitter;
mod event;
mod identity;
mod ids;
mod job;
mod message;
mod node;
mod notice;
mod pull;
pub mod record;
mod rhythm;
mod rng;
mod stats;
mod table;
mod time;
mod timers;
mod tree;
mod wire;

pub use crate::{
    action::{Action, CloseReason, DialPurpose},
    command::{Chaincode, ChannelConfig, Command, CommandError},
    config::{Config, ConfigError, Limits, StateConfig},
    event::{Event, TlsBinding},
    ids::{ChannelId, ConnId, DialId, Endpoint, Identity, JobId, OrgId, PkiId, RequestId, Stamp},
    job::{
        Completion, Crypto, IdentityFacts, Job, JobClass, JobError, JobKind, Ledger, Outcome,
        Signed,
    },
    message::{Acks, Criteria, Message, MessageKind, TooFewAcks},
    node::{
        ChannelPeer, ChannelStatement, KnownPeer, Member, MemberView, Node, OpenConnection,
        PeerProof, TimerKind,
    },
    notice::{Fault, Notice, PeerEndpoints},
    stats::Stats,
    table::Table,
    time::{Instant, UnixTime},
};
