//! What leaves a peer is for those who get it.

use std::collections::BTreeMap;

use bytes::Bytes;
use gossip_core::PkiId;
use gossip_proto::gossip::{
    Envelope, GossipMessage,
    gossip_message::{Content, Tag},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{
    Check, Facts, Seen,
    shape::{MESSAGE_KINDS, Outline},
};
use crate::sim::{
    hash::Map,
    layout::{Channel, Layout},
};

/// None of another organisation's internal endpoints is dialled.
#[derive(Debug)]
pub(super) struct Endpoints;

impl Check for Endpoints {
    fn name(&self) -> &'static str {
        BORDER
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        let Seen::Dialled { endpoint } = *seen else { return Ok(()) };
        let layout = facts.layout;
        let foreign = layout.listener(endpoint).filter(|listener| {
            listener.is_internal && layout.org_of(listener.host) != layout.org_of(host)
        });
        match foreign {
            Some(_) => Err(format!("dialled {endpoint}, which is none of its business")),
            None => Ok(()),
        }
    }
}

/// Every frame that is sent decodes. No internal endpoint leaves an organisation; blocks stay in
/// the organisations of their channel, and messages for one organisation in it. What frames are is
/// counted.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// By kind, those of no known kind last.
    counts: [u64; MESSAGE_KINDS.len() + 1],
    /// Of which channel, if of any, a MAC under a name was found to be.
    macs: Map<([u8; 32], [u8; 32]), Option<usize>>,
}

impl Frames {
    /// Counts the frames, by kind.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let names = MESSAGE_KINDS.iter().chain(&["other message"]);
        names.copied().zip(self.counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Looks at a frame that one host sends to another. Says whether it is of an application.
    ///
    /// # Errors
    ///
    /// If it means nothing or is not for that one: which checker objects, and to what.
    pub(super) fn sent(
        &mut self,
        host: usize,
        to: usize,
        frame: &Bytes,
        facts: &Facts<'_>,
    ) -> Result<bool, (&'static str, String)> {
        let whole;
        let outline = match Outline::read(frame) {
            Some(outline) => Some(outline),
            None => {
                whole = open(frame);
                whole.as_ref().and_then(|(envelope, message)| Outline::of(envelope, message))
            }
        };
        let Some(outline) = outline else {
            let len = frame.len();
            return Err((MEANING, format!("a frame of {len} bytes without a message")));
        };
        debug_assert!(is_outline(frame, &outline), "{outline:?}");
        self.counts[outline.kind] += 1;
        let layout = facts.layout;
        if layout.org_of(to) == layout.org_of(host) {
            return Ok(outline.is_of_an_application());
        }
        self.crosses(&outline, to, layout).map_err(|what| {
            let (name, frame) = (&layout.names[to], describe(frame));
            (BORDER, format!("sent to {name} of another organisation: {what} ({frame})"))
        })?;
        Ok(outline.is_of_an_application())
    }

    /// Looks at a frame for a peer of another organisation.
    fn crosses(&mut self, frame: &Outline<'_>, to: usize, layout: &Layout) -> Result<(), String> {
        if frame.has_secret {
            return Err("a secret envelope".into());
        }
        // Among these are blocks and leadership messages.
        if let Ok(tag @ (Tag::OrgOnly | Tag::ChanAndOrg)) = Tag::try_from(frame.tag) {
            return Err(format!("a message with {tag:?}"));
        }
        let channel = match frame.state_info {
            Some((pki_id, mac)) => self.channel_of(pki_id, mac, layout),
            None if frame.is_snapshot() => {
                layout.channels.iter().position(|channel| *channel.id.as_bytes() == frame.channel)
            }
            None => None,
        };
        match channel.filter(|ix| !layout.is_in(to, *ix)) {
            Some(ix) => Err(format!("what it knows of channel {}", layout.channels[ix].id)),
            None => Ok(()),
        }
    }

    /// Finds the channel, which only its members can tell from the hash.
    fn channel_of(&mut self, pki_id: &[u8], mac: &[u8], layout: &Layout) -> Option<usize> {
        let is_mac_of = |channel: &Channel| {
            let hash = Sha256::new().chain_update(pki_id).chain_update(channel.id.as_bytes());
            hash.finalize()[..] == *mac
        };
        let find = || layout.channels.iter().position(is_mac_of);
        let (Ok(name), Ok(hash)) = (pki_id.try_into(), mac.try_into()) else { return find() };
        if self.macs.len() >= MACS_MAX {
            self.macs.clear();
        }
        *self.macs.entry((name, hash)).or_insert_with(find)
    }
}

fn is_outline(frame: &Bytes, outline: &Outline<'_>) -> bool {
    let whole = open(frame);
    let decoded = whole.as_ref().and_then(|(envelope, message)| Outline::of(envelope, message));
    decoded.as_ref() == Some(outline)
}

pub(super) fn open(frame: &Bytes) -> Option<(Envelope, GossipMessage)> {
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

const MEANING: &str = "frames mean something";
const BORDER: &str = "nothing crosses to whom it is not for";
/// More than are in use at once.
const MACS_MAX: usize = 65_536;
