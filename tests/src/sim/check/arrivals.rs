//! What applications say to each other arrives, where nothing is in its way.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use gossip_core::{Acks, Command, ConnId, Instant, MessageKind, Notice, PkiId, RequestId};

use super::{Check, Facts, Seen};
use crate::sim::{application::number_of, hash::Map};

/// What is sent to a peer while there are no faults reaches its application, if that takes it.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// What each host's application takes, and since when.
    accepts: Vec<(Vec<MessageKind>, Instant)>,
    asked: BTreeMap<RequestId, Sent>,
    askers: Map<(ConnId, u64), PkiId>,
    /// What was sent to whom, in the order of the time by which it must have arrived.
    due: VecDeque<(Instant, Sent, usize)>,
    heard: BTreeSet<(u64, MessageKind, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    number: u64,
    kind: MessageKind,
}

impl Arrivals {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            accepts: vec![(Vec::new(), Instant::ZERO); hosts],
            asked: BTreeMap::new(),
            askers: Map::default(),
            due: VecDeque::new(),
            heard: BTreeSet::new(),
        }
    }

    fn commanded(&mut self, host: usize, command: &Command, facts: &Facts<'_>) {
        let sent = |message| {
            let number = number_of(message)?;
            Some(Sent { at: facts.now, number, kind: message.kind })
        };
        match command {
            Command::Accept { kinds } => self.accepts[host] = (kinds.clone(), facts.now),
            Command::SendByCriteria { request, message, .. } => {
                self.asked.extend(sent(message).map(|sent| (*request, sent)));
            }
            Command::Send { message, to, .. } => {
                sent(message).into_iter().for_each(|sent| self.expect(sent, to, facts));
            }
            Command::Respond { conn, nonce, message } => {
                let asker = self.askers.get(&(*conn, *nonce)).copied();
                let to: Vec<_> = asker.into_iter().collect();
                sent(message).into_iter().for_each(|sent| self.expect(sent, &to, facts));
            }
            _ => {}
        }
    }

    /// Expects a message to arrive with these peers, as far as they are honest.
    fn expect<'a>(
        &mut self,
        sent: Sent,
        to: impl IntoIterator<Item = &'a PkiId>,
        facts: &Facts<'_>,
    ) {
        if facts.calm_since.is_none_or(|since| sent.at < since) {
            return;
        }
        let issued = to.into_iter().filter_map(|peer| facts.issued.get(peer));
        let honest = issued.filter(|issued| !issued.is_byzantine);
        self.due.extend(honest.map(|issued| (facts.now + GRACE, sent, issued.host)));
    }

    fn judge(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        while let Some((by, sent, to)) = self.due.front().copied()
            && by < facts.now
        {
            self.due.pop_front();
            let Sent { at, number, kind } = sent;
            let (kinds, since) = &self.accepts[to];
            let is_taken = kinds.contains(&kind) && *since <= at;
            if is_taken && !self.heard.contains(&(number, kind, to)) {
                let name = &facts.layout.names[to];
                return Err(format!("{name} never heard the {kind:?} {number} of {at}"));
            }
        }
        Ok(())
    }
}

impl Check for Arrivals {
    fn name(&self) -> &'static str {
        "messages arrive where nothing is in the way"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        match *seen {
            Seen::Started { .. } => self.accepts[host] = (Vec::new(), facts.now),
            Seen::Commanded(command) => self.commanded(host, command, facts),
            Seen::Noticed(Notice::Message { conn, from, nonce, message }) => {
                self.askers.insert((*conn, *nonce), *from);
                let number = number_of(message);
                self.heard.extend(number.map(|number| (number, message.kind, host)));
            }
            Seen::Noticed(Notice::SendFinished { request, result }) => {
                let Some(sent) = self.asked.remove(request) else { return Ok(()) };
                let (Ok(acks) | Err(gossip_core::TooFewAcks { acks, .. })) = result;
                let Acks { accepted, refused, unanswered } = acks;
                let refused = refused.iter().map(|(peer, _)| peer);
                self.expect(sent, accepted.iter().chain(refused).chain(unanswered), facts);
            }
            Seen::View { .. } => return self.judge(facts),
            _ => {}
        }
        Ok(())
    }
}

/// How long a message takes at most, with a connection that must be made first.
const GRACE: Duration = Duration::from_secs(5);
