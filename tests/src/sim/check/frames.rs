//! What leaves a peer is for those who get it.

use std::collections::BTreeMap;

use bytes::Bytes;
use gossip_core::{ChannelId, PkiId};
use gossip_proto::gossip::{
    Envelope, GossipMessage, StateInfo,
    gossip_message::{Content, Tag},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{Check, Facts, Seen};

/// No internal endpoint leaves an organisation, none of another one is dialled; blocks stay in
/// the organisations of their channel, and messages for one organisation in it.
#[derive(Debug)]
pub(super) struct OrgBorder;

impl Check for OrgBorder {
    fn name(&self) -> &'static str {
        "nothing crosses to whom it is not for"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        let layout = facts.layout;
        match *seen {
            Seen::Dialled { endpoint } => {
                let foreign = layout.listener(endpoint).filter(|listener| {
                    listener.is_internal && layout.org_of(listener.host) != layout.org_of(host)
                });
                match foreign {
                    Some(_) => Err(format!("dialled {endpoint}, which is none of its business")),
                    None => Ok(()),
                }
            }
            Seen::Sent { to, frame, .. } if layout.org_of(to) != layout.org_of(host) => {
                crossing(frame, to, facts).map_err(|what| {
                    format!("sent to {} of another organisation: {what}", layout.names[to])
                })
            }
            _ => Ok(()),
        }
    }
}

/// Every frame that is sent decodes. What they are is counted.
#[derive(Debug, Default)]
pub(super) struct Tap {
    messages: BTreeMap<&'static str, u64>,
}

impl Tap {
    pub(super) fn messages(&self) -> &BTreeMap<&'static str, u64> {
        &self.messages
    }
}

impl Check for Tap {
    fn name(&self) -> &'static str {
        "frames mean something"
    }

    fn see(&mut self, _: usize, seen: &Seen<'_>, _: &Facts<'_>) -> Result<(), String> {
        let Seen::Sent { frame, .. } = *seen else { return Ok(()) };
        let content = open(frame).and_then(|(_, message)| message.content);
        let Some(content) = content else {
            return Err(format!("a frame of {} bytes without a message", frame.len()));
        };
        *self.messages.entry(kind(&content)).or_default() += 1;
        Ok(())
    }
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::AliveMsg(_) => "alive message",
        Content::Conn(_) => "handshake",
        Content::DataDig(_) => "pull digest",
        Content::DataMsg(_) => "block",
        Content::DataReq(_) => "pull request",
        Content::DataUpdate(_) => "pull update",
        Content::Hello(_) => "pull hello",
        Content::LeadershipMsg(_) => "leadership message",
        Content::MemReq(_) => "membership request",
        Content::MemRes(_) => "membership response",
        Content::StateInfo(_) => "state info",
        Content::StateInfoPullReq(_) => "state info request",
        Content::StateRequest(_) => "state request",
        Content::StateResponse(_) => "state response",
        Content::StateSnapshot(_) => "state info snapshot",
        _ => "other message",
    }
}

/// The kinds of messages that nodes send of themselves.
pub const MESSAGE_KINDS: &[&str] = &[
    "alive message",
    "block",
    "handshake",
    "leadership message",
    "membership request",
    "membership response",
    "pull digest",
    "pull hello",
    "pull request",
    "pull update",
    "state info",
    "state info request",
    "state info snapshot",
    "state request",
    "state response",
];

/// Looks at a frame for a peer of another organisation.
fn crossing(frame: &Bytes, to: usize, facts: &Facts<'_>) -> Result<(), String> {
    let Some((envelope, message)) = open(frame) else { return Ok(()) };
    if envelope.secret_envelope.is_some() {
        return Err("a secret envelope".into());
    }
    match &message.content {
        Some(Content::MemReq(request)) => nested(request.self_information.as_ref())?,
        Some(Content::MemRes(response)) => {
            let mut all = response.alive.iter().chain(&response.dead);
            all.try_for_each(|alive| nested(Some(alive)))?;
        }
        Some(Content::StateInfo(info)) => state_info(info, to, facts)?,
        Some(Content::StateSnapshot(_)) => {
            let id = ChannelId::new(message.channel.clone());
            if facts.layout.channel(&id).is_some_and(|ix| !facts.layout.is_in(to, ix)) {
                return Err(format!("what it knows of channel {id}"));
            }
        }
        _ => {}
    }
    // Among these are blocks and leadership messages.
    match message.tag() {
        tag @ (Tag::OrgOnly | Tag::ChanAndOrg) => Err(format!("{} with {tag:?}", describe(frame))),
        _ => Ok(()),
    }
}

fn nested(envelope: Option<&Envelope>) -> Result<(), String> {
    match envelope.and_then(|envelope| envelope.secret_envelope.as_ref()) {
        Some(_) => Err("a secret envelope in a membership message".into()),
        None => Ok(()),
    }
}

/// Looks for the channel, which only its members can tell from the hash.
fn state_info(info: &StateInfo, to: usize, facts: &Facts<'_>) -> Result<(), String> {
    for (ix, channel) in facts.layout.channels.iter().enumerate() {
        let is_named = || {
            let hash = Sha256::new().chain_update(&info.pki_id).chain_update(channel.id.as_bytes());
            hash.finalize()[..] == info.channel_mac[..]
        };
        if !facts.layout.is_in(to, ix) && is_named() {
            return Err(format!("state info of channel {}", channel.id));
        }
    }
    Ok(())
}

fn open(frame: &Bytes) -> Option<(Envelope, GossipMessage)> {
    let envelope = Envelope::decode(frame.clone()).ok()?;
    let message = GossipMessage::decode(envelope.payload.clone()).ok()?;
    Some((envelope, message))
}

/// Says in a few words what a frame is, for traces.
#[must_use]
pub(crate) fn describe(frame: &Bytes) -> String {
    let Some((_, message)) = open(frame) else {
        return format!("{} bytes that mean nothing", frame.len());
    };
    let author = |bytes: &Bytes| PkiId::from_wire(bytes).map_or("?".into(), |id| id.to_string());
    let what = match message.content {
        Some(Content::AliveMsg(alive)) => {
            let time = alive.timestamp.unwrap_or_default();
            let whose = author(&alive.membership.unwrap_or_default().pki_id);
            format!("alive of {whose} {}.{}", time.inc_num, time.seq_num)
        }
        Some(Content::MemReq(_)) => "membership request".into(),
        Some(Content::MemRes(response)) => {
            format!(
                "membership response: {} alive, {} dead",
                response.alive.len(),
                response.dead.len()
            )
        }
        Some(Content::DataMsg(data)) => {
            format!(
                "block {} of {}",
                data.payload.unwrap_or_default().seq_num,
                message.channel.escape_ascii()
            )
        }
        Some(Content::Hello(_)) => "pull hello".into(),
        Some(Content::DataDig(digest)) => format!("pull digest of {}", digest.digests.len()),
        Some(Content::DataReq(request)) => format!("pull request for {}", request.digests.len()),
        Some(Content::DataUpdate(update)) => format!("pull update of {}", update.data.len()),
        Some(Content::Conn(conn)) => format!("handshake of {}", author(&conn.pki_id)),
        Some(Content::StateInfo(info)) => {
            let height = info.properties.unwrap_or_default().ledger_height;
            format!("state info of {}, height {height}", author(&info.pki_id))
        }
        Some(Content::StateSnapshot(snapshot)) => {
            format!("state info snapshot of {}", snapshot.elements.len())
        }
        Some(Content::StateInfoPullReq(_)) => "state info request".into(),
        Some(Content::PeerIdentity(identity)) => {
            format!("identity of {}", author(&identity.pki_id))
        }
        Some(other) => {
            let text = format!("{other:?}");
            text.split('(').next().unwrap_or_default().to_owned()
        }
        None => "a message without content".into(),
    };
    format!("{what} ({} bytes)", frame.len())
}
