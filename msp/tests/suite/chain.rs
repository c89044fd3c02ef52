//! The recorded chain of a channel ordered by an unmodified ordering service.

use std::path::PathBuf;

use bytes::Bytes;

/// The blocks of channel `ch1`, from zero on.
pub(crate) fn recorded_chain() -> Vec<Bytes> {
    let file = std::fs::read(data().join("ch1.chain")).expect("the recorded chain");
    let mut rest = Bytes::from(file);
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let length = prost::decode_length_delimiter(&mut rest).expect("a length");
        blocks.push(rest.split_to(length));
    }
    blocks
}

/// The folder of recorded data.
pub(crate) fn data() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data"].iter().collect()
}
