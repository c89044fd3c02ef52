//! Blocks that differ from a good one in a single respect, of a made channel with consenters.

use bytes::Bytes;
use gossip_msp::{BlockError, header_bytes, header_hash};
use gossip_proto::common::{Block, BlockHeader, LastConfig, Metadata, OrdererBlockMetadata};
use prost::Message;

use crate::made_channel::CHANNEL;
use crate::network::{Draft, Network, Sign, by_creator, by_number, transaction};

/// SV-50: header hashes are as the reference makes them.
#[test]
fn header_hashes_are_those_of_the_reference() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let [zeros, ones] = ["00", "11"].map(|byte| byte.repeat(32));
    let [a, b] = ["aa", "bb"].map(|byte| byte.repeat(32));
    for (number, previous_hash, data_hash, der, hash) in [
        (
            0,
            "",
            "",
            "300702010004000400".to_owned(),
            "1d1c288c6851505be0b47a0f8e7dfb91ab2abe6ad71cef63a3791d14588d1d0e",
        ),
        (
            0,
            "",
            empty,
            format!("302702010004000420{empty}"),
            "9cae6f5c10756febc407bba95fc23853774c1f65f10354895bfdab6443d66ed3",
        ),
        (
            1,
            &zeros,
            &ones,
            format!("30470201010420{zeros}0420{ones}"),
            "8851ce651a26b6b41b93fbeaf00a388b96d9f462b27f1dc75d94e6d910996812",
        ),
        (
            128,
            &a,
            &b,
            format!("3048020200800420{a}0420{b}"),
            "8dd91edc5cdfe1adc03a42381b5bc8690d451d734f3d405187bbce766bc88bd9",
        ),
        (
            u64::MAX,
            "01",
            "02",
            "3011020900ffffffffffffffff040101040102".to_owned(),
            "85966376daf7d689967bb11ba2f054c4688613f77bbf80e7584ab2293bfa8666",
        ),
    ] {
        let (previous_hash, data_hash) = (bytes(previous_hash), bytes(data_hash));
        let header = BlockHeader { number, previous_hash, data_hash };
        assert_eq!(hex(&header_bytes(&header)), der);
        assert_eq!(hex(&header_hash(&header)), hash);
    }
}

/// SV-63: number and channel must be those claimed; what went before is not looked at.
#[test]
fn a_block_is_judged_by_itself() {
    let network = Network::new("V3_0", 4);
    let good = network.block(&[transaction(CHANNEL).into()], &QUORUM);
    assert_eq!(network.judge(7, &good), Ok(()));
    assert_eq!(network.judge(8, &good), Err(BlockError::WrongNumber(7)));
    assert_eq!(network.judge(0, &good), Err(BlockError::WrongNumber(7)));
    let other = network.block(&[transaction("other").into()], &QUORUM);
    assert_eq!(network.judge(7, &other), Err(BlockError::WrongChannel));
    let second = [transaction(CHANNEL).into(), transaction("other").into()];
    let mixed = network.block(&second, &QUORUM);
    assert_eq!(network.judge(7, &mixed), Ok(()), "the first transaction alone is asked");
}

/// CVE-2023-46132, §13.2: the hash does not tell where a transaction ends, so that their form must.
#[test]
fn transactions_with_other_borders_and_the_same_hash_are_refused() {
    let network = Network::new("V3_0", 4);
    let [one, two] = [transaction(CHANNEL), transaction(CHANNEL)];
    let good = network.block(&[one.clone().into(), two.clone().into()], &QUORUM);
    assert_eq!(network.judge(7, &good), Ok(()));
    let cut = one.len() - 4;
    let (head, tail) = one.split_at(cut);
    let joined = [&one[..], &two].concat();
    let malformed = BlockError::MalformedTransaction;
    for (what, transactions, expected) in [
        ("joined", vec![joined.clone()], malformed(0)),
        ("and an empty one", vec![one.clone(), two.clone(), vec![]], malformed(2)),
        ("an empty one between", vec![one.clone(), vec![], two.clone()], malformed(1)),
        ("split", vec![one.clone(), two[..cut].to_vec(), two[cut..].to_vec()], malformed(1)),
        ("moved", vec![head.to_vec(), [tail, &two].concat()], BlockError::NoChannelHeader),
    ] {
        let altered = edited(&good, |block| {
            let data = &mut block.data.as_mut().expect("data").data;
            *data = transactions.iter().cloned().map(Bytes::from).collect();
            assert_eq!(data.concat(), joined, "the same hash");
        });
        assert_eq!(network.judge(7, &altered), Err(expected), "{what}");
    }
}

/// S13.3.b, S13.3.c: all of the first slot is signed, the last configuration's number with it, and
/// nothing of the others.
#[test]
fn the_first_slot_of_the_metadata_is_signed_as_a_whole() {
    let network = Network::new("V3_0", 4);
    let value = |index| {
        let last_config = Some(LastConfig { index });
        let value = OrdererBlockMetadata { last_config, ..OrdererBlockMetadata::default() };
        Bytes::from(value.encode_to_vec())
    };
    let transactions = [transaction(CHANNEL).into()];
    let draft = Draft { value: value(3), ..Draft::default() };
    let good = network.make(&draft, &transactions, &QUORUM);
    assert_eq!(network.judge(7, &good), Ok(()));
    let with_value = |value: Bytes| {
        edited(&good, |block| {
            let slot = &mut slots(block)[0];
            let signed = Metadata::decode(slot.clone()).expect("signatures");
            *slot = Metadata { value, ..signed }.encode_to_vec().into();
        })
    };
    for other in [value(4), Bytes::new(), Bytes::from_static(b"\xff")] {
        let altered = with_value(other);
        assert_eq!(network.judge(7, &altered), Err(BlockError::NotSatisfied(0)));
    }
    assert_eq!(network.judge(7, &with_value(value(3))), Ok(()));
    type Edit = fn(&mut Vec<Bytes>);
    let edits: [(&str, Edit, Result<(), BlockError>); 7] = [
        ("more slots", |slots| slots.resize(9, Bytes::from_static(b"\xff")), Ok(())),
        ("one slot", |slots| slots.truncate(1), Ok(())),
        ("no slot", Vec::clear, Err(BlockError::NoMetadata)),
        ("another first", |slots| slots.insert(0, Bytes::new()), Err(BlockError::NotSatisfied(0))),
        ("empty", |slots| slots[0] = Bytes::new(), Err(BlockError::NotSatisfied(0))),
        (
            "garbled",
            |slots| slots[0] = Bytes::from_static(b"\x0a\xff"),
            Err(BlockError::UndecodableSignatures),
        ),
        ("cut", |slots| drop(slots[0].split_off(9)), Err(BlockError::UndecodableSignatures)),
    ];
    for (what, edit, expected) in edits {
        let altered = edited(&good, |block| edit(slots(block)));
        assert_eq!(network.judge(7, &altered), expected, "{what}");
    }
}

/// SV-64: how many of so many consenters must sign, and that one less is not enough.
#[test]
fn a_quorum_of_consenters_is_more_than_half_of_the_honest() {
    let quorums = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9];
    for (count, quorum) in (1..).zip(quorums) {
        let network = Network::new("V3_0", count);
        assert_eq!(network.quorum(), quorum, "of {count}");
        let signatures: Vec<_> = (1..=quorum).map(|number| (by_number as Sign, number)).collect();
        assert_eq!(network.verify(&signatures), Ok(()), "{quorum} of {count}");
        let fewer = network.verify(&signatures[1..]);
        assert_eq!(fewer, Err(BlockError::NotSatisfied(quorum - 1)), "of {count}");
    }
}

/// Parts of blocks that take more memory than bytes are counted before they are read.
#[test]
fn blocks_of_too_many_parts_are_refused_before_they_are_read() {
    let network = Network::new("V3_0", 4);
    let good = network.block(&[transaction(CHANNEL).into()], &QUORUM);
    // Fields of a message may be repeated, and are then read as one.
    let with = |field: u8, items: usize| {
        let part = [0x0a, 0].repeat(items);
        let mut block = [&good[..], &[field]].concat();
        prost::encode_length_delimiter(part.len(), &mut block).expect("room");
        Bytes::from([block, part].concat())
    };
    const MAX: usize = 1 << 20;
    for field in [0x12, 0x1a] {
        // The good block has one transaction and one slot.
        let too_many = network.judge(7, &with(field, MAX - 1));
        assert_eq!(too_many, Err(BlockError::TooManyParts(MAX + 1)));
        let many = network.judge(7, &with(field, MAX - 2));
        assert!(!matches!(many, Err(BlockError::TooManyParts(_))), "{many:?}");
    }
    let many = edited(&good, |block| slots(block)[0] = [0x12, 0].repeat(257).into());
    assert_eq!(network.judge(7, &many), Err(BlockError::TooManySignatures(257)));
}

fn edited(block: &Bytes, edit: impl FnOnce(&mut Block)) -> Bytes {
    let mut block = Block::decode(block.clone()).expect("a block");
    edit(&mut block);
    block.encode_to_vec().into()
}

fn slots(block: &mut Block) -> &mut Vec<Bytes> {
    &mut block.metadata.as_mut().expect("metadata").metadata
}

fn bytes(digits: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Three of four.
const QUORUM: [(Sign, usize); 3] = [(by_number, 1), (by_number, 2), (by_creator, 3)];
