//! Policies: each rule of the reference's evaluation, by tables.

use gossip_msp::{ChannelConfig, PolicyError, SignedData, SigningIdentity};
use gossip_proto::common::implicit_meta_policy::Rule as Meta;
use gossip_proto::common::signature_policy::{NOutOf, Type};
use gossip_proto::common::{ConfigGroup, Policy, SignaturePolicy, SignaturePolicyEnvelope};
use gossip_proto::msp::msp_principal::Classification;
use gossip_proto::msp::msp_role::MspRoleType;
use gossip_proto::msp::{
    CombinedPrincipal, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, MspIdentityAnonymity,
    MspPrincipal, OrganizationUnit, SerializedIdentity,
};
use prost::Message;
use rcgen::{KeyIdMethod, SerialNumber};

use crate::authority::{Authority, unit};
use crate::certificates::{der_of, low_s, mirrored, sha256};
use crate::made_channel::{
    addresses, at, by, capabilities, channel, envelope, meta, msp_of, org, out_of, principal, read,
    role, set_msp, set_policy, set_value, signature, signer,
};

/// SV-58: leaves take the first identity that fits and is not used, and no choice is taken back.
#[test]
fn signature_policies_are_evaluated_greedily_from_left_to_right() {
    let (authority, root) = channel();
    let [a1, a2, a3] = [(); 3].map(|()| signer("AMSP", &authority.member(|_| ())));
    let b1 = signer("BMSP", &authority.member(|_| ()));
    let principals = vec![
        role("AMSP", MspRoleType::Member),
        role("BMSP", MspRoleType::Member),
        principal(Classification::Identity, a1.serialized().to_vec()),
    ];
    let (a, b, exactly_a1) = (|| by(0), || by(1), || by(2));
    let cases: [(&str, SignaturePolicy, &[&SigningIdentity], bool); 17] = [
        ("one leaf, one member", a(), &[&a1], true),
        ("one leaf, another's member", a(), &[&b1], false),
        ("one leaf, nobody", a(), &[], false),
        ("two of one, one member", out_of(2, [a(), a()]), &[&a1], false),
        ("two of one, one member twice", out_of(2, [a(), a()]), &[&a1, &a1], false),
        ("two of one, two members", out_of(2, [a(), a()]), &[&a1, &a2], true),
        ("one of two", out_of(1, [a(), b()]), &[&b1], true),
        ("both of two, in any order", out_of(2, [a(), b()]), &[&b1, &a1], true),
        (
            "the wide leaf takes who the narrow needs",
            out_of(2, [a(), exactly_a1()]),
            &[&a1, &a2],
            { false },
        ),
        ("unless another comes first", out_of(2, [a(), exactly_a1()]), &[&a2, &a1], true),
        ("or the narrow leaf does", out_of(2, [exactly_a1(), a()]), &[&a1, &a2], true),
        (
            "rules that are not needed any more still use up identities",
            out_of(2, [out_of(1, [a(), a()]), a()]),
            &[&a1, &a2],
            false,
        ),
        ("if there are any", out_of(2, [out_of(1, [a(), a()]), a()]), &[&a1, &a2, &a3], true),
        ("a failed rule gives back", out_of(1, [out_of(2, [a(), b()]), a()]), &[&a1], true),
        ("none of nothing", out_of(0, []), &[], true),
        ("less than none", out_of(-1, [a()]), &[], true),
        ("one of nothing", out_of(1, []), &[&a1], false),
    ];
    for (what, rule, signers, expected) in cases {
        let config = with_policy(&root, signature(rule, principals.clone()));
        assert_eq!(holds(&config, signers), expected, "{what}");
    }
}

/// SV-57: texts and signatures of one certificate, and one signature many times, are one identity;
/// wrong signatures are none, and spoil no right one.
#[test]
fn one_identity_counts_once_and_by_right_signatures_only() {
    let (authority, root) = channel();
    let member = authority.member(|_| ());
    let a1 = signer("AMSP", &member);
    let a2 = signer("AMSP", &authority.member(|_| ()));
    let two = signature(out_of(2, [by(0), by(0)]), vec![role("AMSP", MspRoleType::Member)]);
    let config = with_policy(&root, two);
    let right = |signer: &SigningIdentity| signer.sign(MESSAGE).expect("signing");
    let identity = |mspid: &str, pem: String| {
        SerializedIdentity { mspid: mspid.into(), id_bytes: pem.into() }.encode_to_vec()
    };
    let text = identity("AMSP", format!("text before\n{}", member.pem));
    let twin = identity("AMSP", mirrored(&member.pem));
    for same in [&text, &twin] {
        assert!(config.identities().validate(same).is_ok(), "valid by itself");
    }
    let cases: [(&str, Vec<Signed<'_>>, usize); 6] = [
        ("two", vec![(a1.serialized(), right(&a1)), (a2.serialized(), right(&a2))], 2),
        ("another text", vec![(a1.serialized(), right(&a1)), (&text, right(&a1))], 1),
        (
            "the other form of the authority's signature",
            vec![(a1.serialized(), right(&a1)), (&twin, right(&a1))],
            1,
        ),
        (
            "wrong, right, and another",
            vec![
                (a1.serialized(), right(&a2)),
                (a1.serialized(), right(&a1)),
                (a2.serialized(), right(&a2)),
            ],
            2,
        ),
        ("wrong", vec![(a1.serialized(), right(&a2)), (a2.serialized(), right(&a1))], 0),
        ("not identities", vec![(b"", right(&a1)), (b"\xff", right(&a1))], 0),
    ];
    for (what, signed, signers) in cases {
        let signed = signed.iter().map(|(identity, signature)| SignedData {
            identity,
            message: MESSAGE,
            signature,
        });
        let verdict = config.evaluate(PATH, &signed.collect::<Vec<_>>());
        let refused = PolicyError::NotSatisfied { policy: PATH.into(), signers };
        assert_eq!(verdict, if signers == 2 { Ok(()) } else { Err(refused) }, "{what}");
    }
}

/// S13.4.b, §15.3: who is in which principal.
#[test]
fn principals_are_roles_units_and_identities() {
    let (authority, mut root) = channel();
    let cast = Cast::new(&authority);
    set_msp(at(&mut root, "Application/a"), &cast.msp(&authority));
    let chain = sha256(&der_of(&low_s(&authority.pem())));
    let unit_of = |mspid: &str, unit: &str, certifiers: &[u8]| {
        let unit = OrganizationUnit {
            msp_identifier: mspid.into(),
            organizational_unit_identifier: unit.into(),
            certifiers_identifier: certifiers.to_vec().into(),
        };
        principal(Classification::OrganizationUnit, unit.encode_to_vec())
    };
    let peer = &cast.peer.serialized();
    let foreign = SerializedIdentity { mspid: "BMSP".into(), ..decoded(peer) }.encode_to_vec();
    let unknown_role = MspPrincipal {
        principal: vec![0x0a, 4, b'A', b'M', b'S', b'P', 0x10, 9].into(),
        ..MspPrincipal::default()
    };
    let unknown_class =
        MspPrincipal { principal_classification: 9, ..role("AMSP", MspRoleType::Member) };
    for (principal, expected) in [
        (role("AMSP", MspRoleType::Member), "client peer admin orderer listed"),
        (role("AMSP", MspRoleType::Client), "client listed"),
        (role("AMSP", MspRoleType::Peer), "peer"),
        (role("AMSP", MspRoleType::Admin), "admin listed"),
        (role("AMSP", MspRoleType::Orderer), "orderer"),
        (role("BMSP", MspRoleType::Member), ""),
        (unit_of("AMSP", "peer", &chain), "peer"),
        (unit_of("AMSP", "peer", &[]), ""),
        (unit_of("AMSP", "pee", &chain), ""),
        (unit_of("BMSP", "peer", &chain), ""),
        (principal(Classification::Identity, peer.to_vec()), "peer"),
        (principal(Classification::Identity, foreign), ""),
        (principal(Classification::Identity, b"junk".to_vec()), ""),
        (principal(Classification::Role, b"\xff".to_vec()), ""),
        (principal(Classification::OrganizationUnit, b"\xff".to_vec()), ""),
        (anonymity(0), "client peer admin orderer listed"),
        (anonymity(1), ""),
        (anonymity(2), ""),
        (principal(Classification::Anonymity, b"\xff".to_vec()), ""),
        (combined(&[role("AMSP", MspRoleType::Client)]), "client listed"),
        (
            combined(&[role("AMSP", MspRoleType::Client), role("AMSP", MspRoleType::Admin)]),
            "listed",
        ),
        (combined(&[anonymity(0), combined(&[role("AMSP", MspRoleType::Peer)])]), "peer"),
        (combined(&[role("AMSP", MspRoleType::Peer), role("BMSP", MspRoleType::Peer)]), ""),
        (combined(&[role("AMSP", MspRoleType::Peer), combined(&[])]), ""),
        (nested(10_000), "client peer admin orderer listed"),
        (principal(Classification::Combined, b"\xff".to_vec()), ""),
        (unknown_role, ""),
        (unknown_class, ""),
    ] {
        let config = with_policy(&root, signature(by(0), vec![principal.clone()]));
        assert_eq!(cast.included(&config), expected, "{principal:?}");
    }
}

fn anonymity(kind: i32) -> MspPrincipal {
    let anonymity = MspIdentityAnonymity { anonymity_type: kind };
    principal(Classification::Anonymity, anonymity.encode_to_vec())
}

fn combined(principals: &[MspPrincipal]) -> MspPrincipal {
    let combined = CombinedPrincipal { principals: principals.to_vec() };
    principal(Classification::Combined, combined.encode_to_vec())
}

/// The members of an organisation, combined with nobody else so many times.
fn nested(depth: usize) -> MspPrincipal {
    (0..depth).fold(role("AMSP", MspRoleType::Member), |inner, _| combined(&[inner]))
}

/// S13.4.c: channels of older capabilities know fewer roles, or none.
#[test]
fn roles_depend_on_the_capabilities_of_the_channel() {
    let (authority, mut root) = channel();
    let cast = Cast::new(&authority);
    set_msp(at(&mut root, "Application/a"), &cast.msp(&authority));
    for (capability, expected) in [
        ("V3_0", ["client peer admin orderer listed", "peer", "admin listed", "orderer"]),
        ("V2_0", ["client peer admin orderer listed", "peer", "admin listed", "orderer"]),
        ("V1_4_3", ["client peer admin orderer listed", "peer", "admin listed", "orderer"]),
        ("V1_4_2", ["client peer listed", "peer", "listed", ""]),
        ("V1_3", ["client peer listed", "peer", "listed", ""]),
        ("V1_1 V1_3", ["client peer listed", "peer", "listed", ""]),
        ("V1_1", ["client peer listed", "peer", "listed", ""]),
        ("", ["client peer admin orderer listed", "", "listed", ""]),
    ] {
        set_value(&mut root, "Capabilities", &capabilities(capability));
        let expected_of_all = expected[0];
        let old = capability != "V3_0";
        set_value(&mut root, "OrdererAddresses", &addresses(if old { &["o:1"] } else { &[] }));
        if old {
            at(&mut root, "Orderer/o").values.remove("Endpoints");
        }
        let roles =
            [MspRoleType::Member, MspRoleType::Peer, MspRoleType::Admin, MspRoleType::Orderer];
        for (kind, expected) in roles.into_iter().zip(expected) {
            let config = with_policy(&root, signature(by(0), vec![role("AMSP", kind)]));
            assert_eq!(cast.included(&config), expected, "{kind:?} with {capability:?}");
        }
        let all = if ["", "V1_1"].contains(&capability) { "" } else { expected_of_all };
        for principal in [anonymity(0), combined(&[anonymity(0)])] {
            let config = with_policy(&root, signature(by(0), vec![principal]));
            assert_eq!(cast.included(&config), all, "with {capability:?}");
        }
    }
}

/// SV-59, SV-60: how many of the groups below must agree, and that missing policies disagree.
#[test]
fn implicit_meta_policies_count_the_groups_below() {
    let (authority, base) = channel();
    let members: Vec<_> = (0..4).map(|_| authority.member(|_| ())).collect();
    let mspid = |index: usize| format!("M{index}");
    let config_of = |rule: Meta, with_policy: usize, without: usize| {
        let mut root = base.clone();
        let application = at(&mut root, "Application");
        application.groups.clear();
        for index in 0..with_policy + without {
            let mut org = org(&mspid(index), &authority);
            if index < with_policy {
                let member = role(&mspid(index), MspRoleType::Member);
                set_policy(&mut org, "Readers", Some(signature(by(0), vec![member])));
            }
            application.groups.insert(mspid(index), org);
        }
        set_policy(application, "Test", Some(meta(rule, "Readers")));
        read(&root).expect("a configuration")
    };
    for (rule, groups, without, needed) in [
        (Meta::Any, 1, 0, 1),
        (Meta::Any, 4, 0, 1),
        (Meta::Any, 1, 3, 1),
        (Meta::All, 1, 0, 1),
        (Meta::All, 4, 0, 4),
        (Meta::All, 3, 1, usize::MAX),
        (Meta::Majority, 1, 0, 1),
        (Meta::Majority, 2, 0, 2),
        (Meta::Majority, 3, 0, 2),
        (Meta::Majority, 4, 0, 3),
        (Meta::Majority, 2, 1, 2),
        (Meta::Majority, 2, 2, usize::MAX),
        (Meta::Any, 0, 0, 0),
        (Meta::All, 0, 0, 0),
        (Meta::Majority, 0, 0, 0),
        (Meta::Any, 0, 1, usize::MAX),
    ] {
        let config = config_of(rule, groups, without);
        for count in 0..=groups {
            let signers: Vec<_> =
                (0..count).map(|index| signer(&mspid(index), &members[index])).collect();
            let verdict = holds(&config, &signers.iter().collect::<Vec<_>>());
            let what = format!("{rule:?} of {groups}, {without} without, {count} signed");
            assert_eq!(verdict, count >= needed, "{what}");
        }
    }
}

/// Policies of policies, and of names with a path.
#[test]
fn implicit_meta_policies_reach_down_the_tree() {
    let (authority, mut root) = channel();
    let member = role("AMSP", MspRoleType::Member);
    set_policy(at(&mut root, "Application/a"), "Readers", Some(signature(by(0), vec![member])));
    set_policy(at(&mut root, "Application"), "Readers", Some(meta(Meta::Any, "Readers")));
    set_policy(&mut root, "Readers", Some(meta(Meta::Any, "Readers")));
    set_policy(&mut root, "OfA", Some(meta(Meta::Any, "a/Readers")));
    set_policy(&mut root, "Absolute", Some(meta(Meta::Any, "/Channel/Application/Readers")));
    let config = read(&root).expect("a configuration");
    let a1 = signer("AMSP", &authority.member(|_| ()));
    let signature = a1.sign(MESSAGE).expect("signing");
    let data = SignedData { identity: a1.serialized(), message: MESSAGE, signature: &signature };
    for (path, expected) in [
        ("/Channel/Readers", true),
        ("/Channel/Application/Readers", true),
        ("/Channel/Application/a/Readers", true),
        ("/Channel/OfA", true),
        ("/Channel/Absolute", false),
        ("/Channel/Application/b/Readers", false),
        ("/Channel/Application/a/b/Readers", false),
        ("/Channel", false),
        ("/Channel/", false),
        ("/Other/Readers", false),
    ] {
        assert_eq!(config.evaluate(path, &[data]).is_ok(), expected, "{path}");
    }
}

/// SV-65: a policy that cannot be evaluated makes the whole configuration unusable, by name.
#[test]
fn policies_that_make_no_sense_are_refused_by_path() {
    let (_, root) = channel();
    let member = || vec![role("AMSP", MspRoleType::Member)];
    let of_type = |r#type| Some(Policy { r#type, ..signature(by(0), member()) });
    let deep = |depth| (1..depth).fold(by(0), |rule, _| out_of(1, [rule]));
    let wide = |count: usize| {
        let rules = vec![by(0); count - 1];
        SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n: 1, rules })) }
    };
    let rule = |rule| Some(signature(rule, member()));
    let garbled = |r#type| Some(Policy { r#type, value: b"\xff".to_vec().into() });
    let envelope_of = |version, rule| {
        Some(envelope(&SignaturePolicyEnvelope { version, rule, identities: member() }))
    };
    let long = MspPrincipal { principal: vec![0; 1 << 20].into(), ..MspPrincipal::default() };
    let unknown_meta = Policy { value: vec![0x10, 7].into(), ..meta(Meta::Any, "") };
    let none = SignaturePolicy { r#type: None };
    for (policy, problem) in [
        (None, "policy is empty"),
        (of_type(0), "policy of type 0, expected 1, of signatures, or 3, implicit-meta"),
        (of_type(2), "policy of type 2, expected 1, of signatures, or 3, implicit-meta"),
        (of_type(-1), "policy of type -1, expected 1, of signatures, or 3, implicit-meta"),
        (garbled(1), "signature policy: failed to decode"),
        (garbled(3), "implicit-meta policy: failed to decode"),
        (envelope_of(1, Some(by(0))), "signature policy of version 1, expected 0"),
        (envelope_of(0, None), "signature policy without a rule"),
        (rule(none.clone()), "rule that is neither a signature nor several rules"),
        (rule(out_of(1, [none])), "rule that is neither a signature nor several rules"),
        (rule(by(1)), "principal 1 of 1, counted from 0"),
        (rule(out_of(0, [by(-1)])), "principal -1 of 1, counted from 0"),
        (
            Some(signature(by(0), vec![combined(&vec![member().remove(0); 257])])),
            "principal combined of more than 256",
        ),
        (rule(deep(33)), "rules nested deeper than 32"),
        (rule(wide(4097)), "more than 4096 rules in one policy"),
        (Some(signature(by(0), vec![long])), "bytes, expected at most 1048576"),
        (Some(unknown_meta), "rule 7, expected ANY, ALL or MAJORITY"),
    ] {
        let mut root = root.clone();
        set_policy(at(&mut root, "Application/a"), "Test", policy);
        let error = read(&root).expect_err(problem).to_string();
        assert!(error.starts_with("/Channel/Application/a/Test: "), "{error}");
        assert!(error.contains(problem), "{error}");
    }
    for fitting in [deep(32), wide(4096)] {
        with_policy(&root, signature(fitting, member()));
    }
}

/// Members of an organisation in every role.
struct Cast {
    client: SigningIdentity,
    peer: SigningIdentity,
    admin: SigningIdentity,
    orderer: SigningIdentity,
    listed: SigningIdentity,
    revoked: SigningIdentity,
}

impl Cast {
    fn new(authority: &Authority) -> Self {
        let of = |role: &str, serial: u64| {
            let member = authority.member(|params| {
                unit(params, role);
                params.serial_number = Some(SerialNumber::from(serial));
            });
            signer("AMSP", &member)
        };
        Self {
            client: of("client", 1),
            peer: of("peer", 2),
            admin: of("admin", 3),
            orderer: of("orderer", 4),
            listed: of("client", 5),
            revoked: of("peer", REVOKED),
        }
    }

    /// Their organisation.
    fn msp(&self, authority: &Authority) -> FabricMspConfig {
        let unit = |name: &str| {
            let organizational_unit_identifier = name.into();
            Some(FabricOuIdentifier { organizational_unit_identifier, ..Default::default() })
        };
        let key_id = KeyIdMethod::PreSpecified(authority.key_id());
        let list = authority.revocation_list(&[REVOKED], key_id);
        FabricMspConfig {
            admins: vec![decoded(self.listed.serialized()).id_bytes],
            revocation_list: vec![list.content],
            fabric_node_ous: Some(FabricNodeOUs {
                enable: true,
                client_ou_identifier: unit("client"),
                peer_ou_identifier: unit("peer"),
                admin_ou_identifier: unit("admin"),
                orderer_ou_identifier: unit("orderer"),
            }),
            ..msp_of(&org("AMSP", authority))
        }
    }

    /// Names those who satisfy the policy by themselves.
    fn included(&self, config: &ChannelConfig) -> String {
        let all = [
            ("client", &self.client),
            ("peer", &self.peer),
            ("admin", &self.admin),
            ("orderer", &self.orderer),
            ("listed", &self.listed),
            ("revoked", &self.revoked),
        ];
        let included = all.into_iter().filter(|(_, signer)| holds(config, &[signer]));
        included.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    }
}

fn with_policy(root: &ConfigGroup, policy: Policy) -> ChannelConfig {
    let mut root = root.clone();
    set_policy(at(&mut root, "Application"), "Test", Some(policy));
    read(&root).expect("a configuration")
}

/// Whether the policy under test holds when these have signed, in this order.
fn holds(config: &ChannelConfig, signers: &[&SigningIdentity]) -> bool {
    let signatures = signers.iter().map(|signer| signer.sign(MESSAGE).expect("signing"));
    let signatures: Vec<_> = signatures.collect();
    let signed = signers.iter().zip(&signatures).map(|(signer, signature)| SignedData {
        identity: signer.serialized(),
        message: MESSAGE,
        signature,
    });
    config.evaluate(PATH, &signed.collect::<Vec<_>>()).is_ok()
}

fn decoded(identity: &[u8]) -> SerializedIdentity {
    SerializedIdentity::decode(identity).expect("an identity")
}

/// An identity and its signature of the message.
type Signed<'a> = (&'a [u8], Vec<u8>);

const PATH: &str = "/Channel/Application/Test";
const MESSAGE: &[u8] = b"message";
const REVOKED: u64 = 6;
