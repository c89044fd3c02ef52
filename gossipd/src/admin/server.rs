//! The socket of a running peer.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, ErrorKind},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gossip_tokio::Handle;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    PEERS,
    status::{self, ANSWER_TIMEOUT},
};

/// A Unix socket that answers questions about a node. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Makes the socket, readable and writable for this user alone. If its folder is not there it
    /// is made, for this user alone. A socket that a peer left behind is replaced.
    ///
    /// # Errors
    ///
    /// Says what is in the way, and what to do.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn bind(path: &Path) -> Result<Self, String> {
        let fault = |error: io::Error| {
            format!(
                "cannot make the admin socket {}: {error}: set peer.fileSystemPath to a folder \
                 that can be written, or name another socket with --admin-socket",
                path.display()
            )
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_private(folder).map_err(fault)?;
        }
        remove_stale(path).map_err(fault)?;
        let listener = StdListener::bind(path).map_err(fault)?;
        let made = fs::set_permissions(path, Permissions::from_mode(0o600))
            .and_then(|()| listener.set_nonblocking(true))
            .and_then(|()| UnixListener::from_std(listener));
        Ok(Self { listener: made.map_err(fault)?, path: path.to_owned() })
    }

    /// Answers until dropped.
    pub(crate) async fn serve(self, node: Handle) {
        let permits = Arc::new(Semaphore::new(CLIENTS_MAX));
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                        debug!("too many ask at the admin socket: one is turned away");
                        continue;
                    };
                    let node = node.clone();
                    tokio::spawn(async move {
                        let served = timeout(ANSWER_TIMEOUT, answer(socket, &node)).await;
                        debug!(?served, "admin socket");
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "the admin socket does not accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes a folder for this user alone, unless it is there; those above it are for all.
fn make_private(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "another file is there"));
        }
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another gossipd start answers there")),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Reads one line and answers it.
async fn answer(mut socket: UnixStream, node: &Handle) -> io::Result<()> {
    let (input, mut output) = socket.split();
    let mut request = String::new();
    BufReader::new(input.take(REQUEST_BYTES_MAX)).read_line(&mut request).await?;
    let answer = match request.trim() {
        PEERS => match status::ask(node).await {
            Ok(status) => json!(status),
            Err(stopped) => json!({ "error": stopped.to_string() }),
        },
        other => {
            let error =
                format!("expected the word {PEERS} and the end of the line, found {other:?}");
            json!({ "error": error })
        }
    };
    output.write_all(format!("{answer}\n").as_bytes()).await
}

/// Bytes of a request; the rest of a longer one is not read.
const REQUEST_BYTES_MAX: u64 = 64;

/// Those who ask at once; one more is turned away.
const CLIENTS_MAX: usize = 16;

/// The pause after the system would not accept, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
