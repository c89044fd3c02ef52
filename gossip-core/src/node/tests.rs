//! Whole nodes, in virtual time; the items are those of docs/protocol/.

mod anchors;
mod bad_input;
mod blocks;
mod channels;
mod clock;
mod crossing;
mod hand;
mod handshakes;
mod jobs;
mod leadership;
mod membership;
mod messages;
mod net;
mod noise;
mod pull;
mod returning;
mod routing;
mod state_transfer;
mod stores;
mod views;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, gossip_message::Content};
use prost::Message as _;

/// Makes a frame of a message as it is, without a signature.
fn unsigned(message: GossipMessage) -> Bytes {
    let payload = message.encode_to_vec().into();
    let envelope = Envelope { payload, ..Envelope::default() };
    envelope.encode_to_vec().into()
}
