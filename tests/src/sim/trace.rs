//! The last things that happened, kept cheaply and written out only when a run fails.

use std::collections::VecDeque;

use bytes::Bytes;
use gossip_core::{Action, ConnId, DialPurpose, Endpoint, Instant, JobKind, Notice};

use super::{check::describe, layout::Layout};

/// The last things that happened.
#[derive(Debug)]
pub(super) struct Trace {
    entries: VecDeque<Entry>,
    /// The last faults, which are few and matter for longer.
    faults: VecDeque<Entry>,
    size: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    at: Instant,
    host: usize,
    what: What,
}

/// One thing that happened to a host, or that it did.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// It dialled.
    Dialled(Endpoint, DialPurpose),
    /// It sent a frame.
    Sent(usize, ConnId, Bytes),
    /// It was given a frame.
    Received(usize, ConnId, Bytes),
    /// It closed a connection.
    Closed(ConnId, String),
    /// It gave a job out.
    Job(&'static str, u64),
    /// It told something.
    Noticed(Box<Notice>),
    /// Something befell it.
    Fault(String),
}

impl What {
    /// Names what a node did.
    #[must_use]
    pub(super) fn of(action: &Action, remote: Option<usize>) -> Self {
        match action {
            Action::Dial { endpoint, purpose, .. } => Self::Dialled(endpoint.clone(), *purpose),
            Action::Send { conn, frame } => {
                Self::Sent(remote.unwrap_or(usize::MAX), *conn, frame.clone())
            }
            Action::Close { conn, reason } => Self::Closed(*conn, reason.to_string()),
            Action::Job(job) => Self::Job(job_name(job.kind()), job.id().get()),
            Action::Notify(notice) => Self::Noticed(Box::new(notice.clone())),
        }
    }
}

impl Trace {
    /// Keeps the last `size` things; with zero nothing is kept.
    #[must_use]
    pub(super) fn new(size: usize) -> Self {
        Self { entries: VecDeque::new(), faults: VecDeque::new(), size }
    }

    /// Says whether anything is kept: what is noted may cost more than to keep it.
    #[must_use]
    pub(super) fn is_kept(&self) -> bool {
        self.size > 0
    }

    /// Notes something.
    pub(super) fn note(&mut self, at: Instant, host: usize, what: What) {
        let kept = match what {
            What::Fault(_) => &mut self.faults,
            _ => &mut self.entries,
        };
        if kept.len() >= self.size {
            kept.pop_front();
        }
        if self.size > 0 {
            kept.push_back(Entry { at, host, what });
        }
    }

    /// Writes the last `count` faults and the last `count` other things that concern any of the
    /// hosts, a line each, in the order in which they happened.
    pub(super) fn lines(&self, hosts: &[usize], count: usize, layout: &Layout) -> Vec<String> {
        let concerns = |entry: &&Entry| hosts.is_empty() || hosts.contains(&entry.host);
        let faults = self.faults.iter().rev().filter(concerns).take(count);
        let others = self.entries.iter().rev().filter(concerns).take(count);
        let mut last: Vec<_> = faults.chain(others).collect();
        last.reverse();
        last.sort_by_key(|entry| entry.at);
        last.into_iter().map(|entry| entry.line(layout)).collect()
    }
}

impl Entry {
    fn line(&self, layout: &Layout) -> String {
        let name = |host: &usize| layout.names.get(*host).map_or("nobody", String::as_str);
        let what = match &self.what {
            What::Dialled(endpoint, purpose) => format!("dials {endpoint} ({purpose:?})"),
            What::Sent(to, conn, frame) => {
                format!("→ {} on {conn}: {}", name(to), describe(frame))
            }
            What::Received(from, conn, frame) => {
                format!("← {} on {conn}: {}", name(from), describe(frame))
            }
            What::Closed(conn, reason) => format!("closes {conn}: {reason}"),
            What::Job(kind, id) => format!("gives out job {id}: {kind}"),
            What::Noticed(notice) => format!("says {notice:?}"),
            What::Fault(text) => format!("** {text}"),
        };
        format!("{} {:>4} {what}", self.at, name(&self.host))
    }
}

fn job_name(kind: &JobKind) -> &'static str {
    match kind {
        JobKind::Sign { .. } => "sign",
        JobKind::Verify { .. } => "verify a signature",
        JobKind::ValidateIdentity { .. } => "validate an identity",
        JobKind::CheckAccess { .. } => "check access",
        JobKind::VerifyBlock { .. } => "verify a block",
        JobKind::Commit { .. } => "commit a block",
        _ => "other",
    }
}
