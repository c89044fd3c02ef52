//! How much the connections and what waits for them hold.

use crate::{Limits, table::Tables};

use super::{Comm, Conn, Stage, handshake::Handshake, links::Link};

impl Comm {
    pub(crate) fn tables(&self, limits: &Limits, tables: &mut Tables) {
        let conns = || self.conns.values();
        let inbound = conns().filter(|conn| conn.is_inbound()).count();
        tables.add("inbound connections", inbound, limits.connections_max);
        let in_flight = conns().map(|conn| conn.in_flight.len()).max().unwrap_or(0);
        tables.add("frames in flight", in_flight, limits.frames_in_flight_max);
        let held = conns().filter_map(Conn::handshake).map(Handshake::held);
        let (frames, bytes) = held.fold((0, 0), |(a, b), (c, d)| (a.max(c), b.max(d)));
        tables.add("frames of one handshake", frames, limits.handshake_frames_max);
        tables.add("bytes of one handshake", bytes, limits.handshake_bytes_max);
        let waiting = self.links.values().map(Link::waiting);
        let [control, reply, gossip] =
            waiting.fold([0; 3], |max, link| [0, 1, 2].map(|lane| max[lane].max(link[lane])));
        tables.add("frames in a control lane", control, limits.control_frames_max);
        tables.add("frames in a reply lane", reply, limits.reply_frames_max);
        tables.add("frames in a gossip lane", gossip, limits.gossip_frames_max);
    }
}

impl Conn {
    const fn handshake(&self) -> Option<&Handshake> {
        match &self.stage {
            Stage::Handshake(handshake) => Some(handshake),
            Stage::Open { .. } | Stage::Closing { .. } => None,
        }
    }
}
