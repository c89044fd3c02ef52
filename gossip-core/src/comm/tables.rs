//! How much the connections and what waits for them hold.

use crate::{Limits, table::Tables};

use super::{Comm, Conn, Stage, handshake::Handshake};

impl Comm {
    pub(crate) fn tables(&self, limits: &Limits, tables: &mut Tables) {
        let mut inbound = 0;
        let [mut in_flight, mut held] = [(0, 0); 2];
        self.conns.values().for_each(|conn| {
            inbound += usize::from(conn.is_inbound());
            in_flight = larger(in_flight, conn.in_flight());
            held = larger(held, conn.handshake().map_or((0, 0), Handshake::held));
        });
        tables.add("inbound connections", inbound, limits.connections_max);
        tables.add("frames in flight", in_flight.0, limits.frames_in_flight_max);
        tables.add("bytes in flight", in_flight.1, limits.bytes_in_flight_max);
        tables.add("frames of one handshake", held.0, limits.handshake_frames_max);
        tables.add("bytes of one handshake", held.1, limits.handshake_bytes_max);
        let mut lanes = [(0, 0); 3];
        self.links.values().for_each(|link| {
            let waiting = link.waiting();
            lanes.iter_mut().zip(waiting).for_each(|(lane, size)| *lane = larger(*lane, size));
        });
        let [control, reply, gossip] = lanes;
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

/// Returns the larger of each of two sizes.
fn larger((a, b): (usize, usize), (c, d): (usize, usize)) -> (usize, usize) {
    (a.max(c), b.max(d))
}
