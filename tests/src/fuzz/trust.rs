//! Bytes of certificates, organisations, blocks and configurations.

use std::sync::{Arc, LazyLock};

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use gossip_msp::{
    BlockVerifier, ChannelConfig, ConfigError, Identities, Msp, MspConfig, SigningIdentity, Source,
    is_config_block, pki_id,
};
use gossip_proto::{
    common::{
        Block, BlockData, BlockHeader, ChannelHeader, ConfigEnvelope, ConfigPolicy, Envelope,
        Header, Payload, Policy,
    },
    msp::{FabricMspConfig, SerializedIdentity},
};
use prost::Message as _;

use super::seeds;

/// Takes bytes as a certificate, revocation list or key, wherever one can stand; the first byte
/// says where.
pub(super) fn certificate(bytes: &[u8]) {
    let Some((place, der)) = bytes.split_first() else { return };
    let source = Source::new("fuzzed", pem("CERTIFICATE", der));
    let mut config = ORGANISATION.clone();
    match place % 8 {
        0 => config.root_certs = vec![source],
        1 => config.intermediate_certs = vec![source],
        2 => config.admins = vec![source],
        3 => config.revocation_lists = vec![Source::new("fuzzed", pem("X509 CRL", der))],
        4 => config.revocation_lists = vec![Source::new("fuzzed", der.to_vec())],
        5 => return judge(pem("CERTIFICATE", der)),
        6 => return sign_with(&source, &Source::new("key", pem("EC PRIVATE KEY", der))),
        _ => {
            let key = Source::new("key", pem("PRIVATE KEY", der));
            return sign_with(&ORGANISATION.root_certs[0], &key);
        }
    }
    make(&config);
}

/// Takes bytes as a serialized identity: it is judged the same twice, and no signature holds that
/// nobody made.
pub(super) fn identity(bytes: &[u8]) {
    let verdict = IDENTITIES.validate(bytes);
    match &verdict {
        Ok(facts) => assert_eq!(pki_id(bytes), Some(facts.pki_id)),
        Err(error) => is_short(&error.to_string()),
    }
    assert_eq!(verdict, IDENTITIES.validate(bytes), "judged again");
    let Err(error) = IDENTITIES.verify(bytes, b"no signature", b"words") else {
        panic!("a signature that nobody made holds")
    };
    is_short(&error.to_string());
}

/// Takes bytes as the rules of an organisation; the first byte says whether as in a channel's
/// configuration, as the text of `config.yaml`, or as a file with certificates.
pub(super) fn msp(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => {
            let Ok(message) = FabricMspConfig::decode(bytes) else { return };
            let config = MspConfig::from_fabric(&message);
            let again = FabricMspConfig::decode(&message.encode_to_vec()[..]).expect("ours");
            assert_eq!(config, MspConfig::from_fabric(&again), "read again");
            make(&config);
        }
        1 => units(bytes),
        _ => {
            let source = Source::new("fuzzed", bytes.to_vec());
            make(&MspConfig { root_certs: vec![source.clone()], ..ORGANISATION.clone() });
            judge(bytes.to_vec());
            sign_with(&source, &source);
        }
    }
}

/// Takes bytes as a block of a channel whose configuration is known: one that is accepted has the
/// header and the transactions of a block that the channel's orderers made.
///
/// Of its metadata only the signatures are covered, and which of those are there is free.
pub(super) fn block(bytes: &[u8]) {
    let block = Bytes::copy_from_slice(bytes);
    let _ = is_config_block(&block);
    let essence = essence(&block);
    let number = essence.as_ref().and_then(|(header, _)| header.as_ref());
    let number = number.map_or(0, |header| header.number);
    let verdict = VERIFIER.verify(CHANNEL.channel(), number, &block);
    assert_eq!(verdict, VERIFIER.verify(CHANNEL.channel(), number, &block), "judged again");
    match verdict {
        Ok(()) => assert!(KNOWN.contains(&essence), "block {number} is none that an orderer made"),
        Err(error) => is_short(&error.to_string()),
    }
}

/// Takes bytes as a configuration; the first byte says whether of a whole block, of what is in it,
/// or of one policy. It is read the same twice, and never follows itself.
pub(super) fn configuration(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let value = Bytes::copy_from_slice(bytes);
    let block = match kind % 3 {
        0 => value,
        1 => config_block(value),
        _ => config_block(with_policy(value, kind / 3)),
    };
    let first = ChannelConfig::from_block(&block);
    let second = ChannelConfig::from_block(&block);
    if let Ok(next) = CHANNEL.update(&block) {
        assert_eq!((next.channel(), next.sequence()), (CHANNEL.channel(), CHANNEL.sequence() + 1));
    }
    match (&first, &second) {
        (Ok(config), Ok(again)) => {
            assert!(is_config_block(&block), "a configuration from a block of another kind");
            assert!(config.has_same_members(again), "read again");
            assert_eq!(config.sequence(), again.sequence(), "read again");
            assert!(config.update(&block).is_err(), "follows itself");
            let verdicts = [config, again].map(|c| c.evaluate("/Channel/Readers", &[]));
            assert_eq!(verdicts[0], verdicts[1], "judged again");
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again, "read again");
            is_short(&error.to_string());
        }
        _ => panic!("read once but not twice"),
    }
}

fn units(text: &[u8]) {
    let read = |path: &str| Ok(Source::new(path, ORGANISATION.root_certs[0].content.clone()));
    let mut config = ORGANISATION.clone();
    match config.set_units("config.yaml", text, read) {
        Ok(()) => make(&config),
        Err(error) => {
            assert_eq!(config, *ORGANISATION, "changed by text that is refused");
            names_a_place(&error);
        }
    }
}

fn make(config: &MspConfig) {
    match Msp::new(config) {
        Ok(msp) => assert_eq!(msp.id(), config.id),
        Err(error) => names_a_place(&error),
    }
}

fn judge(id_bytes: Vec<u8>) {
    let identity = SerializedIdentity { mspid: ORGANISATION.id.clone(), id_bytes: id_bytes.into() };
    self::identity(&identity.encode_to_vec());
}

fn sign_with(certificate: &Source, key: &Source) {
    match SigningIdentity::new("Example", certificate, key) {
        Ok(identity) => assert_eq!(pki_id(identity.serialized()), Some(identity.pki_id())),
        Err(error) => names_a_place(&error),
    }
}

fn names_a_place(error: &ConfigError) {
    assert!(!error.subject.is_empty() && !error.problem.is_empty(), "{error:?}");
    is_short(&error.to_string());
}

fn is_short(error: &str) {
    assert!(error.len() < ERROR_LEN_MAX, "an error of {} bytes: {error:?}", error.len());
}

/// A block of a configuration that nobody signed.
fn config_block(data: Bytes) -> Bytes {
    let channel_header = Bytes::from(HEADER.encode_to_vec());
    let header = Header { channel_header, ..Header::default() };
    let payload = Payload { header: Some(header), data };
    let payload = Bytes::from(payload.encode_to_vec());
    let envelope = Envelope { payload, ..Envelope::default() };
    let data = BlockData { data: vec![envelope.encode_to_vec().into()] };
    let header = Some(BlockHeader::default());
    Block { header, data: Some(data), ..Block::default() }.encode_to_vec().into()
}

/// The recorded configuration with other Readers: by signatures, or by the policies of groups.
fn with_policy(value: Bytes, kind: u8) -> Bytes {
    let mut envelope = CONFIG.clone();
    let group = envelope.config.as_mut().and_then(|config| config.channel_group.as_mut());
    let policy = Policy { r#type: if kind.is_multiple_of(2) { SIGNATURE } else { META }, value };
    let policy = ConfigPolicy { policy: Some(policy), ..ConfigPolicy::default() };
    group.expect("a group").policies.insert("Readers".into(), policy);
    envelope.encode_to_vec().into()
}

/// What the signatures of orderers cover.
type Essence = Option<(Option<BlockHeader>, Option<BlockData>)>;

fn essence(block: &Bytes) -> Essence {
    Block::decode(block.clone()).ok().map(|block| (block.header, block.data))
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let base64 = Base64::encode_string(der);
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n").into()
}

static KNOWN: LazyLock<Vec<Essence>> =
    LazyLock::new(|| seeds::chain().iter().map(essence).collect());

static CHANNEL: LazyLock<Arc<ChannelConfig>> = LazyLock::new(|| {
    let genesis = seeds::chain().swap_remove(0);
    Arc::new(ChannelConfig::from_block(&genesis).expect("a recorded configuration"))
});

static VERIFIER: LazyLock<BlockVerifier> = LazyLock::new(|| {
    let verifier = BlockVerifier::new();
    verifier.set_config(Arc::clone(&CHANNEL));
    verifier
});

static CONFIG: LazyLock<ConfigEnvelope> = LazyLock::new(seeds::config);

static HEADER: LazyLock<ChannelHeader> = LazyLock::new(seeds::channel_header);

static ORGANISATION: LazyLock<MspConfig> = LazyLock::new(|| {
    let message = FabricMspConfig::decode(seeds::organisation()).expect("an organisation");
    MspConfig::from_fabric(&message)
});

static IDENTITIES: LazyLock<Identities> =
    LazyLock::new(|| Identities::new([Msp::new(&ORGANISATION).expect("an organisation")]));

/// Kinds of policies.
const SIGNATURE: i32 = 1;
const META: i32 = 3;

/// Nobody reads longer ones, in bytes.
const ERROR_LEN_MAX: usize = 2000;
