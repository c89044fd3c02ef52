//! Writes messages as Fabric's JSON: protojson with the names of the schema, defaults left out.

use gossip_proto::gossip::gossip_message::{Content, Tag};
use gossip_proto::{gossip, protos};
use prost::Message;
use prost::bytes::Bytes;
use serde_json::{Map, Value};

/// A value that protojson can write.
pub(crate) trait Json {
    fn json(&self) -> Value;
}

/// A JSON object in the making; fields at their default are left out.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn set(mut self, name: &str, value: Value) -> Self {
        assert!(self.0.insert(name.to_owned(), value).is_none(), "{name} is set twice");
        self
    }

    fn set_unless(self, is_default: bool, name: &str, value: impl Into<Value>) -> Self {
        if is_default { self } else { self.set(name, value.into()) }
    }

    fn bytes(self, name: &str, value: &Bytes) -> Self {
        self.set_unless(value.is_empty(), name, value.json())
    }

    fn text(self, name: &str, value: &str) -> Self {
        self.set_unless(value.is_empty(), name, value)
    }

    /// 64-bit numbers are strings: JSON's numbers are not exact beyond 2^53.
    fn uint64(self, name: &str, value: u64) -> Self {
        self.set_unless(value == 0, name, value.to_string())
    }

    fn int32(self, name: &str, value: i32) -> Self {
        self.set_unless(value == 0, name, value)
    }

    fn flag(self, name: &str, value: bool) -> Self {
        self.set_unless(!value, name, value)
    }

    /// Enumerations are names, or numbers where the number has no name.
    fn enumeration(self, name: &str, number: i32, known: Option<&str>) -> Self {
        let value = known.map_or_else(|| number.into(), Value::from);
        self.set_unless(number == 0, name, value)
    }

    fn list<T: Json>(self, name: &str, items: &[T]) -> Self {
        let values: Vec<_> = items.iter().map(Json::json).collect();
        self.set_unless(values.is_empty(), name, values)
    }

    fn message<T: Json>(self, name: &str, message: Option<&T>) -> Self {
        match message {
            Some(message) => self.set(name, message.json()),
            None => self,
        }
    }

    fn pull_type(self, number: i32) -> Self {
        let known = gossip::PullMsgType::try_from(number).ok();
        self.enumeration("msg_type", number, known.as_ref().map(|known| known.as_str_name()))
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

impl Json for Bytes {
    fn json(&self) -> Value {
        Value::String(base64(self))
    }
}

impl Json for gossip::GossipMessage {
    fn json(&self) -> Value {
        let tag = Tag::try_from(self.tag).ok();
        let object = Object::default()
            .uint64("nonce", self.nonce)
            .bytes("channel", &self.channel)
            .enumeration("tag", self.tag, tag.as_ref().map(|tag| tag.as_str_name()));
        let Some(content) = &self.content else {
            return object.done();
        };
        let (name, value) = content_json(content);
        object.set(name, value).done()
    }
}

fn content_json(content: &Content) -> (&'static str, Value) {
    match content {
        Content::AliveMsg(message) => ("alive_msg", message.json()),
        Content::MemReq(message) => ("mem_req", message.json()),
        Content::MemRes(message) => ("mem_res", message.json()),
        Content::DataMsg(message) => ("data_msg", message.json()),
        Content::Hello(message) => ("hello", message.json()),
        Content::DataDig(message) => ("data_dig", message.json()),
        Content::DataReq(message) => ("data_req", message.json()),
        Content::DataUpdate(message) => ("data_update", message.json()),
        Content::Empty(gossip::Empty {}) => ("empty", Object::default().done()),
        Content::Conn(message) => ("conn", message.json()),
        Content::StateInfo(message) => ("state_info", message.json()),
        Content::StateSnapshot(message) => ("state_snapshot", message.json()),
        Content::StateInfoPullReq(message) => ("state_info_pull_req", message.json()),
        Content::StateRequest(message) => ("state_request", message.json()),
        Content::StateResponse(message) => ("state_response", message.json()),
        Content::LeadershipMsg(message) => ("leadership_msg", message.json()),
        Content::PeerIdentity(message) => ("peer_identity", message.json()),
        Content::Ack(message) => ("ack", message.json()),
        Content::PrivateReq(message) => ("privateReq", message.json()),
        Content::PrivateRes(message) => ("privateRes", message.json()),
        Content::PrivateData(message) => ("private_data", message.json()),
    }
}

/// Writes `Json` for a message as a chain of its fields.
macro_rules! json {
    ($($message:ty: |$this:ident| $fields:expr;)*) => {
        $(impl Json for $message {
            fn json(&self) -> Value {
                let $this = self;
                $fields.done()
            }
        })*
    };
}

json! {
    gossip::Envelope: |m| Object::default()
        .bytes("payload", &m.payload)
        .bytes("signature", &m.signature)
        .message("secret_envelope", m.secret_envelope.as_ref());
    gossip::SecretEnvelope: |m| Object::default()
        .bytes("payload", &m.payload)
        .bytes("signature", &m.signature);
    gossip::AliveMessage: |m| Object::default()
        .message("membership", m.membership.as_ref())
        .message("timestamp", m.timestamp.as_ref())
        .bytes("identity", &m.identity);
    gossip::Member: |m| Object::default()
        .text("endpoint", &m.endpoint)
        .bytes("metadata", &m.metadata)
        .bytes("pki_id", &m.pki_id);
    gossip::PeerTime: |m| Object::default()
        .uint64("inc_num", m.inc_num)
        .uint64("seq_num", m.seq_num);
    gossip::MembershipRequest: |m| Object::default()
        .message("self_information", m.self_information.as_ref())
        .list("known", &m.known);
    gossip::MembershipResponse: |m| Object::default()
        .list("alive", &m.alive)
        .list("dead", &m.dead);
    gossip::DataMessage: |m| Object::default().message("payload", m.payload.as_ref());
    gossip::Payload: |m| Object::default()
        .uint64("seq_num", m.seq_num)
        .bytes("data", &m.data)
        .list("private_data", &m.private_data);
    gossip::GossipHello: |m| Object::default()
        .uint64("nonce", m.nonce)
        .bytes("metadata", &m.metadata)
        .pull_type(m.msg_type);
    gossip::DataDigest: |m| Object::default()
        .uint64("nonce", m.nonce)
        .list("digests", &m.digests)
        .pull_type(m.msg_type);
    gossip::DataRequest: |m| Object::default()
        .uint64("nonce", m.nonce)
        .list("digests", &m.digests)
        .pull_type(m.msg_type);
    gossip::DataUpdate: |m| Object::default()
        .uint64("nonce", m.nonce)
        .list("data", &m.data)
        .pull_type(m.msg_type);
    gossip::ConnEstablish: |m| Object::default()
        .bytes("pki_id", &m.pki_id)
        .bytes("identity", &m.identity)
        .bytes("tls_cert_hash", &m.tls_cert_hash)
        .flag("probe", m.probe);
    gossip::StateInfo: |m| Object::default()
        .message("timestamp", m.timestamp.as_ref())
        .bytes("pki_id", &m.pki_id)
        .bytes("channel_MAC", &m.channel_mac)
        .message("properties", m.properties.as_ref());
    gossip::Properties: |m| Object::default()
        .uint64("ledger_height", m.ledger_height)
        .flag("left_channel", m.left_channel)
        .list("chaincodes", &m.chaincodes);
    gossip::Chaincode: |m| Object::default()
        .text("name", &m.name)
        .text("version", &m.version)
        .bytes("metadata", &m.metadata);
    gossip::StateInfoSnapshot: |m| Object::default().list("elements", &m.elements);
    gossip::StateInfoPullRequest: |m| Object::default().bytes("channel_MAC", &m.channel_mac);
    gossip::RemoteStateRequest: |m| Object::default()
        .uint64("start_seq_num", m.start_seq_num)
        .uint64("end_seq_num", m.end_seq_num);
    gossip::RemoteStateResponse: |m| Object::default().list("payloads", &m.payloads);
    gossip::LeadershipMessage: |m| Object::default()
        .bytes("pki_id", &m.pki_id)
        .message("timestamp", m.timestamp.as_ref())
        .flag("is_declaration", m.is_declaration);
    gossip::PeerIdentity: |m| Object::default()
        .bytes("pki_id", &m.pki_id)
        .bytes("cert", &m.cert)
        .bytes("metadata", &m.metadata);
    gossip::Acknowledgement: |m| Object::default().text("error", &m.error);
    gossip::RemotePvtDataRequest: |m| Object::default().list("digests", &m.digests);
    gossip::PvtDataDigest: |m| Object::default()
        .text("tx_id", &m.tx_id)
        .text("namespace", &m.namespace)
        .text("collection", &m.collection)
        .uint64("block_seq", m.block_seq)
        .uint64("seq_in_block", m.seq_in_block);
    gossip::RemotePvtDataResponse: |m| Object::default().list("elements", &m.elements);
    gossip::PvtDataElement: |m| Object::default()
        .message("digest", m.digest.as_ref())
        .list("payload", &m.payload);
    gossip::PrivateDataMessage: |m| Object::default().message("payload", m.payload.as_ref());
    gossip::PrivatePayload: |m| Object::default()
        .text("collection_name", &m.collection_name)
        .text("namespace", &m.namespace)
        .text("tx_id", &m.tx_id)
        .bytes("private_rwset", &m.private_rwset)
        .uint64("private_sim_height", m.private_sim_height)
        .message("collection_configs", collections(&m.collection_configs).as_ref());
    protos::CollectionConfigPackage: |m| Object::default().list("config", &m.config);
    protos::CollectionConfig: |m| match &m.payload {
        Some(protos::collection_config::Payload::StaticCollectionConfig(config)) => {
            Object::default().set("static_collection_config", config.json())
        }
        None => Object::default(),
    };
    protos::StaticCollectionConfig: |m| {
        assert_eq!(m.member_orgs_policy, None, "no recorded collection has a policy");
        assert!(m.endorsement_policy.is_empty(), "no recorded collection has a policy");
        Object::default()
            .text("name", &m.name)
            .int32("required_peer_count", m.required_peer_count)
            .int32("maximum_peer_count", m.maximum_peer_count)
            .uint64("block_to_live", m.block_to_live)
            .flag("member_only_read", m.member_only_read)
            .flag("member_only_write", m.member_only_write)
    };
}

fn collections(configs: &Bytes) -> Option<protos::CollectionConfigPackage> {
    let decode = || protos::CollectionConfigPackage::decode(configs.clone());
    (!configs.is_empty()).then(|| decode().expect("recorded collections decode"))
}

/// Encodes bytes in the standard base64 alphabet, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            let is_padding = digit > chunk.len();
            text.push(if is_padding { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    text
}
