//! The four messages of a pull.

use alloc::vec::Vec;

use bytes::Bytes;
use gossip_proto::gossip::{
    DataDigest, DataRequest, DataUpdate, Envelope, GossipHello, PullMsgType,
    gossip_message::Content,
};
use prost::Message as _;

use crate::{
    ChannelId,
    wire::{self, Tag},
};

/// The ids of what we have, as they are written: there may be thousands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Digest(Vec<u8>);

impl Digest {
    /// Adds an id.
    pub(crate) fn push(&mut self, id: &[u8]) {
        wire::put_field(DIGESTS, id, &mut self.0);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Digest {
    fn from_iter<I: IntoIterator<Item = T>>(ids: I) -> Self {
        let mut digest = Self::default();
        ids.into_iter().for_each(|id| digest.push(id.as_ref()));
        digest
    }
}

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
    pub(super) fn digest(&self, nonce: u64, digest: &Digest) -> Bytes {
        let msg_type = self.msg_type as i32;
        let mut content = Vec::with_capacity(digest.0.len() + AROUND);
        DataDigest { nonce, ..DataDigest::default() }.encode_raw(&mut content);
        content.extend_from_slice(&digest.0);
        DataDigest { msg_type, ..DataDigest::default() }.encode_raw(&mut content);
        wire::pack(0, self.tag, self.channel.as_ref(), wire::DATA_DIG, &content)
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
        wire::unsigned_message(self.tag, self.channel.as_ref(), content)
    }
}

/// More bytes than a digest has around its ids.
const AROUND: usize = 16;

/// The field of a digest that holds an id.
const DIGESTS: u32 = 2;
