use redb::TableHandle;

use super::*;
use crate::{ledger::file::Blocks, tests::Folder};

#[test]
fn blocks_are_there_again_when_a_ledger_is_opened_again() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    writer.append(&blocks[1..20]).expect("blocks that follow");
    writer.append(&blocks[20..30]).expect("blocks that follow");
    let facts = writer.facts.clone();
    assert_eq!((facts.first, facts.height, facts.config_block), (0, 30, 13));
    drop(writer);
    let mut writer = Writer::open(&path).expect("the ledger");
    assert_eq!(writer.facts, facts);
    assert_eq!(writer.config().expect("a configuration").sequence(), 1);
    for (number, block) in (0..30).zip(&blocks) {
        assert_eq!(writer.get(number).expect("a block"), *block);
    }
    writer.append(&blocks[30..]).expect("blocks that follow");
    assert_eq!(writer.height(), blocks.len() as u64);
}

#[test]
fn a_ledger_can_begin_with_a_later_configuration_block() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[41]).expect("a ledger");
    writer.append(&blocks[42..]).expect("blocks that follow");
    let (first, height, config_block) = (writer.first(), writer.height(), writer.config_block());
    assert_eq!((first, height, config_block), (41, blocks.len() as u64, 42));
    assert_eq!(writer.get(41).expect("a block"), blocks[41]);
    let error = writer.get(40).expect_err("before the first").to_string();
    assert!(error.contains("damaged: block 40 is missing"), "{error}");
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    let mut forged = prost::Message::decode(blocks[2].clone()).expect("a block");
    let gossip_proto::common::Block { header, .. } = &mut forged;
    header.as_mut().expect("a header").previous_hash = Bytes::from_static(b"another");
    let forged = Bytes::from(prost::Message::encode_to_vec(&forged));
    for (wrong, expected) in [
        (vec![blocks[2].clone()], "expected block 1, found block 2"),
        (vec![blocks[0].clone()], "expected block 1, found block 0"),
        (vec![blocks[1].clone(), forged], "expected block 2 that follows the one before"),
        (vec![Bytes::from_static(b"no block")], "expected a serialized common.Block"),
    ] {
        let error = writer.append(&wrong).expect_err(expected);
        assert!(matches!(error.problem, Problem::Unfit(_)), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(writer.height(), 1);
    }
    writer.append(&blocks[1..3]).expect("blocks that follow");
}

#[test]
fn a_ledger_is_never_made_twice_and_no_draft_stays() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    writer.append(&blocks[1..2]).expect("a block that follows");
    assert!(Writer::create(&path, "ch1", &blocks[0]).is_err());
    drop(writer);
    assert!(Writer::create(&path, "ch1", &blocks[0]).is_err());
    assert_eq!(Writer::open(&path).expect("the ledger").height(), 2);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn one_appends_while_others_read() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    let mut reader = Reader::open(&path).expect("a reader");
    writer.append(&blocks[1..3]).expect("blocks that follow");
    assert_eq!((reader.height(), reader.get(0).expect("a block")), (1, blocks[0].clone()));
    let mut later = Reader::open(&path).expect("a reader");
    assert_eq!((later.height(), later.get(2).expect("a block")), (3, blocks[2].clone()));
    let error = Writer::open(&path).expect_err("one is there");
    assert_eq!(error.problem, Problem::InUse);
    assert!(error.to_string().contains("another process appends to it"), "{error}");
}

#[test]
fn after_a_failure_of_the_disk_a_ledger_goes_on_where_it_was() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    let full = StoreError::new(&path, Problem::Io("no space".to_owned()));
    writer.database = Err(full);
    assert!(writer.append(&blocks[1..2]).is_err());
    assert_eq!(writer.height(), 1);
    writer.recover().expect("the disk is well");
    writer.append(&blocks[1..3]).expect("blocks that follow");
    assert_eq!(Reader::open(&path).expect("the ledger").height(), 3);
}

/// As somebody would who edits the file with tools of redb.
#[test]
fn a_changed_record_is_found_by_its_checksum_and_named_with_what_to_do() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    writer.append(&blocks[1..9]).expect("blocks that follow");
    let swapped = writer.call(|database| {
        let transaction = database.begin_write()?;
        let mut table = transaction.open_table(BLOCKS)?;
        let record = table.get(3)?.expect("block 3").value().to_vec();
        table.insert(4, &record[..])?;
        table.insert(5, &record[..7])?;
        table.remove(6)?;
        drop(table);
        Ok(transaction.commit()?)
    });
    swapped.expect("no damage to redb");
    drop(writer);
    let mut reader = Reader::open(&path).expect("the ledger");
    assert_eq!(reader.get(3).expect("a block"), blocks[3]);
    for (number, what) in [(4, "differs from its checksum"), (5, "is cut short"), (6, "is missing")]
    {
        let error = reader.get(number).expect_err(what).to_string();
        let expected =
            format!("{}: damaged: block {number} {what}; move the file away", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}

/// Whatever single bit of the file changes, blocks that are read are those that were written, and
/// neither reading nor appending does worse than fail.
#[test]
fn no_changed_bit_gets_another_block_out() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    writer.append(&blocks[1..4]).expect("blocks that follow");
    drop(writer);
    let whole = fs::read(&path).expect("the file");
    let (mut good, mut bad) = (0, 0);
    // Every place of the header, some of each page and of its start.
    let places: Vec<_> = (0..320)
        .chain((0..whole.len()).step_by(4093))
        .chain((0..whole.len()).step_by(4096).map(|page| page + page / 4096 % 24))
        .collect();
    for (index, place) in places.into_iter().enumerate() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (index % 8);
        fs::write(&path, &damaged).expect("a file");
        if let Ok(mut reader) = Reader::open(&path) {
            read_all(&mut reader, &blocks, &mut good, &mut bad);
        }
        // A file of its own: a lock is kept on one whose damage was too great to close it.
        let path = folder.path().join(format!("{index}.redb"));
        fs::write(&path, &damaged).expect("a file");
        if let Ok(mut writer) = Writer::open(&path) {
            bad += u32::from(writer.append(&blocks[4..5]).is_err());
            read_all(&mut writer, &blocks, &mut good, &mut bad);
        }
        fs::remove_file(&path).expect("the file");
    }
    assert!(good > 0 && bad > 0, "{good} {bad}");
}

fn read_all(
    store: &mut Store<impl ReadableDatabase>,
    blocks: &[Bytes],
    good: &mut u32,
    bad: &mut u32,
) {
    for number in store.first()..store.height().min(8) {
        match store.get(number) {
            Ok(block) => {
                assert_eq!(block, blocks[number as usize]);
                *good += 1;
            }
            Err(_) => *bad += 1,
        }
    }
}

#[test]
fn other_files_and_other_formats_are_told_apart() {
    let (folder, blocks) = (Folder::new(), recorded());
    let path = folder.path().join("ch1.redb");
    for text in [&b"text"[..], &[0; 100_000]] {
        fs::write(&path, text).expect("a file");
        let error = Writer::open(&path).expect_err("no ledger");
        assert_eq!(error.problem, Problem::Foreign, "{error}");
        assert!(Reader::open(&path).is_err());
    }
    fs::remove_file(&path).expect("the file");
    drop(builder().create(&path).expect("a database"));
    assert_eq!(Writer::open(&path).expect_err("empty").problem, Problem::Foreign);
    fs::remove_file(&path).expect("the file");
    let mut writer = Writer::create(&path, "ch1", &blocks[0]).expect("a ledger");
    let later = writer.call(|database| {
        let transaction = database.begin_write()?;
        assert_eq!(META.name(), "meta");
        transaction.open_table(META)?.insert("format", &(FORMAT + 1).to_be_bytes()[..])?;
        Ok(transaction.commit()?)
    });
    later.expect("no damage to redb");
    drop(writer);
    let error = Writer::open(&path).expect_err("of another version");
    assert_eq!(error.problem, Problem::Format(FORMAT + 1));
    assert!(error.to_string().contains("expected format 1, found 2"), "{error}");
    let missing = Reader::open(&folder.path().join("none.redb")).expect_err("none").to_string();
    assert!(missing.contains("none.redb: ") && missing.contains("No such file"), "{missing}");
}

fn recorded() -> Vec<Bytes> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../msp/tests/data/ch1.chain");
    let blocks = Blocks::open(Path::new(path)).expect("the recorded chain");
    blocks.collect::<Result<_, _>>().expect("blocks")
}
