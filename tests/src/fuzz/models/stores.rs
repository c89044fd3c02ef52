//! What a node keeps: the recent blocks of a channel and those on their way into the ledger, what
//! peers say of themselves there, and identities (docs/protocol/50-pull-and-stores.md,
//! 60-channel.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use gossip_core::{ChannelConfig, ChannelId, Command, Instant, Notice, OrgId, PkiId, Stamp};
use gossip_proto::gossip::{
    DataMessage, DataRequest, Envelope, GossipHello, Payload, Properties, PullMsgType, StateInfo,
    gossip_message::{Content, Tag},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::rig::{
    BEGINNING, NODE, Rig, Sent, alive, frame, message, pki_of, signed, time, unsigned,
};
use crate::fuzz::{
    choices::Choices,
    node::{OURS, THEIRS},
};

/// Takes bytes as blocks, statements and identities that come, and when.
pub(in crate::fuzz) fn stores(bytes: &[u8]) {
    if let Err(difference) = compare(bytes, &Rules::default()) {
        panic!("{difference}");
    }
}

/// What a model goes by.
struct Rules {
    /// How far below the highest block one is still taken and served (CH-42, CH-43).
    window: u64,
    /// For how long a block is served; for as long again it is refused (CH-47).
    ttl: Duration,
    /// How many blocks wait for an earlier one.
    waiting_max: usize,
    /// Whether an older statement of a peer is refused (CH-28).
    refuses_old: bool,
    /// When the identity of [`MORTAL`] expires, since the start (C-37).
    expiry: Duration,
    /// An identity that nobody used for so long is forgotten (C-38).
    usage: Duration,
    /// How many identities there may be, with the node's.
    identities_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: WINDOW,
            ttl: TTL,
            waiting_max: WAITING_MAX,
            refuses_old: true,
            expiry: EXPIRY,
            usage: USAGE,
            identities_max: IDENTITIES_MAX,
        }
    }
}

struct Model<'a> {
    rules: &'a Rules,
    rig: Rig,
    /// The blocks that are refused as known, and when each was stored.
    recent: BTreeMap<u64, Instant>,
    /// The number of blocks in the ledger.
    height: u64,
    /// The blocks that wait for an earlier one.
    waiting: BTreeSet<u64>,
    /// What the node is to tell of blocks.
    told: Vec<Told>,
    /// What each peer last said: its version, height, and whether it left.
    infos: BTreeMap<u8, (Stamp, u64, bool)>,
    /// The strangers whose identities are known: since when, and when each was last here.
    strangers: BTreeMap<u8, (Instant, Instant)>,
}

/// What becomes of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    Received(u64),
    Committed(u64),
    Refused(u64),
}

fn compare(bytes: &[u8], rules: &Rules) -> Result<(), String> {
    let mut rig = Rig::new(|config| {
        config.alive_expiration_timeout = Duration::from_secs(100_000);
        config.identity_usage_threshold = USAGE;
        config.max_block_count_to_store = WINDOW;
        config.pull_interval = TTL / 100;
        config.limits.buffered_blocks_max = WAITING_MAX;
        config.limits.identities_max = IDENTITIES_MAX;
    });
    let org = |name| (OrgId::new(Bytes::from_static(name)), Vec::new());
    let config = ChannelConfig { sequence: 1, orgs: vec![org(OURS), org(THEIRS)] };
    let channel = ChannelId::from(CHANNEL);
    rig.command(Command::JoinChannel { channel, config, height: Some(1) });
    for peer in PEERS {
        rig.meet(peer);
        rig.send(peer, frame(&alive(peer, FIRST, true)));
        rig.send(peer, frame(&info(CHANNEL, peer, FIRST, 1, false, true)));
    }
    rig.take_notices();
    let infos = PEERS.into_iter().map(|peer| (peer, (FIRST, 1, false))).collect();
    let (recent, strangers) = (BTreeMap::new(), BTreeMap::new());
    let (waiting, told) = (BTreeSet::new(), Vec::new());
    let mut model = Model { rules, rig, recent, height: 1, waiting, told, infos, strangers };
    let mut choices = Choices::new(bytes);
    for step in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        let done = model.step(&mut choices).and_then(|()| model.look());
        done.map_err(|what| format!("step {step} at {}: {what}", model.rig.now))?;
    }
    Ok(())
}

impl Model<'_> {
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<(), String> {
        match choices.index(8) {
            0..=2 => {
                let far = if choices.index(8) == 7 { 30 } else { 0 };
                let number = (self.height + choices.index(10) as u64 + far).saturating_sub(4);
                self.block(number, choices.index(8) > 0);
            }
            3 => {
                let author = PEERS[1 + choices.index(PEERS.len() - 1)];
                let (incarnation, sequence) = (choices.index(3), choices.index(6));
                let [incarnation, sequence] = [incarnation, sequence].map(|n| 1 + n as u64);
                let (stamp, height) = (Stamp { incarnation, sequence }, choices.below(100));
                self.state_info(author, stamp, height, choices.flag(), choices.index(8) > 0);
            }
            4 => self.stranger(STRANGERS[choices.index(STRANGERS.len())])?,
            5 if choices.index(4) == 0 => self.height_is(self.height + choices.below(4)),
            5 => self.serves()?,
            _ => self.rig.pass(Duration::from_millis(choices.below(30_000))),
        }
        self.age()
    }

    // Blocks.

    /// A block comes, one that the orderers made or another.
    fn block(&mut self, number: u64, is_good: bool) {
        let highest = self.recent.keys().next_back().copied();
        let is_known = self.recent.contains_key(&number);
        let is_recent = highest.is_none_or(|highest| number + self.rules.window >= highest);
        let lacks = number >= self.height && !self.waiting.contains(&number);
        if is_good && !is_known && (is_recent || lacks) {
            self.told.push(Told::Received(number));
            if is_recent {
                self.recent.insert(number, self.rig.now);
                let highest = highest.map_or(number, |highest| highest.max(number));
                let window = self.rules.window;
                self.recent.retain(|number, _| number + window >= highest);
            }
            if lacks {
                self.waiting.insert(number);
            }
            // Those that come first are kept.
            while self.waiting.len() > self.rules.waiting_max {
                self.waiting.pop_last();
            }
            self.commit();
        }
        self.rig.send(PEERS[0], frame(&block(number, is_good)));
    }

    /// The ledger has grown by itself.
    fn height_is(&mut self, height: u64) {
        self.height = self.height.max(height);
        self.waiting.retain(|number| *number >= height);
        self.commit();
        let channel = ChannelId::from(CHANNEL);
        self.rig.command(Command::SetLedgerHeight { channel, height });
    }

    /// Commits what can be: the ledger refuses each eighth block.
    fn commit(&mut self) {
        while self.waiting.remove(&self.height) {
            let number = self.height;
            if number % 8 == 7 {
                self.told.push(Told::Refused(number));
                self.recent.remove(&number);
                break;
            }
            self.told.push(Told::Committed(number));
            self.height += 1;
        }
    }

    /// A peer asks which blocks the node has, and then for all of them.
    fn serves(&mut self) -> Result<(), String> {
        let (now, ttl) = (self.rig.now, self.rules.ttl);
        let is_served = |(number, at): (&u64, &Instant)| (now - *at <= ttl).then_some(*number);
        let served: Vec<u64> = self.recent.iter().filter_map(is_served).collect();
        let (nonce, msg_type) = (7, PullMsgType::BlockMsg as i32);
        self.rig.take_sent();
        self.say(Content::Hello(GossipHello { nonce, metadata: Bytes::new(), msg_type }));
        let digests: Vec<Bytes> = served.iter().map(|number| number.to_string().into()).collect();
        let said = self.answer().map(|content| match content {
            Content::DataDig(digest) => digest.digests,
            _ => Vec::new(),
        });
        let said: BTreeSet<_> = said.unwrap_or_default().into_iter().collect();
        if said != digests.iter().cloned().collect() {
            return Err(format!("the node has {said:?}, expected {digests:?}"));
        }
        self.say(Content::DataReq(DataRequest { nonce, digests, msg_type }));
        let sent = self.answer().map(|content| match content {
            Content::DataUpdate(update) => update.data,
            _ => Vec::new(),
        });
        let mut sent = sent.unwrap_or_default();
        sent.sort_by_key(|envelope| envelope.payload.clone());
        let mut expected: Vec<_> = served.iter().map(|number| block(*number, true)).collect();
        expected.sort_by_key(|envelope| envelope.payload.clone());
        match sent == expected {
            true => Ok(()),
            false => Err(format!("the node sent {sent:?}, expected {served:?}")),
        }
    }

    fn say(&mut self, content: Content) {
        self.rig.send(PEERS[0], unsigned(message(Tag::ChanAndOrg, CHANNEL, content)));
    }

    /// Returns what the node answered to the peer that asks.
    fn answer(&mut self) -> Option<Content> {
        let mut contents = self
            .rig
            .take_sent()
            .into_iter()
            .filter_map(|Sent { to, message, .. }| message.content.filter(|_| to == PEERS[0]));
        contents.find(|content| matches!(content, Content::DataDig(_) | Content::DataUpdate(_)))
    }

    // Statements.

    fn state_info(&mut self, author: u8, stamp: Stamp, height: u64, left: bool, holds: bool) {
        let old = self.infos.get(&author);
        let is_new = old.is_none_or(|(old, ..)| *old < stamp || !self.rules.refuses_old);
        if holds && is_new && !(author == MORTAL && self.is_expired()) {
            self.infos.insert(author, (stamp, height, left));
        }
        self.rig.send(PEERS[0], frame(&info(CHANNEL, author, stamp, height, left, holds)));
    }

    // Identities.

    /// Somebody connects whom the node does not know.
    fn stranger(&mut self, peer: u8) -> Result<(), String> {
        let now = self.rig.now;
        let known = self.identities()?.len();
        self.rig.meet(peer);
        let strangers = &mut self.strangers;
        if let Some((_, last)) = strangers.get_mut(&peer) {
            *last = now;
        } else if known < self.rules.identities_max {
            strangers.insert(peer, (now, now));
        }
        Ok(())
    }

    /// Lists whose identities the node knows.
    fn identities(&self) -> Result<BTreeSet<u8>, String> {
        let all = PEERS.into_iter().chain(STRANGERS).chain([NODE]);
        let all: BTreeMap<PkiId, u8> = all.map(|of| (pki_of(of), of)).collect();
        let identities = self.rig.node.identities();
        let known = identities.iter().map(|(pki_id, ..)| all.get(pki_id).copied());
        known.collect::<Option<_>>().ok_or_else(|| "an identity of nobody is known".into())
    }

    /// Lets what is too old go.
    fn age(&mut self) -> Result<(), String> {
        let (now, &Rules { ttl, usage, .. }) = (self.rig.now, self.rules);
        self.recent.retain(|_, at| now - *at <= ttl * 2);
        if self.is_expired() {
            self.infos.remove(&MORTAL);
        }
        // Whether somebody was needed meanwhile is not for the model to say.
        let known = self.identities()?;
        self.strangers.retain(|peer, (since, _)| known.contains(peer) || now - *since <= usage);
        let stays = |(_, last): &(Instant, Instant)| now - *last > usage + usage / 10;
        match self.strangers.values().any(stays) {
            true => Err(format!("unused identities stay: {:?}", self.strangers)),
            false => Ok(()),
        }
    }

    fn is_expired(&self) -> bool {
        self.rig.now - BEGINNING > self.rules.expiry
    }

    // What can be seen.

    /// Compares what the node has told, and what it shows.
    fn look(&mut self) -> Result<(), String> {
        let told: Vec<_> = self.rig.take_notices().into_iter().filter_map(told).collect();
        let expected = std::mem::take(&mut self.told);
        if told != expected {
            return Err(format!("the node told {told:?}, expected {expected:?}"));
        }
        let peers = self.rig.node.channel_peers(&ChannelId::from(CHANNEL)).unwrap_or_default();
        let shown: BTreeMap<PkiId, u64> =
            peers.into_iter().map(|peer| (peer.member.pki_id, peer.ledger_height)).collect();
        let here = self.infos.iter().filter(|(_, (.., left))| !left);
        let expected = here.map(|(of, (_, height, _))| (pki_of(*of), *height)).collect();
        if shown != expected {
            return Err(format!("the channel has {shown:?}, expected {:?}", self.infos));
        }
        let mortal = Some(MORTAL).filter(|_| !self.is_expired());
        let peers = PEERS.into_iter().filter(|peer| *peer != MORTAL).chain(mortal);
        let expected = peers.chain(self.strangers.keys().copied()).chain([NODE]).collect();
        let known = self.identities()?;
        match known == expected {
            true => Ok(()),
            false => Err(format!("known are {known:?}, expected {expected:?}")),
        }
    }
}

fn told(notice: Notice) -> Option<Told> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all else is not about blocks")]
    match notice {
        Notice::BlockReceived { number, .. } => Some(Told::Received(number)),
        Notice::BlockCommitted { number, .. } => Some(Told::Committed(number)),
        Notice::CommitFailed { number, .. } => Some(Told::Refused(number)),
        _ => None,
    }
}

/// Makes a block as it is pushed. Those of the orderers have an even number of bytes.
fn block(number: u64, is_good: bool) -> Envelope {
    let data = Bytes::from_static(if is_good { b"ab" } else { b"abc" });
    let payload = Payload { seq_num: number, data, ..Payload::default() };
    let content = Content::DataMsg(DataMessage { payload: Some(payload) });
    let payload = message(Tag::ChanAndOrg, CHANNEL, content).encode_to_vec().into();
    Envelope { payload, ..Envelope::default() }
}

/// Makes what a peer says of itself in a channel.
pub(super) fn info(
    channel: &str,
    author: u8,
    stamp: Stamp,
    height: u64,
    left: bool,
    holds: bool,
) -> Envelope {
    let pki_id = pki_of(author).to_wire();
    let mac = Sha256::new().chain_update(&pki_id).chain_update(channel).finalize();
    let properties =
        Properties { ledger_height: height, left_channel: left, ..Properties::default() };
    let info = StateInfo {
        timestamp: Some(time(stamp)),
        pki_id,
        channel_mac: Bytes::copy_from_slice(&mac),
        properties: Some(properties),
    };
    signed(message(Tag::ChanOrOrg, "", Content::StateInfo(info)), holds)
}

const CHANNEL: &str = "ch";

/// Who is in the channel. The first sends the blocks.
const PEERS: [u8; 5] = [0, 1, 2, 3, MORTAL];

/// The peer whose identity expires.
const MORTAL: u8 = 9;

/// Who connects and says nothing.
const STRANGERS: [u8; 4] = [16, 17, 18, 19];

const FIRST: Stamp = Stamp { incarnation: 1, sequence: 1 };
const WINDOW: u64 = 4;
const TTL: Duration = Duration::from_secs(100);
const WAITING_MAX: usize = 3;
const EXPIRY: Duration = Duration::from_secs(100);
const USAGE: Duration = Duration::from_secs(60);

/// Two fewer than there are.
const IDENTITIES_MAX: usize = PEERS.len() + 1 + STRANGERS.len() - 2;

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
        let flaws = [
            Rules { window: WINDOW - 1, ..Rules::default() },
            Rules { window: WINDOW + 1, ..Rules::default() },
            Rules { ttl: TTL - Duration::from_secs(5), ..Rules::default() },
            Rules { ttl: TTL * 2, ..Rules::default() },
            Rules { waiting_max: WAITING_MAX - 1, ..Rules::default() },
            Rules { waiting_max: WAITING_MAX + 1, ..Rules::default() },
            Rules { refuses_old: false, ..Rules::default() },
            Rules { expiry: EXPIRY * 2, ..Rules::default() },
            Rules { usage: USAGE / 2, ..Rules::default() },
            Rules { usage: USAGE * 2, ..Rules::default() },
            Rules { identities_max: IDENTITIES_MAX + 1, ..Rules::default() },
        ];
        assert_notices(compare, &flaws);
    }
}
