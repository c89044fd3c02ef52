//! A gRPC codec that leaves messages as they are.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Carries serialized messages untouched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Untouched;

impl Codec for Untouched {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Untouched {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.len());
        buffer.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BATCH)
    }
}

impl Decoder for Untouched {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        if buffer.remaining() > SMALL {
            return Ok(Some(buffer.copy_to_bytes(buffer.remaining())));
        }
        // What is stored of it keeps nothing else of the receive buffer alive.
        let mut frame = BytesMut::with_capacity(buffer.remaining());
        frame.put(buffer);
        Ok(Some(frame.freeze()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BATCH)
    }
}

/// Bytes that a stream holds while it idles.
const BUFFER: usize = 512;

/// Bytes up to which a frame is copied out of the receive buffer.
const SMALL: usize = 16 << 10;

/// Bytes of small frames that travel together if they wait together.
const BATCH: usize = 32 << 10;
