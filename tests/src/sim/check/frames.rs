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
#[derive(Debug)]
pub(super) struct Frames {
    /// Those that were sent last, to be opened once: many go to several peers.
    opened: Vec<Option<(Bytes, Opened)>>,
    /// By kind, those of no known kind last.
    counts: [u64; MESSAGE_KINDS.len() + 1],
}

/// What matters of a frame.
#[derive(Debug)]
struct Opened {
    /// Its place among the kinds.
    kind: usize,
    reach: Reach,
}

/// To whom in other organisations a frame may go.
#[derive(Debug)]
enum Reach {
    Anybody,
    /// Those who are in the channel, if it is one.
    Members(ChannelId),
    /// Those who are in the channel that this is the MAC of.
    MembersByMac(StateInfo),
    /// Nobody, because of what it is or holds.
    Nobody(&'static str),
}

impl Default for Frames {
    fn default() -> Self {
        Self { opened: (0..1 << SLOT_BITS).map(|_| None).collect(), counts: Default::default() }
    }
}

impl Frames {
    /// Counts the frames, by kind.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let names = MESSAGE_KINDS.iter().chain(&["other message"]);
        names.copied().zip(self.counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Looks at a frame that one host sends to another.
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
    ) -> Result<(), (&'static str, String)> {
        // Where it is kept says nothing, and hangs on no result. What is kept is not given up, so
        // that no other frame can be in its place.
        let slot = (frame.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOT_BITS);
        let kept = &mut self.opened[slot as usize];
        let is_known = kept
            .as_ref()
            .is_some_and(|(same, _)| same.as_ptr() == frame.as_ptr() && same.len() == frame.len());
        if !is_known {
            *kept = Opened::new(frame).map(|opened| (frame.clone(), opened));
        }
        let Some((_, opened)) = kept else {
            let len = frame.len();
            return Err((MEANING, format!("a frame of {len} bytes without a message")));
        };
        self.counts[opened.kind] += 1;
        let layout = facts.layout;
        if layout.org_of(to) == layout.org_of(host) {
            return Ok(());
        }
        opened.reach.allows(to, facts).map_err(|what| {
            let name = &layout.names[to];
            (
                BORDER,
                format!("sent to {name} of another organisation: {what} ({})", describe(frame)),
            )
        })
    }
}

impl Opened {
    fn new(frame: &Bytes) -> Option<Self> {
        let (envelope, message) = open(frame)?;
        let kind = kind(message.content.as_ref()?);
        Some(Self { kind, reach: Reach::of(&envelope, message) })
    }
}

impl Reach {
    fn of(envelope: &Envelope, message: GossipMessage) -> Self {
        let has_secret = |envelope: &Envelope| envelope.secret_envelope.is_some();
        if has_secret(envelope) {
            return Self::Nobody("a secret envelope");
        }
        // Among these are blocks and leadership messages.
        if let Tag::OrgOnly | Tag::ChanAndOrg = message.tag() {
            return Self::Nobody("what is for one organisation");
        }
        let is_nested = match &message.content {
            Some(Content::MemReq(request)) => {
                request.self_information.as_ref().is_some_and(has_secret)
            }
            Some(Content::MemRes(response)) => {
                response.alive.iter().chain(&response.dead).any(has_secret)
            }
            _ => false,
        };
        match message.content {
            _ if is_nested => Self::Nobody("a secret envelope in a membership message"),
            Some(Content::StateInfo(info)) => Self::MembersByMac(info),
            Some(Content::StateSnapshot(_)) => Self::Members(ChannelId::new(message.channel)),
            _ => Self::Anybody,
        }
    }

    fn allows(&mut self, to: usize, facts: &Facts<'_>) -> Result<(), String> {
        if let Self::MembersByMac(info) = self {
            // Only the channel's members can tell it from the hash.
            let channels = facts.layout.channels.iter();
            let named = channels.map(|channel| &channel.id).find(|id| is_named(info, id));
            *self = named.map_or(Self::Anybody, |id| Self::Members(id.clone()));
        }
        match self {
            Self::Anybody | Self::MembersByMac(_) => Ok(()),
            Self::Nobody(what) => Err((*what).into()),
            Self::Members(id) => match facts.layout.channel(id) {
                Some(ix) if !facts.layout.is_in(to, ix) => {
                    Err(format!("what it knows of channel {id}"))
                }
                _ => Ok(()),
            },
        }
    }
}

fn is_named(info: &StateInfo, channel: &ChannelId) -> bool {
    let hash = Sha256::new().chain_update(&info.pki_id).chain_update(channel.as_bytes());
    hash.finalize()[..] == info.channel_mac[..]
}

macro_rules! kinds {
    ($($content:ident = $name:literal),+ $(,)?) => {
        /// The kinds of messages that nodes send of themselves.
        pub const MESSAGE_KINDS: &[&str] = &[$($name),+];

        /// Returns a message's place among the kinds, their number if it is of none.
        fn kind(content: &Content) -> usize {
            enum Place {
                $($content),+
            }
            match content {
                $(Content::$content(_) => Place::$content as usize,)+
                _ => MESSAGE_KINDS.len(),
            }
        }
    };
}

kinds! {
    AliveMsg = "alive message",
    DataMsg = "block",
    Conn = "handshake",
    LeadershipMsg = "leadership message",
    MemReq = "membership request",
    MemRes = "membership response",
    DataDig = "pull digest",
    Hello = "pull hello",
    DataReq = "pull request",
    DataUpdate = "pull update",
    StateInfo = "state info",
    StateInfoPullReq = "state info request",
    StateSnapshot = "state info snapshot",
    StateRequest = "state request",
    StateResponse = "state response",
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

const MEANING: &str = "frames mean something";
const BORDER: &str = "nothing crosses to whom it is not for";
/// A few broadcasts of some seconds.
const SLOT_BITS: u32 = 10;
