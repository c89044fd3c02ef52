//! The four messages of a pull.

use alloc::vec::Vec;

use bytes::Bytes;
use gossip_proto::gossip::{
    DataDigest, DataRequest, DataUpdate, Envelope, GossipHello, GossipMessage, PullMsgType,
    gossip_message::Content,
};
use prost::Message as _;

use crate::{ChannelId, wire::Tag};

/// What is pulled, and how its messages are marked (P-4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Family {
    pub(crate) msg_type: PullMsgType,
    pub(crate) tag: Tag,
    pub(crate) channel: Option<ChannelId>,
}

impl Family {
    /// Identities: between all peers.
    pub(crate) const fn identities() -> Self {
        Self { msg_type: PullMsgType::IdentityMsg, tag: Tag::Empty, channel: None }
    }

    /// The blocks of a channel: inside an organisation.
    pub(crate) const fn blocks(channel: ChannelId) -> Self {
        Self { msg_type: PullMsgType::BlockMsg, tag: Tag::ChanAndOrg, channel: Some(channel) }
    }

    /// Makes the question what a peer has.
    pub(super) fn hello(&self, nonce: u64) -> Bytes {
        let (metadata, msg_type) = (Bytes::new(), self.msg_type as i32);
        self.frame(Content::Hello(GossipHello { nonce, metadata, msg_type }))
    }

    /// Makes the list of what we have.
    pub(super) fn digest(&self, nonce: u64, digests: Vec<Bytes>) -> Bytes {
        let msg_type = self.msg_type as i32;
        self.frame(Content::DataDig(DataDigest { nonce, digests, msg_type }))
    }

    /// Makes the list of what we want.
    pub(super) fn request(&self, nonce: u64, digests: Vec<Bytes>) -> Bytes {
        let msg_type = self.msg_type as i32;
        self.frame(Content::DataReq(DataRequest { nonce, digests, msg_type }))
    }

    /// Packs items, as they came (P-32).
    pub(super) fn update(&self, nonce: u64, data: Vec<Envelope>) -> Bytes {
        let msg_type = self.msg_type as i32;
        self.frame(Content::DataUpdate(DataUpdate { nonce, data, msg_type }))
    }

    /// Serializes a message in an envelope without a signature (P-5); the outer nonce is 0 (P-3).
    fn frame(&self, content: Content) -> Bytes {
        let channel = self.channel.as_ref().map(|channel| channel.as_bytes().clone());
        let channel = channel.unwrap_or_default();
        let message =
            GossipMessage { nonce: 0, channel, tag: self.tag as i32, content: Some(content) };
        let envelope = Envelope { payload: message.encode_to_vec().into(), ..Envelope::default() };
        envelope.encode_to_vec().into()
    }
}
