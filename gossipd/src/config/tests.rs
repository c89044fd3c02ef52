use std::{collections::BTreeMap, fs};

use crate::tests::Folder;

use super::{
    keys::{Kind, Zero},
    *,
};

fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let folder = Folder::new();
    let file = folder.path().join("core.yaml");
    fs::write(&file, yaml).expect("a file");
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let settings = Settings::load(&file, variables.iter().map(owned));
    settings.map_err(|error| {
        let folder = folder.path().display().to_string() + "/";
        let problems = error.problems.iter().map(|problem| problem.replace(&folder, ""));
        ConfigError { problems: problems.collect() }
    })
}

fn problems(yaml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load(yaml, variables).expect_err(yaml).problems
}

/// M-10, and the tables of sections 2 to 7.
#[test]
fn every_key_of_the_protocols_tables_has_its_type_default_and_zero() {
    let described = described_keys();
    assert!(described.len() > 70, "only {} keys were found", described.len());
    let known: BTreeMap<_, _> = KEYS.iter().map(|key| (key.name, key)).collect();
    for (name, Described { kind, unset, zero, .. }) in &described {
        let key = known.get(&**name).unwrap_or_else(|| panic!("{name} is not known"));
        let expected = match &**unset {
            "empty" | "—" | "none" | "start error" => "",
            "= aliveExpirationTimeout" | "5 × aliveTimeInterval" => "0s",
            unset => unset.split(" (").next().unwrap_or_default().trim_matches('*'),
        };
        let expected_kind = match kind.split(' ').next() {
            _ if key.kind == Kind::Any => Kind::Any,
            Some("bool") => Kind::Bool,
            Some("dur") => Kind::Duration,
            Some("int") => Kind::Int,
            Some("list") if kind == "list of path" => Kind::Paths,
            Some("list") => Kind::List,
            Some("path") => Kind::Path,
            Some("str") => Kind::Text,
            _ => panic!("{name} is a {kind}"),
        };
        assert_eq!(key.kind, expected_kind, "{name}");
        let read = |text: &str| {
            let unset = Key { unset: Box::leak(text.to_owned().into_boxed_str()), ..**key };
            Value::unset(&unset, Path::new(""))
        };
        assert_eq!(read(key.unset), read(expected), "{name}");
        match &**zero {
            "D" => assert_eq!(key.zero, Zero::Default, "{name}"),
            "H" => assert_ne!(key.zero, Zero::Default, "{name}"),
            _ => {}
        }
    }
    let described: BTreeMap<_, _> = described.into_iter().collect();
    for key in KEYS {
        assert!(described.contains_key(key.name), "{} is described nowhere", key.name);
    }
}

/// M-11: those of Fabric's sample file, as the description lists them.
#[test]
fn every_value_of_the_sample_file_holds() {
    let mut samples = BTreeMap::new();
    for (name, Described { sample, .. }) in described_keys() {
        match &*sample {
            "none" | "not in sample" | "—" => {}
            "empty" => drop(samples.insert(name, String::new())),
            sample => drop(samples.insert(name, sample.trim_matches('*').to_owned())),
        }
    }
    assert!(samples.len() > 60, "{samples:?}");
    let settings = load(&nested(&samples), &[]).expect("Fabric's own sample");
    assert_eq!(settings.warnings(), [""; 0]);
    for (name, sample) in &samples {
        let key = KEYS.iter().find(|key| key.name == name).expect("a known key");
        let setting = settings.settings.get(key.name).expect("a setting");
        let Some(place) = &setting.place else { panic!("{name} is not set") };
        let folder = Path::new(place).parent().expect("a folder");
        let expected = Value::read(key, &Written::Text(sample.clone()), folder);
        assert_eq!(Ok(&setting.value), expected.as_ref(), "{name}");
    }
    assert_eq!(settings.int("peer.gossip.sendBuffSize"), 200);
    assert!(settings.bool("peer.gossip.orgLeader"));
    assert!(!settings.bool("peer.deliveryclient.blockGossipEnabled"));
    let threshold = settings.duration("peer.gossip.pvtData.pullRetryThreshold");
    assert_eq!(threshold, Duration::from_secs(60));
    assert!(settings.path("peer.tls.cert.file").is_some_and(|file| file.ends_with("server.crt")));
}

/// Writes keys as a file with a level for each part of their names.
fn nested(values: &BTreeMap<String, String>) -> String {
    let (mut text, mut above) = (String::new(), Vec::new());
    for (name, value) in values {
        let parts: Vec<_> = name.split('.').collect();
        let same = parts.iter().zip(&above).take_while(|(one, other)| one == other).count();
        for (depth, part) in parts.iter().enumerate().skip(same) {
            let value =
                if depth + 1 == parts.len() { format!(" {value:?}") } else { String::new() };
            text += &format!("{}{part}:{value}\n", "  ".repeat(depth));
        }
        above = parts;
    }
    text
}

/// What is said of a key.
struct Described {
    kind: String,
    sample: String,
    unset: String,
    zero: String,
}

/// Reads what is said of all keys of a peer out of the description.
fn described_keys() -> Vec<(String, Described)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol/97-config-and-metrics.md");
    let text = fs::read_to_string(path).expect("the description of the configuration");
    let (mut prefix, mut has_zero, mut keys) = ("", false, Vec::new());
    for line in text.lines() {
        let section = line.trim_start_matches('#').trim_start();
        if line.starts_with("##") {
            prefix =
                PREFIXES.iter().find(|(start, _)| section.starts_with(start)).map_or("", |p| p.1);
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if line.starts_with("| key |") {
            has_zero = cells.contains(&"zero");
        }
        if prefix.is_empty() || !line.starts_with("| `") {
            continue;
        }
        // Keys that share a line may have a sample each.
        let mut samples = cells[3].split(", ").cycle();
        for name in cells[1].split(", ").map(|name| name.trim_matches('`')) {
            let name = format!("{}{name}", prefix.trim_end_matches('!'));
            let zero = if has_zero { cells[5] } else { "" };
            let sample = samples.next().unwrap_or_default();
            let [kind, sample, unset, zero] = [cells[2], sample, cells[4], zero].map(str::to_owned);
            keys.push((name, Described { kind, sample, unset, zero }));
        }
    }
    keys.retain(|(name, _)| name.starts_with("peer.") && !OF_OTHER_SERVICES.contains(&&**name));
    keys
}

/// What the keys in a section's table begin with; `!` stands for nothing.
const PREFIXES: [(&str, &str); 9] = [
    ("2. ", "peer.gossip."),
    ("3. ", "peer.gossip."),
    ("4. ", "peer.gossip.pvtData."),
    ("5. ", "peer.gossip.state."),
    ("6. ", "peer.deliveryclient."),
    ("7.1", "peer.keepalive."),
    ("7.2", "peer.tls."),
    ("7.3", "!"),
    ("7.4", "!"),
];

const OF_OTHER_SERVICES: [&str; 3] =
    ["peer.limits.concurrency.*", "peer.authentication.timewindow", "peer.validatorPoolSize"];

/// M-15.
#[test]
fn an_empty_file_gives_the_defaults() {
    let settings = load("", &[]).expect("defaults");
    assert_eq!(settings.duration("peer.gossip.pullInterval"), Duration::from_secs(4));
    assert_eq!(settings.int("peer.gossip.propagatePeerNum"), 3);
    assert_eq!(settings.duration("peer.gossip.pvtData.pullRetryThreshold"), Duration::ZERO);
    assert!(settings.bool("peer.deliveryclient.blockGossipEnabled"));
    assert_eq!(settings.text("peer.localMspType"), "bccsp");
    assert!(settings.list("peer.gossip.bootstrap").is_empty());
    assert_eq!(settings.path("peer.mspConfigPath"), None);
}

/// M-1, C1.2.a, C1.3.a.
#[test]
fn the_environment_overrides_the_file_for_every_key() {
    let yaml = "peer:\n  gossip:\n    pullInterval: 7s\n    pvtData: {pullRetryThreshold: 8s}\n";
    let settings = load(yaml, &[]).expect("settings");
    assert_eq!(settings.duration("peer.gossip.pullInterval"), Duration::from_secs(7));
    let variables = [
        ("CORE_PEER_GOSSIP_PULLINTERVAL", "1m30s"),
        ("CORE_PEER_GOSSIP_PVTDATA_PULLRETRYTHRESHOLD", "9s"),
    ];
    let settings = load(yaml, &variables).expect("settings");
    assert_eq!(settings.duration("peer.gossip.pullInterval"), Duration::from_secs(90));
    let threshold = settings.duration("peer.gossip.pvtData.pullRetryThreshold");
    assert_eq!(threshold, Duration::from_secs(9));
    for key in KEYS {
        let settings = load("", &[(&key.variable(), "1")]).map(|settings| {
            let setting = settings.settings.get(key.name).expect("a setting");
            setting.place.clone()
        });
        let place = match settings {
            Ok(place) => place.expect("a place"),
            Err(error) => error.to_string(),
        };
        assert!(place.starts_with(&key.variable()), "{}: {place}", key.name);
    }
}

/// M-4, C1.2.b.
#[test]
fn an_empty_variable_is_zero_or_the_default_where_zero_means_that() {
    let yaml = "peer:\n  gossip:\n    externalEndpoint: a:1\n    pullInterval: 7s\n    \
                state: {batchSize: 7}\n    bootstrap: b:1\n  tls: {enabled: true}\n";
    let variables = [
        ("CORE_PEER_GOSSIP_EXTERNALENDPOINT", ""),
        ("CORE_PEER_GOSSIP_PULLINTERVAL", ""),
        ("CORE_PEER_GOSSIP_STATE_BATCHSIZE", ""),
        ("CORE_PEER_GOSSIP_BOOTSTRAP", ""),
        ("CORE_PEER_TLS_ENABLED", ""),
    ];
    let settings = load(yaml, &variables).expect("settings");
    assert_eq!(settings.text("peer.gossip.externalEndpoint"), "");
    assert_eq!(settings.duration("peer.gossip.pullInterval"), Duration::from_secs(4));
    assert_eq!(settings.int("peer.gossip.state.batchSize"), 0);
    assert!(settings.list("peer.gossip.bootstrap").is_empty());
    assert!(!settings.bool("peer.tls.enabled"));
}

/// M-3, C1.2.c.
#[test]
fn lists_are_yaml_lists_or_words() {
    let bootstrap = |yaml: &str, variables: &[_]| {
        load(yaml, variables).expect("settings").list("peer.gossip.bootstrap").to_vec()
    };
    let expected = ["a:7051", "b:7051"].map(str::to_owned);
    assert_eq!(bootstrap("peer: {gossip: {bootstrap: [a:7051, b:7051]}}", &[]), expected);
    assert_eq!(bootstrap("peer: {gossip: {bootstrap: 'a:7051  b:7051'}}", &[]), expected);
    let variables = [("CORE_PEER_GOSSIP_BOOTSTRAP", "a:7051 b:7051")];
    assert_eq!(bootstrap("peer: {gossip: {bootstrap: c:1}}", &variables), expected);
}

/// M-17, C1.4.
#[test]
fn relative_paths_are_relative_to_the_file_and_empty_ones_stay_empty() {
    let yaml = "peer:\n  mspConfigPath: msp\n  tls:\n    cert: {file: /abs/server.crt}\n    \
                clientRootCAs: {files: [a.crt, '', /b.crt]}\n    key: {file: ''}\n";
    let folder = Folder::new();
    let file = folder.path().join("core.yaml");
    fs::write(&file, yaml).expect("a file");
    let settings = Settings::load(&file, []).expect("settings");
    assert_eq!(settings.path("peer.mspConfigPath"), Some(&*folder.path().join("msp")));
    assert_eq!(settings.path("peer.tls.cert.file"), Some(Path::new("/abs/server.crt")));
    assert_eq!(settings.path("peer.tls.key.file"), None);
    let roots = [folder.path().join("a.crt"), PathBuf::from("/b.crt")];
    assert_eq!(settings.paths("peer.tls.clientRootCAs.files"), roots);
}

/// M-2.
#[test]
fn keys_of_the_file_are_the_same_in_any_case() {
    let settings = load("PEER: {Gossip: {PULLinterval: 9s}}", &[]).expect("settings");
    assert_eq!(settings.duration("peer.gossip.pullInterval"), Duration::from_secs(9));
}

#[test]
fn all_bad_values_are_named_with_line_or_variable_and_what_was_expected() {
    let yaml = "peer:\n  gossip:\n    pullInterval: fast\n    pullPeerNum: -1\n    \
                orgLeader: maybe\n    endpoint: [a]\n    bootstrap: [{a: b}]\n";
    let problems = problems(yaml, &[("CORE_PEER_GOSSIP_DIALTIMEOUT", "3 s")]);
    let expected = [
        "core.yaml:7: peer.gossip.bootstrap: expected a list of texts, found a nested structure",
        "core.yaml:6: peer.gossip.endpoint: expected a text, found a list",
        "core.yaml:3: peer.gossip.pullInterval: expected a duration such as 4s, 500ms or 1m30s, \
         not negative, found \"fast\"",
        "core.yaml:4: peer.gossip.pullPeerNum: expected a whole number, not negative, found \"-1\"",
        "CORE_PEER_GOSSIP_DIALTIMEOUT: expected a duration such as 4s, 500ms or 1m30s, not \
         negative, found \"3 s\"",
        "core.yaml:5: peer.gossip.orgLeader: expected true or false, found \"maybe\"",
    ];
    assert_eq!(problems, expected);
}

/// M-8, Q97-2.
#[test]
fn a_duration_without_unit_is_refused_rather_than_taken_for_nanoseconds() {
    let problems = problems("peer: {gossip: {pullInterval: 4}}", &[]);
    assert!(problems[0].contains("core.yaml:1: peer.gossip.pullInterval: "), "{problems:?}");
    assert!(problems[0].contains("nanoseconds"), "{problems:?}");
}

/// M-5.
#[test]
fn an_explicit_zero_is_the_default_where_zero_makes_no_sense() {
    let yaml = "peer: {gossip: {pullInterval: 0, propagatePeerNum: 0, \
                pvtData: {reconcileBatchSize: 0}}}";
    let settings = load(yaml, &[]).expect("settings");
    assert_eq!(settings.duration("peer.gossip.pullInterval"), Duration::from_secs(4));
    assert_eq!(settings.int("peer.gossip.propagatePeerNum"), 3);
    assert_eq!(settings.int("peer.gossip.pvtData.reconcileBatchSize"), 10);
}

/// M-6, M-7.
#[test]
fn an_explicit_zero_is_honoured_where_it_makes_sense_and_a_negative_margin_is_the_default() {
    let policy = "peer.gossip.pvtData.implicitCollectionDisseminationPolicy";
    let yaml = "peer: {gossip: {state: {batchSize: 0}, pvtData: {btlPullMargin: 0, \
                implicitCollectionDisseminationPolicy: {maxPeerCount: 0}}}}";
    let settings = load(yaml, &[]).expect("settings");
    assert_eq!(settings.int("peer.gossip.state.batchSize"), 0);
    assert_eq!(settings.int("peer.gossip.pvtData.btlPullMargin"), 0);
    assert_eq!(settings.int(&format!("{policy}.maxPeerCount")), 0);
    let yaml = "peer: {gossip: {pvtData: {btlPullMargin: -1}}}";
    let settings = load(yaml, &[]).expect("settings");
    assert_eq!(settings.int("peer.gossip.pvtData.btlPullMargin"), 10);
}

/// M-21.
#[test]
fn settings_that_fabric_reads_and_forgets_are_taken() {
    let yaml = "peer: {gossip: {stateInfoRetentionInterval: 3 weeks, skipBlockVerification: true}}";
    let settings = load(yaml, &[("CORE_PEER_GOSSIP_STATEINFORETENTIONINTERVAL", "")]);
    assert_eq!(settings.expect("settings").warnings(), [""; 0]);
}

/// M-12.
#[test]
fn a_leader_that_is_both_fixed_and_elected_is_refused() {
    let yaml = "peer:\n  gossip:\n    useLeaderElection: true\n    orgLeader: true\n";
    let expected = "core.yaml:4: peer.gossip.orgLeader: expected false where \
                    peer.gossip.useLeaderElection is true";
    assert_eq!(refused(yaml), expected);
}

/// M-13.
#[test]
fn fewer_peers_at_most_than_at_least_are_refused() {
    let yaml = |required: i32, max: i32| {
        format!(
            "peer:\n  gossip:\n    pvtData:\n      implicitCollectionDisseminationPolicy:\n        \
             requiredPeerCount: {required}\n        maxPeerCount: {max}\n"
        )
    };
    let policy = "peer.gossip.pvtData.implicitCollectionDisseminationPolicy";
    let expected = format!(
        "core.yaml:6: {policy}.maxPeerCount: expected at least 2, which is \
         {policy}.requiredPeerCount"
    );
    assert_eq!(refused(&yaml(2, 1)), expected);
    assert!(load(&yaml(2, 2), &[]).expect("settings").check().is_ok());
    let problems = problems(&yaml(-1, 1), &[]);
    assert!(problems[0].starts_with(&format!("core.yaml:5: {policy}.requiredPeerCount: expected")));
}

/// M-14, and section 11.
#[test]
fn what_makes_little_sense_together_is_a_warning() {
    assert_eq!(load("", &[]).expect("settings").check(), Ok(vec![]));
    let yaml = "peer: {deliveryclient: {policy: foo}, gossip: {pullInterval: 3s, \
                digestWaitTime: 2s, aliveExpirationTimeout: 5s}}";
    let doubts = load(yaml, &[]).expect("settings").check().expect("warnings");
    let expected = [
        "peer.gossip.pullInterval: expected more than digestWaitTime and responseWaitTime, 4s",
        "peer.gossip.digestWaitTime: expected less than requestWaitTime, 1.5s",
        "peer.gossip.aliveExpirationTimeout: expected more than aliveTimeInterval, 5s",
        "peer.deliveryclient.policy: expected cluster or simple, found \"foo\"; cluster holds",
    ];
    assert_eq!(doubts.len(), expected.len(), "{doubts:?}");
    for (doubt, expected) in doubts.iter().zip(expected) {
        assert!(doubt.contains("core.yaml:1: ") && doubt.ends_with(expected), "{doubt}");
    }
}

/// Reads settings that cannot be used together, and returns what is said of them.
fn refused(yaml: &str) -> String {
    let error = load(yaml, &[]).expect("settings").check().expect_err("they contradict");
    let text = error.to_string();
    text[text.find("core.yaml").expect("a place")..].to_owned()
}

#[test]
fn unknown_gossip_keys_of_the_file_are_errors_and_others_at_most_warnings() {
    let yaml = "peer:\n  gossip:\n    pullIntervall: 4s\n    election: {grace: 1s}\n";
    let expected = [
        "core.yaml:4: peer.gossip.election.grace: no such key",
        "core.yaml:3: peer.gossip.pullIntervall: no such key",
    ];
    assert_eq!(problems(yaml, &[]), expected);
    assert_eq!(problems("peer:\n  gossip: 3\n", &[]), ["core.yaml:2: peer.gossip: no such key"]);
    let yaml = "peer:\n  tls: {certificate: x}\n  gateway: {enabled: true}\nvm: {endpoint: y}\n";
    let variables = [
        ("CORE_PEER_GOSSIP_SKIPHANDSHAKE", "true"),
        ("CORE_PEER_TLS_CERT_FILES", "x"),
        ("CORE_VM_ENDPOINT", "z"),
    ];
    let settings = load(yaml, &variables).expect("settings");
    let [tls, variable, other] = settings.warnings() else { panic!("{:?}", settings.warnings()) };
    assert!(tls.ends_with("core.yaml:2: peer.tls.certificate: no such key; ignored"), "{tls}");
    assert_eq!(variable, "CORE_PEER_GOSSIP_SKIPHANDSHAKE: no such key; ignored");
    assert_eq!(other, "CORE_PEER_TLS_CERT_FILES: no such key; ignored");
}

#[test]
fn the_file_is_the_named_one_or_where_the_variable_says_and_nowhere_else() {
    let folder = Folder::new();
    let file = folder.path().join("core.yaml");
    let named = find(Some(Path::new("other.yaml")), Some(folder.path().as_os_str()));
    assert_eq!(named, Ok(PathBuf::from("other.yaml")));
    let missing = find(None, Some(folder.path().as_os_str())).expect_err("no file").to_string();
    assert!(missing.contains(&*file.display().to_string()), "{missing}");
    assert!(!missing.contains("/etc/hyperledger/fabric"), "{missing}");
    fs::write(&file, "").expect("a file");
    assert_eq!(find(None, Some(folder.path().as_os_str())), Ok(file));
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = Settings::load(Path::new("/no/such/core.yaml"), []).expect_err("no file");
    assert!(error.to_string().starts_with("/no/such/core.yaml: expected a core.yaml: "), "{error}");
}
