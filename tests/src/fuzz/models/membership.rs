//! Who is alive, dead and forgotten, who is told of whom, and what is passed on
//! (docs/protocol/30-discovery.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gossip_core::{Instant, PkiId, Stamp};
use gossip_proto::gossip::{
    AliveMessage, Envelope, GossipMessage, MembershipRequest, MembershipResponse,
    gossip_message::{Content, Tag},
};
use prost::Message as _;

use super::rig::{Rig, Sent, alive, frame, is_ours, message, pki_of, unsigned};
use crate::fuzz::choices::Choices;

/// Takes bytes as what five peers say of each other, and when.
pub(in crate::fuzz) fn membership(bytes: &[u8]) {
    if let Err(difference) = compare(bytes, &Rules::default()) {
        panic!("{difference}");
    }
}

/// What a model goes by.
struct Rules {
    /// A silence of this length is not yet death (D-20).
    expiration: Duration,
    /// A silence of this length is not yet forgotten; forgetting is remembered for as long again.
    memory: Duration,
    /// Whether one statement is newer than another (D-17).
    is_newer: fn(Stamp, Stamp) -> bool,
    /// Whether a message that came in an exchange is passed on when it is pushed later (D-12).
    passes_on_known: bool,
    /// How many peers there is room for: of the dead, the one that was silent longest makes some.
    members_max: usize,
    /// Whether peers of other organisations are told of those of ours (D-29).
    tells_others: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            expiration: EXPIRATION,
            memory: EXPIRATION * FACTOR,
            is_newer: |one, other| {
                one.incarnation > other.incarnation
                    || one.incarnation == other.incarnation && one.sequence > other.sequence
            },
            passes_on_known: true,
            members_max: MEMBERS_MAX,
            tells_others: true,
        }
    }
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Unknown,
    Known {
        stamp: Stamp,
        pushed: Option<Stamp>,
        seen: Instant,
        is_alive: bool,
    },
    /// Its words so far are refused until some time from then on, and a span later at most.
    Forgotten {
        stamp: Stamp,
        then: Instant,
        span: Duration,
    },
}

struct Model<'a> {
    rules: &'a Rules,
    rig: Rig,
    peers: [Peer; PEERS as usize],
    /// What may be passed on, of whom and to whom, and was not yet.
    owed: BTreeSet<(u8, Stamp, u8)>,
}

fn compare(bytes: &[u8], rules: &Rules) -> Result<(), String> {
    let mut rig = Rig::new(|config| {
        config.alive_expiration_timeout = EXPIRATION;
        config.msg_expiration_factor = FACTOR;
        config.propagate_peer_num = PEERS.into();
        config.limits.members_max = MEMBERS_MAX;
    });
    (0..PEERS).for_each(|peer| rig.meet(peer));
    let (peers, owed) = ([Peer::Unknown; PEERS as usize], BTreeSet::new());
    let mut model = Model { rules, rig, peers, owed };
    let mut choices = Choices::new(bytes);
    for step in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        model.step(&mut choices).map_err(|what| format!("step {step}: {what}"))?;
    }
    Ok(())
}

impl Model<'_> {
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<(), String> {
        self.skip_doubt()?;
        match choices.index(8) {
            0..=2 => {
                let (of, from) = (peer(choices), peer(choices));
                let (stamp, holds) = statement(choices);
                self.push(of, from, stamp, holds)
            }
            3 => {
                let of = peer(choices);
                let (stamp, holds) = statement(choices);
                self.request(of, stamp, holds, choices.below(1 << 40))
            }
            4 => self.respond(choices),
            _ => {
                self.rig.pass(Duration::from_millis(choices.below(15_000)));
                self.settle()
            }
        }
    }

    /// A peer pushes what another said.
    fn push(&mut self, of: u8, from: u8, stamp: Stamp, holds: bool) -> Result<(), String> {
        let before = self.audience(of, from);
        self.rig.send(from, frame(&alive(of, stamp, holds)));
        let passes = holds && self.heard(of, stamp, true);
        self.look()?;
        if passes {
            let after = self.audience(of, from);
            self.owed.extend(before.union(&after).map(|to| (of, stamp, *to)));
        }
        let must = before.into_iter().filter(|to| passes && self.rig.is_connected(*to));
        let must: Vec<_> = must.collect();
        self.rig.pass(Duration::from_millis(20));
        let passed = self.passed_on()?;
        let still = self.audience(of, from);
        match must.into_iter().find(|to| still.contains(to) && !passed.contains(&(of, stamp, *to)))
        {
            Some(to) => Err(format!("{stamp:?} of {of} from {from} was not passed on to {to}")),
            None => self.settle(),
        }
    }

    /// A peer says that it is alive and asks who else is.
    fn request(&mut self, of: u8, stamp: Stamp, holds: bool, nonce: u64) -> Result<(), String> {
        self.settle()?;
        let request = MembershipRequest {
            self_information: Some(alive(of, stamp, holds)),
            known: Vec::new(),
        };
        let content = Content::MemReq(request);
        let message = GossipMessage { nonce, ..message(Tag::Empty, "", content) };
        self.rig.send(of, unsigned(message));
        if holds {
            self.heard(of, stamp, false);
        }
        let expected = holds.then(|| self.answer(of));
        let sent = self.rig.take_sent();
        let mut answers =
            sent.into_iter().filter_map(|Sent { to, message, .. }| match message.content {
                Some(Content::MemRes(response)) => Some((to, message.nonce, response)),
                _ => None,
            });
        match (answers.next(), expected) {
            (None, None) => self.settle(),
            (Some((to, same, response)), Some(expected)) if (to, same) == (of, nonce) => {
                let answer = read(&response)?;
                match answer == expected {
                    true => self.settle(),
                    false => Err(format!("{of} was told {answer:?}, expected {expected:?}")),
                }
            }
            (answer, _) => Err(format!("{of} asked, {holds}: the answer is {answer:?}")),
        }
    }

    /// A peer says who is alive and who is dead.
    fn respond(&mut self, choices: &mut Choices<'_>) -> Result<(), String> {
        let from = peer(choices);
        // Each once: forged copies delay the honest one, and of the dead the first to hold counts.
        let mut named = BTreeSet::new();
        let mut list = || {
            let count = choices.index(4);
            let elements = (0..count).map(|_| (peer(choices), statement(choices)));
            elements.filter(|(of, _)| named.insert(*of)).collect::<Vec<_>>()
        };
        let (living, dead) = (list(), list());
        let envelopes = |list: &[(u8, (Stamp, bool))]| {
            list.iter().map(|&(of, (stamp, holds))| alive(of, stamp, holds)).collect()
        };
        let response = MembershipResponse { alive: envelopes(&living), dead: envelopes(&dead) };
        self.settle()?;
        // One that is known as the list comes is old news, even if it makes room for another in it.
        let is_known = |(of, _): &(u8, _)| matches!(self.peers[*of as usize], Peer::Known { .. });
        let dead: Vec<_> = dead.into_iter().filter(|element| !is_known(element)).collect();
        self.rig.send(from, unsigned(message(Tag::Empty, "", Content::MemRes(response))));
        for (of, (stamp, _)) in living.into_iter().filter(|(_, (_, holds))| *holds) {
            self.heard(of, stamp, false);
        }
        for (of, (stamp, _)) in dead.into_iter().filter(|(_, (_, holds))| *holds) {
            self.heard_dead(of, stamp);
        }
        self.settle()
    }

    /// Takes a statement that holds; says whether it is passed on.
    fn heard(&mut self, of: u8, stamp: Stamp, is_pushed: bool) -> bool {
        let now = self.rig.now;
        let is_newer = |than| (self.rules.is_newer)(stamp, than);
        let seen_pushed = |pushed: Option<Stamp>| pushed.is_some_and(|pushed| !is_newer(pushed));
        let note = |pushed| if is_pushed { Some(stamp) } else { pushed };
        let fresh = |pushed| Peer::Known { stamp, pushed: note(pushed), seen: now, is_alive: true };
        if !self.has_room(of, stamp) {
            return false;
        }
        let (is_news, peer) = match self.peers[of as usize] {
            Peer::Unknown => (true, fresh(None)),
            Peer::Forgotten { stamp: last, .. } if is_newer(last) => (true, fresh(Some(last))),
            old @ Peer::Forgotten { .. } => (false, old),
            Peer::Known { pushed, .. } if seen_pushed(pushed) => return false,
            Peer::Known { stamp: last, pushed, .. } if is_newer(last) => (true, fresh(pushed)),
            Peer::Known { stamp, pushed, seen, is_alive } => {
                let pushed = note(pushed);
                (self.rules.passes_on_known, Peer::Known { stamp, pushed, seen, is_alive })
            }
        };
        self.peers[of as usize] = peer;
        is_pushed && is_news
    }

    /// Says whether there is room for a peer, and makes some if it is not known and spoke anew.
    fn has_room(&mut self, of: u8, stamp: Stamp) -> bool {
        match self.peers[of as usize] {
            Peer::Known { .. } => return true,
            Peer::Forgotten { stamp: last, .. } if !(self.rules.is_newer)(stamp, last) => {
                return true;
            }
            Peer::Forgotten { .. } | Peer::Unknown => {}
        }
        let known = |peer: &&Peer| matches!(peer, Peer::Known { .. });
        if self.peers.iter().filter(known).count() < self.rules.members_max {
            return true;
        }
        let dead = (0..PEERS).filter_map(|of| match self.peers[of as usize] {
            Peer::Known { stamp, seen, is_alive: false, .. } => Some((seen, pki_of(of), of, stamp)),
            Peer::Known { .. } | Peer::Forgotten { .. } | Peer::Unknown => None,
        });
        let Some((_, _, oldest, stamp)) = dead.min() else { return false };
        let memory = self.rules.memory;
        let forgotten = Peer::Forgotten { stamp, then: self.rig.now + memory, span: memory / 100 };
        self.peers[oldest as usize] = forgotten;
        true
    }

    /// Takes a statement of a peer that somebody holds dead (D-34, D-36).
    fn heard_dead(&mut self, of: u8, stamp: Stamp) {
        if !self.has_room(of, stamp) {
            return;
        }
        let pushed = match self.peers[of as usize] {
            Peer::Unknown => None,
            Peer::Forgotten { stamp: last, .. } if (self.rules.is_newer)(stamp, last) => Some(last),
            Peer::Forgotten { .. } | Peer::Known { .. } => return,
        };
        let seen = self.rig.now;
        self.peers[of as usize] = Peer::Known { stamp, pushed, seen, is_alive: false };
    }

    /// Lets time pass while the node may or may not have forgotten that it has forgotten a peer.
    fn skip_doubt(&mut self) -> Result<(), String> {
        let Rules { memory, .. } = *self.rules;
        let is_doubtful = |peer: &Peer, now: Instant| match *peer {
            Peer::Forgotten { then, .. } => now >= then,
            Peer::Known { .. } | Peer::Unknown => false,
        };
        let is_forgotten = |peer: &&Peer| matches!(peer, Peer::Forgotten { .. });
        // Of too many it forgets some.
        let are_many = |peers: &[Peer]| peers.iter().filter(is_forgotten).count() > MEMBERS_MAX;
        while are_many(&self.peers) || self.peers.iter().any(|peer| is_doubtful(peer, self.rig.now))
        {
            self.rig.pass(memory / 50);
            self.settle()?;
        }
        Ok(())
    }

    /// Compares whom the node knows and what it passes on, now that time has passed.
    fn settle(&mut self) -> Result<(), String> {
        self.look()?;
        self.passed_on().map(drop)
    }

    /// Compares whom the node knows.
    fn look(&mut self) -> Result<(), String> {
        let known: BTreeMap<PkiId, (Stamp, bool)> = self
            .rig
            .node
            .known_peers()
            .into_iter()
            .map(|peer| (peer.member.pki_id, (peer.member.stamp, peer.is_alive)))
            .collect();
        for of in 0..PEERS {
            let found = known.get(&pki_of(of)).copied();
            let peer = self.aged(self.peers[of as usize], found);
            self.peers[of as usize] = peer.map_err(|what| {
                let (at, peer) = (self.rig.now, self.peers[of as usize]);
                format!("at {at} peer {of} is {found:?}, {what}: {peer:?}")
            })?;
        }
        let ours = known.keys().all(|pki_id| (0..PEERS).any(|of| pki_of(of) == *pki_id));
        if ours { Ok(()) } else { Err("somebody is known whom nobody spoke of".into()) }
    }

    /// Lets a peer age as far as the node has found, if it may have.
    fn aged(&self, peer: Peer, found: Option<(Stamp, bool)>) -> Result<Peer, &'static str> {
        let Rules { expiration, memory, .. } = *self.rules;
        match (peer, found) {
            (Peer::Unknown, None) => Ok(peer),
            (Peer::Forgotten { then, span, .. }, None) => {
                let is_over = self.rig.now > then + span;
                Ok(if is_over { Peer::Unknown } else { peer })
            }
            (Peer::Known { stamp, seen, .. }, None) => match self.rig.now - seen > memory {
                // It was forgotten, and its memory ends, at looks that are so far apart.
                true => Ok(Peer::Forgotten { stamp, then: seen + memory * 2, span: memory / 50 }),
                false => Err("forgotten too early"),
            },
            (Peer::Known { stamp, .. }, Some((other, _))) if stamp != other => {
                Err("known by another statement")
            }
            (Peer::Known { stamp, pushed, seen, is_alive }, Some((_, lives))) => {
                let silence = self.rig.now - seen;
                if lives && (!is_alive || silence > expiration + expiration / 10) {
                    return Err("alive for too long");
                }
                if !lives && is_alive && silence <= expiration {
                    return Err("dead too early");
                }
                match silence > memory + memory / 100 {
                    true => Err("known for too long"),
                    false => Ok(Peer::Known { stamp, pushed, seen, is_alive: lives }),
                }
            }
            (Peer::Unknown | Peer::Forgotten { .. }, Some(_)) => Err("not expected to be known"),
        }
    }

    /// Takes what the node has passed on; each to each once, and only what it may.
    fn passed_on(&mut self) -> Result<BTreeSet<(u8, Stamp, u8)>, String> {
        let mut passed = BTreeSet::new();
        for Sent { to, message, .. } in self.rig.take_sent() {
            let Some(Content::AliveMsg(alive)) = message.content else { continue };
            let Some((of, stamp)) = author(&alive) else { continue };
            if !self.owed.remove(&(of, stamp, to)) {
                return Err(format!("{stamp:?} of {of} was passed on to {to}"));
            }
            passed.insert((of, stamp, to));
        }
        Ok(passed)
    }

    /// Lists the living that may hear a statement of a peer that came from another (N-20, N-22).
    fn audience(&self, of: u8, from: u8) -> BTreeSet<u8> {
        let may_hear = |to: &u8| match (is_ours(of), is_ours(*to)) {
            (true, true) => true,
            (true, false) => is_public(of),
            (false, _) => is_public(*to),
        };
        let living = (0..PEERS).filter(|to| self.is_alive(*to) && *to != of && *to != from);
        living.filter(may_hear).collect()
    }

    /// Lists whom a peer is told to be alive and to be dead (D-28, D-29), with the word that a
    /// forgotten one has to outdo.
    fn answer(&self, to: u8) -> Answer {
        let may_learn = |of: u8| match is_ours(to) {
            true => is_ours(of),
            false => !is_ours(of) || is_public(of) && self.rules.tells_others,
        };
        let mut answer = Answer::default();
        for of in (0..PEERS).filter(|of| may_learn(*of)) {
            match self.peers[of as usize] {
                Peer::Known { stamp, is_alive: true, .. } => drop(answer.alive.insert((of, stamp))),
                Peer::Known { stamp, .. } => drop(answer.dead.insert((of, stamp))),
                Peer::Forgotten { stamp, .. } if of == to => drop(answer.dead.insert((of, stamp))),
                Peer::Forgotten { .. } | Peer::Unknown => {}
            }
        }
        answer
    }

    fn is_alive(&self, peer: u8) -> bool {
        matches!(self.peers[peer as usize], Peer::Known { is_alive: true, .. })
    }
}

/// Whom a peer is told of.
#[derive(Debug, Default, Eq, PartialEq)]
struct Answer {
    alive: BTreeSet<(u8, Stamp)>,
    dead: BTreeSet<(u8, Stamp)>,
}

fn read(response: &MembershipResponse) -> Result<Answer, String> {
    let Some((_, others)) = response.alive.split_last() else {
        return Err("the node does not name itself (D-27)".into());
    };
    let list = |elements: &[Envelope]| elements.iter().map(element).collect::<Option<_>>();
    let lists = list(others).zip(list(&response.dead));
    let (alive, dead) = lists.ok_or("the answer names somebody whom nobody knows")?;
    Ok(Answer { alive, dead })
}

fn element(envelope: &Envelope) -> Option<(u8, Stamp)> {
    match GossipMessage::decode(envelope.payload.clone()).ok()?.content? {
        Content::AliveMsg(alive) => author(&alive),
        _ => None,
    }
}

/// Returns which peer an alive message is of, and its version.
fn author(alive: &AliveMessage) -> Option<(u8, Stamp)> {
    let pki_id = PkiId::from_wire(&alive.membership.as_ref()?.pki_id)?;
    let time = alive.timestamp?;
    let stamp = Stamp { incarnation: time.inc_num, sequence: time.seq_num };
    (0..PEERS).find(|of| pki_of(*of) == pki_id).map(|of| (of, stamp))
}

/// Says whether other organisations can reach a peer.
const fn is_public(peer: u8) -> bool {
    peer % 4 != 2
}

fn peer(choices: &mut Choices<'_>) -> u8 {
    choices.index(PEERS.into()) as u8
}

/// Draws a version, one of a few so that there are old ones; and whether its signature holds.
fn statement(choices: &mut Choices<'_>) -> (Stamp, bool) {
    let incarnation = 1 + choices.index(3) as u64;
    let sequence = 1 + choices.index(6) as u64;
    (Stamp { incarnation, sequence }, choices.index(8) > 0)
}

/// Three of our organisation, the last of which is not to be reached from outside, one of another,
/// and another of ours.
const PEERS: u8 = 5;

/// There is no room for one of them.
const MEMBERS_MAX: usize = 4;

const EXPIRATION: Duration = Duration::from_secs(10);

/// How many times as long a silent peer is remembered.
const FACTOR: u32 = 3;

const STEPS_MAX: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::models::{assert_agreement, assert_notices};

    #[test]
    fn a_node_does_as_the_model_says() {
        assert_agreement(compare);
    }

    /// As if the node did not follow each rule.
    #[test]
    fn a_model_with_another_rule_differs_from_the_node() {
        let flaws = [
            Rules { expiration: EXPIRATION * 2, ..Rules::default() },
            Rules { expiration: EXPIRATION / 2, ..Rules::default() },
            Rules { memory: EXPIRATION * 2, ..Rules::default() },
            Rules { memory: EXPIRATION * 4, ..Rules::default() },
            Rules { is_newer: |one, other| one >= other, ..Rules::default() },
            Rules { is_newer: |one, other| one.sequence > other.sequence, ..Rules::default() },
            Rules { passes_on_known: false, ..Rules::default() },
            Rules { members_max: MEMBERS_MAX + 1, ..Rules::default() },
            Rules { members_max: MEMBERS_MAX - 1, ..Rules::default() },
            Rules { tells_others: false, ..Rules::default() },
        ];
        assert_notices(compare, &flaws);
    }
}
