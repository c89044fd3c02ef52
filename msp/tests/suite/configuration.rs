//! Channel configurations: what each rule refuses, and what changes mean.

use bytes::Bytes;
use gossip_msp::{ChannelConfig, Organisation};
use gossip_proto::common::{
    Block, BlockDataHashingStructure, ChannelHeader, ConfigGroup, ConfigValue, Envelope,
    HashingAlgorithm, Header, HeaderType, Payload,
};
use gossip_proto::msp::{FabricMspConfig, MspConfig};
use gossip_proto::orderer::{BatchSize, BatchTimeout};
use prost::Message;

use crate::authority::Authority;
use crate::chain::recorded_chain;
use crate::made_channel::{
    CHANNEL, addresses, anchors, at, block, capabilities, channel, msp_of, org, read, set_bytes,
    set_msp, set_value,
};

/// SV-65, SV-66, SV-67: each rule refuses in isolation, and the error says where and why.
#[test]
fn a_configuration_with_one_wrong_part_is_refused_by_path() {
    let edits: [(&str, Edit); 31] = [
        ("/Channel/HashingAlgorithm: is \"MD5\", expected SHA256 or SHA3_256", |root| {
            set_value(root, "HashingAlgorithm", &HashingAlgorithm { name: "MD5".into() });
        }),
        ("/Channel/HashingAlgorithm: is \"\", expected", |root| {
            root.values.remove("HashingAlgorithm");
        }),
        ("/Channel/HashingAlgorithm: failed to decode", |root| {
            set_bytes(root, "HashingAlgorithm", vec![0xff]);
        }),
        ("/Channel/BlockDataHashingStructure: width is 7, expected 4294967295", |root| {
            set_value(root, "BlockDataHashingStructure", &BlockDataHashingStructure { width: 7 });
        }),
        ("/Channel/Capabilities: \"V9_9\" is not supported", |root| {
            set_value(root, "Capabilities", &capabilities("V9_9"));
        }),
        ("/Channel/OrdererAddresses: are not allowed with channel capability V3_0", |root| {
            set_value(root, "OrdererAddresses", &addresses(&["orderer:7050"]));
        }),
        ("/Channel/OrdererAddresses: none, expected at least one below", |root| {
            set_value(root, "Capabilities", &capabilities("V1_3"));
            at(root, "Orderer/o").values.remove("Endpoints");
        }),
        ("/Channel/Other: unknown value, expected one of HashingAlgorithm, ", |root| {
            set_bytes(root, "Other", Vec::new());
        }),
        ("/Channel/Other: unknown group, expected one of Application, ", |root| {
            root.groups.insert("Other".into(), ConfigGroup::default());
        }),
        ("/Channel/Application: group is missing", |root| {
            root.groups.remove("Application");
        }),
        ("/Channel/Orderer: group is missing", |root| {
            root.groups.remove("Orderer");
        }),
        ("/Channel/Application/Capabilities: \"V3_0\" is not supported", |root| {
            set_value(at(root, "Application"), "Capabilities", &capabilities("V3_0"));
        }),
        ("/Channel/Application/ACLs: need application capability V1_2", |root| {
            set_value(at(root, "Application"), "Capabilities", &capabilities("V1_1"));
            set_bytes(at(root, "Application"), "ACLs", Vec::new());
        }),
        ("/Channel/Application/MSP: unknown value, expected one of ACLs, Capabilities", |root| {
            set_bytes(at(root, "Application"), "MSP", Vec::new());
        }),
        ("/Channel/Application/a/Endpoints: unknown value", |root| {
            set_bytes(at(root, "Application/a"), "Endpoints", Vec::new());
        }),
        ("/Channel/Application/a/AnchorPeers: failed to decode", |root| {
            set_bytes(at(root, "Application/a"), "AnchorPeers", vec![0xff]);
        }),
        ("/Channel/Application/a/unit: unknown group, expected none here", |root| {
            at(root, "Application/a").groups.insert("unit".into(), ConfigGroup::default());
        }),
        ("/Channel/Orderer/Capabilities: is missing, expected", |root| {
            at(root, "Orderer").values.remove("Capabilities");
        }),
        ("/Channel/Orderer/BatchSize: max_message_count is 0, expected more", |root| {
            at(root, "Orderer").values.remove("BatchSize");
        }),
        ("/Channel/Orderer/BatchSize: preferred_max_bytes is 3, expected at most", |root| {
            let (max_message_count, absolute_max_bytes, preferred_max_bytes) = (1, 2, 3);
            let size = BatchSize { max_message_count, absolute_max_bytes, preferred_max_bytes };
            set_value(at(root, "Orderer"), "BatchSize", &size);
        }),
        ("/Channel/Orderer/BatchTimeout: is \"2\", expected a duration such as 2s", |root| {
            let timeout = BatchTimeout { timeout: "2".into() };
            set_value(at(root, "Orderer"), "BatchTimeout", &timeout);
        }),
        ("/Channel/Orderer/ConsensusType: failed to decode", |root| {
            set_bytes(at(root, "Orderer"), "ConsensusType", vec![0xff]);
        }),
        ("/Channel/Orderer/Other: unknown value, expected one of ConsensusType, ", |root| {
            set_bytes(at(root, "Orderer"), "Other", Vec::new());
        }),
        ("/Channel/Orderer/o/Endpoints: none, expected at least one with", |root| {
            at(root, "Orderer/o").values.remove("Endpoints");
        }),
        ("/Channel/Orderer/o/Endpoints: need channel capability V1_4_2 or later", |root| {
            set_value(root, "Capabilities", &capabilities("V1_3"));
            set_value(root, "OrdererAddresses", &addresses(&["orderer:7050"]));
        }),
        ("/Channel/Orderer/o/AnchorPeers: unknown value", |root| {
            set_bytes(at(root, "Orderer/o"), "AnchorPeers", Vec::new());
        }),
        ("/Channel/Application/a_b: name, expected 1 to 249 of", |root| {
            at(root, "Application").groups.insert("a_b".into(), ConfigGroup::default());
        }),
        ("/Channel/: name, expected 1 to 249 of", |root| set_bytes(root, "", Vec::new())),
        ("/Channel/..: name, expected 1 to 249 of", |root| set_bytes(root, "..", Vec::new())),
        ("/Channel/é: name, expected 1 to 249 of", |root| set_bytes(root, "é", Vec::new())),
        ("/Channel/Orderer/xxxxxx", |root| {
            set_bytes(at(root, "Orderer"), &"x".repeat(250), Vec::new());
        }),
    ];
    let (_, root) = channel();
    assert!(read(&root).is_ok(), "nothing else is wrong");
    for (expected, edit) in edits {
        let mut root = root.clone();
        edit(&mut root);
        let error = read(&root).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}, expected {expected}");
    }
}

/// SV-65: what an organisation must be, by its path.
#[test]
fn organisations_that_cannot_be_set_up_are_refused_by_path() {
    let (_, root) = channel();
    let base = msp_of(&root.groups["Application"].groups["a"]);
    let typed = |r#type, config: &FabricMspConfig| MspConfig {
        r#type,
        config: config.encode_to_vec().into(),
    };
    let with = |edit: fn(&mut FabricMspConfig)| {
        let mut config = base.clone();
        edit(&mut config);
        typed(0, &config)
    };
    for (msp, expected) in [
        (MspConfig::default(), "a/MSP: MSP id: is empty"),
        (typed(7, &base), "a/MSP: type: is 7, expected 0, X.509, or 1, Idemix"),
        (MspConfig { r#type: 0, config: JUNK }, "a/MSP: config: failed to decode"),
        (MspConfig { r#type: 1, config: Bytes::new() }, "a/MSP: MSP id: is empty or not text"),
        (with(|config| config.root_certs.clear()), "a/MSP: AMSP: root certificates: none"),
        (with(|config| config.root_certs.push(JUNK)), "a/MSP: AMSP: root_certs[1]: no PEM block"),
        (with(|config| config.admins.push(JUNK)), "a/MSP: AMSP: admins[0]: no PEM block"),
        (
            with(|config| {
                let crypto = config.crypto_config.get_or_insert_default();
                crypto.signature_hash_family = "SHA3".into();
            }),
            "a/MSP: signature_hash_family: is \"SHA3\", expected SHA2",
        ),
        (
            with(|config| {
                config.name = "BMSP".into();
                config.root_certs.push(Authority::root("another").pem().into());
            }),
            "b/MSP: MSP id: \"BMSP\" is defined in another way elsewhere",
        ),
    ] {
        let mut root = root.clone();
        set_value(at(&mut root, "Application/a"), "MSP", &msp);
        let error = read(&root).expect_err(expected).to_string();
        assert!(error.starts_with(&format!("/Channel/Application/{expected}")), "{error}");
    }
}

/// One organisation may be a member and run orderers, and an Idemix one cannot be judged here.
#[test]
fn organisations_may_appear_twice_and_be_anonymous() {
    let (authority, mut root) = channel();
    let mut same = org("OMSP", &authority);
    let unusable = [("", 1), ("x", 0), ("y", -1), ("z", 65536)];
    set_value(&mut same, "AnchorPeers", &anchors(&[&unusable[..], &[("peer", 7051)]].concat()));
    at(&mut root, "Application").groups.insert("o".into(), same);
    let idemix = MspConfig { r#type: 1, config: b"\x0a\x04IMSP\x28\x01".to_vec().into() };
    set_value(at(&mut root, "Application/b"), "MSP", &idemix);
    let config = read(&root).expect("a configuration");
    let describe = |organisation: &Organisation| {
        let Organisation { name, mspid, msp, anchors, .. } = organisation;
        (name.clone(), mspid.clone(), msp.is_some(), anchors.len())
    };
    let members: Vec<_> = config.members().iter().map(describe).collect();
    let expected = [("a", "AMSP", true, 2), ("b", "IMSP", false, 2), ("o", "OMSP", true, 1)];
    let expected = expected.map(|(name, id, known, count)| (name.into(), id.into(), known, count));
    assert_eq!(members, expected);
    assert_eq!(config.msps().map(|msp| msp.id().to_owned()).collect::<Vec<_>>(), ["AMSP", "OMSP"]);
}

#[test]
fn blocks_that_carry_no_configuration_are_refused_by_part() {
    let (_, root) = channel();
    let good = block(CHANNEL, 0, &root);
    let edited = |edit: fn(&mut Block)| {
        let mut block = Block::decode(good.clone()).expect("a block");
        edit(&mut block);
        Bytes::from(block.encode_to_vec())
    };
    let with_payload = |number: u64, payload: Payload| {
        let mut block = Block::decode(good.clone()).expect("a block");
        block.header.as_mut().expect("a header").number = number;
        let envelope = Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() };
        block.data.as_mut().expect("data").data = vec![envelope.encode_to_vec().into()];
        Bytes::from(block.encode_to_vec())
    };
    let header = |r#type: HeaderType| {
        let (r#type, channel_id) = (r#type.into(), CHANNEL.into());
        let header = ChannelHeader { r#type, channel_id, ..ChannelHeader::default() };
        Some(Header { channel_header: header.encode_to_vec().into(), ..Header::default() })
    };
    let message = |number| {
        with_payload(number, Payload { header: header(HeaderType::Message), data: Bytes::new() })
    };
    for (block, expected) in [
        (Bytes::from_static(b"\xff"), "block: not a block"),
        (vec![0; (32 << 20) + 1].into(), "block: 33554433 bytes, expected at most 33554432"),
        (edited(|block| block.header = None), "block: has no header"),
        (edited(|block| block.data = None), "block: has 0 transactions, expected one"),
        (
            edited(|block| {
                let data = &mut block.data.as_mut().expect("data").data;
                data.push(data[0].clone());
            }),
            "block: has 2 transactions, expected one",
        ),
        (with_payload(0, Payload::default()), "payload: has no header"),
        (message(1), "block: transaction of type 0, expected 1, a configuration"),
        (message(0), "block: has no configuration"),
        (self::block("Made", 0, &root), "channel: is \"Made\", expected a name of a-z"),
        (self::block("", 0, &root), "channel: is \"\", expected"),
        (self::block("1st", 0, &root), "channel: is \"1st\", expected"),
        (self::block(&"x".repeat(250), 0, &root), "channel: is \"xxx"),
    ] {
        let error = ChannelConfig::from_block(&block).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}, expected {expected}");
        assert!(error.len() < 300, "{error}");
    }
}

#[test]
fn trees_are_bounded_in_depth_and_breadth() {
    let (_, mut root) = channel();
    let mut deep = ConfigGroup::default();
    for _ in 0..3 {
        let below = std::mem::take(&mut deep);
        deep.groups.insert("x".into(), below);
    }
    root.groups.insert("Consortiums".into(), deep);
    let error = read(&root).expect_err("too deep").to_string();
    assert_eq!(error, "/Channel/Consortiums/x/x/x: nested deeper than 4 groups");
    at(&mut root, "Consortiums/x/x").groups.clear();
    assert!(read(&root).is_ok());
    for number in 0..=4096 {
        at(&mut root, "Consortiums").values.insert(number.to_string(), ConfigValue::default());
    }
    let error = read(&root).expect_err("too broad").to_string();
    assert_eq!(error, "/Channel/Consortiums: 4097 entries, expected at most 4096");
}

/// SV-62: the next configuration is one of the same channel, with the next number.
#[test]
fn an_update_is_the_next_configuration_of_the_same_channel() {
    let (_, root) = channel();
    let config = ChannelConfig::from_block(&block(CHANNEL, 3, &root)).expect("a configuration");
    for (channel, sequence, expected) in [
        (CHANNEL, 4, None),
        (CHANNEL, 5, Some("sequence: is 5, expected the one after 3")),
        (CHANNEL, 3, Some("sequence: is 3, expected the one after 3")),
        (CHANNEL, 2, Some("sequence: is 2, expected the one after 3")),
        ("other", 4, Some("channel: is \"other\", expected \"made\"")),
    ] {
        let updated = config.update(&block(channel, sequence, &root));
        assert_eq!(updated.err().map(|error| error.to_string()).as_deref(), expected);
    }
}

/// SV-9, SV-10, SV-12, SV-13: gossip hears of groups, MSP ids and anchors, and of nothing else.
#[test]
fn members_are_the_same_but_for_groups_ids_and_anchors() {
    let edits: [(&str, bool, Edit); 8] = [
        ("nothing", true, |_| ()),
        ("orderers", true, |root| {
            set_value(at(root, "Orderer/o"), "Endpoints", &addresses(&["elsewhere:1"]));
        }),
        ("order of anchors", true, |root| {
            let anchors = anchors(&[("peer1", 1), ("peer0", 1)]);
            set_value(at(root, "Application/a"), "AnchorPeers", &anchors);
        }),
        ("one port", false, |root| {
            let anchors = anchors(&[("peer0", 1), ("peer1", 9)]);
            set_value(at(root, "Application/a"), "AnchorPeers", &anchors);
        }),
        ("an anchor twice", false, |root| {
            let anchors = anchors(&[("peer0", 1), ("peer0", 1), ("peer1", 1)]);
            set_value(at(root, "Application/a"), "AnchorPeers", &anchors);
        }),
        ("no anchors", false, |root| {
            at(root, "Application/a").values.remove("AnchorPeers");
        }),
        ("an organisation less", false, |root| {
            at(root, "Application").groups.remove("b");
        }),
        ("an MSP id", false, |root| {
            let config =
                FabricMspConfig { name: "CMSP".into(), ..msp_of(at(root, "Application/a")) };
            set_msp(at(root, "Application/a"), &config);
        }),
    ];
    let (_, root) = channel();
    let config = read(&root).expect("a configuration");
    for (what, same, edit) in edits {
        let mut root = root.clone();
        edit(&mut root);
        let edited = read(&root).expect(what);
        assert_eq!(edited.has_same_members(&config), same, "{what}");
        assert_eq!(edited.members()[0].name, "a", "groups go by name, not by MSP id");
        assert!(edited.members().iter().all(|member| member.endpoints.is_empty()));
    }
}

/// Whatever byte of a configuration changes, it is refused or read, without a panic.
#[test]
fn changed_bytes_cause_no_panic() {
    let genesis = &recorded_chain()[0];
    let mut refused = 0;
    for index in (0..genesis.len()).step_by(23) {
        let mut changed = genesis.to_vec();
        changed[index] ^= 1 << (index % 8);
        refused += usize::from(ChannelConfig::from_block(&changed.into()).is_err());
        assert!(ChannelConfig::from_block(&genesis.slice(..index)).is_err(), "cut at {index}");
    }
    assert!(refused > 0);
}

type Edit = fn(&mut ConfigGroup);

/// No message, and no certificate either.
const JUNK: Bytes = Bytes::from_static(b"\xff");
