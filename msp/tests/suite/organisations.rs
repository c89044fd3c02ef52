//! What an organisation may be made from, and which of its parts each level of rules knows.

use gossip_msp::{
    ConfigError, Identities, IdentityError, Msp, MspConfig, MspLevel, NodeOus, OuIdentifier, Source,
};
use rcgen::{KeyIdMethod, SerialNumber};

use crate::authority::{Authority, config, identity, msp, unit};
use crate::certificates::der_of;

/// §15.4: the levels know none, two or all four of the roles, and the older want both.
#[test]
fn each_level_knows_its_roles() {
    let root = Authority::root("root");
    let with =
        |level, node_ous| Msp::new(&MspConfig { level, node_ous: Some(node_ous), ..config(&root) });
    let members: Vec<_> = ["client", "peer", "admin", "orderer", "other"]
        .into_iter()
        .map(|role| (role, identity(&root.member(|params| unit(params, role)).pem)))
        .collect();
    for (level, expected) in [
        (MspLevel::V1_0, "client peer admin orderer other"),
        (MspLevel::V1_1, "client peer"),
        (MspLevel::V1_3, "client peer"),
        (MspLevel::V1_4_3, "client peer admin orderer"),
        (MspLevel::V3_0, "client peer admin orderer"),
    ] {
        let identities = Identities::new([with(level, all()).expect("an organisation")]);
        let valid = members.iter().filter(|(_, member)| identities.validate(member).is_ok());
        let valid: Vec<_> = valid.map(|(role, _)| *role).collect();
        assert_eq!(valid.join(" "), expected, "{level:?}");

        let wants_both = [MspLevel::V1_1, MspLevel::V1_3].contains(&level);
        for some in
            [NodeOus { client: None, ..all() }, NodeOus { peer: None, ..all() }, NodeOus::default()]
        {
            let made = with(level, some).map(drop);
            let expected = "MadeMSP: NodeOUs: expected a unit of clients and one of peers";
            let error = made.err().map(|error| error.to_string());
            assert_eq!(error, wants_both.then(|| expected.to_owned()), "{level:?}");
        }
    }
}

/// Where units are enabled and none is named, none is asked for.
#[test]
fn units_without_a_name_ask_for_nothing() {
    let root = Authority::root("root");
    let rules = msp(&MspConfig { node_ous: Some(NodeOus::default()), ..config(&root) });
    let member = identity(&root.member(|_| ()).pem);
    assert!(Identities::new([rules]).validate(&member).is_ok());
}

/// Administrators are listed by certificates of members, in their roles.
#[test]
fn administrators_are_members() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let member = |by: &Authority, role: &'static str| {
        by.member(|params| {
            unit(params, role);
            params.serial_number = Some(SerialNumber::from(7));
        })
    };
    let list = || root.revocation_list(&[7], KeyIdMethod::Sha256);
    let role = "an administrator must have the unit of clients or administrators";
    for (level, by, unit, node_ous, revoked, expected) in [
        (MspLevel::V3_0, &root, "client", Some(all()), false, Ok(())),
        (MspLevel::V3_0, &root, "admin", Some(all()), false, Ok(())),
        (MspLevel::V3_0, &root, "admin", Some(all()), true, Ok(())),
        (MspLevel::V3_0, &root, "peer", Some(all()), false, Err(role)),
        (MspLevel::V3_0, &root, "peer", None, false, Ok(())),
        (MspLevel::V3_0, &root, "peer", None, true, Err("must be valid: revoked by its issuer")),
        (MspLevel::V3_0, &other, "admin", Some(all()), false, Err("must be valid: no path to")),
        (MspLevel::V3_0, &other, "admin", None, false, Err("must be valid: no path to")),
        (MspLevel::V1_1, &root, "client", Some(all()), false, Ok(())),
        (MspLevel::V1_1, &root, "client", Some(all()), true, Err("must be valid: revoked")),
        (MspLevel::V1_1, &root, "admin", Some(all()), false, Err("must be valid: no organisat")),
        (MspLevel::V1_1, &root, "peer", Some(all()), false, Err(role)),
        (MspLevel::V1_0, &root, "peer", Some(all()), false, Ok(())),
    ] {
        let made = Msp::new(&MspConfig {
            level,
            node_ous,
            admins: vec![Source::new("admin.pem", member(by, unit).pem)],
            revocation_lists: revoked.then(list).into_iter().collect(),
            ..config(&root)
        });
        let what = format!("{unit} at {level:?}, revoked {revoked}");
        match expected {
            Ok(()) => drop(made.expect(&what)),
            Err(problem) => {
                let error = made.expect_err(&what).to_string();
                assert!(error.starts_with("MadeMSP: admin.pem: "), "{error}");
                assert!(error.contains(problem), "{what}: {error}");
            }
        }
    }
}

/// Authorities for TLS are checked, with whatever key, and make nobody a member.
#[test]
fn authorities_for_tls_are_checked_and_issue_no_members() {
    let (root, tls) = (Authority::root("root"), Authority::root("tls"));
    let p521 = Authority::root_on(&rcgen::PKCS_ECDSA_P521_SHA512);
    let member = root.member(|_| ()).pem;
    let with = |pem: String| {
        [
            MspConfig { tls_root_certs: vec![Source::new("tls", pem.clone())], ..config(&root) },
            MspConfig { tls_intermediate_certs: vec![Source::new("tls", pem)], ..config(&root) },
        ]
        .map(|config| Msp::new(&config))
    };
    for made in with(tls.pem()).into_iter().chain(with(p521.pem())) {
        let identities = Identities::new([made.expect("an organisation")]);
        let stranger = identity(&tls.member(|_| ()).pem);
        assert_eq!(identities.validate(&stranger), Err(IdentityError::NoChain));
    }
    for (pem, expected) in [
        (member, "MadeMSP: tls: is not an authority, expected CA:TRUE"),
        ("junk".to_owned(), "MadeMSP: tls: no PEM block of type CERTIFICATE"),
        (pem("CERTIFICATE", b"\x30\x00"), "MadeMSP: tls: not well-formed X.509: "),
    ] {
        for made in with(pem) {
            let error = made.expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

/// C-50: of many lists and numbers the right one counts, as PEM or DER.
#[test]
fn a_number_is_found_in_many_lists() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate");
    let numbers: Vec<u64> = (1..500).map(|number| number * 97 % 501).collect();
    let of = |by: &Authority, numbers: &[u64]| by.revocation_list(numbers, KeyIdMethod::Sha256);
    let pem = of(&intermediate, &numbers);
    let der = der_of(str::from_utf8(&pem.content).expect("PEM"));
    for list in [pem, Source::new("der", der)] {
        let rules = MspConfig {
            intermediate_certs: vec![intermediate.source()],
            revocation_lists: vec![of(&root, &[600, 700]), list, of(&intermediate, &[])],
            ..config(&root)
        };
        let identities = Identities::new([msp(&rules)]);
        for number in (0..=600).step_by(5) {
            let member = intermediate
                .member(|params| params.serial_number = Some(SerialNumber::from(number)));
            let verdict = identities.validate(&identity(&member.pem)).map(drop);
            let revoked = numbers.contains(&number);
            let expected = if revoked { Err(IdentityError::Revoked) } else { Ok(()) };
            assert_eq!(verdict, expected, "{number}");
        }
    }
}

/// An intermediate authority may be revoked: its organisation cannot be set up.
#[test]
fn a_revoked_authority_is_refused_by_name() {
    let root = Authority::root("root");
    let list = root.revocation_list(&[7], KeyIdMethod::Sha256);
    let with = |number: u64| {
        let intermediate = root.intermediate_with("intermediate", |params| {
            params.serial_number = Some(SerialNumber::from(number));
        });
        Msp::new(&MspConfig {
            intermediate_certs: vec![Source::new("intermediate.pem", intermediate.pem())],
            revocation_lists: vec![list.clone()],
            ..config(&root)
        })
    };
    assert!(with(6).is_ok());
    let error = with(7).expect_err("revoked").to_string();
    assert_eq!(error, "MadeMSP: intermediate.pem: revoked by its issuer");
}

/// `config.yaml`: with certificates and without, and what is wrong with it.
#[test]
fn units_are_read_from_yaml() {
    let read = |text: &str| {
        let mut config = MspConfig::default();
        let source = |path: &str| match path {
            "missing.pem" => Err(ConfigError { subject: path.into(), problem: "missing".into() }),
            _ => Ok(Source::new(path, "PEM")),
        };
        config.set_units("config.yaml", text.as_bytes(), source).map(|()| config)
    };
    let full = "
OrganizationalUnitIdentifiers:
  - OrganizationalUnitIdentifier: sales
    Certificate: ca.pem
NodeOUs:
  Enable: true
  ClientOUIdentifier: {OrganizationalUnitIdentifier: client}
  PeerOUIdentifier: {OrganizationalUnitIdentifier: peer, Certificate: ''}
  AdminOUIdentifier: {OrganizationalUnitIdentifier: admin, Certificate: ca.pem}
  FutureOUIdentifier: {OrganizationalUnitIdentifier: future}
";
    let config = read(full).expect("units");
    let ca = || Some(Source::new("ca.pem", "PEM"));
    let ou = |unit: &str, certificate| OuIdentifier { unit: unit.into(), certificate };
    assert_eq!(config.ou_identifiers, [ou("sales", ca())]);
    let expected = NodeOus {
        client: Some(ou("client", None)),
        peer: Some(ou("peer", None)),
        admin: Some(ou("admin", ca())),
        orderer: None,
    };
    assert_eq!(config.node_ous, Some(expected));
    for (text, is_enabled) in [
        ("", false),
        ("# nothing", false),
        ("NodeOUs:", false),
        (&full.replace("Enable: true", "Enable: false"), false),
        (full, true),
    ] {
        assert_eq!(read(text).expect("units").node_ous.is_some(), is_enabled, "{text}");
    }
    let deep = "[".repeat(100_000);
    let aliases = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
    let bomb = format!("a0: &a0 [x]\n{}", aliases.collect::<String>());
    for (text, problem) in [
        ("NodeOUs: 7", "config.yaml: not the YAML expected: "),
        ("NodeOUs: {Enable: maybe}", "config.yaml: not the YAML expected: "),
        (&deep, "config.yaml: not the YAML expected: "),
        (&bomb, "config.yaml: not the YAML expected: "),
        (&full.replace("client}", "''}"), "config.yaml: a unit without Organiz"),
        (&full.replace("ca.pem", "missing.pem"), "missing.pem: missing"),
    ] {
        let error = read(text).expect_err(problem).to_string();
        assert!(error.starts_with(problem), "{error}");
        assert!(error.len() < 2000, "{} bytes", error.len());
    }
    let mut config = MspConfig::default();
    let error = config.set_units("config.yaml", b"\xff", |_| unreachable!("no certificate"));
    assert!(error.is_err_and(|error| error.subject == "config.yaml"));
}

fn all() -> NodeOus {
    let [client, peer, admin, orderer] = ["client", "peer", "admin", "orderer"]
        .map(|unit| Some(OuIdentifier { unit: unit.into(), certificate: None }));
    NodeOus { client, peer, admin, orderer }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", Base64::encode_string(der))
}
