//! Whatever is cut or flipped in good input, parsers answer: no panic, and a reason with a place.

use bytes::Bytes;
use gossip_msp::{
    BlockVerifier, ChannelConfig, ConfigError, Identities, Msp, MspConfig, SigningIdentity, Source,
    is_config_block, pki_id,
};
use gossip_proto::msp::{FabricMspConfig, MspConfig as TypedConfig, SerializedIdentity};
use prost::Message;
use rcgen::KeyIdMethod;

use crate::authority::{Authority, ID, config, identity, msp, unit};
use crate::certificates::der_of;
use crate::chain::{data, recorded_chain};
use crate::made_channel::{at, block, by, channel, set_policy, signature};

/// Certificates, lists and keys, as the text that files hold and as the bytes within.
#[test]
fn changed_files_are_refused_by_name_or_read() {
    let root = Authority::root("root");
    let member = root.member(|params| unit(params, "peer"));
    let intermediate = root.intermediate("intermediate");
    let list = root.revocation_list(&[5, 7, 70_000], KeyIdMethod::Sha256).content;
    let list = str::from_utf8(&list).expect("PEM").to_owned();
    let certificate = Source::new("cert.pem", member.pem.clone());
    type Read<'a> = Box<dyn Fn(Source) -> Result<(), ConfigError> + 'a>;
    let with = |edit: fn(&mut MspConfig, Source)| -> Read<'_> {
        let base = config(&root);
        Box::new(move |source| {
            let mut config = base.clone();
            edit(&mut config, source);
            Msp::new(&config).map(drop)
        })
    };
    let cases: [(&str, &str, Read<'_>); 7] = [
        (&root.pem(), "CERTIFICATE", with(|config, file| config.root_certs = vec![file])),
        (
            &intermediate.pem(),
            "CERTIFICATE",
            with(|config, file| config.intermediate_certs = vec![file]),
        ),
        (&member.pem, "CERTIFICATE", with(|config, file| config.admins = vec![file])),
        (&root.pem(), "CERTIFICATE", with(|config, file| config.tls_root_certs = vec![file])),
        (&list, "X509 CRL", with(|config, file| config.revocation_lists = vec![file])),
        (
            &member.key_pem,
            "PRIVATE KEY",
            Box::new(|file| SigningIdentity::new(ID, &certificate, &file).map(drop)),
        ),
        (
            &member.pem,
            "CERTIFICATE",
            Box::new(|file| {
                let key = Source::new("key.pem", member.key_pem.clone());
                SigningIdentity::new(ID, &file, &key).map(drop)
            }),
        ),
    ];
    for (good, label, read) in cases {
        let read = |bytes: Vec<u8>| {
            let verdict = read(Source::new("file.pem", bytes));
            if let Err(error) = &verdict {
                let error = error.to_string();
                assert!(error.contains("file.pem: ") && error.len() < 400, "{error}");
            }
            verdict.is_ok()
        };
        assert!(read(good.as_bytes().to_vec()), "{label}");
        for changed in changes(good.as_bytes(), 7) {
            read(changed);
        }
        for der in changes(&der_of(good), 1) {
            read(pem(label, &der).into());
        }
    }
}

/// Identities, of which strangers send the bytes.
#[test]
fn changed_identities_are_refused_unless_they_say_the_same() {
    let root = Authority::root("root");
    let identities = Identities::new([msp(&config(&root))]);
    let good = identity(&root.member(|params| unit(params, "peer")).pem);
    let facts = identities.validate(&good).expect("a member");
    for changed in changes(&good, 1) {
        if let Ok(other) = identities.validate(&changed) {
            assert_eq!(other.not_after, facts.not_after);
            assert_eq!(Some(other.pki_id), pki_id(&changed));
        }
    }
}

/// Blocks, of which strangers send the bytes: ordinary ones and configurations.
#[test]
fn changed_blocks_are_refused_or_what_they_were() {
    let chain = recorded_chain();
    let config = std::sync::Arc::new(ChannelConfig::from_block(&chain[0]).expect("genesis"));
    let verifier = BlockVerifier::new();
    verifier.set_config(config);
    for number in [13, 46] {
        let good = &chain[number];
        let verify = |block: &Bytes| verifier.verify("ch1", number as u64, block);
        assert_eq!(verify(good), Ok(()));
        let step = good.len() / 600 + 1;
        for changed in changes(good, step) {
            let changed = Bytes::from(changed);
            let verdict = verify(&changed);
            let _ = is_config_block(&changed);
            if changed.len() < good.len() {
                assert!(verdict.is_err(), "cut to {} bytes", changed.len());
            }
        }
    }
}

/// An organisation's part of a configuration, and a policy: by the path.
#[test]
fn changed_parts_of_a_configuration_are_refused_by_path_or_read() {
    let genesis = ChannelConfig::from_block(&recorded_chain()[0]).expect("genesis");
    let (authority, root) = channel();
    let org = FabricMspConfig {
        name: "AMSP".into(),
        root_certs: vec![authority.pem().into()],
        revocation_list: vec![authority.revocation_list(&[7], KeyIdMethod::Sha256).content],
        tls_root_certs: genesis.members()[0].tls_authorities.clone(),
        ..FabricMspConfig::default()
    };
    let told = |root: &gossip_proto::common::ConfigGroup, path: &str| {
        if let Err(error) = ChannelConfig::from_block(&block("made", 0, root)) {
            let error = error.to_string();
            assert!(error.starts_with(path) && error.len() < 500, "{error}");
        }
    };
    for changed in changes(&org.encode_to_vec(), 3) {
        let mut root = root.clone();
        let typed = TypedConfig { r#type: 0, config: changed.into() };
        let a = at(&mut root, "Application/a");
        a.values.get_mut("MSP").expect("a value").value = typed.encode_to_vec().into();
        // Under another name it is one that is defined in two ways.
        told(&root, "/Channel/");
    }
    let member = crate::made_channel::role("AMSP", gossip_proto::msp::msp_role::MspRoleType::Peer);
    let policy = signature(crate::made_channel::out_of(1, [by(0), by(0)]), vec![member]);
    for changed in changes(&policy.value, 1) {
        let mut root = root.clone();
        let changed = gossip_proto::common::Policy { value: changed.into(), ..policy.clone() };
        set_policy(at(&mut root, "Application"), "Readers", Some(changed));
        told(&root, "/Channel/Application/Readers: ");
    }
}

/// `config.yaml` of a recorded organisation.
#[test]
fn changed_yaml_is_refused_by_name_or_read() {
    let good = std::fs::read(data().join("orgs/org1/config.yaml")).expect("a recorded file");
    let read = |text: &[u8]| {
        let mut config = MspConfig::default();
        let verdict = config.set_units("config.yaml", text, |path| Ok(Source::new(path, "PEM")));
        verdict.map(|()| config.node_ous)
    };
    let roles = read(&good).expect("units").expect("roles");
    assert_eq!(roles.peer.expect("a unit").unit, "peer");
    for changed in changes(&good, 1) {
        if let Err(error) = read(&changed) {
            assert!(error.subject == "config.yaml" && error.problem.len() < 2000, "{error}");
        }
    }
}

/// Names of any length are not repeated in full.
#[test]
fn errors_stay_short_whatever_the_names() {
    let root = Authority::root("root");
    let id = "x".repeat(1 << 20);
    let config = MspConfig { id: id.clone(), admins: vec![Source::default()], ..config(&root) };
    let error = Msp::new(&config).expect_err("no administrator").to_string();
    assert!(error.len() < 200, "{} bytes", error.len());
    let stranger = SerializedIdentity { mspid: id, ..SerializedIdentity::default() };
    let verdict = Identities::new([]).validate(&stranger.encode_to_vec());
    assert!(verdict.is_err_and(|error| error.to_string().len() < 200));
}

/// Lengths that promise more than there is cost nothing.
#[test]
fn lengths_beyond_the_end_are_refused() {
    let root = Authority::root("root");
    let identities = Identities::new([msp(&config(&root))]);
    let huge = b"\xff\xff\xff\xff\x07";
    assert!(identities.validate(&[b"\x0a", &huge[..]].concat()).is_err());
    assert!(identities.validate(&[b"\x12", &huge[..]].concat()).is_err());
    for der in [&b"\x30\x84\x7f\xff\xff\xff"[..], b"\x30\x80", b"\x30\x82\xff\xff\x30\x82\xff\xff"]
    {
        assert!(identities.validate(&identity(&pem("CERTIFICATE", der))).is_err());
        let list = Source::new("list", der.to_vec());
        let config = MspConfig { revocation_lists: vec![list], ..config(&root) };
        let error = Msp::new(&config).expect_err("no list").to_string();
        assert!(error.starts_with("MadeMSP: list: not well-formed X.509: "), "{error}");
    }
    let block = Bytes::from([b"\x12", &huge[..]].concat());
    let error = ChannelConfig::from_block(&block).expect_err("no block").to_string();
    assert_eq!(error, "block: not a block");
}

/// The input cut, and with one bit flipped, at every so many bytes.
fn changes(good: &[u8], step: usize) -> impl Iterator<Item = Vec<u8>> {
    let cut = move |at: usize| good[..at].to_vec();
    let flipped = move |at: usize| {
        let mut changed = good.to_vec();
        changed[at] ^= 1 << (at % 8);
        changed
    };
    (0..good.len()).step_by(step).flat_map(move |at| [cut(at), flipped(at)])
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", Base64::encode_string(der))
}
