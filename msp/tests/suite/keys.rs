//! Kinds of keys, and the two forms of a signature.

use crate::authority::{Authority, ID, Member, config, identity, msp, unit};
use crate::certificates::{low_s, mirrored};
use gossip_msp::{
    Identities, IdentityError, Msp, MspConfig, MspLevel, ParseError, SigningIdentity, Source,
};

/// §15.2 step 1: whatever key its authority has, a member has an ECDSA one; from level 3.0 on it
/// may be Ed25519.
#[test]
fn members_have_ecdsa_keys_or_at_the_highest_level_ed25519() {
    let kinds = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, MspLevel::V1_0),
        (&rcgen::PKCS_ECDSA_P384_SHA384, MspLevel::V1_0),
        (&rcgen::PKCS_ED25519, MspLevel::V3_0),
    ];
    let levels = [MspLevel::V1_0, MspLevel::V1_1, MspLevel::V1_3, MspLevel::V1_4_3, MspLevel::V3_0];
    let authorities = kinds.map(|(kind, _)| kind).into_iter().chain([&rcgen::PKCS_RSA_SHA256]);
    for root in authorities.map(Authority::root_on) {
        for (kind, first) in kinds {
            let member = root.member_on(kind, |_| ());
            for level in levels {
                let rules = msp(&MspConfig { level, ..config(&root) });
                let verdict = Identities::new([rules]).validate(&identity(&member.pem)).map(drop);
                let refused = Err(IdentityError::KeyNotAllowed);
                let expected = if level >= first { Ok(()) } else { refused };
                assert_eq!(verdict, expected, "{kind:?} at {level:?}");
            }
        }
        let rsa = root.member_on(&rcgen::PKCS_RSA_SHA256, |_| ());
        let verdict = Identities::new([msp(&config(&root))]).validate(&identity(&rsa.pem));
        assert_eq!(verdict, Err(IdentityError::KeyNotAllowed));
        let error = signer(&rsa).expect_err("no key for members").to_string();
        assert_eq!(error, "key: cert has an RSA key, which only authorities may have");
    }
}

/// Fabric signs messages as they are with Ed25519, not their hashes.
#[test]
fn ed25519_signs_the_message_itself() {
    let root = Authority::root("root");
    let [one, two] = [(); 2].map(|()| root.member_on(&rcgen::PKCS_ED25519, |_| ()));
    let identities = Identities::new([msp(&config(&root))]);
    let ours = signer(&one).expect("a pair");
    let signature = ours.sign(b"message").expect("signing");
    assert_eq!(signature.len(), 64);
    assert_eq!(identities.verify(ours.serialized(), &signature, b"message"), Ok(()));
    let key = rcgen::KeyPair::from_pem(&one.key_pem).expect("a key");
    let theirs = rcgen::SigningKey::sign(&key, b"message").expect("signing");
    assert_eq!(theirs, signature, "the same by another library");
    for (signature, message) in [(&signature[..], &b"other"[..]), (b"", b"message")] {
        assert!(identities.verify(ours.serialized(), signature, message).is_err());
    }
    let mixed = Member { pem: one.pem, key_pem: two.key_pem };
    let error = signer(&mixed).expect_err("another key").to_string();
    assert_eq!(error, "key: is the private key of another certificate than cert");
    let ecdsa = Member { pem: mixed.pem, key_pem: root.member(|_| ()).key_pem };
    let error = signer(&ecdsa).expect_err("another kind").to_string();
    assert!(error.starts_with("key: not an Ed25519 private key in PKCS#8, as cert: "), "{error}");
}

/// A key on a curve that is not known here is named as the reason.
#[test]
fn other_keys_are_unsupported() {
    let root = Authority::root("root");
    let pem = root.member_on(&rcgen::PKCS_ECDSA_P521_SHA512, |_| ()).pem;
    let verdict = Identities::new([msp(&config(&root))]).validate(&identity(&pem));
    assert_eq!(verdict, Err(IdentityError::Certificate(ParseError::UnsupportedKey)));
}

/// C2.e, §15.3: a node shows the form of its certificate that has a low S, on both curves.
#[test]
fn an_own_certificate_is_shown_with_a_low_s() {
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let root = Authority::root_on(kind);
        let member = root.member(|_| ());
        let twin = Member { pem: mirrored(&member.pem), key_pem: member.key_pem.clone() };
        let low = low_s(&member.pem).replace("\r\n", "\n");
        for member in [&member, &twin] {
            let signer = signer(member).expect("a pair");
            assert_eq!(signer.serialized()[..], identity(&low));
        }
        let verdicts = Identities::new([msp(&config(&root))]);
        for pem in [&member.pem, &twin.pem] {
            assert!(verdicts.validate(&identity(pem)).is_ok(), "others may show either");
        }
    }
}

/// §15.3: an authority is the same in both forms: as a root, and where a unit names it.
#[test]
fn an_authority_is_the_same_in_both_forms() {
    let root = Authority::root("root");
    let twin = Source::new("twin", mirrored(&root.pem()));
    let both = vec![root.source(), twin.clone()];
    let peer = |certificate| gossip_msp::OuIdentifier { unit: "peer".into(), certificate };
    let rules =
        MspConfig { root_certs: both, ou_identifiers: vec![peer(Some(twin))], ..config(&root) };
    let member = root.member(|params| unit(params, "peer"));
    let rules = Msp::new(&rules).expect("an organisation");
    assert!(Identities::new([rules]).validate(&identity(&member.pem)).is_ok());
}

fn signer(member: &Member) -> Result<SigningIdentity, gossip_msp::ConfigError> {
    let [certificate, key] = [("cert", &member.pem), ("key", &member.key_pem)]
        .map(|(name, pem)| Source::new(name, pem.clone()));
    SigningIdentity::new(ID, &certificate, &key)
}
