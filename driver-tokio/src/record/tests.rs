use std::sync::mpsc;

use gossip_core::{Endpoint, Identity, OrgId, PkiId};

use super::*;

/// Keeps what is written until `room` bytes are full; tells when it was dropped.
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    room: usize,
    dropped: mpsc::Sender<()>,
}

impl Disk {
    fn new(room: usize) -> (Self, Arc<Mutex<Vec<u8>>>, mpsc::Receiver<()>) {
        let (dropped, is_dropped) = mpsc::channel();
        let written = Arc::default();
        (Self { written: Arc::clone(&written), room, dropped }, written, is_dropped)
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().expect("nobody panics");
        let len = bytes.len().min(self.room - written.len());
        written.extend_from_slice(&bytes[..len]);
        match len {
            0 => Err(io::ErrorKind::StorageFull.into()),
            len => Ok(len),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.dropped.send(());
    }
}

fn config() -> Config {
    let identity = Identity::new(&b"identity"[..]);
    Config::new(identity, PkiId::new([1; 32]), OrgId::from("org"), Endpoint::from("host:1"))
}

fn frame(bytes: usize) -> Event {
    let frame = vec![7; bytes].into();
    Event::Message { conn: gossip_core::ConnId::new(1), frame }
}

fn start(disk: Disk) -> Recorder {
    Recording::to("a disk", disk).start(&config(), Instant::ZERO).expect("a thread")
}

#[test]
fn a_full_disk_ends_the_recording_and_nothing_else() {
    let (disk, written, is_dropped) = Disk::new(1 << 20);
    let mut recorder = start(disk);
    let mut events = 0;
    while is_dropped.try_recv().is_err() {
        recorder.event(Instant::ZERO, &frame(10_000));
        events += 1;
        assert!(events < 1_000_000, "the writer gives up");
    }
    assert_eq!(written.lock().expect("nobody panics").len(), 1 << 20, "all that fitted");
    recorder.event(Instant::ZERO, &frame(10_000));
    assert!(recorder.writer.is_none(), "and nothing more is kept");
    assert!(recorder.shared.lock().buffer.capacity() < 100_000);
}

#[test]
fn a_disk_that_stands_still_is_not_waited_for() {
    /// Does not return from a write before the test is over.
    struct Stuck(mpsc::Receiver<()>);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (_over, is_over) = mpsc::channel();
    let stuck = Recording::to("stuck", Stuck(is_over));
    let mut recorder = stuck.start(&config(), Instant::ZERO).expect("a thread");
    let mut events = 0;
    while recorder.writer.is_some() {
        recorder.event(Instant::ZERO, &frame(1 << 20));
        events += 1;
        assert!(events <= 2 + 2 * (BUFFER_BYTES_MAX >> 20), "{events} MiB are in memory");
    }
}

#[test]
fn what_a_dropped_recorder_was_told_is_written() {
    let (disk, written, is_dropped) = Disk::new(1 << 20);
    let mut recorder = start(disk);
    recorder.event(Instant::ZERO, &frame(50_000));
    drop(recorder);
    is_dropped.recv_timeout(Duration::from_secs(20)).expect("the writer ends");
    assert!(written.lock().expect("nobody panics").len() > 50_000);
}

#[test]
fn no_file_is_written_over() {
    let folder = std::env::temp_dir().join(format!("gossip-record-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("log");
    let create = || Recording::create(&path).map(|made| made.path().map(Path::to_path_buf));
    assert_eq!(create().expect("a file"), Some(path.clone()));
    assert_eq!(create().expect("a file"), Some(folder.join("log.1")));
    assert_eq!(create().expect("a file"), Some(folder.join("log.2")));
    #[cfg(unix)]
    {
        let mode = std::fs::metadata(&path).expect("the file").permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    }
    std::fs::remove_dir_all(&folder).expect("the folder goes");
    assert!(create().is_err(), "the folder is gone");
}
