//! The local identity, and blocks made with it.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use gossip_msp::{
    BlockDraft, BlockError, BlockVerifier, Identities, IdentityError, Msp, SigningIdentity, Source,
    pki_id,
};
use rcgen::{KeyIdMethod, SerialNumber};

use crate::authority::{Authority, ID, Member, config, identity, msp, unit};

/// W-13: what a node signs, others verify, on both curves and with both forms of keys.
#[test]
fn others_verify_what_a_node_signs() {
    let root = Authority::root("root");
    let identities = Identities::new([msp(&config(&root))]);
    for curve in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let member = root.member_on(curve, |_| ());
        for key in [member.key_pem.clone(), sec1(&member.key_pem)] {
            let signer = SigningIdentity::new(ID, &certificate(&member), &Source::new("key", key));
            let signer = signer.expect("a usable key");
            let signature = signer.sign(b"message").expect("signing");
            assert_eq!(identities.verify(signer.serialized(), &signature, b"message"), Ok(()));
            assert!(identities.verify(signer.serialized(), &signature, b"other").is_err());
            let facts = identities.validate(signer.serialized()).expect("a member");
            assert_eq!(facts.pki_id, signer.pki_id());
            assert_eq!(pki_id(signer.serialized()), Some(signer.pki_id()));
            assert_eq!(facts.not_after, signer.not_after());
        }
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let root = Authority::root("root");
    let (one, two) = (root.member(|_| ()), root.member(|_| ()));
    let other_curve = root.member_on(&rcgen::PKCS_ECDSA_P384_SHA384, |_| ());
    let error = |key: &str| {
        let key = Source::new("key", key.to_owned());
        SigningIdentity::new(ID, &certificate(&one), &key).expect_err("no pair").to_string()
    };
    assert_eq!(error(&two.key_pem), "key: is the private key of another certificate than cert");
    assert!(error(&other_curve.key_pem).starts_with("key: not a private key on P256"));
    assert_eq!(error("junk"), "key: no PEM block of type PRIVATE KEY or EC PRIVATE KEY");
}

/// C2.d: whatever stands around a certificate in its file, its identity is the same.
#[test]
fn the_text_around_a_certificate_does_not_change_the_identity() {
    let root = Authority::root("root");
    let member = root.member(|_| ());
    let wrapped = format!("Certificate:\n{}\nmore\n", member.pem.replace('\n', "\r\n"));
    let wrapped = Source::new("cert", wrapped);
    let serialized = |certificate| {
        let signer = SigningIdentity::new(ID, certificate, &key(&member)).expect("a pair");
        signer.serialized().clone()
    };
    assert_eq!(serialized(&wrapped), serialized(&certificate(&member)));
}

#[test]
fn folders_give_the_rules_and_the_identity() {
    let root = Authority::root("root");
    let (member, other) = (root.member(|params| unit(params, "peer")), root.member(|_| ()));
    let folder = Folder::new("complete");
    folder.write("cacerts/ca.pem", &root.pem());
    folder.write("signcerts/cert.pem", &member.pem);
    folder.write("keystore/a_sk", &other.key_pem);
    folder.write("keystore/b_sk", &member.key_pem);
    folder.write("config.yaml", CONFIG_YAML);
    let signer = SigningIdentity::from_folder(&folder.0, ID).expect("an identity");
    let identities = Identities::new([Msp::from_folder(&folder.0, ID).expect("an MSP")]);
    assert!(identities.validate(signer.serialized()).is_ok());
    let other = SigningIdentity::new(ID, &certificate(&other), &key(&other)).expect("a pair");
    assert!(identities.validate(other.serialized()).is_err(), "no unit names its role");
}

/// C-15, §15.2: a node notices by itself that others would not take it.
#[test]
fn an_own_identity_must_be_valid_and_not_expired() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let member = root.member(|_| ());
    let signer = SigningIdentity::new(ID, &certificate(&member), &key(&member)).expect("a pair");
    let end = signer.not_after();
    let rules = msp(&config(&root));
    for now in [0, end - 1, end] {
        assert_eq!(signer.check(&rules, now), Ok(()));
    }
    let error = |rules: &Msp, now| signer.check(rules, now).expect_err("refused").to_string();
    let expected = "the node's certificate: expired at 2021-01-01T00:00:00Z";
    assert_eq!(error(&rules, end + 1), expected);
    let expected = "the node's certificate: is not valid by the rules of its organisation: \
                    no path to a root of the organisation";
    assert_eq!(error(&msp(&config(&other)), end), expected);
}

/// Every part of a folder counts, whatever else lies beside it.
#[test]
fn folders_may_have_every_part() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate");
    let numbered = |number: u64, role: &'static str| {
        intermediate.member(|params| {
            unit(params, role);
            params.serial_number = Some(SerialNumber::from(number));
        })
    };
    let [peer, revoked] = [1, 2].map(|number| numbered(number, "peer"));
    let [admin, client] = [numbered(3, "admin"), numbered(4, "client")];
    let list = intermediate.revocation_list(&[2], KeyIdMethod::Sha256).content;
    let folder = Folder::new("every part");
    folder.write("cacerts/ca.pem", &root.pem());
    folder.write("intermediatecerts/ca.pem", &intermediate.pem());
    folder.write("admincerts/admin.pem", &admin.pem);
    folder.write("crls/list.pem", str::from_utf8(&list).expect("PEM"));
    folder.write("tlscacerts/ca.pem", &Authority::root("tls").pem());
    folder.write("tlsintermediatecerts/ca.pem", &Authority::root("tls").pem());
    folder.write("signcerts/cert.pem", &peer.pem);
    folder.write("keystore/.hidden/key", "junk");
    folder.write("keystore/0_readme", "the keys are not to be shown to anybody");
    folder.write("keystore/1_sk", &admin.key_pem);
    folder.write("keystore/2_sk", &sec1(&peer.key_pem));
    let yaml = CONFIG_YAML.replace("    Certificate: cacerts/ca.pem\n", "");
    folder.write("config.yaml", &format!("{yaml}{FURTHER_UNITS}"));
    let signer = SigningIdentity::from_folder(&folder.0, ID).expect("an identity");
    let rules = Msp::from_folder(&folder.0, ID).expect("an MSP");
    assert_eq!(signer.check(&rules, 0), Ok(()));
    let identities = Identities::new([rules]);
    let verdict = |member: &Member| identities.validate(&identity(&member.pem)).map(drop);
    for member in [&peer, &admin, &client] {
        assert_eq!(verdict(member), Ok(()));
    }
    assert_eq!(verdict(&revoked), Err(IdentityError::Revoked));
    let by_root = root.member(|params| unit(params, "peer"));
    assert_eq!(verdict(&by_root), Err(IdentityError::IssuerIsInnerNode));

    for (name, expected) in [
        ("intermediatecerts/ca.pem", "no PEM block of type CERTIFICATE"),
        ("admincerts/admin.pem", "no PEM block of type CERTIFICATE"),
        ("crls/list.pem", "not well-formed X.509"),
        ("tlscacerts/ca.pem", "no PEM block of type CERTIFICATE"),
        ("tlsintermediatecerts/ca.pem", "no PEM block of type CERTIFICATE"),
    ] {
        let good = fs::read_to_string(folder.0.join(name)).expect("a file");
        folder.write(name, "junk");
        let error = Msp::from_folder(&folder.0, ID).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
        folder.write(name, &good);
    }
}

#[test]
fn errors_of_folders_name_the_file_and_what_was_expected() {
    let root = Authority::root("root");
    let folder = Folder::new("broken");
    let msp_error = || Msp::from_folder(&folder.0, ID).expect_err("broken").to_string();
    let identity_error =
        || SigningIdentity::from_folder(&folder.0, ID).expect_err("broken").to_string();
    assert!(
        msp_error().ends_with("cacerts: no file, expected the certificate of a root authority")
    );
    assert!(identity_error().ends_with("signcerts: no file, expected the node's certificate"));
    folder.write("signcerts/cert.pem", &root.member(|_| ()).pem);
    assert!(
        identity_error()
            .ends_with("keystore: no file, expected the private key of the certificate")
    );
    folder.write("cacerts/ca.pem", "junk");
    assert!(msp_error().ends_with("cacerts/ca.pem: no PEM block of type CERTIFICATE"));
    folder.write("cacerts/ca.pem", &root.pem());
    folder.write("config.yaml", "NodeOUs: [1");
    assert!(msp_error().contains("config.yaml: not the YAML expected"));
    folder.write("config.yaml", &CONFIG_YAML.replace("ca.pem", "none.pem"));
    assert!(msp_error().contains("cacerts/none.pem: "));
}

/// A made chain passes the verifier, and only under the organisation that made it.
#[test]
fn drafted_blocks_verify() {
    let (orderers, others) = (Authority::root("orderers"), Authority::root("others"));
    let signer = |by: &Authority| {
        let member = by.member(|_| ());
        SigningIdentity::new(ID, &certificate(&member), &key(&member)).expect("a pair")
    };
    let verifier = BlockVerifier::new();
    verifier.set_channel("made", [msp(&config(&orderers))], 1);
    let (orderer, stranger) = (signer(&orderers), signer(&others));
    let payloads = [Bytes::from_static(b"one"), Bytes::new(), vec![7; 100_000].into()];
    let mut previous_hash = Vec::new();
    for number in [0, 1, 200] {
        let draft =
            BlockDraft { channel: "made", number, previous_hash: &previous_hash, last_config: 0 };
        let forged = draft.seal(&payloads, &stranger).expect("signing").bytes;
        let verdict = verifier.verify("made", number, &forged);
        assert_eq!(verdict, Err(BlockError::NotSatisfied(0)));
        let block = draft.seal(&payloads, &orderer).expect("signing");
        assert_eq!(verifier.verify("made", number, &block.bytes), Ok(()));
        previous_hash = block.header_hash.to_vec();
    }
}

fn certificate(member: &Member) -> Source {
    Source::new("cert", member.pem.clone())
}

fn key(member: &Member) -> Source {
    Source::new("key", member.key_pem.clone())
}

/// Takes the SEC1 key out of its PKCS#8 wrapping, where it is the last octet string.
fn sec1(pkcs8: &str) -> String {
    use base64ct::{Base64, Encoding};
    let base64: String = pkcs8.lines().filter(|line| !line.starts_with('-')).collect();
    let der = Base64::decode_vec(&base64).expect("base64");
    let start = der
        .windows(4)
        .rposition(|window| matches!(window, [0x30, _, 2, 1]) || matches!(window, [0x81, _, 2, 1]));
    let start = start.expect("an inner sequence");
    let start = if der[start] == 0x81 { start - 1 } else { start };
    let base64 = Base64::encode_string(&der[start..]);
    format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n-----END EC PRIVATE KEY-----\n")
}

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

const FURTHER_UNITS: &str = "  \
  ClientOUIdentifier: {OrganizationalUnitIdentifier: client, Certificate: intermediatecerts/ca.pem}
  AdminOUIdentifier: {OrganizationalUnitIdentifier: admin}
";

const CONFIG_YAML: &str = "\
NodeOUs:
  Enable: true
  PeerOUIdentifier:
    Certificate: cacerts/ca.pem
    OrganizationalUnitIdentifier: peer
";
