//! Hostile peers: honest nodes behind drivers that mutate, forge, replay, flood and withhold.
//!
//! They act together, and know only what they were sent and their own keys.

use bytes::Bytes;
use gossip_core::{ChannelId, ConnId};
use gossip_proto::gossip::{
    DataMessage, Envelope, GossipHello, GossipMessage, MembershipRequest, Payload, PeerTime,
    PullMsgType,
    gossip_message::{Content, Tag},
};
use prost::Message as _;

use super::{
    crypto::Key,
    draws::Draws,
    faults::{Control, FLOOD_INTERVAL},
    options::FaultClass,
    world::World,
};

/// Frames that hostile peers were sent and may send again, or make others of.
#[derive(Debug, Default)]
pub(super) struct Memory(Vec<Bytes>);

impl Memory {
    /// Keeps a frame, in the place of another once there are many.
    pub(super) fn hear(&mut self, draws: &mut Draws, frame: &Bytes) {
        match self.0.len() < MEMORY {
            true => self.0.push(frame.clone()),
            false => self.0[draws.index(MEMORY)] = frame.clone(),
        }
    }

    fn any(&self, draws: &mut Draws) -> Option<&Bytes> {
        self.0.get(draws.index(self.0.len()))
    }

    /// Finds the signed statement in some frame, with what it says.
    fn statement(&self, draws: &mut Draws) -> Option<(Envelope, GossipMessage)> {
        let from = draws.index(self.0.len());
        let (later, earlier) = self.0.split_at(from);
        earlier.iter().chain(later).find_map(|frame| {
            let envelope = Envelope::decode(frame.clone()).ok()?;
            let message = GossipMessage::decode(envelope.payload.clone()).ok()?;
            let is_signed = !envelope.signature.is_empty();
            let is_statement =
                matches!(message.content, Some(Content::AliveMsg(_) | Content::StateInfo(_)));
            (is_signed && is_statement).then_some((envelope, message))
        })
    }
}

/// Makes of a node's frame what its hostile driver sends.
pub(super) fn tamper(world: &mut World, host: usize, frame: Bytes) -> Vec<Bytes> {
    let draws = &mut world.draws.byzantine;
    let kind = draws.below(100);
    if kind < 15 {
        world.fired.strike(FaultClass::Byzantine);
    }
    match kind {
        0..=1 => vec![mutated(&frame, draws)],
        2 => vec![frame.slice(..draws.index(frame.len()))],
        3..=6 => Vec::new(),
        7..=9 => world.memory.any(draws).into_iter().chain([&frame]).cloned().collect(),
        10..=14 => {
            let forged = world.forge(host);
            [frame].into_iter().chain(forged).collect()
        }
        _ => vec![frame],
    }
}

impl World {
    /// Lets a hostile peer send much that means little, on all its connections.
    pub(super) fn flood(&mut self, host: usize) {
        self.plan_control(FLOOD_INTERVAL, Control::Flood { host });
        if !self.hosts[host].is_running() {
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
        let frame = match draws.below(7) {
            0 | 1 => restated(self.memory.statement(draws)?, draws, &key),
            2 => false_block(&id, height + draws.below(6), draws),
            3 => hello(&id, draws),
            4 => request_for_another(self.memory.statement(draws)?, draws),
            5 => mutated(self.memory.any(draws)?, draws),
            _ => self.memory.any(draws)?.clone(),
        };
        Some(frame)
    }
}

/// Says what another said as of later, under the own signature or under the old one.
fn restated(
    (mut envelope, mut message): (Envelope, GossipMessage),
    draws: &mut Draws,
    key: &Key,
) -> Bytes {
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

fn request_for_another((envelope, _): (Envelope, GossipMessage), draws: &mut Draws) -> Bytes {
    let request = MembershipRequest { self_information: Some(envelope), known: Vec::new() };
    unsigned(draws.bits(), Tag::Empty, Bytes::new(), Content::MemReq(request))
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
