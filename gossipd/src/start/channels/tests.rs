use std::fs;

use gossip_core::Crypto;
use gossip_msp::{Msp, MspConfig, SigningIdentity, Source};
use gossip_proto::common::Block;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;
use crate::{ledger, start::joined, tests::Folder};

/// A peer in the recorded channel, and all blocks of that.
struct Peer {
    channels: Channels,
    changes: mpsc::UnboundedReceiver<Change>,
    judges: Arc<Judges>,
    blocks: Vec<Bytes>,
    folder: Folder,
}

impl Peer {
    fn new() -> Self {
        let (blocks, folder) = (recorded_blocks(), Folder::new());
        fs::write(folder.path().join("genesis.block"), &blocks[0]).expect("a file");
        Self::start(blocks, folder)
    }

    fn start(blocks: Vec<Bytes>, folder: Folder) -> Self {
        let genesis = folder.path().join("genesis.block");
        let ledgers = ledger::Folder::below(folder.path());
        let joined = joined::open(&ledgers, &[genesis]).expect("a configuration block");
        let judges = Arc::new(judges());
        let (channels, changes) =
            Channels::new(Arc::clone(&judges), joined).expect("no TLS to go wrong");
        Self { channels, changes, judges, blocks, folder }
    }

    fn restarted(self) -> Self {
        let Self { channels, blocks, folder, .. } = self;
        drop(channels);
        Self::start(blocks, folder)
    }
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

/// SV-9, SV-10
#[test]
fn a_channel_is_followed_from_its_genesis_block_through_its_configurations() {
    let Peer { channels, mut changes, judges, blocks, folder: _folder } = Peer::new();
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
    let Peer { channels, blocks, folder: _folder, .. } = Peer::new();
    let id = channels.list()[0].0.clone();
    assert!(channels.commit(&id, 2, &blocks[2]).is_err());
    assert!(channels.commit(&"other".into(), 1, &blocks[1]).is_err());
    assert_eq!(channels.commit(&id, 1, &blocks[1]), Ok(()));
    assert_eq!(channels.commit(&id, 1, &blocks[1]), Ok(()));
    assert_eq!(channels.list()[0].2, 2);
}

#[test]
fn another_block_in_the_place_of_one_is_rejected() {
    let Peer { channels, blocks, folder: _folder, .. } = Peer::new();
    let id = channels.list()[0].0.clone();
    channels.commit(&id, 1, &blocks[1]).expect("the next block");
    let verdict = channels.commit(&id, 1, &blocks[2]);
    assert!(matches!(&verdict, Err(JobError::Rejected(_))), "{verdict:?}");
    let mut other = Block::decode(blocks[2].clone()).expect("a block");
    other.header.as_mut().expect("a header").previous_hash = Bytes::from_static(b"another");
    let verdict = channels.commit(&id, 2, &other.encode_to_vec().into());
    assert!(matches!(&verdict, Err(JobError::Rejected(_))), "{verdict:?}");
    assert_eq!(channels.commit(&id, 2, &blocks[2]), Ok(()));
}

/// The disk may have kept what it failed to confirm.
#[test]
fn a_configuration_that_is_in_the_ledger_already_holds_when_its_block_comes_again() {
    let Peer { channels, mut changes, judges, blocks, folder: _folder } = Peer::new();
    let id = channels.list()[0].0.clone();
    channels.lock().get_mut(&id).expect("joined").ledger.append(&blocks[1..14]).expect("a disk");
    channels.commit(&id, 13, &blocks[13]).expect("it is there");
    assert_eq!(changes.try_recv().expect("a change").sequence, 1);
    judges.verify_block(&id, 14, &blocks[14]).expect("signed as the configuration asks");
    channels.commit(&id, 14, &blocks[14]).expect("the next block");
}

#[test]
fn blocks_are_read_as_they_were_committed_up_to_a_number_of_bytes() {
    let Peer { channels, blocks, folder: _folder, .. } = Peer::new();
    let id = channels.list()[0].0.clone();
    for (number, block) in (0..).zip(&blocks).take(10).skip(1) {
        channels.commit(&id, number, block).expect("the next block");
    }
    let read = |first, last, bytes_max| channels.read_blocks(&id, first, last, bytes_max);
    let expected = |range: std::ops::Range<usize>| {
        Ok(range.map(|number| (number as u64, blocks[number].clone())).collect::<Vec<_>>())
    };
    assert_eq!(read(2, 5, usize::MAX), expected(2..6));
    assert_eq!(read(8, u64::MAX, usize::MAX), expected(8..10));
    assert_eq!(read(10, 20, usize::MAX), expected(0..0));
    assert_eq!(read(5, 2, usize::MAX), expected(0..0));
    assert_eq!(read(2, 9, 1), expected(2..3));
    let two = blocks[2].len() + blocks[3].len();
    assert_eq!(read(2, 9, two), expected(2..4));
    assert_eq!(read(2, 9, two + 1), expected(2..5));
    assert!(channels.read_blocks(&"other".into(), 0, 1, 1).is_err());
}

/// What was learnt of configurations is known after a restart, before any block comes.
#[test]
fn a_restarted_peer_goes_on_after_its_last_block_with_the_last_configuration() {
    let peer = Peer::new();
    let id = peer.channels.list()[0].0.clone();
    for (number, block) in (0..).zip(&peer.blocks).take(50).skip(1) {
        peer.channels.commit(&id, number, block).expect("the next block");
    }
    let before = peer.channels.list();
    let Peer { channels, judges, blocks, folder: _folder, .. } = peer.restarted();
    let [(_, before, height)] = &before[..] else { panic!("{before:?}") };
    let [(_, membership, 50)] = &channels.list()[..] else { panic!("{:?}", channels.list()) };
    assert_eq!((membership.sequence, *height), (before.sequence, 50));
    judges.verify_block(&id, 50, &blocks[50]).expect("signed as the configuration asks");
    channels.commit(&id, 50, &blocks[50]).expect("the next block");
}

#[test]
fn what_is_no_configuration_block_is_refused_with_the_files_name() {
    let (blocks, folder) = (recorded_blocks(), Folder::new());
    let ordinary = blocks.iter().find(|block| !is_config_block(block)).expect("one");
    for content in [&b""[..], b"text", &blocks[0][..100], &ordinary[..]] {
        let file = folder.path().join("wrong.block");
        fs::write(&file, content).expect("a file");
        let error = Channel::read(&file).expect_err("no configuration");
        let expected = format!("{}: expected a configuration block: ", file.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    let missing = Channel::read(std::path::Path::new("/no/such.block")).expect_err("no file");
    assert!(missing.starts_with("/no/such.block: expected a configuration block: "), "{missing}");
}
