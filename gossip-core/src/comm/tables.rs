//! How much the connections and what waits for them hold.

use crate::{Limits, table::Tables};

use super::{Comm, Conn, Stage, handshake::Handshake};

impl Comm {
    pub(crate) fn tables(&self, limits: &Limits, tables: &mut Tables) {
        let conns = || self.conns.values().map(AsRef::<Conn>::as_ref);
        let inbound = conns().filter(|conn| conn.is_inbound()).count();
        tables.add("inbound connections", inbound, limits.connections_max);
        let in_flight = largest(conns().map(Conn::in_flight));
        tables.add("frames in flight", in_flight.0, limits.frames_in_flight_max);
        tables.add("bytes in flight", in_flight.1, limits.bytes_in_flight_max);
        let held = largest(conns().filter_map(Conn::handshake).map(Handshake::held));
        tables.add("frames of one handshake", held.0, limits.handshake_frames_max);
        tables.add("bytes of one handshake", held.1, limits.handshake_bytes_max);
        let lane = |lane: usize| largest(self.links.values().map(|link| link.waiting()[lane]));
        let [control, reply, gossip] = [0, 1, 2].map(lane);
        tables.add("frames in a control lane", control.0, limits.control_frames_max);
        tables.add("bytes in a control lane", control.1, limits.control_bytes_max);
        tables.add("frames in a reply lane", reply.0, limits.reply_frames_max);
        tables.add("bytes in a reply lane", reply.1, limits.reply_bytes_max);
        tables.add("frames in a gossip lane", gossip.0, limits.gossip_frames_max);
        tables.add("bytes in a gossip lane", gossip.1, limits.gossip_bytes_max);
    }
}

impl Conn {
    /// Counts the frames that the driver holds, and their bytes but for those of the last.
    fn in_flight(&self) -> (usize, usize) {
        let last = self.in_flight.back().copied().unwrap_or(0);
        (self.in_flight.len(), self.bytes_in_flight - last)
    }

    fn handshake(&self) -> Option<&Handshake> {
        match &self.stage {
            Stage::Handshake(handshake) => Some(handshake),
            Stage::Open { .. } | Stage::Closing { .. } => None,
        }
    }
}

/// Returns the largest of each of two sizes.
fn largest(sizes: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    sizes.fold((0, 0), |(a, b), (c, d)| (a.max(c), b.max(d)))
}
