//! Pulling identities: whom a node asks and for what, what it takes and what it serves
//! (docs/protocol/50-pull-and-stores.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use gossip_core::{Instant, PkiId, Stamp};
use gossip_proto::gossip::{
    DataDigest, DataRequest, DataUpdate, Envelope, GossipHello, GossipMessage, PeerIdentity,
    PullMsgType,
    gossip_message::{Content, Tag},
};
use prost::Message as _;

use super::rig::{
    NODE, Rig, Sent, alive, frame, identity_of, is_ours, message, pki_of, signed, unsigned,
};
use crate::fuzz::choices::Choices;

/// Takes bytes as what four peers have, ask for and send, and when.
pub(in crate::fuzz) fn pull(bytes: &[u8]) {
    if let Err(difference) = compare(bytes, &Rules::default()) {
        panic!("{difference}");
    }
}

/// What a model goes by.
struct Rules {
    /// For how long a hello may be followed by a request (P-23).
    request_wait: Duration,
    /// For how long what was asked for is taken and served (P-14).
    response_wait: Duration,
    /// Whether what comes later than that, but not ten times as late, is believed (P-14).
    believes_late: bool,
    /// The longest time until the first round, and after one that found something (P-1, P-17).
    interval: Duration,
    /// The longest time between any two rounds.
    rest: Duration,
    /// How many hellos of one peer are honoured at once.
    hellos_max: usize,
    /// How many items of one update are sent, and how many looked at.
    items_max: usize,
    /// Whether others may learn of whom they cannot reach (P-46).
    tells_hidden: bool,
    /// For so long somebody who sent a forgery is not asked for the same again.
    forgery_memory: Duration,
    /// Whether what does not hold is stored.
    takes_forgeries: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            request_wait: Duration::from_millis(1500),
            response_wait: Duration::from_secs(2),
            believes_late: true,
            interval: INTERVAL * 9 / 8,
            rest: INTERVAL * 8 * 9 / 8,
            hellos_max: HELLOS_MAX,
            items_max: ITEMS_MAX,
            tells_hidden: false,
            forgery_memory: Duration::from_secs(60),
            takes_forgeries: false,
        }
    }
}

/// A round of the node's: those that it asked at the same moment.
#[derive(Debug)]
struct Round {
    at: Instant,
    nonces: BTreeMap<u8, u64>,
    offers: BTreeMap<u8, BTreeSet<u8>>,
    /// Whom it asked for what.
    requests: BTreeSet<(u8, u8)>,
    requested_at: Option<Instant>,
    is_checked: bool,
}

struct Model<'a> {
    rules: &'a Rules,
    rig: Rig,
    rounds: Vec<Round>,
    /// Whose identity messages the node serves, and whether that is certain.
    served: BTreeMap<u8, bool>,
    /// Who sent a forgery of whose, when, and whether the node has looked at it for sure.
    forged: BTreeMap<(u8, u8), (Instant, bool)>,
    /// When each identity was last asked for.
    asked_for: BTreeMap<u8, Instant>,
    /// The hellos that each peer sent, and when.
    hellos: BTreeMap<u8, Vec<(u64, Instant)>>,
}

fn compare(bytes: &[u8], rules: &Rules) -> Result<(), String> {
    let mut rig = Rig::new(|config| {
        config.alive_expiration_timeout = Duration::from_secs(100_000);
        config.identity_usage_threshold = Duration::from_secs(100_000);
        config.pull_interval = INTERVAL;
        config.limits.pull_hellos_max = HELLOS_MAX;
        config.limits.pull_items_max = ITEMS_MAX;
    });
    for peer in 0..PEERS {
        rig.meet(peer);
        rig.send(peer, frame(&alive(peer, Stamp { incarnation: 1, sequence: 1 }, true)));
    }
    rig.take_sent();
    let mut model = Model {
        rules,
        rig,
        rounds: Vec::new(),
        served: BTreeMap::from([(NODE, true)]),
        forged: BTreeMap::new(),
        asked_for: BTreeMap::new(),
        hellos: BTreeMap::new(),
    };
    let mut choices = Choices::new(bytes);
    for step in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        model.step(&mut choices).map_err(|what| {
            format!("step {step} at {}: {what}\n{:?}", model.rig.now, model.rounds.last())
        })?;
    }
    Ok(())
}

impl Model<'_> {
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<(), String> {
        match choices.index(8) {
            0 | 1 => self.offer(choices),
            2 | 3 => self.update(choices),
            4 => self.hello(peer(choices), choices.below(4)),
            5 => self.request(peer(choices), choices.below(4), subjects(choices)),
            6 => self.wait(),
            _ => {
                let longest = if choices.index(12) == 11 { 30_000 } else { 1200 };
                self.rig.pass(Duration::from_millis(choices.below(longest)));
                self.look(&mut Vec::new())
            }
        }
    }

    /// Lets time pass until the node asks.
    fn wait(&mut self) -> Result<(), String> {
        let rounds = self.rounds.len();
        while self.rounds.len() == rounds {
            self.rig.pass(DIGEST_WAIT / 4);
            self.look(&mut Vec::new())?;
        }
        Ok(())
    }

    // The node asks.

    /// A peer says what it has: in answer to a hello, or to none.
    fn offer(&mut self, choices: &mut Choices<'_>) -> Result<(), String> {
        let greeted = self.rounds.iter().rev().take(1).flat_map(|round| &round.nonces);
        let greeted: Vec<_> = greeted.map(|(peer, nonce)| (*peer, *nonce)).collect();
        let (from, nonce) = one_of(&greeted, choices);
        let ids = subjects(choices);
        let digests = ids.iter().map(|of| pki_of(*of).to_wire()).collect();
        let msg_type = PullMsgType::IdentityMsg as i32;
        self.say(from, Content::DataDig(DataDigest { nonce, digests, msg_type }));
        let now = self.rig.now;
        if let Some(round) = self.round(from, nonce).filter(|round| round.is_open(now)) {
            round.offers.entry(from).or_default().extend(ids);
        }
        self.look(&mut Vec::new())
    }

    /// A peer sends identities: asked for or not, as they should be or not.
    fn update(&mut self, choices: &mut Choices<'_>) -> Result<(), String> {
        let (from, nonce) = one_of(&self.asked(), choices);
        let asked = self.round(from, nonce).map(|round| round.asked_of(from)).unwrap_or_default();
        // Few at a time: else soon nothing lacks.
        let mut items = &subjects(choices) & &subjects(choices);
        if choices.index(4) > 0 {
            items.retain(|of| asked.contains(of));
        }
        let items: BTreeMap<u8, bool> =
            items.into_iter().map(|of| (of, choices.index(3) > 0)).collect();
        let data = items.iter().map(|(of, holds)| item(*of, *holds)).collect();
        let is_strange = |of: &u8| self.rig.node.identity(&pki_of(*of)).is_none();
        let strangers: BTreeSet<u8> = items.keys().copied().filter(is_strange).collect();
        let msg_type = PullMsgType::IdentityMsg as i32;
        self.say(from, Content::DataUpdate(DataUpdate { nonce, data, msg_type }));
        let (now, wait) = (self.rig.now, self.rules.response_wait);
        let Some(round) = self.round(from, nonce) else { return self.look(&mut Vec::new()) };
        let age = round.requested_at.map(|at| now - at);
        for (of, holds) in items.into_iter().take(self.rules.items_max) {
            if self.served.get(&of) == Some(&true) {
                continue;
            }
            if !holds && !self.rules.takes_forgeries {
                let is_seen = age.is_some_and(|age| age < wait) && !self.served.contains_key(&of);
                self.forged.insert((from, of), (now, is_seen));
            } else if age.is_some_and(|age| age < wait) {
                // What was not asked for may be taken or not.
                self.served.insert(of, asked.contains(&of));
            } else if age.is_some_and(|age| age < wait * 10) && asked.contains(&of) {
                let is_believed = self.rig.node.identity(&pki_of(of)).is_some();
                if strangers.contains(&of) && is_believed != self.rules.believes_late {
                    return Err(format!("{of} came late; believed: {is_believed}"));
                }
            }
        }
        self.look(&mut Vec::new())
    }

    // The node is asked.

    /// A peer asks what the node has.
    fn hello(&mut self, from: u8, nonce: u64) -> Result<(), String> {
        let (metadata, msg_type) = (Bytes::new(), PullMsgType::IdentityMsg as i32);
        self.say(from, Content::Hello(GossipHello { nonce, metadata, msg_type }));
        let (now, wait) = (self.rig.now, self.rules.request_wait);
        let hellos = self.hellos.entry(from).or_default();
        hellos.retain(|(known, at)| *known != nonce && now - *at < wait);
        let is_heard = hellos.len() < self.rules.hellos_max;
        if is_heard {
            hellos.push((nonce, now));
        }
        let mut answers = Vec::new();
        self.look(&mut answers)?;
        let answer = match answers.as_slice() {
            [] => None,
            [(to, Content::DataDig(digest))] if (*to, digest.nonce) == (from, nonce) => {
                let ids = digest.digests.iter().map(subject);
                Some(ids.collect::<Option<BTreeSet<u8>>>().ok_or("ids of nobody")?)
            }
            other => return Err(format!("{from} said hello {nonce} and heard {other:?}")),
        };
        let is_told = |of: &u8| is_heard && self.may_learn(from, *of);
        let told: Vec<u8> = self.served.keys().copied().filter(is_told).collect();
        let answer = answer.unwrap_or_default();
        for of in told {
            match (self.served[&of], answer.contains(&of)) {
                (true, false) => return Err(format!("{from} was not told of {of}: {answer:?}")),
                (false, false) => drop(self.served.remove(&of)),
                (_, true) => drop(self.served.insert(of, true)),
            }
        }
        let known =
            |of: &&u8| is_heard && self.may_learn(from, **of) && self.served.contains_key(of);
        match answer.iter().all(|of| known(&of)) {
            true => Ok(()),
            false => Err(format!("{from} was told of {answer:?}, expected {:?}", self.served)),
        }
    }

    /// A peer asks for identities.
    fn request(&mut self, from: u8, nonce: u64, ids: BTreeSet<u8>) -> Result<(), String> {
        // What is not certain would have to be told apart here, too.
        let ids: BTreeSet<u8> = ids.into_iter().chain([NODE]).collect();
        if ids.iter().any(|of| self.served.get(of) == Some(&false)) {
            return Ok(());
        }
        let digests = ids.iter().map(|of| pki_of(*of).to_wire()).collect();
        let msg_type = PullMsgType::IdentityMsg as i32;
        self.say(from, Content::DataReq(DataRequest { nonce, digests, msg_type }));
        let (now, wait) = (self.rig.now, self.rules.request_wait);
        let is_current = |(known, at): &(u64, Instant)| *known == nonce && now - *at < wait;
        let is_honoured =
            self.hellos.get(&from).is_some_and(|hellos| hellos.iter().any(is_current));
        let may_have =
            |of: &u8| is_honoured && self.served.contains_key(of) && self.may_learn(from, *of);
        let mut expected: Vec<u8> = ids.into_iter().filter(may_have).collect();
        expected.sort_by_key(|of| pki_of(*of));
        expected.truncate(self.rules.items_max);
        let expected: BTreeSet<u8> = expected.into_iter().collect();
        let mut answers = Vec::new();
        self.look(&mut answers)?;
        let sent = match answers.as_slice() {
            [] => Some(BTreeSet::new()),
            [(to, Content::DataUpdate(update))] if (*to, update.nonce) == (from, nonce) => {
                update.data.iter().map(author).collect()
            }
            _ => None,
        };
        match sent == Some(expected) {
            true => Ok(()),
            false => Err(format!("{from} asked with {nonce} and was sent {answers:?}")),
        }
    }

    // What the node does of itself.

    /// Looks at what the node sent, and puts answers to peers aside.
    fn look(&mut self, answers: &mut Vec<(u8, Content)>) -> Result<(), String> {
        for Sent { at, to, message } in self.rig.take_sent() {
            match message.content {
                Some(Content::Hello(hello)) => self.asks(at, to, hello.nonce)?,
                Some(Content::DataReq(request)) => self.wants(at, to, &request)?,
                Some(answer @ (Content::DataDig(_) | Content::DataUpdate(_))) => {
                    answers.push((to, answer));
                }
                _ => {}
            }
        }
        let last = self.rounds.last();
        let rests = last.is_some_and(|round| round.requested_at.is_none());
        let pause = if rests { self.rules.rest } else { self.rules.interval };
        if self.rig.now - last.map_or(Instant::ZERO, |round| round.at) > pause {
            return Err("no round for too long".into());
        }
        self.check_offers()
    }

    fn asks(&mut self, at: Instant, to: u8, nonce: u64) -> Result<(), String> {
        if self.rounds.iter().any(|round| round.nonces.values().any(|known| *known == nonce)) {
            return Err(format!("nonce {nonce} is used again"));
        }
        if self.rounds.last().is_none_or(|round| round.at != at) {
            let (nonces, offers, requests) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
            let (requested_at, is_checked) = (None, false);
            self.rounds.push(Round { at, nonces, offers, requests, requested_at, is_checked });
        }
        let asked = &mut self.rounds.last_mut().expect("one").nonces;
        match asked.insert(to, nonce).is_none() && asked.len() <= PEERS_ASKED {
            true => Ok(()),
            false => Err(format!("too many are asked: {asked:?}")),
        }
    }

    /// Checks that the node asks only for what lacks, of somebody who has offered it (P-9).
    fn wants(&mut self, at: Instant, to: u8, request: &DataRequest) -> Result<(), String> {
        let ids: Option<BTreeSet<u8>> = request.digests.iter().map(subject).collect();
        let ids = ids.filter(|ids| !ids.is_empty()).ok_or("a request for nothing")?;
        if let Some(of) = ids.iter().find(|of| self.served.get(of) == Some(&true)) {
            return Err(format!("{of} is here and was asked for"));
        }
        let memory = self.rules.forgery_memory;
        let has_forged = |of: &&u8| {
            let forged = self.forged.get(&(to, **of));
            forged.is_some_and(|(forged, is_seen)| *is_seen && at - *forged < memory)
        };
        if let Some(of) = ids.iter().find(has_forged) {
            return Err(format!("{to} was asked for {of}, which it has forged"));
        }
        let round = self.round(to, request.nonce).ok_or("a request without a hello")?;
        let offer = round.offers.get(&to).ok_or("a request without an offer")?;
        if !ids.is_subset(offer) {
            return Err(format!("{to} was asked for {ids:?} and had offered {offer:?}"));
        }
        round.requested_at.get_or_insert(at);
        round.requests.extend(ids.iter().map(|of| (to, *of)));
        self.asked_for.extend(ids.into_iter().map(|of| (of, at)));
        Ok(())
    }

    /// Checks that what was offered in time and lacks was asked for.
    fn check_offers(&mut self) -> Result<(), String> {
        let (now, wait) = (self.rig.now, self.rules.response_wait);
        let is_due = |round: &&mut Round| !round.is_checked && !round.is_open(now);
        for round in self.rounds.iter_mut().filter(is_due) {
            round.is_checked = true;
            for (from, of) in
                round.offers.iter().flat_map(|(from, ids)| ids.iter().map(|of| (*from, *of)))
            {
                let is_here = self.served.contains_key(&of);
                let was_forged = self.forged.contains_key(&(from, of));
                let is_asked = self.asked_for.get(&of).is_some_and(|at| *at + wait >= round.at);
                if !is_here && !was_forged && !is_asked {
                    return Err(format!("{from} offered {of}, which was not asked for"));
                }
            }
        }
        Ok(())
    }

    /// Says whether a peer may learn an identity (P-43 to P-46).
    fn may_learn(&self, asker: u8, of: u8) -> bool {
        let is_reached = of == NODE || of < PEERS && of % 4 != 2;
        is_ours(asker) || is_reached || self.rules.tells_hidden
    }

    fn round(&mut self, peer: u8, nonce: u64) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|round| round.nonces.get(&peer) == Some(&nonce))
    }

    /// Lists whom the node asked for something of late, with what nonce.
    fn asked(&self) -> Vec<(u8, u64)> {
        let of_late = self.rounds.iter().rev().take(3);
        let asked = of_late.flat_map(|round| {
            round.nonces.iter().filter(|(peer, _)| !round.asked_of(**peer).is_empty())
        });
        asked.map(|(peer, nonce)| (*peer, *nonce)).collect()
    }

    fn say(&mut self, from: u8, content: Content) {
        self.rig.send(from, unsigned(message(Tag::Empty, "", content)));
    }
}

impl Round {
    /// Lists what the node asked a peer for.
    fn asked_of(&self, peer: u8) -> BTreeSet<u8> {
        let asked = self.requests.iter().filter(|(asked, _)| *asked == peer);
        asked.map(|(_, of)| *of).collect()
    }

    /// Says whether digests are waited for.
    fn is_open(&self, now: Instant) -> bool {
        let all_answered = self.nonces.keys().all(|peer| self.offers.contains_key(peer));
        !all_answered && now < self.at + DIGEST_WAIT
    }
}

/// Makes the identity message of a peer, or a forged one.
pub(super) fn item(of: u8, holds: bool) -> Envelope {
    let (pki_id, cert) = (pki_of(of).to_wire(), identity_of(of).as_bytes().clone());
    let identity = PeerIdentity { pki_id, cert, metadata: Bytes::new() };
    signed(message(Tag::Empty, "", Content::PeerIdentity(identity)), holds)
}

/// Returns whose identity message this is, if it is as it came.
fn author(envelope: &Envelope) -> Option<u8> {
    match GossipMessage::decode(envelope.payload.clone()).ok()?.content? {
        Content::PeerIdentity(identity) => {
            let of = subject(&identity.pki_id)?;
            (of == NODE || *envelope == item(of, true)).then_some(of)
        }
        _ => None,
    }
}

fn subject(id: &Bytes) -> Option<u8> {
    let pki_id = PkiId::from_wire(id)?;
    (0..SUBJECTS).chain([NODE]).find(|of| pki_of(*of) == pki_id)
}

/// Draws a peer and the nonce that goes with it; now and then one that does not.
fn one_of(pairs: &[(u8, u64)], choices: &mut Choices<'_>) -> (u8, u64) {
    let pair = pairs.get(choices.index(pairs.len())).copied();
    let (from, nonce) = pair.unwrap_or((peer(choices), 1));
    match choices.index(16) {
        15 => (from, 1 + nonce),
        14 => (peer(choices), nonce),
        _ => (from, nonce),
    }
}

fn peer(choices: &mut Choices<'_>) -> u8 {
    choices.index(PEERS.into()) as u8
}

/// Draws some of those whose identities there are.
fn subjects(choices: &mut Choices<'_>) -> BTreeSet<u8> {
    let bits = choices.index(1 << SUBJECTS);
    (0..SUBJECTS).filter(|of| bits >> of & 1 == 1).collect()
}

/// Three of our organisation, the last of which is not to be reached from outside, and another.
const PEERS: u8 = 4;

/// Whose identities there are: the peers', and of some more whom nobody has met.
const SUBJECTS: u8 = 8;

const INTERVAL: Duration = Duration::from_secs(4);

const DIGEST_WAIT: Duration = Duration::from_secs(1);

/// How many peers a round asks.
const PEERS_ASKED: usize = 3;

const HELLOS_MAX: usize = 2;

const ITEMS_MAX: usize = 3;

const STEPS_MAX: usize = 200;

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
        let second = Duration::from_secs(1);
        let flaws = [
            Rules { request_wait: second, ..Rules::default() },
            Rules { request_wait: second * 2, ..Rules::default() },
            Rules { response_wait: second, ..Rules::default() },
            Rules { response_wait: second * 3, ..Rules::default() },
            Rules { believes_late: false, ..Rules::default() },
            Rules { interval: INTERVAL * 15 / 16, ..Rules::default() },
            Rules { rest: INTERVAL * 6, ..Rules::default() },
            Rules { hellos_max: HELLOS_MAX + 1, ..Rules::default() },
            Rules { items_max: ITEMS_MAX + 1, ..Rules::default() },
            Rules { items_max: ITEMS_MAX - 1, ..Rules::default() },
            Rules { tells_hidden: true, ..Rules::default() },
            Rules { forgery_memory: second * 120, ..Rules::default() },
            Rules { takes_forgeries: true, ..Rules::default() },
        ];
        assert_notices(compare, &flaws);
    }
}
