//! Hostile peers: honest nodes behind drivers that mutate, forge, replay, flood, boast, equivocate
//! and withhold.
//!
//! They act together, and know only what they were sent and their own keys.

use std::{cell::OnceCell, collections::VecDeque};

use bytes::Bytes;
use gossip_core::{ChannelId, ConnId};
use gossip_proto::gossip::{
    Acknowledgement, AliveMessage, DataMessage, Envelope, GossipHello, GossipMessage,
    MembershipRequest, Payload, PeerTime, PullMsgType, StateInfo,
    gossip_message::{Content, Tag},
};
use prost::Message as _;

use super::{
    check::open,
    crypto::Key,
    draws::Draws,
    faults::{Control, FLOOD_INTERVAL},
    host::Host,
    options::FaultClass,
    world::World,
};

/// How a hostile driver misbehaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// In every way, now and then.
    Anything,
    /// It says of its ledger that it has blocks that nobody made.
    Boasts,
    /// It says different things of itself to different peers, under the same version.
    Equivocates,
    /// It sends much that means little.
    Floods,
    /// It sends again what it heard.
    Replays,
    /// It keeps blocks, and what it is asked for, to itself.
    Withholds,
}

/// What hostile peers were sent and may send again, or make others of.
#[derive(Debug, Default)]
pub(super) struct Memory {
    frames: Vec<Heard>,
    /// Those of messages of applications.
    nonces: VecDeque<u64>,
}

#[derive(Debug)]
struct Heard {
    frame: Bytes,
    /// The signed statement in it, if there is one, once somebody looked.
    statement: OnceCell<Option<(Envelope, GossipMessage)>>,
}

impl Memory {
    /// Keeps a frame, in the place of another once there are many.
    pub(super) fn hear(&mut self, draws: &mut Draws, frame: &Bytes) {
        let heard = Heard { frame: frame.clone(), statement: OnceCell::new() };
        match self.frames.len() < MEMORY {
            true => self.frames.push(heard),
            false => self.frames[draws.index(MEMORY)] = heard,
        }
    }

    /// Keeps the nonce of an application's message.
    pub(super) fn hear_nonce(&mut self, nonce: u64) {
        if self.nonces.len() == NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(nonce);
    }

    fn any(&self, draws: &mut Draws) -> Option<&Bytes> {
        Some(&self.frames.get(draws.index(self.frames.len()))?.frame)
    }

    /// Finds the signed statement in some frame, with what it says.
    fn statement(&self, draws: &mut Draws) -> Option<&(Envelope, GossipMessage)> {
        let from = draws.index(self.frames.len());
        let (earlier, later) = self.frames.split_at(from);
        later
            .iter()
            .chain(earlier)
            .find_map(|heard| heard.statement.get_or_init(|| statement(&heard.frame)).as_ref())
    }
}

fn statement(frame: &Bytes) -> Option<(Envelope, GossipMessage)> {
    let (envelope, message) = open(frame)?;
    let is_signed = !envelope.signature.is_empty();
    let is_statement =
        matches!(message.content, Some(Content::AliveMsg(_) | Content::StateInfo(_)));
    (is_signed && is_statement).then_some((envelope, message))
}

/// Makes of a node's frame for a peer what its hostile driver sends.
pub(super) fn tamper(world: &mut World, host: usize, to: usize, frame: Bytes) -> Vec<Bytes> {
    let frames = tampered(world, host, to, &frame);
    let is_it = |sent: &Bytes| sent.as_ptr() == frame.as_ptr() && sent.len() == frame.len();
    if !matches!(&frames[..], [sent] if is_it(sent)) {
        world.fired.strike(FaultClass::Byzantine);
    }
    frames
}

fn tampered(world: &mut World, host: usize, to: usize, frame: &Bytes) -> Vec<Bytes> {
    let honest = || vec![frame.clone()];
    let Host { credentials, manner, .. } = &world.hosts[host];
    let draws = &mut world.draws.byzantine;
    match manner {
        Manner::Anything => {}
        Manner::Boasts => return vec![boast(frame, &credentials.key)],
        Manner::Equivocates if !to.is_multiple_of(2) => {
            return vec![other_word(frame, &credentials.key)];
        }
        Manner::Equivocates | Manner::Floods => return honest(),
        Manner::Replays => {
            let old = (0..3).filter_map(|_| world.memory.any(draws).cloned());
            return old.chain([frame.clone()]).collect();
        }
        Manner::Withholds => return if is_of_use(frame) { Vec::new() } else { honest() },
    }
    match draws.below(100) {
        0..=1 => vec![mutated(frame, draws)],
        2 => vec![frame.slice(..draws.index(frame.len()))],
        3..=6 => Vec::new(),
        7..=9 => world.memory.any(draws).into_iter().chain([frame]).cloned().collect(),
        10..=14 => world.forge(host).into_iter().chain(honest()).collect(),
        15..=17 => vec![boast(frame, &credentials.key)],
        18..=20 => vec![other_word(frame, &credentials.key)],
        21..=30 if is_of_use(frame) => Vec::new(),
        _ => honest(),
    }
}

/// Says whether a frame carries what others need.
fn is_of_use(frame: &Bytes) -> bool {
    let content = open(frame).and_then(|(_, message)| message.content);
    let is_answer =
        |content: &Content| matches!(content, Content::DataUpdate(_) | Content::StateResponse(_));
    content.is_some_and(|content| is_answer(&content) || matches!(content, Content::DataMsg(_)))
}

/// Claims many blocks, if the frame is what the key's owner says of its ledger.
fn boast(frame: &Bytes, key: &Key) -> Bytes {
    resigned(frame, key, |content| {
        if let Content::StateInfo(StateInfo { properties: Some(properties), .. }) = content {
            properties.ledger_height = u64::MAX >> 1;
        }
    })
}

/// Says something else under the same version, if the frame is what the key's owner says of itself.
fn other_word(frame: &Bytes, key: &Key) -> Bytes {
    resigned(frame, key, |content| match content {
        Content::AliveMsg(AliveMessage { membership: Some(member), .. }) => {
            member.metadata = Bytes::from_static(b"another word");
        }
        Content::StateInfo(StateInfo { properties: Some(properties), .. }) => {
            properties.ledger_height /= 2;
        }
        _ => {}
    })
}

/// Changes what a key signed, and signs it again; what others signed stays as it is.
fn resigned(frame: &Bytes, key: &Key, change: impl FnOnce(&mut Content)) -> Bytes {
    let Some((mut envelope, mut message)) = open(frame) else { return frame.clone() };
    if key.sign(&envelope.payload) != envelope.signature {
        return frame.clone();
    }
    message.content.as_mut().map(change);
    envelope.payload = message.encode_to_vec().into();
    envelope.signature = key.sign(&envelope.payload);
    envelope.encode_to_vec().into()
}

impl World {
    /// Lets a hostile peer that does so send much that means little, on all its connections.
    pub(super) fn flood(&mut self, host: usize) {
        self.plan_control(FLOOD_INTERVAL, Control::Flood { host });
        let manner = self.hosts[host].manner;
        let floods = matches!(manner, Manner::Anything | Manner::Floods);
        if !floods || !self.hosts[host].is_running() {
            return;
        }
        for conn in self.net.ends_where(|end| end.host == host && !end.is_new()) {
            self.flood_one(host, conn);
        }
    }

    fn flood_one(&mut self, host: usize, conn: ConnId) {
        let count = self.draws.byzantine.below(30);
        for _ in 0..count {
            if let Some(frame) = self.forge(host) {
                self.fired.strike(FaultClass::Byzantine);
                self.transmit(conn, frame, false);
            }
        }
    }

    /// Makes a frame that no honest peer would send.
    fn forge(&mut self, host: usize) -> Option<Bytes> {
        let key = self.hosts[host].credentials.key.clone();
        let channel = self.draws.byzantine.index(self.layout.channels.len());
        let height = self.orderer.height(channel);
        let id = self.channel_id(channel);
        let draws = &mut self.draws.byzantine;
        let frame = match draws.below(8) {
            0 | 1 => restated(self.memory.statement(draws)?, draws, &key),
            2 => false_block(&id, height + draws.below(6), draws),
            3 => hello(&id, draws),
            4 => request_for_another(&self.memory.statement(draws)?.0, draws),
            5 => mutated(self.memory.any(draws)?, draws),
            6 => acknowledgement(&self.memory.nonces, draws)?,
            _ => self.memory.any(draws)?.clone(),
        };
        Some(frame)
    }
}

/// Says what another said as of later, under the own signature or under the old one.
fn restated(
    (envelope, message): &(Envelope, GossipMessage),
    draws: &mut Draws,
    key: &Key,
) -> Bytes {
    let (mut envelope, mut message) = (envelope.clone(), message.clone());
    let time = PeerTime { inc_num: u64::MAX >> draws.below(3), seq_num: draws.bits() };
    match &mut message.content {
        Some(Content::AliveMsg(alive)) => {
            alive.timestamp = Some(time);
            if let Some(member) = &mut alive.membership {
                member.endpoint = "nowhere.example.com:1".into();
            }
        }
        Some(Content::StateInfo(info)) => {
            info.timestamp = Some(time);
            if let Some(properties) = &mut info.properties {
                properties.ledger_height = u64::MAX;
            }
        }
        _ => {}
    }
    envelope.payload = message.encode_to_vec().into();
    if draws.chance(500) {
        envelope.signature = key.sign(&envelope.payload);
    }
    envelope.encode_to_vec().into()
}

fn false_block(channel: &ChannelId, number: u64, draws: &mut Draws) -> Bytes {
    let data = Bytes::copy_from_slice(&draws.bytes32());
    let payload = Payload { seq_num: number, data, ..Payload::default() };
    let content = Content::DataMsg(DataMessage { payload: Some(payload) });
    unsigned(0, Tag::ChanAndOrg, channel.as_bytes().clone(), content)
}

fn hello(channel: &ChannelId, draws: &mut Draws) -> Bytes {
    let nonce = draws.bits();
    let (kind, tag, channel) = match draws.chance(500) {
        true => (PullMsgType::BlockMsg, Tag::ChanAndOrg, channel.as_bytes().clone()),
        false => (PullMsgType::IdentityMsg, Tag::Empty, Bytes::new()),
    };
    let content =
        Content::Hello(GossipHello { nonce, metadata: Bytes::new(), msg_type: kind as i32 });
    unsigned(nonce, tag, channel, content)
}

fn request_for_another(envelope: &Envelope, draws: &mut Draws) -> Bytes {
    let self_information = Some(envelope.clone());
    let request = MembershipRequest { self_information, known: Vec::new() };
    unsigned(draws.bits(), Tag::Empty, Bytes::new(), Content::MemReq(request))
}

/// Says that a message of an application was taken or not, whoever was asked.
fn acknowledgement(nonces: &VecDeque<u64>, draws: &mut Draws) -> Option<Bytes> {
    let nonce = *nonces.get(draws.index(nonces.len()))?;
    let error = if draws.chance(700) { String::new() } else { "no".into() };
    let content = Content::Ack(Acknowledgement { error });
    Some(unsigned(nonce, Tag::Undefined, Bytes::new(), content))
}

fn unsigned(nonce: u64, tag: Tag, channel: Bytes, content: Content) -> Bytes {
    let message = GossipMessage { nonce, channel, tag: tag as i32, content: Some(content) };
    let payload = message.encode_to_vec().into();
    Envelope { payload, ..Envelope::default() }.encode_to_vec().into()
}

fn mutated(frame: &Bytes, draws: &mut Draws) -> Bytes {
    let mut bytes = frame.to_vec();
    for _ in 0..=draws.below(3) {
        let place = draws.index(bytes.len());
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << draws.below(8);
        }
    }
    bytes.into()
}

/// How many frames hostile peers remember.
const MEMORY: usize = 256;
/// How many nonces they remember: those that are waited for are among the last.
const NONCES: usize = 16;
