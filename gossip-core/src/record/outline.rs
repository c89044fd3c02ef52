//! An action in few bytes: enough to tell a reader what it was.

use alloc::{borrow::Cow, string::ToString as _};
use core::fmt;

use super::code::{Named as _, code, fields, put, take};
use crate::{Action, ConnId, DialId, DialPurpose, Endpoint, JobId};

/// An action as a log keeps it: what it was, and the hash of all actions up to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acted {
    /// What it was.
    pub outline: Outline,
    /// The [`Digest`](super::Digest) of all actions since the start, this one included.
    pub digest: u64,
}

/// What an action was, but for what is in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outline {
    /// [`Action::Dial`].
    Dial {
        /// Which.
        dial: DialId,
        /// What was dialled.
        endpoint: Endpoint,
        /// What for.
        purpose: DialPurpose,
    },
    /// [`Action::Send`].
    Send {
        /// On which connection.
        conn: ConnId,
        /// How long the frame was.
        bytes: usize,
    },
    /// [`Action::Close`].
    Close {
        /// Which connection.
        conn: ConnId,
        /// Why.
        reason: Cow<'static, str>,
    },
    /// [`Action::Job`].
    Job {
        /// Which.
        job: JobId,
        /// The kind's name.
        kind: Cow<'static, str>,
    },
    /// [`Action::Notify`].
    Notify {
        /// The notice's name.
        notice: Cow<'static, str>,
    },
}

impl Outline {
    /// Outlines an action.
    #[must_use]
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Dial { dial, endpoint, purpose } => {
                Self::Dial { dial: *dial, endpoint: endpoint.clone(), purpose: *purpose }
            }
            Action::Send { conn, frame } => Self::Send { conn: *conn, bytes: frame.len() },
            Action::Close { conn, reason } => {
                Self::Close { conn: *conn, reason: reason.to_string().into() }
            }
            Action::Job(job) => Self::Job { job: job.id(), kind: job.kind().name().into() },
            Action::Notify(notice) => Self::Notify { notice: notice.name().into() },
        }
    }
}

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial { dial, endpoint, purpose } => {
                write!(f, "dial {dial} of {endpoint} ({purpose:?})")
            }
            Self::Send { conn, bytes } => write!(f, "a frame of {bytes} bytes on {conn}"),
            Self::Close { conn, reason } => write!(f, "close {conn}: {reason}"),
            Self::Job { job, kind } => write!(f, "job {job}: {kind}"),
            Self::Notify { notice } => write!(f, "notice {notice}"),
        }
    }
}

fields!(Acted { outline, digest });

code!(Outline {
    0 Dial { dial, endpoint, purpose },
    1 Send { conn, bytes },
    2 Close { conn, reason },
    3 Job { job, kind },
    4 Notify { notice },
});
