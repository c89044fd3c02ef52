//! Logs of real peers are re-run: the same, or the first thing that differs is named.

use std::{
    io::{self, Write},
    net::TcpListener,
    process::Command as Process,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use gossip_core::{
    ChannelConfig, ChannelId, Command, CommandError, Config, Crypto, Endpoint, Identity,
    IdentityFacts, Instant, JobError, Ledger, Notice, OrgId, Signed,
    record::{HEAD_LEN, PREFACE_LEN, Writer},
};
use gossip_tests::{
    replay::{Difference, Ending, Verdict, rerun},
    sim::{
        Faults, Options,
        crypto::{Authority, Backend, Key, Readers},
        run as run_sim,
    },
};
use gossip_tokio::{CryptoPool, Handle, Item, Peer, Recording, Subscription};
use tokio::time::timeout;

#[test]
fn a_recorded_run_of_real_peers_is_the_same_the_second_time() {
    let log = recorded_run();
    let report = rerun(&log[..], 0).expect("a log");
    assert_eq!(report.verdict, Verdict::Same, "{report}");
    assert_eq!((report.ending, report.bytes), (Some(Ending::Complete), log.len() as u64));
    let counts = &report.counts;
    for event in ["Connected", "JobDone", "Message", "Sent", "Tick"] {
        assert!(counts.events[event] > 0, "{event}: {report}");
    }
    for command in ["GossipBlock", "JoinChannel", "LeaveChannel", "Stop"] {
        assert!(counts.commands[command] > 0, "{command}: {report}");
    }
    for action in ["Close", "Dial", "Job", "Notify", "Send"] {
        assert!(counts.actions[action] > 0, "{action}: {report}");
    }
    assert_eq!(counts.refused, 1, "{report}");
    assert_eq!(report.digest, rerun(&log[..], 0).expect("a log").digest);
}

#[test]
fn a_peer_of_a_simulation_does_the_same_the_second_time_whatever_struck_it() {
    let options = |seed, record| Options {
        peers: 6,
        faults: Faults::all(),
        duration: Duration::from_secs(60),
        record,
        ..Options::new(seed)
    };
    let b1 = || Some("b1".to_owned());
    let mut runs = (1..30).map(|seed| run_sim(&options(seed, b1()), |_| {}).expect("a run"));
    let report = runs.find(|report| report.logs.len() > 1).expect("one in which it starts again");
    for (life, log) in report.logs.iter().enumerate() {
        let again = rerun(&log[..], 0).expect("a log");
        let is_last = life + 1 == report.logs.len();
        let ending = if is_last { Ending::Complete } else { Ending::Open };
        assert_eq!((&again.verdict, again.ending), (&Verdict::Same, Some(ending)), "{again}");
        assert!(again.counts.actions["Send"] > 0, "{again}");
    }
    let unrecorded = run_sim(&options(report.seed, None), |_| {}).expect("a run");
    assert_eq!(unrecorded.digest, report.digest, "to be recorded changes nothing");
    let error = run_sim(&options(1, Some("c9".to_owned())), |_| {}).expect_err("nobody");
    assert_eq!(error, "no peer is called \"c9\": expected a0 to b2");
}

#[test]
fn a_log_that_was_cut_off_is_re_run_up_to_there() {
    let log = recorded_run();
    let records = records(&log);
    // Some cuts between records, at their heads and inside.
    for (start, end) in records.iter().skip(1).step_by(records.len() / 20 + 1).copied() {
        for cut in [start, start + 1, start + HEAD_LEN, end - 1] {
            let report = rerun(&log[..cut], 0).expect("a log");
            assert_eq!(report.verdict, Verdict::Same, "cut at {cut}: {report}");
            let bytes = (cut - start) as u64;
            let torn = Ending::Torn { offset: start as u64, bytes };
            let ending = if bytes == 0 { Ending::Open } else { torn };
            assert_eq!(report.ending, Some(ending), "cut at {cut}");
        }
    }
    let header = rerun(&log[..records[0].1 - 1], 0).expect_err("no header").to_string();
    assert_eq!(header, "the log ends within its header: nothing can be re-run");
}

#[test]
fn an_altered_byte_is_named_with_its_record_and_where_that_begins() {
    let log = recorded_run();
    let records = records(&log);
    let (start, end) = records[records.len() / 2];
    for at in [start, start + 3, start + 5, start + 9, start + HEAD_LEN, end - 1] {
        let mut altered = log.clone();
        altered[at] ^= 1;
        let report = rerun(&altered[..], 0).expect("a log");
        let Verdict::Unreadable(error) = &report.verdict else { panic!("{report}") };
        let place = format!("record {}, from byte {start}: damaged", records.len() / 2);
        assert!(error.starts_with(&place), "{error}");
        assert_eq!(report.ending, None);
    }
    let more = [&log[..], b"?"].concat();
    let Verdict::Unreadable(error) = rerun(&more[..], 0).expect("a log").verdict else {
        panic!("one byte too many")
    };
    assert_eq!(error, format!("byte {}: expected nothing after the end of the run", log.len()));
    let no_log = rerun(&b"once upon a time"[..], 0).expect_err("no log").to_string();
    assert_eq!(no_log, "not the log of a node");
}

#[test]
fn the_tool_says_by_its_status_whether_a_run_was_the_same() {
    let log = recorded_run();
    let path = std::env::temp_dir().join(format!("gossip-replay-{}.log", std::process::id()));
    let run = |log: &[u8]| {
        std::fs::write(&path, log).expect("a file");
        let tool = Process::new(env!("CARGO_BIN_EXE_replay")).arg(&path).arg("--trace").output();
        let output = tool.expect("the tool runs");
        let [out, err] = [output.stdout, output.stderr].map(String::from_utf8);
        (output.status.code(), out.expect("text"), err.expect("text"))
    };
    let (code, out, _) = run(&log);
    assert!(code == Some(0) && out.contains("re-run     the same, "), "{out}");
    assert!(out.contains(" → job ") && out.contains("the timer is due"), "a trace: {out}");
    let mut altered = log.clone();
    *altered.last_mut().expect("not empty") ^= 1;
    let (code, out, _) = run(&altered);
    assert!(code == Some(1) && out.contains("damaged: "), "{out}");
    let (code, out, err) = run(b"");
    assert_eq!((code, &*out), (Some(2), ""));
    assert_eq!(err, format!("replay: {}: not the log of a node\n", path.display()));
    std::fs::remove_file(&path).expect("the file goes");
}

#[test]
fn with_another_seed_the_first_action_that_differs_is_named() {
    let log = recorded_run();
    let is_seed = |window: &[u8]| window == b"\x08rng_seed";
    let seed = log.windows(9).position(is_seed).expect("a seed") + 9 + 2;
    let mut altered = log.clone();
    altered[seed + 4] ^= 1;
    seal_header(&mut altered);
    let report = rerun(&altered[..], 4).expect("a log");
    let Verdict::Differs(difference) = &report.verdict else { panic!("{report}") };
    let Difference { record, action, expected, found, .. } = &**difference;
    assert!(*record < records(&log).len() as u64 && expected != found, "{difference}");
    let same: u64 = report.counts.actions.values().sum();
    assert_eq!(same, *action, "those before are the same");
    assert_eq!(report.trace.len(), 4);
    let text = report.to_string();
    for line in ["re-run     DIFFERS", "  at  ", "  after  ", "  expected  ", "  found  "] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn what_is_done_too_much_too_little_or_taken_instead_of_refused_is_a_difference() {
    let config = config("a", 1, &[]);
    let channel = ChannelId::from("nowhere");
    let leave = Command::LeaveChannel { channel: channel.clone() };
    let log = |write: &dyn Fn(&mut Writer, &mut Vec<u8>)| {
        let mut log = Vec::new();
        let mut writer = Writer::new(&config, Instant::ZERO, &mut log).expect("small");
        write(&mut writer, &mut log);
        log
    };
    let differs = |log: Vec<u8>| match rerun(&log[..], 0).expect("a log").verdict {
        Verdict::Differs(difference) => (difference.expected, difference.found),
        other => panic!("{other:?}"),
    };
    let taken = log(&|writer, log| {
        writer.command(Instant::ZERO, &leave, log).expect("small");
        writer.clone().end(log).expect("small");
    });
    let refused = "the command is refused: channel nowhere was not joined".to_owned();
    assert_eq!(differs(taken), ("the command is taken".to_owned(), refused.clone()));
    let other = log(&|writer, log| {
        writer.command(Instant::ZERO, &leave, log).expect("small");
        writer.refused(&CommandError::Stopped, log).expect("small");
    });
    let stopped = "the command is refused: the node was stopped".to_owned();
    assert_eq!(differs(other), (stopped, refused));
    // The node's first actions are signatures that it asks for.
    let nothing = log(&|writer, log| writer.clone().end(log).expect("small"));
    let (expected, found) = differs(nothing);
    assert_eq!((&*expected, found.split(':').next()), ("nothing more", Some("job 0")));
    let more = log(&|writer, log| {
        let mut node = gossip_core::Node::new(config.clone(), Instant::ZERO).expect("a node");
        let mut last = None;
        while let Some(action) = node.poll_action() {
            writer.action(&action);
            last = Some(action);
        }
        writer.action(&last.expect("it wants something"));
        writer.actions(log).expect("small");
    });
    assert_eq!(differs(more).1, "nothing");
}

/// Runs three peers until a block has reached all; returns the log of one that has dialled, was
/// dialled and has published the block.
fn recorded_run() -> Vec<u8> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async { timeout(Duration::from_secs(60), run()).await.expect("in time") })
}

async fn run() -> Vec<u8> {
    let authority = authority();
    let pool = CryptoPool::new(2);
    let log = Log::default();
    let ports: Vec<_> = ["a", "b", "c"].map(|_| free_port()).into();
    let mut peers: Vec<(Handle, Subscription)> = Vec::new();
    for (ix, name) in ["a", "b", "c"].into_iter().enumerate() {
        let backend = Arc::new(Toy { key: authority.issue("org", name, 0, None).key });
        let config = config(name, ports[ix], &ports[..ix]);
        let mut peer = Peer::builder(config, Arc::clone(&backend) as _, backend).pool(pool.clone());
        if name == "b" {
            peer = peer.record(Recording::to("the log", log.clone()));
        }
        let notices = peer.subscribe(10_000);
        let (handle, _) = peer.listen(&format!("127.0.0.1:{}", ports[ix])).await.expect("a port");
        peers.push((handle, notices));
    }
    let channel = ChannelId::from("ch");
    for (handle, _) in &peers {
        let orgs = vec![(OrgId::from("org"), Vec::new())];
        let config = ChannelConfig { sequence: 1, orgs };
        handle.join_channel(channel.clone(), config, Some(0)).await.expect("it joins");
    }
    for (_, notices) in &mut peers {
        let mut others = 2;
        while others > 0 {
            let is_new = |notice: &Notice| matches!(notice, Notice::ChannelPeer { .. });
            others -= u32::from(next(notices).await.as_ref().is_some_and(is_new));
        }
    }
    let (handle, _) = &peers[1];
    let block = authority.block(&channel, 0, &[42; 3000]);
    handle.gossip_block(channel.clone(), 0, block).await.expect("it is taken");
    for ix in [0, 2] {
        let is_block = |notice: &Notice| matches!(notice, Notice::BlockCommitted { .. });
        while !next(&mut peers[ix].1).await.as_ref().is_some_and(is_block) {}
    }
    let nowhere = ChannelId::from("nowhere");
    let error = peers[1].0.leave_channel(nowhere.clone()).await;
    assert_eq!(error, Err(CommandError::NotJoined(nowhere)));
    for (handle, _) in &peers {
        handle.stop().await;
    }
    log.0.lock().expect("nobody panics").clone()
}

async fn next(notices: &mut Subscription) -> Option<Notice> {
    match notices.recv().await.expect("the peer runs") {
        Item::Notice(notice) => Some(notice),
        Item::Lost(count) => panic!("{count} notices were lost"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("an address").port()
}

fn config(name: &str, port: u16, bootstrap: &[u16]) -> Config {
    let local = |port: &u16| Endpoint::from(format!("127.0.0.1:{port}"));
    let credentials = authority().issue("org", name, 0, None);
    let facts = credentials.facts;
    let mut config = Config::new(credentials.identity, facts.pki_id, facts.org, local(&port));
    config.rng_seed = [7; 32];
    config.bootstrap = bootstrap.iter().map(local).collect();
    config.publish_state_info_interval = Duration::from_millis(100);
    config.request_state_info_interval = Duration::from_millis(100);
    config
}

fn authority() -> Authority {
    Authority::new([1; 32])
}

/// Finds where the records of a log begin and end.
fn records(log: &[u8]) -> Vec<(usize, usize)> {
    let mut records = Vec::new();
    let mut start = PREFACE_LEN;
    while start < log.len() {
        let len = log[start..start + 4].try_into().expect("four bytes");
        let end = start + HEAD_LEN + u32::from_le_bytes(len) as usize;
        records.push((start, end));
        start = end;
    }
    records
}

/// Gives an altered header its checksum.
fn seal_header(log: &mut [u8]) {
    let (start, end) = records(log)[0];
    let mut digest = gossip_core::record::Digest::default();
    digest.bytes(&log[start + HEAD_LEN..end]);
    let check = (digest.value() as u32).to_le_bytes();
    log[start + 8..start + HEAD_LEN].copy_from_slice(&check);
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Signs with keyed hashes; everybody may read everything.
struct Toy {
    key: Key,
}

#[derive(Debug)]
struct Everybody;

impl Readers for Everybody {
    fn may_read(&self, _: &OrgId, _: &ChannelId) -> bool {
        true
    }
}

impl Toy {
    fn with<R>(&self, f: impl FnOnce(&Backend<'_>) -> R) -> R {
        f(&Backend { authority: &authority(), key: &self.key, readers: &Everybody })
    }
}

impl Crypto for Toy {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        self.with(|backend| backend.sign(payload))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        self.with(|backend| backend.verify(identity, message))
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        self.with(|backend| backend.validate_identity(identity))
    }

    fn check_access(
        &self,
        channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        self.with(|backend| backend.check_access(channel, identity, message))
    }

    fn verify_block(
        &self,
        channel: &ChannelId,
        number: u64,
        block: &Bytes,
    ) -> Result<(), JobError> {
        self.with(|backend| backend.verify_block(channel, number, block))
    }
}

impl Ledger for Toy {
    fn commit(&self, channel: &ChannelId, number: u64, block: &Bytes) -> Result<(), JobError> {
        self.with(|backend| backend.commit(channel, number, block))
    }
}
