//! Who is a member: each rule of the reference's membership service provider by itself.

use gossip_msp::{
    Identities, IdentityError, Msp, MspConfig, NodeOus, OuIdentifier, ParseError, Source,
};
use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, SerialNumber, date_time_ymd};

use crate::authority::{Authority, Member, config, identity, msp, unit};

/// C-47: long expired certificates are valid, those older than their authority are not.
#[test]
fn validity_is_judged_when_the_certificate_began() {
    let root = Authority::root("root");
    assert_eq!(verdict(&config(&root), &root.member(|_| ())), Ok(()));
    let early = root.member(|params| params.not_before = date_time_ymd(2019, 12, 31));
    assert_eq!(verdict(&config(&root), &early), Err(IdentityError::NoChain));
    let never = root.member(|params| params.not_after = params.not_before);
    assert_eq!(verdict(&config(&root), &never), Err(IdentityError::NoChain));
}

/// C-48: an extended key usage anywhere on the path must allow server authentication.
#[test]
fn extended_key_usages_must_allow_servers() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    let root = Authority::root("root");
    let excluded = Err(IdentityError::ExtendedKeyUsage);
    for (usages, expected) in [
        (vec![], Ok(())),
        (vec![ClientAuth, ServerAuth], Ok(())),
        (vec![Any], Ok(())),
        (vec![ClientAuth], excluded.clone()),
    ] {
        let member = root.member(|params| params.extended_key_usages = usages.clone());
        assert_eq!(verdict(&config(&root), &member), expected, "{usages:?}");
    }
    let root = Authority::root_with("root", |root| root.extended_key_usages = vec![ClientAuth]);
    assert_eq!(verdict(&config(&root), &root.member(|_| ())), excluded);
}

/// C-49: whoever issued a configured authority issues no members.
#[test]
fn only_leaves_of_the_tree_of_authorities_issue_members() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate");
    let with_intermediate =
        MspConfig { intermediate_certs: vec![intermediate.source()], ..config(&root) };
    let (by_root, by_leaf) = (root.member(|_| ()), intermediate.member(|_| ()));
    assert_eq!(verdict(&with_intermediate, &by_leaf), Ok(()));
    assert_eq!(verdict(&with_intermediate, &by_root), Err(IdentityError::IssuerIsInnerNode));
    assert_eq!(verdict(&config(&root), &by_root), Ok(()));
    assert_eq!(verdict(&config(&root), &by_leaf), Err(IdentityError::NoChain));
}

/// C-50: dates do not matter, the signature of the issuer does.
#[test]
fn a_serial_number_on_a_list_of_its_issuer_is_revoked() {
    let root = Authority::root("root");
    let stranger = Authority::root("root");
    let member = root.member(|params| params.serial_number = Some(SerialNumber::from(7)));
    let with = |list: Source| MspConfig { revocation_lists: vec![list], ..config(&root) };
    let claimed = || KeyIdMethod::PreSpecified(root.key_id());
    let of_root = root.revocation_list(&[5, 7], KeyIdMethod::Sha256);
    assert_eq!(verdict(&with(of_root), &member), Err(IdentityError::Revoked));
    let of_root = root.revocation_list(&[5, 77], KeyIdMethod::Sha256);
    assert_eq!(verdict(&with(of_root), &member), Ok(()));
    let forged = stranger.revocation_list(&[7], claimed());
    assert_eq!(verdict(&with(forged), &member), Ok(()));
}

/// C-51: exactly one role, certified by the authority configured for it.
#[test]
fn exactly_one_unit_names_a_role() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let role = |unit: &str, by: Option<&Authority>| {
        Some(OuIdentifier { unit: unit.into(), certificate: by.map(Authority::source) })
    };
    let mut config = config(&root);
    config.root_certs.push(other.source());
    config.node_ous = Some(NodeOus {
        client: role("client", None),
        peer: role("peer", Some(&root)),
        ..NodeOus::default()
    });
    let member = |by: &Authority, units: &[&str]| {
        by.member(|params| units.iter().for_each(|text| unit(params, text)))
    };
    assert_eq!(verdict(&config, &member(&root, &["peer"])), Ok(()));
    assert_eq!(verdict(&config, &member(&other, &["client"])), Ok(()));
    assert_eq!(verdict(&config, &member(&root, &[])), Err(IdentityError::NoRole));
    assert_eq!(verdict(&config, &member(&root, &["admin"])), Err(IdentityError::NoRole));
    assert_eq!(verdict(&config, &member(&root, &["sales", "peer"])), Ok(()));
    let both = verdict(&config, &member(&root, &["client", "peer"]));
    assert_eq!(both, Err(IdentityError::SeveralRoles));
    let by_other = verdict(&config, &member(&other, &["peer"]));
    assert_eq!(by_other, Err(IdentityError::WrongCertifier));
}

/// §15.2 step 5: one of the listed units, of the listed authority, is enough.
#[test]
fn listed_units_are_demanded() {
    let root = Authority::root("root");
    let sales = OuIdentifier { unit: "sales".into(), certificate: Some(root.source()) };
    let config = MspConfig { ou_identifiers: vec![sales], ..config(&root) };
    let member = |text| root.member(|params| unit(params, text));
    assert_eq!(verdict(&config, &member("sales")), Ok(()));
    assert_eq!(verdict(&config, &member("buying")), Err(IdentityError::NoListedUnit));
}

/// C-52: one block of a certificate, and nothing behind it.
#[test]
fn only_one_certificate_block_is_well_formed() {
    let root = Authority::root("root");
    let pem = root.member(|_| ()).pem;
    let identities = Identities::new([msp(&config(&root))]);
    let judge = |text: &str| identities.validate(&identity(text)).map(|_| ());
    assert_eq!(judge(&pem), Ok(()));
    assert_eq!(judge(&pem.replace('\n', "\r\n")), Ok(()));
    assert_eq!(judge(&pem.replace("CERTIFICATE", "")), Ok(()));
    assert_eq!(judge(&format!("{pem}\n")), Err(IdentityError::TrailingBytes));
    assert_eq!(judge(&format!("{pem}{pem}")), Err(IdentityError::TrailingBytes));
    let wrong = IdentityError::WrongBlock("X".into());
    assert_eq!(judge(&pem.replace("CERTIFICATE", "X")), Err(wrong));
    assert_eq!(judge("no certificate"), Err(IdentityError::NotPem));
    let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    assert!(matches!(judge(empty), Err(IdentityError::Certificate(ParseError::Malformed(_)))));
}

/// Whatever byte of the certificate changes, it is refused without a panic.
#[test]
fn no_changed_certificate_is_valid() {
    let root = Authority::root("root");
    let identities = Identities::new([msp(&config(&root))]);
    let pem = root.member(|params| unit(params, "peer")).pem;
    let base64 = pem.lines().nth(1).expect("base64").as_bytes()[0];
    for (at, byte) in pem.bytes().enumerate().filter(|(_, byte)| *byte != b'\n') {
        let mut changed = pem.clone().into_bytes();
        changed[at] = if byte == base64 { b'z' } else { base64 };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(identities.validate(&identity(&changed)).is_err(), "byte {at}");
    }
}

/// §15.2 steps 1 to 3: an ECDSA key, no authority, one path.
#[test]
fn authorities_strangers_and_other_keys_are_no_members() {
    let root = Authority::root("root");
    let config = config(&root);
    let ca = root.member(|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert_eq!(verdict(&config, &ca), Err(IdentityError::IsAuthority));
    let stranger = Authority::root("root").member(|_| ());
    assert_eq!(verdict(&config, &stranger), Err(IdentityError::NoChain));
    assert_eq!(verdict(&config, &root.member_on(&rcgen::PKCS_ECDSA_P384_SHA384, |_| ())), Ok(()));
}

/// §15.2 step 3: a renewed root beside the old one makes a second path.
#[test]
fn more_than_one_path_is_refused() {
    let root = Authority::root("root");
    let mut config = config(&root);
    config.root_certs.push(root.source());
    let member = root.member(|_| ());
    assert_eq!(verdict(&config, &member), Ok(()), "the same root twice is one root");
    config.intermediate_certs.push(root.source());
    assert_eq!(verdict(&config, &member), Ok(()), "as an intermediate it is a root all the same");
    config.root_certs.push(root.renewed("root").source());
    assert_eq!(verdict(&config, &member), Err(IdentityError::SeveralChains));
}

/// §15.2 step 3: an authority's limit on the length of paths holds.
#[test]
fn paths_are_no_longer_than_their_authorities_allow() {
    let root = Authority::root_with("root", |root| {
        root.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    });
    assert_eq!(verdict(&config(&root), &root.member(|_| ())), Ok(()));
    let intermediate = root.intermediate("intermediate");
    let long = MspConfig { intermediate_certs: vec![intermediate.source()], ..config(&root) };
    assert_eq!(verdict(&long, &intermediate.member(|_| ())), Err(IdentityError::NoChain));
}

#[test]
fn unusable_configuration_is_refused_by_name() {
    let root = Authority::root("root");
    let member = Source::new("member", root.member(|_| ()).pem);
    let unit = OuIdentifier { unit: "peer".into(), certificate: Some(member.clone()) };
    let stranger = Authority::root("other").intermediate("intermediate").source();
    let node_ous = Some(NodeOus { peer: Some(unit), ..NodeOus::default() });
    let cases = [
        (MspConfig { id: String::new(), ..config(&root) }, "MSP id: is empty"),
        (MspConfig { root_certs: vec![], ..config(&root) }, "none, expected at least one"),
        (MspConfig { root_certs: vec![member], ..config(&root) }, "member: is not an authority"),
        (MspConfig { intermediate_certs: vec![stranger], ..config(&root) }, "authority: no path"),
        (MspConfig { node_ous, ..config(&root) }, "is not one of the organisation's authorities"),
        (
            MspConfig { revocation_lists: vec![Source::new("crl", "junk")], ..config(&root) },
            "crl: not well-formed X.509",
        ),
    ];
    for (config, expected) in cases {
        let error = Msp::new(&config).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

/// What is remembered of an identity is what was found.
#[test]
fn a_second_look_says_the_same() {
    let (root, other) = (Authority::root("root"), Authority::root("root"));
    let identities = Identities::new([msp(&config(&root))]);
    for (authority, is_valid) in [(&root, true), (&other, false)] {
        let member = identity(&authority.member(|_| ()).pem);
        let verdict = identities.validate(&member);
        assert_eq!(verdict.is_ok(), is_valid);
        assert_eq!(identities.validate(&member), verdict);
    }
}

fn verdict(config: &MspConfig, member: &Member) -> Result<(), IdentityError> {
    Identities::new([msp(config)]).validate(&identity(&member.pem)).map(|_| ())
}
