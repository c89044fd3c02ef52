//! What a peer keeps over restarts, and what it fetches from the ledgers of others.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    made_channel::MadeChannel,
    org::{Organisation, free_ports},
    process::{Running, command},
    source::BlockSource,
};

/// Nothing that was said to be committed is lost, whatever the moment; and no channel block is
/// needed to go on.
#[test]
fn a_peer_that_is_killed_goes_on_after_the_blocks_that_it_had_committed() {
    let org = Organisation::new();
    let mut channel = MadeChannel::new(&org);
    let genesis = file(&org, "genesis.block", &channel.genesis);
    let blocks: Vec<_> = (0..40).map(|_| channel.order(vec![7; 5000].into())).collect();
    let [port, _] = free_ports();
    let folder = org.peer("peer0", port, port);
    let mut peer = Running::run(command(&folder, &[]).arg("--channel-block").arg(&genesis));
    let mut height = 1;
    assert_eq!(peer.wait_for("channel_joined")["height"], height);
    for round in 0..6 {
        let mut source = BlockSource::start_at(&org, &channel, port, height);
        source.wait_for_company(1);
        // Some are on their way when it is killed.
        for block in blocks.iter().skip(height as usize - 1).take(6) {
            source.publish(block.clone());
        }
        let committed = height + round % 3;
        wait_for_block(&mut peer, committed);
        assert_eq!(peer.end(Signal::KILL), None);
        peer = Running::start(&folder, &[]);
        let joined = peer.wait_for("channel_joined");
        assert_eq!(joined["channel"], MadeChannel::NAME);
        height = joined["height"].as_u64().expect("a number");
        assert!(height > committed, "{joined}");
    }
    assert_eq!(peer.end(Signal::TERM), Some(0));
    let verified = tool(&folder, &["verify"]);
    let expected = format!("made: blocks 0 to {}: ", height - 1);
    assert!(verified.starts_with(&expected), "{verified}");
}

#[test]
fn a_new_peer_fetches_the_chain_from_the_ledger_of_another() {
    let org = Organisation::new();
    let mut channel = MadeChannel::new(&org);
    let genesis = file(&org, "genesis.block", &channel.genesis);
    let chain = chain_file(&org, &mut channel, 100);
    let ports = free_ports();
    let folders = [0, 1].map(|index| org.peer(&format!("peer{index}"), ports[index], ports[0]));
    tool(&folders[0], &["import", &chain]);
    let mut first = Running::start(&folders[0], &[]);
    assert_eq!(first.wait_for("channel_joined")["height"], 101);
    let mut second = command(&folders[1], &[("CORE_PEER_GOSSIP_STATE_ENABLED", "true")]);
    let mut second = Running::run(second.arg("--channel-block").arg(&genesis));
    wait_for_block(&mut second, 100);
    assert_eq!(second.end(Signal::TERM), Some(0));
    let copied = org.folder.join("copied.blocks");
    tool(&folders[1], &["export", MadeChannel::NAME, copied.to_str().expect("text")]);
    assert!(fs::read(copied).expect("the file") == fs::read(chain).expect("the file"));
}

#[test]
fn the_tools_read_beside_a_running_peer_but_do_not_import() {
    let org = Organisation::new();
    let mut channel = MadeChannel::new(&org);
    let genesis = file(&org, "genesis.block", &channel.genesis);
    let [port, _] = free_ports();
    let folder = org.peer("peer0", port, port);
    let mut peer = Running::run(command(&folder, &[]).arg("--channel-block").arg(&genesis));
    peer.wait_for("channel_joined");
    let mut source = BlockSource::start(&org, &channel, port);
    source.wait_for_company(1);
    source.publish(channel.order("tx".into()));
    wait_for_block(&mut peer, 1);
    let info: Value = serde_json::from_str(&tool(&folder, &["info", "--json"])).expect("JSON");
    assert_eq!(info["height"], 2);
    tool(&folder, &["verify"]);
    let chain = chain_file(&org, &mut channel, 0);
    let refused = gossipd(&folder, &["ledger", "import", &chain]).output().expect("gossipd runs");
    let error = String::from_utf8(refused.stderr).expect("text");
    assert_eq!(refused.status.code(), Some(1));
    assert!(error.contains("made.redb: another process appends to it: end the peer or"), "{error}");
}

/// Whenever an import is killed, its ledger has a chain without a gap, never a shorter one than
/// before, and the next import goes on there.
#[test]
fn an_import_that_is_killed_leaves_a_good_ledger_each_time() {
    let org = Organisation::new();
    let mut channel = MadeChannel::new(&org);
    let chain = chain_file(&org, &mut channel, 1500);
    let folder = org.peer("peer0", 1, 1);
    let (mut height, mut kills) = (0, 0);
    for round in 0_u64.. {
        let mut command = gossipd(&folder, &["ledger", "import", &chain]);
        let mut child = command.stdout(Stdio::null()).spawn().expect("gossipd runs");
        // Another moment each time: from before the first write to after the last.
        thread::sleep(Duration::from_millis(10 + 7 * round));
        let _ = child.kill();
        let status = child.wait().expect("an end");
        kills += u64::from(status.signal().is_some());
        let info = tool(&folder, &["info", "--json"]);
        if !info.is_empty() {
            let info: Value = serde_json::from_str(&info).expect("JSON");
            let now = info["height"].as_u64().expect("a number");
            assert!(now >= height, "{now} after {height}");
            height = now;
            let verified = tool(&folder, &["verify"]);
            assert!(verified.starts_with(&format!("made: blocks 0 to {}: ", height - 1)));
        }
        if status.success() {
            break;
        }
    }
    assert!(kills > 0 && height == 1501, "{kills} {height}");
}

fn wait_for_block(peer: &mut Running, number: u64) {
    peer.wait_until(&format!("block {number}"), |notice| {
        notice["notice"] == "block_committed" && notice["number"] == number
    });
}

/// Runs a tool that is to succeed for the peer with the configuration in a folder.
fn tool(folder: &Path, args: &[&str]) -> String {
    let output = gossipd(folder, &[&["ledger"], args].concat()).output().expect("gossipd runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn gossipd(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
    command.args(args).env("FABRIC_CFG_PATH", folder).stdin(Stdio::null());
    command
}

/// Writes a file of a channel's genesis block and so many after it.
fn chain_file(org: &Organisation, channel: &mut MadeChannel, count: usize) -> String {
    let genesis = channel.genesis.clone();
    let mut bytes = Vec::new();
    for block in [genesis].into_iter().chain((0..count).map(|_| channel.order("tx".into()))) {
        prost::encode_length_delimiter(block.len(), &mut bytes).expect("room");
        bytes.extend_from_slice(&block);
    }
    let file = file(org, "made.blocks", &bytes.into());
    file.to_str().expect("text").to_owned()
}

fn file(org: &Organisation, name: &str, bytes: &Bytes) -> PathBuf {
    let file = org.folder.join(name);
    fs::write(&file, bytes).expect("a file");
    file
}
