//! Bytes that say what befalls a few peers.

use std::time::Duration;

use crate::sim::{self, Faults, Options, Patch, Stream};

/// Runs six simulated peers for half a minute under all faults and until they are well again.
///
/// The first four bytes are the seed; without others the run is the simulator's own of that seed.
/// Every five that follow are a [`Patch`] of it: the stream, the draw in two bytes, and the upper
/// bits of it in two; those after the first 64 are not read.
pub(super) fn cluster(bytes: &[u8]) {
    let Some((seed, patches)) = bytes.split_first_chunk() else { return };
    let patches = patches.as_chunks().0.iter().take(PATCHES_MAX).map(patch).collect();
    let options = Options {
        peers: 6,
        duration: Duration::from_secs(30),
        faults: Faults::all(),
        patches,
        ..Options::new(u32::from_be_bytes(*seed).into())
    };
    let report = sim::run(&options, |_| ()).expect("options that make sense");
    if let Some(failure) = report.failure {
        let patches = &options.patches;
        let trace = failure.trace.join("\n");
        panic!(
            "{}: {}\n{trace}\n{}\nwith {patches:?}",
            failure.checker, failure.what, failure.command
        )
    }
}

fn patch(&[stream, d0, d1, t0, t1]: &[u8; 5]) -> Patch {
    Patch {
        stream: Stream::ALL[usize::from(stream) % Stream::ALL.len()],
        draw: u16::from_be_bytes([d0, d1]).into(),
        top: u16::from_be_bytes([t0, t1]),
    }
}

/// With more, chance would have little to do with the run.
const PATCHES_MAX: usize = 64;
