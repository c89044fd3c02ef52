//! What was found out about bytes, by where they lie: a frame passes by many hosts, and all of them
//! have the same bytes of it.

use bytes::Bytes;

/// Remembers something about bytes that were shown lately.
///
/// The bytes are kept along with it: while they are, nothing else lies there.
#[derive(Clone, Debug)]
pub(super) struct Known<T> {
    /// Each place in memory has one slot; others may have the same.
    slots: Vec<Option<(Bytes, T)>>,
}

impl<T> Known<T> {
    /// Returns what is known of these bytes, which `find_out` tells if nothing is.
    pub(super) fn of(&mut self, bytes: &Bytes, find_out: impl FnOnce() -> T) -> &T {
        if self.get(bytes).is_none() {
            self.put(bytes.clone(), find_out());
        }
        self.get(bytes).expect("it was put there")
    }

    /// Returns what is known of these bytes, if anything is.
    pub(super) fn get(&self, bytes: &Bytes) -> Option<&T> {
        let (kept, what) = self.slots[slot_of(bytes)].as_ref()?;
        is_same(kept, bytes).then_some(what)
    }

    /// Remembers something of bytes, and forgets what had their slot.
    pub(super) fn put(&mut self, bytes: Bytes, what: T) {
        let slot = slot_of(&bytes);
        self.slots[slot] = Some((bytes, what));
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { slots: (0..1 << SLOTS_LOG).map(|_| None).collect() }
    }
}

fn slot_of(bytes: &Bytes) -> usize {
    let place = bytes.as_ptr().addr() as u64 ^ (bytes.len() as u64) << 48;
    (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS_LOG)) as usize
}

fn is_same(kept: &Bytes, bytes: &Bytes) -> bool {
    kept.as_ptr() == bytes.as_ptr() && kept.len() == bytes.len()
}

/// Frames are on their way for milliseconds: few are at once. What is kept is not used again for
/// other frames, and a processor's caches hold less of it the more it is.
const SLOTS_LOG: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_looked_at_once_and_equal_ones_elsewhere_again() {
        let mut known = Known::default();
        let mut looks = 0;
        let mut look = |bytes: &Bytes| {
            *known.of(bytes, || {
                looks += 1;
                looks
            })
        };
        let bytes = Bytes::from(vec![7; 9]);
        assert_eq!([look(&bytes), look(&bytes.clone()), look(&bytes.slice(..))], [1; 3]);
        assert_eq!(look(&Bytes::from(vec![7; 9])), 2, "they lie elsewhere");
        assert_eq!(look(&bytes.slice(..8)), 3, "they are fewer");
    }

    #[test]
    fn where_known_bytes_lie_no_others_come_to_lie() {
        let mut known = Known::default();
        for number in 0..100_000_u32 {
            let bytes = Bytes::copy_from_slice(&number.to_be_bytes());
            assert_eq!(*known.of(&bytes, || number), number);
        }
    }
}
