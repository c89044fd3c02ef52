//! Requests end as they must: once, in time, and with the answers that were given.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gossip_core::{Acks, Command, ConnId, Criteria, Instant, Notice, PkiId, RequestId, TooFewAcks};

use super::{Check, Facts, Seen};
use crate::sim::{application::number_of, hash::Map};

/// Each request ends exactly once, and within its time or as soon as a host that stood still goes
/// on. It succeeds if and only if enough acknowledged the message, and fails early only if nobody
/// is left who could. Who is counted did acknowledge it, and who did so in a network without faults
/// is counted.
#[derive(Debug)]
pub(super) struct Requests {
    by_host: Vec<Host>,
    /// What came on a connection with a nonce: the number of the message, and from whom.
    questions: Map<(ConnId, u64), (u64, PkiId)>,
    /// Who first acknowledged which message to whom, and when.
    acked: BTreeMap<(u64, PkiId, PkiId), Instant>,
    ends: [u64; ENDS.len()],
}

#[derive(Clone, Debug, Default)]
struct Host {
    own: Option<PkiId>,
    pending: BTreeMap<RequestId, Pending>,
    resumed: Instant,
}

#[derive(Clone, Debug)]
struct Pending {
    number: Option<u64>,
    deadline: Instant,
    max_peers: usize,
    min_ack: usize,
}

impl Requests {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            by_host: vec![Host::default(); hosts],
            questions: Map::default(),
            acked: BTreeMap::new(),
            ends: [0; ENDS.len()],
        }
    }

    /// Counts how the requests of honest peers ended that had to be acknowledged.
    pub(super) fn ends(&self) -> BTreeMap<&'static str, u64> {
        ENDS.iter().copied().zip(self.ends).filter(|(_, count)| *count > 0).collect()
    }

    fn commanded(&mut self, host: usize, command: &Command, now: Instant) {
        let host = &mut self.by_host[host];
        match command {
            Command::SendByCriteria { request, message, criteria } => {
                let Criteria { max_peers, min_ack, timeout, .. } = *criteria;
                let (number, deadline) = (number_of(message), now + timeout);
                host.pending.insert(*request, Pending { number, deadline, max_peers, min_ack });
            }
            Command::Acknowledge { conn, nonce, error: None } => {
                let question = self.questions.get(&(*conn, *nonce));
                if let (Some((number, from)), Some(own)) = (question, host.own) {
                    self.acked.entry((*number, own, *from)).or_insert(now);
                }
            }
            _ => {}
        }
    }

    fn finished(
        &mut self,
        host: usize,
        request: RequestId,
        result: &Result<Acks, TooFewAcks>,
        facts: &Facts<'_>,
    ) -> Result<(), String> {
        let state = &mut self.by_host[host];
        let Some(pending) = state.pending.remove(&request) else {
            return Err(format!("request {request} ended, for which nobody waits"));
        };
        let Pending { number, deadline, max_peers, min_ack } = pending;
        if facts.now > deadline.max(state.resumed) + TURN {
            return Err(format!("request {request} had until {deadline}"));
        }
        let (acks, wanted, is_met) = match result {
            Ok(acks) => (acks, min_ack, true),
            Err(TooFewAcks { wanted, acks }) => (acks, *wanted, false),
        };
        let Acks { accepted, refused, unanswered } = acks;
        let all = accepted.iter().chain(refused.iter().map(|(peer, _)| peer)).chain(unanswered);
        let count = accepted.len() + refused.len() + unanswered.len();
        let is_sound = all.collect::<BTreeSet<_>>().len() == count && count <= max_peers;
        let is_early = !is_met && facts.now < deadline && !unanswered.is_empty();
        if !is_sound || wanted != min_ack || is_met != (accepted.len() >= min_ack) || is_early {
            return Err(format!("request {request} ended with {result:?}"));
        }
        self.ends[match is_met {
            true => 0,
            false if unanswered.is_empty() => 1,
            false => 2,
        }] += u64::from(min_ack > 0);
        let (Some(number), Some(own)) = (number, self.by_host[host].own) else { return Ok(()) };
        let acked_at = |peer: &PkiId| self.acked.get(&(number, *peer, own)).copied();
        let name = |peer: &PkiId| {
            let issued = facts.issued.get(peer);
            issued.map_or("nobody", |issued| facts.layout.names[issued.host].as_str())
        };
        let is_honest = |peer: &PkiId| facts.issued.get(peer).is_none_or(|of| !of.is_byzantine);
        if let Some(peer) = accepted.iter().find(|of| is_honest(of) && acked_at(of).is_none()) {
            let name = name(peer);
            return Err(format!("request {request} counts {name}, who acknowledged nothing"));
        }
        let is_missed = |peer: &&PkiId| {
            let at = acked_at(peer).filter(|at| facts.calm_since.is_some_and(|since| since <= *at));
            min_ack > 0 && at.is_some_and(|at| at + TRIP < facts.now)
        };
        match unanswered.iter().find(is_missed) {
            Some(peer) => Err(format!("request {request} missed the answer of {}", name(peer))),
            None => Ok(()),
        }
    }

    fn overdue(&self, host: usize, now: Instant) -> Result<(), String> {
        let Host { pending, resumed, .. } = &self.by_host[host];
        let overdue = pending.iter().find(|(_, of)| of.deadline.max(*resumed) + TURN < now);
        match overdue {
            Some((request, Pending { deadline, .. })) => {
                Err(format!("request {request} had until {deadline} and goes on"))
            }
            None => Ok(()),
        }
    }
}

impl Check for Requests {
    fn name(&self) -> &'static str {
        "requests end once, in time, as they were answered"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        match *seen {
            Seen::Started { pki_id, .. } => {
                self.by_host[host] = Host { own: Some(pki_id), ..Host::default() };
            }
            Seen::Resumed => self.by_host[host].resumed = facts.now,
            Seen::Commanded(command) => self.commanded(host, command, facts.now),
            Seen::Noticed(Notice::Message { conn, from, nonce, message }) => {
                if let Some(number) = number_of(message) {
                    self.questions.insert((*conn, *nonce), (number, *from));
                }
            }
            Seen::Noticed(Notice::SendFinished { request, result }) => {
                return self.finished(host, *request, result, facts);
            }
            Seen::View { .. } => return self.overdue(host, facts.now),
            _ => {}
        }
        Ok(())
    }
}

/// How a request may end that had to be acknowledged.
pub(crate) const ENDS: [&str; 3] =
    ["enough acknowledged it", "too few acknowledged it", "too few answered in time"];
/// A timer that is overdue when it is set is due in the next instant.
const TURN: Duration = Duration::from_nanos(1);
/// How long an acknowledgement takes at most, on the connection that the message came on.
const TRIP: Duration = Duration::from_secs(1);
