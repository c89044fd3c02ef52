//! Answers of a node, told so that those of two nodes can be compared.

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use gossip_core::PkiId;
use gossip_message::{Content, Tag};
use gossip_proto::gossip::{
    DataDigest, Envelope, GossipMessage, MembershipResponse, PullMsgType, SecretEnvelope,
    StateInfoSnapshot, gossip_message,
};
use prost::Message as _;
use serde_json::Value;

/// Who is named in an answer; all others are left out, they differ from node to node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Role {
    Asker,
    Node,
}

/// The two whom every answer may name.
pub(crate) struct Roles {
    pub(crate) asker: PkiId,
    pub(crate) node: PkiId,
}

/// Names the content of a message that answers a question, as the recording does.
pub(crate) fn name(message: &GossipMessage) -> Option<&'static str> {
    match message.content {
        Some(Content::Ack(_)) => Some("ack"),
        Some(Content::DataDig(_)) => Some("data_dig"),
        Some(Content::DataUpdate(_)) => Some("data_update"),
        Some(Content::MemRes(_)) => Some("mem_res"),
        Some(Content::PrivateRes(_)) => Some("private_res"),
        Some(Content::StateResponse(_)) => Some("state_response"),
        Some(Content::StateSnapshot(_)) => Some("state_snapshot"),
        _ => None,
    }
}

/// Lists the blocks in an answer, `None` if there are none.
pub(crate) fn blocks(message: &GossipMessage) -> Option<Vec<u64>> {
    let Some(Content::StateResponse(response)) = &message.content else { return None };
    let numbers: Vec<_> = response.payloads.iter().map(|payload| payload.seq_num).collect();
    (!numbers.is_empty()).then_some(numbers)
}

impl Roles {
    /// Tells what an answer says.
    pub(crate) fn tell(&self, message: &GossipMessage) -> String {
        let GossipMessage { nonce, channel, tag, content } = message;
        let head = format!("nonce {nonce}, channel {channel:?}, tag {tag}");
        match content {
            Some(Content::DataDig(digest)) => {
                let mut known: Vec<_> =
                    digest.digests.iter().filter_map(|id| self.digest(id)).collect();
                known.sort();
                format!("{head}, digest {} of {}: {known:?}", digest.nonce, digest.msg_type)
            }
            // The node itself comes last, and tells its own organisation where it listens.
            Some(Content::MemRes(response)) => {
                let alive = response.alive.iter().filter_map(|element| self.author(element));
                format!("{head}, members: {:?}", alive.collect::<Vec<_>>())
            }
            Some(Content::StateSnapshot(snapshot)) => {
                let authors = snapshot.elements.iter().filter_map(|element| self.author(element));
                let mut authors: Vec<_> = authors.collect();
                authors.sort();
                format!("{head}, snapshot: {authors:?}")
            }
            other => format!("{head}, {other:?}"),
        }
    }

    /// Names what a digest stands for: one of the two, or a block.
    fn digest(&self, id: &Bytes) -> Option<String> {
        match self.role(id) {
            Some(role) => Some(format!("{role:?}")),
            None => std::str::from_utf8(id).ok().map(str::to_owned),
        }
    }

    /// Names the author of a statement, and says whether there is a secret with it.
    fn author(&self, envelope: &Envelope) -> Option<(Role, bool)> {
        let content = GossipMessage::decode(envelope.payload.clone()).ok()?.content?;
        let author = match content {
            Content::AliveMsg(alive) => alive.membership?.pki_id,
            Content::StateInfo(info) => info.pki_id,
            _ => return None,
        };
        Some((self.role(&author)?, envelope.secret_envelope.is_some()))
    }

    fn role(&self, pki_id: &Bytes) -> Option<Role> {
        let pki_id = PkiId::from_wire(pki_id)?;
        if pki_id == self.asker {
            Some(Role::Asker)
        } else {
            (pki_id == self.node).then_some(Role::Node)
        }
    }
}

/// Reads a recorded answer; panics if it is none that is described here.
pub(crate) fn read(json: &Value) -> GossipMessage {
    let content = if let Some(digest) = json.get("data_dig") {
        Content::DataDig(DataDigest {
            nonce: number(&digest["nonce"]),
            digests: items(&digest["digests"]).map(base64).collect(),
            msg_type: PullMsgType::from_str_name(text(&digest["msg_type"])).expect("a type").into(),
        })
    } else if let Some(response) = json.get("mem_res") {
        Content::MemRes(MembershipResponse {
            alive: items(&response["alive"]).map(envelope).collect(),
            dead: items(&response["dead"]).map(envelope).collect(),
        })
    } else {
        let elements = items(&json["state_snapshot"]["elements"]).map(envelope).collect();
        Content::StateSnapshot(StateInfoSnapshot { elements })
    };
    GossipMessage {
        nonce: number(&json["nonce"]),
        channel: base64(&json["channel"]),
        tag: Tag::from_str_name(text(&json["tag"])).expect("a tag").into(),
        content: Some(content),
    }
}

fn envelope(json: &Value) -> Envelope {
    let secret = json.get("secret_envelope").map(|secret| SecretEnvelope {
        payload: base64(&secret["payload"]),
        signature: base64(&secret["signature"]),
    });
    Envelope {
        payload: base64(&json["payload"]),
        signature: base64(&json["signature"]),
        secret_envelope: secret,
    }
}

fn items(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().into_iter().flatten()
}

fn base64(json: &Value) -> Bytes {
    Base64::decode_vec(text(json)).expect("base64").into()
}

fn number(json: &Value) -> u64 {
    json.as_str().map_or(0, |number| number.parse().expect("a number"))
}

/// Returns a text; a field that is not there is empty.
fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_default()
}
