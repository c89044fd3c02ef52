//! A gossip node in a plain loop over TCP, with nothing but std: no runtime, no TLS.
//!
//! Three peers of one organisation start on loopback, find each other through the first, and the
//! first spreads five blocks. The peers trust whoever knows a common key: a real network brings
//! certificates instead, and TLS below the frames.
//!
//! ```sh
//! cargo run -p gossip-core --example event_loop
//! ```

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use gossip_core::{
    Action, ChannelConfig, ChannelId, Command, Config, ConnId, Crypto, DialId, DialPurpose,
    Endpoint, Event, Identity, IdentityFacts, Instant, JobError, Ledger, Node, Notice, OrgId,
    PkiId, Signed, UnixTime,
};
use sha2::{Digest as _, Sha256};

const BLOCKS: u64 = 5;

fn main() -> io::Result<()> {
    let listeners: Vec<_> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let bootstrap = Endpoint::from(listeners[0].local_addr()?.to_string());
    let peers: Vec<_> = listeners
        .into_iter()
        .enumerate()
        .map(|(number, listener)| {
            let bootstrap = bootstrap.clone();
            thread::spawn(move || run(number, listener, bootstrap))
        })
        .collect();
    for peer in peers {
        peer.join().expect("a peer panicked")?;
    }
    println!("every peer has all {BLOCKS} blocks");
    Ok(())
}

/// What the threads around the loop tell it.
enum Input {
    Accepted(TcpStream),
    Node(Event),
}

/// The whole driver: events in, actions out.
fn run(number: usize, listener: TcpListener, bootstrap: Endpoint) -> io::Result<()> {
    let start = std::time::Instant::now();
    let now = || Instant::ZERO + start.elapsed();
    let endpoint = Endpoint::from(listener.local_addr()?.to_string());
    let backend = CommonKey { identity: Identity::new(format!("peer{number}").into_bytes()) };
    let mut node = Node::new(config(&backend, endpoint, bootstrap), now()).expect("a valid set-up");
    let channel = ChannelId::from("example");
    let orgs = vec![(OrgId::from("org"), Vec::new())];
    let height = if number == 0 { BLOCKS } else { 0 };
    let join = Command::JoinChannel {
        channel: channel.clone(),
        config: ChannelConfig { sequence: 0, orgs },
        height: Some(height),
    };
    node.command(now(), join).expect("our organisation is in the channel");
    let (inputs, queue) = mpsc::channel();
    let mut streams = Streams::new(listener, inputs);
    let (mut members, mut blocks) = (0, 0);
    loop {
        while let Some(action) = node.poll_action() {
            let answer = match action {
                Action::Dial { dial, endpoint, purpose } => streams.dial(dial, &endpoint, purpose),
                Action::Send { conn, frame } => streams.send(conn, &frame),
                Action::Close { conn, .. } => streams.close(conn),
                Action::Job(job) => Event::JobDone(job.run(&backend, &backend)),
                Action::Notify(notice) => {
                    match notice {
                        Notice::ChannelPeer { .. } => members += 1,
                        Notice::BlockCommitted { number, .. } => blocks = number + 1,
                        _ => {}
                    }
                    continue;
                }
            };
            node.handle(now(), answer);
        }
        if number == 0 && members >= 2 && blocks == 0 {
            for number in 0..BLOCKS {
                let block = Bytes::from(format!("block {number}"));
                let gossip = Command::GossipBlock { channel: channel.clone(), number, block };
                node.command(now(), gossip).expect("the channel was joined");
            }
            blocks = BLOCKS;
            continue;
        }
        // The source goes on for a while: others may still be reading from it.
        if blocks == BLOCKS && start.elapsed() > Duration::from_secs(3) {
            println!("peer{number} has {blocks} blocks and knows {} peers", node.members().len());
            return Ok(());
        }
        let timeout = node.poll_timeout().map_or(Duration::MAX, |at| at - now());
        if let Some(event) = streams.wait(&queue, timeout.min(Duration::from_secs(1))) {
            node.handle(now(), event);
        }
    }
}

fn config(backend: &CommonKey, endpoint: Endpoint, bootstrap: Endpoint) -> Config {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let facts = backend.validate_identity(&backend.identity).expect("our own identity");
    let mut config = Config::new(backend.identity.clone(), facts.pki_id, facts.org, endpoint);
    config.rng_seed = *facts.pki_id.as_bytes();
    config.wall_clock = UnixTime::from_nanos(since_epoch.as_nanos() as u64);
    config.bootstrap = vec![bootstrap];
    config.tls = false;
    config
}

/// Connections over TCP: every frame follows its length, four bytes, big-endian.
struct Streams {
    open: HashMap<ConnId, TcpStream>,
    next: u64,
    inputs: Sender<Input>,
}

impl Streams {
    fn new(listener: TcpListener, inputs: Sender<Input>) -> Self {
        let accepted = inputs.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepted.send(Input::Accepted(stream)).is_err() {
                    return;
                }
            }
        });
        Self { open: HashMap::new(), next: 0, inputs }
    }

    fn dial(&mut self, dial: DialId, endpoint: &Endpoint, purpose: DialPurpose) -> Event {
        match TcpStream::connect(endpoint.as_str()) {
            Ok(_) if purpose == DialPurpose::Ping => Event::Pinged { dial },
            Ok(stream) => self.add(stream, Some(dial)),
            Err(error) => Event::DialFailed { dial, error: error.to_string().into() },
        }
    }

    fn add(&mut self, stream: TcpStream, dial: Option<DialId>) -> Event {
        let conn = ConnId::new(self.next);
        self.next += 1;
        let remote = stream.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
        if let Ok(reader) = stream.try_clone() {
            let inputs = self.inputs.clone();
            thread::spawn(move || read(conn, reader, &inputs));
        }
        self.open.insert(conn, stream);
        Event::Connected { conn, dial, remote, tls: None }
    }

    fn send(&mut self, conn: ConnId, frame: &Bytes) -> Event {
        let Some(stream) = self.open.get_mut(&conn) else { return Event::Sent { conn, frames: 1 } };
        let length = (frame.len() as u32).to_be_bytes();
        match stream.write_all(&length).and_then(|()| stream.write_all(frame)) {
            Ok(()) => Event::Sent { conn, frames: 1 },
            Err(_) => Event::Disconnected { conn, write_failed: true },
        }
    }

    fn close(&mut self, conn: ConnId) -> Event {
        if let Some(stream) = self.open.remove(&conn) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        Event::Disconnected { conn, write_failed: false }
    }

    /// Waits for the next thing to happen.
    fn wait(&mut self, queue: &Receiver<Input>, timeout: Duration) -> Option<Event> {
        match queue.recv_timeout(timeout) {
            Ok(Input::Accepted(stream)) => Some(self.add(stream, None)),
            Ok(Input::Node(event)) => Some(event),
            Err(RecvTimeoutError::Timeout) => Some(Event::Tick),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

fn read(conn: ConnId, mut stream: TcpStream, inputs: &Sender<Input>) {
    let mut next = || -> io::Result<Bytes> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u64::from(u32::from_be_bytes(length));
        let mut frame = Vec::new();
        (&mut stream).take(length).read_to_end(&mut frame)?;
        if frame.len() as u64 == length {
            Ok(frame.into())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    };
    while let Ok(frame) = next() {
        if inputs.send(Input::Node(Event::Message { conn, frame })).is_err() {
            return;
        }
    }
    let _ = inputs.send(Input::Node(Event::Disconnected { conn, write_failed: false }));
}

/// Identities, signatures and a ledger for peers that trust whoever knows the common key.
struct CommonKey {
    identity: Identity,
}

impl CommonKey {
    fn seal(identity: &Identity, payload: &[u8]) -> Bytes {
        let hash = Sha256::new().chain_update(b"a key that only our peers know");
        let hash = hash.chain_update(identity.as_bytes()).chain_update([0]).chain_update(payload);
        Bytes::copy_from_slice(&hash.finalize())
    }
}

impl Crypto for CommonKey {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        Ok(Self::seal(&self.identity, payload))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        match Self::seal(identity, &message.payload) == message.signature {
            true => Ok(()),
            false => Err(JobError::rejected("not sealed with the common key")),
        }
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        let pki_id = PkiId::new(Sha256::digest(identity.as_bytes()).into());
        Ok(IdentityFacts { pki_id, org: OrgId::from("org"), expires_at: None })
    }

    fn check_access(&self, _: &ChannelId, id: &Identity, message: &Signed) -> Result<(), JobError> {
        self.verify(id, message)
    }

    fn verify_block(&self, _: &ChannelId, number: u64, block: &Bytes) -> Result<(), JobError> {
        match block == format!("block {number}").as_bytes() {
            true => Ok(()),
            false => Err(JobError::rejected("not the block that it claims to be")),
        }
    }
}

impl Ledger for CommonKey {
    fn commit(&self, _: &ChannelId, _: u64, _: &Bytes) -> Result<(), JobError> {
        Ok(())
    }
}
