//! What the transport counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a transport has counted since the start. Gauges are named as such.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TransportStats {
    /// Bytes read from sockets, encrypted.
    pub wire_bytes_in: u64,
    /// Bytes written to sockets, encrypted.
    pub wire_bytes_out: u64,
    /// Transport connections accepted, before anybody was authenticated.
    pub accepted: u64,
    /// Transport connections that were refused or broke before they could carry a stream.
    pub accept_failed: u64,
    /// Transport connections dialled with success.
    pub dialled: u64,
    /// Gauge: transport connections open.
    pub open: u64,
}

/// The transport's counters, shared by a node's connections.
#[derive(Debug, Default)]
pub struct Counters {
    wire_bytes_in: AtomicU64,
    wire_bytes_out: AtomicU64,
    accepted: AtomicU64,
    accept_failed: AtomicU64,
    dialled: AtomicU64,
    open: AtomicU64,
}

impl Counters {
    /// Counts bytes read from a socket.
    pub fn read_bytes(&self, bytes: usize) {
        self.wire_bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes written to a socket.
    pub fn wrote_bytes(&self, bytes: usize) {
        self.wire_bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a connection that was accepted.
    pub fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that came to nothing after it was accepted.
    pub fn accept_failed(&self) {
        self.accept_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that was dialled.
    pub fn dialled(&self) {
        self.dialled.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an open connection.
    pub fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection out that was open.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reads all counters.
    #[must_use]
    pub fn read(&self) -> TransportStats {
        TransportStats {
            wire_bytes_in: self.wire_bytes_in.load(Ordering::Relaxed),
            wire_bytes_out: self.wire_bytes_out.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            accept_failed: self.accept_failed.load(Ordering::Relaxed),
            dialled: self.dialled.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
        }
    }
}
