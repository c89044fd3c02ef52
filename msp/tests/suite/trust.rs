//! Whom a peer believes: its own organisation first, then its channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{
    AccessError, ChannelConfig, IdentityError, Msp, MspConfig, PolicyError, READERS,
    SignatureError, SigningIdentity, Source, Trust, VerifyError, pki_id,
};
use gossip_proto::common::{Block, ConfigGroup, Envelope, Payload, Policy, SignatureHeader};
use gossip_proto::msp::SerializedIdentity;
use gossip_proto::msp::msp_role::MspRoleType;
use prost::Message;
use rcgen::{KeyIdMethod, SerialNumber};

use crate::authority::Authority;
use crate::chain::{data, recorded_chain};
use crate::made_channel::{
    at, block, by, channel, msp_of, role, set_msp, set_policy, signature, signer,
};

/// C-41, C12.2.c: before a channel is joined, none but the own organisation is known.
#[test]
fn the_own_organisation_needs_no_channel() {
    let world = World::new();
    let trust = world.trust();
    assert_eq!(verify(&trust, &world.own), Ok(()));
    let facts = trust.validate(world.own.serialized()).expect("a member");
    assert_eq!(Some(facts.pki_id), pki_id(world.own.serialized()));
    assert_eq!((&*facts.mspid, facts.not_after), ("AMSP", world.own.not_after()));
    let unknown = IdentityError::UnknownMsp("BMSP".into());
    assert_eq!(trust.validate(world.other.serialized()), Err(unknown.clone()));
    assert_eq!(verify(&trust, &world.other), Err(unknown.into()));
    assert_eq!(trust.org_of(world.other.serialized()), None);
}

/// C-41: what the own organisation says of its members is final, whatever a channel says.
#[test]
fn a_channel_does_not_overrule_the_own_organisation() {
    let world = World::new();
    let config = MspConfig { revocation_lists: vec![world.list()], ..world.own_config() };
    let trust = Trust::new(Msp::new(&config).expect("an organisation"));
    trust.set_channel(world.channel("one", Some(readers("AMSP"))));
    assert_eq!(trust.validate(world.own.serialized()), Err(IdentityError::Revoked));
    assert_eq!(verify(&trust, &world.own), Err(IdentityError::Revoked.into()));
    assert_eq!(trust.org_of(world.own.serialized()).as_deref(), Some("AMSP"));
}

/// §12.2: an own MSP id whose authority only a channel knows is judged by the channel.
#[test]
fn a_channel_may_know_another_authority_of_the_own_organisation() {
    let world = World::new();
    let local = Authority::root("local");
    let root_certs = vec![local.source()];
    let config = MspConfig { id: "AMSP".into(), root_certs, ..MspConfig::default() };
    let trust = Trust::new(Msp::new(&config).expect("an organisation"));
    assert_eq!(trust.validate(world.own.serialized()), Err(IdentityError::NoChain));
    trust.set_channel(world.channel("one", Some(readers("BMSP"))));
    assert!(trust.validate(world.own.serialized()).is_ok());
    assert_eq!(verify(&trust, &world.own), refused());
    trust.set_channel(world.channel("one", Some(readers("AMSP"))));
    assert_eq!(verify(&trust, &world.own), Ok(()));
    let local = signer("AMSP", &local.member(|_| ()));
    assert_eq!(verify(&trust, &local), Ok(()), "and the own one stays");
}

/// C-42, C-43: members of other organisations must be among the readers of some channel.
#[test]
fn strangers_must_be_readers_of_a_channel() {
    let world = World::new();
    let no_policy = Err(AccessError::Policy(PolicyError::Missing(READERS.into())));
    let wrong = VerifyError::Signature(SignatureError::Wrong);
    for (channels, expected) in [
        (vec![("one", Some("BMSP"))], Ok(())),
        (vec![("one", Some("AMSP"))], refused()),
        (vec![("one", None)], no_policy.clone()),
        (vec![("one", Some("AMSP")), ("two", Some("BMSP"))], Ok(())),
        (vec![("one", Some("BMSP")), ("two", Some("AMSP"))], Ok(())),
        (vec![("one", Some("AMSP")), ("two", None)], no_policy),
    ] {
        let trust = world.trust();
        for (name, mspid) in channels {
            trust.set_channel(world.channel(name, mspid.map(readers)));
        }
        assert!(trust.validate(world.other.serialized()).is_ok());
        assert_eq!(trust.org_of(world.other.serialized()).as_deref(), Some("BMSP"));
        assert_eq!(verify(&trust, &world.other), expected);
        let other = world.other.sign(b"something else").expect("signing");
        let forged = trust.verify(world.other.serialized(), &other, MESSAGE);
        assert_eq!(forged, Err(AccessError::Verify(wrong.clone())));
    }
}

/// C-39: a new configuration is in force at once, for those who were found valid before.
#[test]
fn a_new_configuration_judges_everybody_anew() {
    let world = World::new();
    let trust = world.trust();
    trust.set_channel(world.channel("one", Some(readers("BMSP"))));
    assert_eq!(verify(&trust, &world.other), Ok(()));
    trust.set_channel(world.channel("one", Some(readers("AMSP"))));
    assert_eq!(verify(&trust, &world.other), refused());

    let mut root = world.root.clone();
    let b = at(&mut root, "Application/b");
    let mut config = msp_of(b);
    config.revocation_list = vec![world.list().content];
    set_msp(b, &config);
    trust.set_channel(with_readers("one", root, Some(readers("BMSP"))));
    assert_eq!(trust.validate(world.other.serialized()), Err(IdentityError::Revoked));
    assert_eq!(verify(&trust, &world.other), Err(IdentityError::Revoked.into()));
    assert_eq!(trust.org_of(world.other.serialized()).as_deref(), Some("BMSP"));
    trust.set_channel(world.channel("two", Some(readers("BMSP"))));
    assert_eq!(verify(&trust, &world.other), Ok(()), "another channel has no such list");

    for name in ["one", "two"] {
        assert!(trust.channel(name).is_some());
        trust.remove_channel(name);
        assert!(trust.channel(name).is_none());
    }
    let unknown = IdentityError::UnknownMsp("BMSP".into());
    assert_eq!(trust.validate(world.other.serialized()), Err(unknown));
}

/// §3.3: to read a channel one must be among its readers, of whatever organisation.
#[test]
fn access_to_a_channel_is_its_own_readers_policy() {
    let world = World::new();
    let trust = world.trust();
    trust.set_channel(world.channel("one", Some(readers("BMSP"))));
    trust.set_channel(world.channel("two", None));
    let check = |channel: &str, signer: &SigningIdentity| {
        let signature = signer.sign(MESSAGE).expect("signing");
        trust.verify_by_channel(channel, signer.serialized(), &signature, MESSAGE)
    };
    assert_eq!(check("one", &world.other), Ok(()));
    assert_eq!(check("one", &world.own), refused());
    let missing = PolicyError::Missing(READERS.into());
    assert_eq!(check("two", &world.other), Err(AccessError::Policy(missing)));
    assert_eq!(check("three", &world.other), Err(AccessError::UnknownChannel));
    let nobody = trust.verify_by_channel("one", b"", b"", MESSAGE);
    assert_eq!(nobody, Err(IdentityError::Undecodable.into()));
}

/// C-42: on a recorded channel clients of both organisations are believed, and orderers are not.
#[test]
fn the_readers_of_a_recorded_channel_are_believed() {
    let chain = recorded_chain();
    let config = Arc::new(ChannelConfig::from_block(&chain[0]).expect("a configuration"));
    for (folder, mspid) in [("orgs/org1", "Org1MSP"), ("orgs/org2", "Org2MSP")] {
        let trust = Trust::new(Msp::from_folder(data().join(folder), mspid).expect("a folder"));
        trust.set_channel(Arc::clone(&config));
        let mut verdicts = BTreeMap::new();
        for Envelope { payload, signature } in chain[1..].iter().flat_map(transactions) {
            let header = Payload::decode(payload.clone()).expect("a payload").header;
            let header = header.expect("a header").signature_header;
            let creator = SignatureHeader::decode(header).expect("a header").creator;
            let org = trust.org_of(&creator).expect("an organisation");
            let verdict = trust.verify(&creator, &signature, &payload);
            assert!(verdict.is_ok() || verdict == refused(), "{verdict:?}");
            *verdicts.entry((org, verdict.is_ok())).or_insert(0) += 1;
        }
        let verdicts: Vec<_> = verdicts.iter().map(|((org, ok), n)| (&**org, *ok, *n)).collect();
        let expected = [("OrdererMSP", false, 3), ("Org1MSP", true, 219), ("Org2MSP", true, 1)];
        assert_eq!(verdicts, expected, "for a peer of {mspid}");
    }
}

/// C-2, §14: of bytes that are no identity nothing is known.
#[test]
fn bytes_that_are_no_identity_have_no_organisation() {
    let world = World::new();
    let trust = world.trust();
    trust.set_channel(world.channel("one", Some(readers("BMSP"))));
    let junk = SerializedIdentity { mspid: "AMSP".into(), id_bytes: b"junk".to_vec().into() };
    let junk = junk.encode_to_vec();
    for (bytes, error) in [
        (&b""[..], IdentityError::Undecodable),
        (b"\xff", IdentityError::Undecodable),
        (&junk, IdentityError::NotPem),
    ] {
        assert_eq!(trust.org_of(bytes), None);
        assert_eq!(trust.validate(bytes), Err(error.clone()));
        assert_eq!(trust.verify(bytes, b"", b""), Err(error.into()));
    }
}

/// A member of the own organisation, `AMSP`, and one of another, `BMSP`, both with one number.
struct World {
    authority: Authority,
    root: ConfigGroup,
    own: SigningIdentity,
    other: SigningIdentity,
}

impl World {
    fn new() -> Self {
        let (authority, root) = channel();
        let numbered = |mspid: &str| {
            let number = Some(SerialNumber::from(NUMBER));
            signer(mspid, &authority.member(|params| params.serial_number = number))
        };
        let (own, other) = (numbered("AMSP"), numbered("BMSP"));
        Self { authority, root, own, other }
    }

    fn own_config(&self) -> MspConfig {
        let root_certs = vec![self.authority.source()];
        MspConfig { id: "AMSP".into(), root_certs, ..MspConfig::default() }
    }

    fn trust(&self) -> Trust {
        Trust::new(Msp::new(&self.own_config()).expect("an organisation"))
    }

    /// A list that revokes both.
    fn list(&self) -> Source {
        self.authority.revocation_list(&[NUMBER], KeyIdMethod::Sha256)
    }

    fn channel(&self, name: &str, readers: Option<Policy>) -> Arc<ChannelConfig> {
        with_readers(name, self.root.clone(), readers)
    }
}

fn with_readers(name: &str, mut root: ConfigGroup, readers: Option<Policy>) -> Arc<ChannelConfig> {
    if readers.is_some() {
        set_policy(at(&mut root, "Application"), "Readers", readers);
    }
    Arc::new(ChannelConfig::from_block(&block(name, 0, &root)).expect("a configuration"))
}

fn transactions(block: &Bytes) -> Vec<Envelope> {
    let data = Block::decode(block.clone()).expect("a block").data.expect("data").data;
    data.into_iter().map(|bytes| Envelope::decode(bytes).expect("an envelope")).collect()
}

fn readers(mspid: &str) -> Policy {
    signature(by(0), vec![role(mspid, MspRoleType::Member)])
}

fn verify(trust: &Trust, signer: &SigningIdentity) -> Result<(), AccessError> {
    let signature = signer.sign(MESSAGE).expect("signing");
    trust.verify(signer.serialized(), &signature, MESSAGE)
}

fn refused() -> Result<(), AccessError> {
    Err(AccessError::Policy(PolicyError::NotSatisfied { policy: READERS.into(), signers: 1 }))
}

const MESSAGE: &[u8] = b"message";
const NUMBER: u64 = 7;
