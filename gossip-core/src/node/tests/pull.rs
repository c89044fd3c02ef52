//! Identities and blocks that are pulled; a remote without a node is the other side.

mod blocks;
mod identities;

use alloc::vec::Vec;

use bytes::Bytes;
use gossip_proto::gossip::{
    DataDigest, DataRequest, DataUpdate, Envelope, GossipHello, GossipMessage, PullMsgType,
    gossip_message::Content,
};

use crate::wire::Tag;

use super::{hand::Hand, net::Net, unsigned};

/// What is pulled: identities, or the blocks of channel `ch`.
#[derive(Clone, Copy, Eq, PartialEq)]
enum What {
    Identities,
    Blocks,
}

impl What {
    const fn msg_type(self) -> i32 {
        match self {
            Self::Identities => PullMsgType::IdentityMsg as i32,
            Self::Blocks => PullMsgType::BlockMsg as i32,
        }
    }

    fn frame(self, content: Content) -> Bytes {
        let (tag, channel) = match self {
            Self::Identities => (Tag::Empty, Bytes::new()),
            Self::Blocks => (Tag::ChanAndOrg, Bytes::from("ch")),
        };
        let content = Some(content);
        unsigned(GossipMessage { nonce: 0, channel, tag: tag as i32, content })
    }
}

impl Net {
    /// Runs for as long as an answer takes.
    fn round_trip(&mut self) {
        self.run_for(self.latency * 4);
    }

    fn say(&mut self, hand: &Hand, what: What, content: Content) {
        self.send(hand.conn, what.frame(content));
        self.round_trip();
    }

    fn hello(&mut self, hand: &Hand, what: What, nonce: u64) {
        let (metadata, msg_type) = (Bytes::new(), what.msg_type());
        self.say(hand, what, Content::Hello(GossipHello { nonce, metadata, msg_type }));
    }

    /// Asks a node what it has; `None` if it is silent.
    fn ask(&mut self, hand: &Hand, what: What) -> Option<Vec<Bytes>> {
        self.contents(hand);
        self.hello(hand, what, 7);
        let digest = |content| match content {
            Content::DataDig(pull) if pull.msg_type == what.msg_type() => {
                assert_eq!(pull.nonce, 7);
                Some(pull.digests)
            }
            _ => None,
        };
        self.contents(hand).into_iter().find_map(digest)
    }

    /// Asks a node for items, after a hello; `None` if it is silent.
    fn fetch(&mut self, hand: &Hand, what: What, ids: &[Bytes]) -> Option<Vec<Envelope>> {
        self.hello(hand, what, 8);
        self.contents(hand);
        let (digests, msg_type) = (ids.to_vec(), what.msg_type());
        self.say(hand, what, Content::DataReq(DataRequest { nonce: 8, digests, msg_type }));
        let update = |content| match content {
            Content::DataUpdate(pull) => Some(pull.data),
            _ => None,
        };
        self.contents(hand).into_iter().find_map(update)
    }

    /// Takes the nonce of the last hello that a node sent.
    fn asked(&mut self, hand: &Hand, what: What) -> Option<u64> {
        let nonce = |content| match content {
            Content::Hello(pull) if pull.msg_type == what.msg_type() => Some(pull.nonce),
            _ => None,
        };
        self.contents(hand).into_iter().filter_map(nonce).last()
    }

    /// Answers a hello of a node, and returns what it then asks for.
    fn offer(&mut self, hand: &Hand, what: What, nonce: u64, ids: &[Bytes]) -> Option<Vec<Bytes>> {
        let (digests, msg_type) = (ids.to_vec(), what.msg_type());
        self.say(hand, what, Content::DataDig(DataDigest { nonce, digests, msg_type }));
        let request = |content| match content {
            Content::DataReq(pull) if pull.nonce == nonce => Some(pull.digests),
            _ => None,
        };
        self.contents(hand).into_iter().find_map(request)
    }

    fn give(&mut self, hand: &Hand, what: What, nonce: u64, data: Vec<Envelope>) {
        let msg_type = what.msg_type();
        self.say(hand, what, Content::DataUpdate(DataUpdate { nonce, data, msg_type }));
    }
}

fn id(name: impl Into<Bytes>) -> Bytes {
    name.into()
}
