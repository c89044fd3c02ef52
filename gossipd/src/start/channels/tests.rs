use std::{fs, path::PathBuf};

use gossip_core::Crypto;
use gossip_msp::{Msp, MspConfig, SigningIdentity, Source};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;

/// A peer in the recorded channel, and all blocks of that.
fn joined() -> (Channels, mpsc::UnboundedReceiver<Change>, Arc<Judges>, Vec<Bytes>) {
    let blocks = recorded_blocks();
    let file = temporary("genesis.block");
    fs::write(&file, &blocks[0]).expect("a file");
    let genesis = Channel::read(&file).expect("a configuration block");
    let _ = fs::remove_file(&file);
    let judges = Arc::new(judges());
    let (channels, changes) =
        Channels::new(Arc::clone(&judges), vec![genesis]).expect("no TLS to go wrong");
    (channels, changes, judges, blocks)
}

fn judges() -> Judges {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let root_certs = vec![Source::new("authority", authority.pem())];
    let config = MspConfig { id: "OwnMSP".to_owned(), root_certs, ..MspConfig::default() };
    let own = Msp::new(&config).expect("an organisation");
    let key = KeyPair::generate().expect("a key");
    let certificate =
        CertificateParams::default().signed_by(&key, &authority).expect("a certificate");
    let certificate = Source::new("certificate", certificate.pem());
    let key = Source::new("key", key.serialize_pem());
    let signer = SigningIdentity::new("OwnMSP", &certificate, &key).expect("an identity");
    Judges::new(own, signer, None)
}

fn recorded_blocks() -> Vec<Bytes> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../msp/tests/data/ch1.chain");
    let mut rest = Bytes::from(fs::read(path).expect("the recorded chain"));
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let length = prost::decode_length_delimiter(&mut rest).expect("a length");
        blocks.push(rest.split_to(length));
    }
    blocks
}

fn temporary(name: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("gossipd-{}-{number}-{name}", std::process::id()))
}

/// SV-9, SV-10
#[test]
fn a_channel_is_followed_from_its_genesis_block_through_its_configurations() {
    let (channels, mut changes, judges, blocks) = joined();
    let [(id, membership, 1)] = &channels.list()[..] else { panic!("{:?}", channels.list()) };
    assert!(!membership.orgs.is_empty());
    let (mut configs, mut sequence) = (0, membership.sequence);
    for (number, block) in (0..).zip(&blocks).skip(1) {
        judges.verify_block(id, number, block).expect("signed as the configuration asks");
        channels.commit(id, number, block).expect("the next block");
        while let Ok(change) = changes.try_recv() {
            assert!(change.channel == *id && change.sequence > sequence);
            sequence = change.sequence;
            configs += 1;
        }
    }
    let listed = channels.list();
    assert_eq!((listed[0].1.sequence, listed[0].2), (sequence, blocks.len() as u64));
    assert!(configs > 0, "the recorded channel was reconfigured");
}

#[test]
fn a_block_is_taken_again_but_not_before_its_time_nor_of_another_channel() {
    let (channels, _changes, _, blocks) = joined();
    let id = channels.list()[0].0.clone();
    assert!(channels.commit(&id, 2, &blocks[2]).is_err());
    assert!(channels.commit(&"other".into(), 1, &blocks[1]).is_err());
    assert_eq!(channels.commit(&id, 1, &blocks[1]), Ok(()));
    assert_eq!(channels.commit(&id, 1, &blocks[1]), Ok(()));
    assert_eq!(channels.list()[0].2, 2);
}

#[test]
fn what_is_no_configuration_block_is_refused_with_the_files_name() {
    let blocks = recorded_blocks();
    let ordinary = blocks.iter().find(|block| !is_config_block(block)).expect("one");
    for content in [&b""[..], b"text", &blocks[0][..100], &ordinary[..]] {
        let file = temporary("wrong.block");
        fs::write(&file, content).expect("a file");
        let error = Channel::read(&file).expect_err("no configuration");
        let _ = fs::remove_file(&file);
        let expected = format!("{}: expected a configuration block: ", file.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    let missing = Channel::read(std::path::Path::new("/no/such.block")).expect_err("no file");
    assert!(missing.starts_with("/no/such.block: expected a configuration block: "), "{missing}");
}
