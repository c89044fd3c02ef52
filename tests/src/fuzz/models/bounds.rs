//! A node whose peers send all kinds of things that mean something, while its jobs wait and its
//! frames are not read: whatever piles up is held to its bound.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{
    ChannelConfig, ChannelId, Command, Criteria, Message, MessageKind, OrgId, RequestId, Stamp,
};
use gossip_proto::gossip::{
    DataDigest, DataMessage, DataUpdate, Envelope, GossipHello, GossipMessage, LeadershipMessage,
    MembershipRequest, MembershipResponse, Payload, PullMsgType, RemoteStateRequest,
    gossip_message::{Content, Tag},
};

use super::{
    pull::item,
    rig::{Rig, Sent, alive, frame, message, pki_of, signed, time, unsigned},
    stores::info,
};
use crate::fuzz::{
    choices::Choices,
    node::{OURS, THEIRS, narrow_limits},
};

/// Takes bytes as what ten peers send, and when anything comes of it.
pub(in crate::fuzz) fn bounds(bytes: &[u8]) {
    drop(fill(bytes));
}

fn fill(bytes: &[u8]) -> Rig {
    let mut rig = Rig::new(|config| {
        config.limits = narrow_limits();
        config.max_block_count_to_store = 3;
        config.state.channel_size = 2;
    });
    let org = |name| (OrgId::new(Bytes::from_static(name)), Vec::new());
    let config = ChannelConfig { sequence: 1, orgs: vec![org(OURS), org(THEIRS)] };
    rig.command(join(CHANNEL, &config));
    rig.be_lazy();
    let mut world = World { rig, config, hello: (0, 0), requests: 0 };
    let mut choices = Choices::new(bytes);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        world.step(&mut choices);
    }
    world.rig
}

struct World {
    rig: Rig,
    config: ChannelConfig,
    /// The last hello of the node: to whom, and its nonce.
    hello: (u8, u64),
    requests: u64,
}

impl World {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let (from, of) = (peer(choices), peer(choices));
        match choices.index(16) {
            0 | 1 => self.rig.send(from, frame(&alive(of, stamp(choices), choices.index(3) > 0))),
            2 => {
                let channel = CHANNELS[choices.index(CHANNELS.len())];
                let (stamp, height, left) = (stamp(choices), choices.below(9), choices.flag());
                self.rig.send(from, frame(&info(channel, of, stamp, height, left, true)));
            }
            3 | 4 => {
                let number = self.height() + choices.index(6) as u64;
                self.rig.send(from, frame(&block(number, choices.index(128))));
            }
            5 => {
                let kind = if choices.flag() { IDENTITIES } else { BLOCKS };
                let (nonce, metadata) = (choices.below(4), Bytes::new());
                let hello = GossipHello { nonce, metadata, msg_type: kind as i32 };
                self.ask(from, kind, Content::Hello(hello));
            }
            6 => self.offer(choices),
            7 => self.deliver(of, choices.flag()),
            8 => self.lead(from, of, stamp(choices)),
            9 => {
                let request = RemoteStateRequest { start_seq_num: 0, end_seq_num: 1 };
                self.ask(from, BLOCKS, Content::StateRequest(request));
            }
            10 => self.exchange(from, choices),
            11 => self.rig.meet(from),
            12 => (0..=choices.index(8)).for_each(|_| {
                self.rig.work(choices.index(256), choices.index(16) == 15);
            }),
            13 if choices.flag() => self.rig.read(),
            13 => self.listen(),
            14 => self.rig.pass(Duration::from_millis(choices.below(8000))),
            _ => self.command(choices),
        }
    }

    /// Somebody who was asked says that it has everybody's identity.
    fn offer(&mut self, choices: &mut Choices<'_>) {
        let (from, nonce) = self.hello;
        let digests = (0..=choices.index(8)).map(|_| pki_of(peer(choices)).to_wire()).collect();
        let msg_type = IDENTITIES as i32;
        self.ask(from, IDENTITIES, Content::DataDig(DataDigest { nonce, digests, msg_type }));
    }

    /// Somebody who was asked sends identities.
    fn deliver(&mut self, of: u8, holds: bool) {
        let (from, nonce) = self.hello;
        let data = vec![item(of, holds), item((of + 1) % PEERS, false)];
        let msg_type = IDENTITIES as i32;
        self.ask(from, IDENTITIES, Content::DataUpdate(DataUpdate { nonce, data, msg_type }));
    }

    fn lead(&mut self, from: u8, of: u8, stamp: Stamp) {
        let (pki_id, timestamp) = (pki_of(of).to_wire(), Some(time(stamp)));
        let content = LeadershipMessage { pki_id, timestamp, is_declaration: true };
        let message = message(Tag::ChanAndOrg, CHANNEL, Content::LeadershipMsg(content));
        self.rig.send(from, frame(&signed(message, true)));
    }

    fn exchange(&mut self, from: u8, choices: &mut Choices<'_>) {
        let content = if choices.flag() {
            let self_information = Some(alive(from, stamp(choices), true));
            Content::MemReq(MembershipRequest { self_information, known: Vec::new() })
        } else {
            let mut list = || (0..3).map(|_| alive(peer(choices), stamp(choices), true)).collect();
            Content::MemRes(MembershipResponse { alive: list(), dead: list() })
        };
        let message = GossipMessage { nonce: 1, ..message(Tag::Empty, "", content) };
        self.rig.send(from, unsigned(message));
    }

    fn ask(&mut self, from: u8, kind: PullMsgType, content: Content) {
        let (tag, channel) =
            if kind == BLOCKS { (Tag::ChanAndOrg, CHANNEL) } else { (Tag::Empty, "") };
        self.rig.send(from, unsigned(message(tag, channel, content)));
    }

    /// Looks for the last hello that the node sent.
    fn listen(&mut self) {
        for Sent { to, message, .. } in self.rig.take_sent() {
            if let Some(Content::Hello(hello)) = message.content
                && hello.msg_type == IDENTITIES as i32
            {
                self.hello = (to, hello.nonce);
            }
        }
    }

    /// Asks the node for what an application may ask for, whether it takes it or not.
    fn command(&mut self, choices: &mut Choices<'_>) {
        self.requests += 1;
        let channel = ChannelId::from(CHANNEL);
        let command = match choices.index(4) {
            0 => Command::Connect { endpoint: format!("elsewhere{}:1", peer(choices)).into() },
            1 => {
                let body = Bytes::new();
                let message = Message { channel, kind: MessageKind::PrivateData, body };
                let timeout = Duration::from_secs(10);
                let criteria =
                    Criteria { channel: None, to: None, max_peers: 2, min_ack: 1, timeout };
                Command::SendByCriteria {
                    request: RequestId::new(self.requests),
                    message,
                    criteria,
                }
            }
            2 => Command::SetLedgerHeight { channel, height: self.height() + 1 },
            _ => join(CHANNELS[choices.index(CHANNELS.len())], &self.config),
        };
        let r = self.rig.try_command(command);
        eprintln!("CMD {r:?}");
    }

    fn height(&self) -> u64 {
        self.rig.node.ledger_height(&ChannelId::from(CHANNEL)).unwrap_or_default()
    }
}

fn join(channel: &str, config: &ChannelConfig) -> Command {
    let (channel, config) = (ChannelId::from(channel), config.clone());
    Command::JoinChannel { channel, config, height: Some(1) }
}

/// Makes a block of the orderers, with a number of pairs of bytes.
fn block(number: u64, pairs: usize) -> Envelope {
    let payload =
        Payload { seq_num: number, data: vec![7; 2 * pairs].into(), ..Payload::default() };
    let content = Content::DataMsg(DataMessage { payload: Some(payload) });
    let mut envelope = signed(message(Tag::ChanAndOrg, CHANNEL, content), true);
    envelope.signature = Bytes::new();
    envelope
}

fn peer(choices: &mut Choices<'_>) -> u8 {
    choices.index(PEERS.into()) as u8
}

fn stamp(choices: &mut Choices<'_>) -> Stamp {
    Stamp { incarnation: 1, sequence: 1 + choices.index(12) as u64 }
}

const IDENTITIES: PullMsgType = PullMsgType::IdentityMsg;
const BLOCKS: PullMsgType = PullMsgType::BlockMsg;

const CHANNEL: &str = "ch";

/// Channels that are spoken of; all but the first may be joined or not.
const CHANNELS: [&str; 3] = [CHANNEL, "other", "third"];

const PEERS: u8 = 9;

const STEPS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fuzz::models::scripts;

    /// Else it would not be seen that something is not bounded.
    #[test]
    fn everything_is_filled() {
        let mut fullest = BTreeMap::new();
        for script in scripts(200) {
            for (name, (size, max)) in fill(&script).fullest {
                let (most, _) = fullest.entry(name).or_insert((0, max));
                *most = size.max(*most);
            }
        }
        let filled = |(_, (size, max)): &(&str, (usize, usize))| {
            // Of bytes the last that fit need not fill all of it.
            *size >= (max / 2).max(1)
        };
        let empty: Vec<_> = fullest.into_iter().filter(|table| !filled(table)).collect();
        assert_eq!(empty, []);
    }
}
