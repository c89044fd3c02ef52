//! What applications say to each other is for those who hear it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use gossip_core::{ChannelId, Command, ConnId, Message, MessageKind, Notice, PkiId, record};

use super::{Check, Facts, Seen, frames::open};
use crate::sim::{
    application::{number_of, numbered},
    hash::Map,
};

/// A message goes to those whom its sender named, who are in the channel that it named, and to no
/// more of them than it named. What an application hears is of a kind that it takes, and is, if an
/// honest peer is said to have sent it, what that peer's application said.
#[derive(Debug)]
pub(super) struct Messages {
    accepts: Vec<Vec<MessageKind>>,
    /// Who sent what came on a connection with a nonce.
    askers: Map<(ConnId, u64), PkiId>,
    /// What the hosts said, by number and kind.
    said: BTreeMap<(usize, u64, MessageKind), Vec<Said>>,
}

#[derive(Debug)]
struct Said {
    /// The hash of the message.
    hash: u64,
    channel: Option<ChannelId>,
    to: Option<Vec<PkiId>>,
    max_peers: usize,
    reached: BTreeSet<usize>,
}

impl Messages {
    pub(super) fn new(hosts: usize) -> Self {
        let accepts = vec![Vec::new(); hosts];
        Self { accepts, askers: Map::default(), said: BTreeMap::new() }
    }

    fn commanded(&mut self, host: usize, command: &Command) {
        let (message, channel, to, max_peers) = match command {
            Command::Accept { kinds } => return self.accepts[host].clone_from(kinds),
            Command::SendByCriteria { message, criteria, .. } => {
                (message, criteria.channel.clone(), criteria.to.clone(), criteria.max_peers)
            }
            Command::Send { message, to, .. } => (message, None, Some(to.clone()), to.len()),
            Command::Respond { conn, nonce, message } => {
                let asker = self.askers.get(&(*conn, *nonce)).copied();
                (message, None, Some(asker.into_iter().collect()), 1)
            }
            _ => return,
        };
        if let Some(number) = number_of(message) {
            let (hash, reached) = (hash_of(message), BTreeSet::new());
            let said = Said { hash, channel, to, max_peers, reached };
            self.said.entry((host, number, message.kind)).or_default().push(said);
        }
    }

    fn sent(
        &mut self,
        host: usize,
        to: usize,
        frame: &Bytes,
        facts: &Facts<'_>,
    ) -> Result<(), String> {
        let content = open(frame).and_then(|(_, message)| message.content);
        let numbered = content.as_ref().and_then(numbered);
        let (kind, number) = numbered.ok_or("sent a message that no application made")?;
        let name = &facts.layout.names[to];
        let mut said = self.said.get_mut(&(host, number, kind)).into_iter().flatten();
        let Some(said) = said.find(|said| said.fits(to, facts)) else {
            return Err(format!("sent {name} a {kind:?} that is not for it"));
        };
        said.reached.insert(to);
        match said.reached.len() <= said.max_peers {
            true => Ok(()),
            false => Err(format!("sent {name} a {kind:?}, and others before, which is too many")),
        }
    }

    fn heard(
        &self,
        host: usize,
        from: &PkiId,
        message: &Message,
        facts: &Facts<'_>,
    ) -> Result<(), String> {
        let kind = message.kind;
        if !self.accepts[host].contains(&kind) {
            return Err(format!("told of a {kind:?}, which its application does not take"));
        }
        let sender = facts.issued.get(from);
        let sender =
            sender.ok_or_else(|| format!("told of a {kind:?} of {from}, who is nobody"))?;
        // A hostile peer may say anything to anybody.
        if sender.is_byzantine {
            return Ok(());
        }
        let number = number_of(message);
        let said = number.and_then(|number| self.said.get(&(sender.host, number, kind)));
        let is_it = |said: &Said| said.hash == hash_of(message) && said.fits(host, facts);
        match said.into_iter().flatten().any(is_it) {
            true => Ok(()),
            false => {
                let name = &facts.layout.names[sender.host];
                Err(format!("told of a {kind:?} that {name} never said to it"))
            }
        }
    }
}

impl Said {
    fn fits(&self, to: usize, facts: &Facts<'_>) -> bool {
        let is = |pki_id: &PkiId| facts.issued.get(pki_id).is_some_and(|issued| issued.host == to);
        let is_in = |id| facts.layout.channel(id).is_some_and(|ix| facts.layout.is_in(to, ix));
        self.to.as_ref().is_none_or(|to| to.iter().any(is)) && self.channel.iter().all(is_in)
    }
}

fn hash_of(message: &Message) -> u64 {
    let mut hash = record::Digest::default();
    hash.bytes(message.channel.as_bytes());
    hash.bytes(&message.body);
    hash.value()
}

impl Check for Messages {
    fn name(&self) -> &'static str {
        "messages are for those who hear them"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        match *seen {
            Seen::Started { .. } => self.accepts[host].clear(),
            Seen::Commanded(command) => self.commanded(host, command),
            Seen::Sent { to, frame, .. } => return self.sent(host, to, frame, facts),
            Seen::Noticed(Notice::Message { conn, from, nonce, message }) => {
                self.askers.insert((*conn, *nonce), *from);
                return self.heard(host, from, message, facts);
            }
            _ => {}
        }
        Ok(())
    }
}
