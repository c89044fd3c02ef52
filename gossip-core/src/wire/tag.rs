//! Tags: which content may carry which, and what it means for routing.

use gossip_proto::gossip::{GossipMessage, PullMsgType, gossip_message::Content};

pub(crate) use gossip_proto::gossip::gossip_message::Tag;

/// Says whether a message's tag fits its content, as Fabric's `IsTagLegal` does (W-21).
///
/// Not for connection messages, acknowledgements and private data: their tag is not checked (W-22).
pub(crate) fn is_legal(message: &GossipMessage) -> bool {
    let Some(content) = &message.content else {
        return false;
    };
    let required = match content {
        Content::DataMsg(_) | Content::LeadershipMsg(_) => Tag::ChanAndOrg,
        Content::AliveMsg(_) | Content::MemReq(_) | Content::MemRes(_) => Tag::Empty,
        Content::PeerIdentity(_) => Tag::OrgOnly,
        Content::Hello(pull) => return is_pull_legal(message.tag, pull.msg_type),
        Content::DataDig(pull) => return is_pull_legal(message.tag, pull.msg_type),
        Content::DataReq(pull) => return is_pull_legal(message.tag, pull.msg_type),
        Content::DataUpdate(pull) => return is_pull_legal(message.tag, pull.msg_type),
        Content::StateInfo(_)
        | Content::StateSnapshot(_)
        | Content::StateInfoPullReq(_)
        | Content::StateRequest(_)
        | Content::StateResponse(_) => Tag::ChanOrOrg,
        Content::Empty(_)
        | Content::Conn(_)
        | Content::Ack(_)
        | Content::PrivateReq(_)
        | Content::PrivateRes(_)
        | Content::PrivateData(_) => return false,
    };
    message.tag == required as i32
}

/// Says the same of the four messages of a pull.
pub(crate) fn is_pull_legal(tag: i32, msg_type: i32) -> bool {
    match PullMsgType::try_from(msg_type) {
        Ok(PullMsgType::BlockMsg) => tag == Tag::ChanAndOrg as i32,
        Ok(PullMsgType::IdentityMsg) => tag == Tag::Empty as i32,
        Ok(PullMsgType::Undefined) | Err(_) => false,
    }
}
