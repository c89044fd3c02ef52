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
    known::Known,
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
    /// What each frame says, whoever sends it; `None` if nothing.
    known: Known<Option<Says>>,
    macs: Macs,
}

/// What matters of a frame.
#[derive(Clone, Copy, Debug)]
struct Says {
    kind: usize,
    is_of_an_application: bool,
    about: About,
}

/// Whom what a frame says is for.
#[derive(Clone, Copy, Debug)]
enum About {
    /// Everybody.
    Anybody,
    /// Those who are in a channel.
    Channel(usize),
    /// The organisation, for it holds a secret envelope.
    Secret,
    /// The organisation, as its tag says.
    Tagged(Tag),
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
        let layout = facts.layout;
        let Self { counts, known, macs } = self;
        let Some(says) = *known.of(frame, || read(frame, macs, layout)) else {
            let len = frame.len();
            return Err((MEANING, format!("a frame of {len} bytes without a message")));
        };
        counts[says.kind] += 1;
        if layout.org_of(to) == layout.org_of(host) {
            return Ok(says.is_of_an_application);
        }
        let what = match says.about {
            About::Anybody => return Ok(says.is_of_an_application),
            About::Channel(ix) if layout.is_in(to, ix) => return Ok(says.is_of_an_application),
            About::Channel(ix) => format!("what it knows of channel {}", layout.channels[ix].id),
            About::Secret => "a secret envelope".into(),
            About::Tagged(tag) => format!("a message with {tag:?}"),
        };
        let (name, frame) = (&layout.names[to], describe(frame));
        Err((BORDER, format!("sent to {name} of another organisation: {what} ({frame})")))
    }
}

/// Finds out what a frame says; `None` if nothing.
fn read(frame: &Bytes, macs: &mut Macs, layout: &Layout) -> Option<Says> {
    let whole;
    let outline = match Outline::read(frame) {
        Some(outline) => outline,
        None => {
            whole = open(frame)?;
            Outline::of(&whole.0, &whole.1)?
        }
    };
    debug_assert!(is_outline(frame, &outline), "{outline:?}");
    let about = match Tag::try_from(outline.tag) {
        _ if outline.has_secret => About::Secret,
        // Among these are blocks and leadership messages.
        Ok(tag @ (Tag::OrgOnly | Tag::ChanAndOrg)) => About::Tagged(tag),
        _ => channel_of(&outline, macs, layout).map_or(About::Anybody, About::Channel),
    };
    let is_of_an_application = outline.is_of_an_application();
    Some(Says { kind: outline.kind, is_of_an_application, about })
}

/// Finds the channel of which a frame tells something, if it does of any.
fn channel_of(frame: &Outline<'_>, macs: &mut Macs, layout: &Layout) -> Option<usize> {
    match frame.state_info {
        Some((pki_id, mac)) => macs.channel_of(pki_id, mac, layout),
        None if frame.is_snapshot() => {
            layout.channels.iter().position(|channel| *channel.id.as_bytes() == frame.channel)
        }
        None => None,
    }
}

/// Of which channel, if of any, a MAC under a name was found to be.
#[derive(Debug, Default)]
struct Macs(Map<([u8; 32], [u8; 32]), Option<usize>>);

impl Macs {
    /// Finds the channel, which only its members can tell from the hash.
    fn channel_of(&mut self, pki_id: &[u8], mac: &[u8], layout: &Layout) -> Option<usize> {
        let is_mac_of = |channel: &Channel| {
            let hash = Sha256::new().chain_update(pki_id).chain_update(channel.id.as_bytes());
            hash.finalize()[..] == *mac
        };
        let find = || layout.channels.iter().position(is_mac_of);
        let (Ok(name), Ok(hash)) = (pki_id.try_into(), mac.try_into()) else { return find() };
        if self.0.len() >= MACS_MAX {
            self.0.clear();
        }
        *self.0.entry((name, hash)).or_insert_with(find)
    }
}

fn is_outline(frame: &Bytes, outline: &Outline<'_>) -> bool {
    let whole = open(frame);
    let decoded = whole.as_ref().and_then(|(envelope, message)| Outline::of(envelope, message));
    decoded.as_ref() == Some(outline)
}

/// Decodes a frame and the message in it.
pub(crate) fn open(frame: &Bytes) -> Option<(Envelope, GossipMessage)> {
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
