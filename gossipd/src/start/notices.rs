//! What happens to a peer, a line each.

use std::io::{self, Write};

use gossip_core::{ChannelId, Endpoint, Notice, PeerEndpoints, PkiId};
use gossip_tokio::Item;
use serde_json::{Map, Value, json};

/// Writes lines for programs or for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Json,
    Text,
}

impl Form {
    /// Writes one line: what happened, and the particulars in `fields`, an object.
    ///
    /// # Errors
    ///
    /// If `out` takes no more.
    pub(crate) fn write(self, out: &mut impl Write, name: &str, fields: Value) -> io::Result<()> {
        let fields = match fields {
            Value::Object(fields) => fields,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        let mut line = match self {
            Self::Json => {
                let mut object = Map::from_iter([("notice".to_owned(), name.into())]);
                object.extend(fields);
                Value::Object(object).to_string()
            }
            Self::Text => {
                let fields = fields.iter().map(|(name, value)| match value {
                    Value::String(text) => format!(" {name}={text}"),
                    value => format!(" {name}={value}"),
                });
                name.replace('_', " ") + &fields.collect::<String>()
            }
        };
        line.push('\n');
        out.write_all(line.as_bytes())?;
        out.flush()
    }

    /// Writes what a subscriber received; what only applications have use for is left out.
    ///
    /// # Errors
    ///
    /// If `out` takes no more.
    pub(crate) fn write_item(self, out: &mut impl Write, item: &Item) -> io::Result<()> {
        match item {
            Item::Notice(notice) => match describe(notice) {
                Some((name, fields)) => self.write(out, name, fields),
                None => Ok(()),
            },
            Item::Lost(count) => self.write(out, "notices_lost", json!({ "count": count })),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(form: Form, item: &Item) -> String {
        let mut out = Vec::new();
        form.write_item(&mut out, item).expect("memory takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_notice_is_one_line_of_json_or_of_words() {
        let notice = Notice::DialFailed { endpoint: "a:1".into(), error: "no route".into() };
        let item = Item::Notice(notice);
        let parsed: Value = serde_json::from_str(&line(Form::Json, &item)).expect("JSON");
        let expected = json!({ "notice": "dial_failed", "endpoint": "a:1", "error": "no route" });
        assert_eq!(parsed, expected);
        assert_eq!(line(Form::Text, &item), "dial failed endpoint=a:1 error=no route\n");
    }

    #[test]
    fn a_block_is_told_with_number_size_and_sender() {
        let notice = Notice::BlockReceived {
            channel: "ch".into(),
            number: 7,
            block: vec![0; 3].into(),
            from: PkiId::new([0xab; 32]),
        };
        let parsed: Value =
            serde_json::from_str(&line(Form::Json, &Item::Notice(notice))).expect("JSON");
        assert_eq!((&parsed["number"], &parsed["bytes"]), (&json!(7), &json!(3)));
        assert_eq!(parsed["from"], "ab".repeat(32));
    }

    #[test]
    fn lost_notices_are_counted() {
        assert_eq!(line(Form::Text, &Item::Lost(3)), "notices lost count=3\n");
    }
}
