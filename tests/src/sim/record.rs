//! The logs of one host's node, one for each time that it is started.

use gossip_core::{
    Config, Instant,
    record::{RecordTooLarge, Writer},
};

/// Writes the logs of a host, if one is to be recorded.
#[derive(Debug)]
pub(super) struct Recorder {
    host: Option<usize>,
    logs: Vec<Vec<u8>>,
    writer: Option<Writer>,
}

impl Recorder {
    /// Records a host.
    #[must_use]
    pub(super) fn new(host: Option<usize>) -> Self {
        Self { host, logs: Vec::new(), writer: None }
    }

    /// Begins a log, if it is this host that starts. The one before ends where it is, as if its
    /// writer had been killed.
    pub(super) fn started(&mut self, host: usize, config: &Config, now: Instant) {
        if self.host == Some(host) {
            let mut log = Vec::new();
            self.writer = Some(Writer::new(config, now, &mut log).expect(SMALL));
            self.logs.push(log);
        }
    }

    /// Writes what this host's node is told or does, if it is the one that is recorded.
    pub(super) fn write(
        &mut self,
        host: usize,
        f: impl FnOnce(&mut Writer, &mut Vec<u8>) -> Result<(), RecordTooLarge>,
    ) {
        if self.host == Some(host)
            && let (Some(writer), Some(log)) = (&mut self.writer, self.logs.last_mut())
        {
            f(writer, log).expect(SMALL);
        }
    }

    /// Ends the last log and returns all.
    pub(super) fn finish(&mut self) -> Vec<Vec<u8>> {
        if let (Some(writer), Some(log)) = (self.writer.take(), self.logs.last_mut()) {
            writer.end(log).expect(SMALL);
        }
        std::mem::take(&mut self.logs)
    }
}

const SMALL: &str = "what is simulated is small";
