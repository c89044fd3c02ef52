//! What happens to a peer, a line each.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
    time::{Instant, SystemTime},
};

use gossip_core::{ChannelId, Endpoint, Notice, PeerEndpoints, PkiId};
use gossip_tokio::Item;
use serde_json::{Map, Value, json};

use crate::{text::printable, time::rfc3339};

/// How lines are written: for programs or for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Json,
    Text,
}

/// Writes what happens, a line each.
#[derive(Debug)]
pub(crate) struct Journal<W> {
    form: Form,
    out: W,
    /// Blocks that came and are not committed.
    waiting: BTreeMap<(ChannelId, u64), Received>,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    at: Instant,
    bytes: usize,
    from: PkiId,
}

impl<W: Write> Journal<W> {
    pub(crate) const fn new(form: Form, out: W) -> Self {
        Self { form, out, waiting: BTreeMap::new() }
    }

    /// Writes one line: what happened, when, and the particulars in `fields`, an object.
    ///
    /// # Errors
    ///
    /// If nobody takes it.
    pub(crate) fn write(&mut self, at: Instant, name: &str, fields: &Value) -> io::Result<()> {
        let time = rfc3339(SystemTime::now() - at.elapsed());
        let fields = fields.as_object().into_iter().flatten();
        let mut line = match self.form {
            Form::Json => {
                let own = [("notice", name.into()), ("time", time.into())];
                let own = own.map(|(name, value): (&str, Value)| (name.to_owned(), value));
                let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
                Value::Object(Map::from_iter(own.into_iter().chain(fields))).to_string()
            }
            Form::Text => {
                let mut line = format!("{time} {}", name.replace('_', " "));
                for (name, value) in fields {
                    let value = value.as_str().map_or_else(|| value.to_string(), printable);
                    let _ = write!(line, " {name}={value}");
                }
                line
            }
        };
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }

    /// Writes what a subscriber received, and when the node noticed it; what only applications have
    /// use for is left out.
    ///
    /// # Errors
    ///
    /// If nobody takes it.
    pub(crate) fn write_item(&mut self, at: Instant, item: &Item) -> io::Result<()> {
        let notice = match item {
            Item::Notice(notice) => notice,
            Item::Lost(count) => {
                self.waiting.clear();
                return self.write(at, "notices_lost", &json!({ "count": count }));
            }
        };
        let Some((name, mut fields)) = describe(notice) else {
            return Ok(());
        };
        if let Notice::BlockCommitted { channel, number } = notice {
            let received = self.waiting.remove(&(channel.clone(), *number));
            let millis = received.map(|block| (at - block.at).as_micros() as f64 / 1e3);
            fields["bytes"] = json!(received.map(|block| block.bytes));
            fields["from"] = json!(received.map(|block| id(&block.from)));
            fields["delay_ms"] = json!(millis);
        }
        if let Notice::BlockReceived { channel, number, block, from } = notice {
            if self.waiting.len() >= WAITING_MAX {
                self.waiting.pop_last();
            }
            let received = Received { at, bytes: block.len(), from: *from };
            self.waiting.entry((channel.clone(), *number)).or_insert(received);
        }
        self.write(at, name, &fields)
    }
}

/// What happens to a peer and what its line says: the name of the notice, its fields, and what they
/// mean.
pub(crate) const NOTICES: &[(&str, &str, &str)] = &[
    ("started", "peer org endpoint id", "this peer takes part: who it is; id is peer.id"),
    ("channel_joined", "channel height", "this peer takes part: blocks below height are there"),
    ("member_alive", "peer endpoint", "a peer joined the network, or is back"),
    ("member_dead", "peer", "a peer could not be reached, or was silent for too long"),
    ("member_forgotten", "peer", "a dead peer was forgotten, or its identity holds no longer"),
    ("identity_learned", "peer org", "a certificate is known and holds"),
    ("identity_removed", "peer", "a certificate expired, was revoked, or was of no use for long"),
    ("own_identity_elsewhere", "endpoint", "another process uses this peer's identity"),
    ("channel_peer", "channel peer height left", "a peer says how many blocks it has; or it left"),
    (
        "channel_membership",
        "channel online offline",
        "who came to a channel or went since the last look (membershipTrackerInterval): peer, \
         endpoints",
    ),
    (
        "leadership",
        "channel peer leads",
        "a peer of this organisation says that it leads (true), or would (false)",
    ),
    (
        "block_received",
        "channel number bytes from",
        "the first copy of a block came whose signatures hold; bytes is its size, from the sender",
    ),
    (
        "block_committed",
        "channel number bytes from delay_ms",
        "a block was appended to the ledger. delay_ms counts milliseconds since block_received, \
         with the wait for earlier blocks, without the check of the signatures; null, like bytes \
         and from, if that notice was lost or the block did not come by gossip",
    ),
    (
        "commit_failed",
        "channel number reason",
        "the ledger did not take a block: the channel stands still until it does. It is tried \
         again, with pauses up to 5 minutes; not told again unless the reason is another",
    ),
    (
        "state_transfer_started",
        "channel height target",
        "this peer is behind, and fetches ranges of blocks from others; target is their height",
    ),
    (
        "state_transfer_ended",
        "channel height complete",
        "all that others have was fetched (complete), or nobody sent it: then it is tried again",
    ),
    ("connection_opened", "peer inbound", "a peer was authenticated; inbound if it dialled"),
    ("connection_closed", "peer reason", "such a connection ended"),
    ("dial_failed", "endpoint error", "nobody answers there, or not as a gossip peer does"),
    ("handshake_failed", "remote fault", "a connection was refused; remote is its address"),
    ("peer_misbehaved", "peer fault", "a peer sent what an honest one does not; it was dropped"),
    ("signing_failed", "reason", "this peer's own key did not sign; it is tried again"),
    ("notices_lost", "count", "stdout was read too slowly: so many notices are missing here"),
];

/// Describes all lines, for people who write programs that read them.
pub(crate) fn help() -> String {
    let mut text = "\
Lines have the name of a notice, the time at which the peer noticed (UTC), and fields. With --json
they are in \"notice\", \"time\" and under their names. peer and from are PKI-IDs in hexadecimal
digits, channels are names.
"
    .to_owned();
    for (name, fields, meaning) in NOTICES {
        let _ = write!(text, "\n  {name}: {}\n", fields.replace(' ', ", "));
        let mut line = String::from(INDENT);
        for word in meaning.split(' ') {
            if line.len() + 1 + word.len() > COLUMNS {
                text.push_str(&line);
                line = format!("\n{INDENT}");
            }
            if !line.ends_with(INDENT) {
                line.push(' ');
            }
            line.push_str(word);
        }
        text.push_str(&line);
    }
    text
}

fn describe(notice: &Notice) -> Option<(&'static str, Value)> {
    about_connections(notice).or_else(|| about_members(notice)).or_else(|| about_channels(notice))
}

fn about_connections(notice: &Notice) -> Option<(&'static str, Value)> {
    Some(match notice {
        Notice::ConnectionOpened { pki_id, inbound, .. } => {
            ("connection_opened", json!({ "peer": id(pki_id), "inbound": inbound }))
        }
        Notice::ConnectionClosed { pki_id, reason, .. } => {
            let reason = reason.map_or("the remote closed it".to_owned(), |why| why.to_string());
            ("connection_closed", json!({ "peer": id(pki_id), "reason": reason }))
        }
        Notice::HandshakeFailed { remote, fault, .. } => {
            ("handshake_failed", json!({ "remote": remote, "fault": fault.as_str() }))
        }
        Notice::DialFailed { endpoint, error } => {
            ("dial_failed", json!({ "endpoint": endpoint.as_str(), "error": error }))
        }
        Notice::PeerMisbehaved { pki_id, fault, .. } => {
            let peer = pki_id.as_ref().map(id);
            ("peer_misbehaved", json!({ "peer": peer, "fault": fault.as_str() }))
        }
        _ => return None,
    })
}

fn about_members(notice: &Notice) -> Option<(&'static str, Value)> {
    Some(match notice {
        Notice::MemberAlive { pki_id, endpoint } => {
            ("member_alive", json!({ "peer": id(pki_id), "endpoint": text(endpoint.as_ref()) }))
        }
        Notice::MemberDead { pki_id } => ("member_dead", json!({ "peer": id(pki_id) })),
        Notice::MemberForgotten { pki_id } => ("member_forgotten", json!({ "peer": id(pki_id) })),
        Notice::IdentityLearned { pki_id, org } => {
            ("identity_learned", json!({ "peer": id(pki_id), "org": org.to_string() }))
        }
        Notice::IdentityRemoved { pki_id } => ("identity_removed", json!({ "peer": id(pki_id) })),
        Notice::SigningFailed { reason } => ("signing_failed", json!({ "reason": reason })),
        Notice::OwnIdentityElsewhere { endpoint } => {
            ("own_identity_elsewhere", json!({ "endpoint": text(endpoint.as_ref()) }))
        }
        _ => return None,
    })
}

fn about_channels(notice: &Notice) -> Option<(&'static str, Value)> {
    let name = ChannelId::to_string;
    Some(match notice {
        Notice::ChannelPeer { channel, pki_id, height, left } => (
            "channel_peer",
            json!({ "channel": name(channel), "peer": id(pki_id), "height": height, "left": left }),
        ),
        Notice::ChannelMembership { channel, online, offline } => (
            "channel_membership",
            json!({
                "channel": name(channel),
                "online": online.iter().map(peer).collect::<Vec<_>>(),
                "offline": offline.iter().map(peer).collect::<Vec<_>>(),
            }),
        ),
        Notice::Leadership { channel, pki_id, is_declaration, .. } => (
            "leadership",
            json!({ "channel": name(channel), "peer": id(pki_id), "leads": is_declaration }),
        ),
        Notice::BlockReceived { channel, number, block, from } => (
            "block_received",
            json!({
                "channel": name(channel),
                "number": number,
                "bytes": block.len(),
                "from": id(from),
            }),
        ),
        Notice::BlockCommitted { channel, number } => {
            ("block_committed", json!({ "channel": name(channel), "number": number }))
        }
        Notice::StateTransferStarted { channel, height, target } => (
            "state_transfer_started",
            json!({ "channel": name(channel), "height": height, "target": target }),
        ),
        Notice::StateTransferEnded { channel, height, is_complete } => (
            "state_transfer_ended",
            json!({ "channel": name(channel), "height": height, "complete": is_complete }),
        ),
        Notice::CommitFailed { channel, number, reason } => (
            "commit_failed",
            json!({ "channel": name(channel), "number": number, "reason": reason }),
        ),
        _ => return None,
    })
}

fn peer(peer: &PeerEndpoints) -> Value {
    let endpoints: Vec<_> = peer.endpoints.iter().map(Endpoint::as_str).collect();
    json!({ "peer": id(&peer.pki_id), "endpoints": endpoints })
}

fn text(endpoint: Option<&Endpoint>) -> Option<&str> {
    endpoint.map(Endpoint::as_str)
}

fn id(pki_id: &PkiId) -> String {
    format!("{pki_id:#}")
}

/// Blocks that may wait to be committed; of more the last are not timed.
const WAITING_MAX: usize = 4096;

/// The width of a help text.
const COLUMNS: usize = 98;

const INDENT: &str = "      ";

#[cfg(test)]
mod tests;
