//! A compact hash index: slots of `u32` into data that lives elsewhere.

use crate::TextError;

/// No entry.
const EMPTY: u32 = u32::MAX;

/// Places tried for an entry. With at least half of the slots free, honest data stays below 100; a file made so that
/// its texts collide is refused instead of taking quadratic time.
const MAX_PROBES: usize = 1024;

/// An open-addressing table of ids. Four bytes a slot, at least two slots an entry.
#[derive(Debug)]
pub(crate) struct Index {
    slots: Vec<u32>,
    mask: usize,
}

impl Index {
    /// An index with room for `entries`.
    pub(crate) fn with_room_for(entries: usize) -> Self {
        let slots = (entries.max(4) * 2).next_power_of_two();
        Index { slots: vec![EMPTY; slots], mask: slots - 1 }
    }

    /// The id with this hash for which `is_same` holds.
    pub(crate) fn find(&self, hash: u64, mut is_same: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut slot = hash as usize & self.mask;
        for _ in 0..MAX_PROBES {
            match self.slots[slot] {
                EMPTY => return None,
                id if is_same(id) => return Some(id),
                _ => slot = (slot + 1) & self.mask,
            }
        }
        None
    }

    /// Adds `id`. If an equal entry is there already, adds nothing and returns that entry.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        id: u32,
        mut is_same: impl FnMut(u32) -> bool,
    ) -> Result<Option<u32>, TextError> {
        let mut slot = hash as usize & self.mask;
        for _ in 0..MAX_PROBES {
            match self.slots[slot] {
                EMPTY => {
                    self.slots[slot] = id;
                    return Ok(None);
                }
                other if is_same(other) => return Ok(Some(other)),
                _ => slot = (slot + 1) & self.mask,
            }
        }
        Err(TextError::IndexCollisions { entry: id, limit: MAX_PROBES })
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

/// Odd constants with well-spread bits (of the golden ratio, and from the finalizer of MurmurHash3).
const K: u64 = 0x9e37_79b9_7f4a_7c15;
const L: u64 = 0xc4ce_b9fe_1a85_ec53;

/// Spreads all bits of `h` over all others.
const fn mix(mut h: u64) -> u64 {
    h ^= h >> 32;
    h = h.wrapping_mul(L);
    h ^= h >> 29;
    h = h.wrapping_mul(K);
    h ^ (h >> 32)
}

/// Hash of a text, eight bytes at a time.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut h = (bytes.len() as u64).wrapping_mul(K);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        h = (h.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(K);
    }
    mix(h)
}

/// Hash of a pair of ids.
pub(crate) const fn hash_pair(left: u32, right: u32) -> u64 {
    mix((((left as u64) << 32) | right as u64).wrapping_mul(K))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_inserted_and_nothing_else() {
        let keys: Vec<Vec<u8>> = (0..5000u32).map(|n| n.to_string().into_bytes()).collect();
        let mut index = Index::with_room_for(keys.len());
        for (id, key) in keys.iter().enumerate() {
            assert_eq!(index.insert(hash_bytes(key), id as u32, |other| keys[other as usize] == *key), Ok(None));
        }
        for (id, key) in keys.iter().enumerate() {
            assert_eq!(index.find(hash_bytes(key), |other| keys[other as usize] == *key), Some(id as u32));
        }
        assert_eq!(index.find(hash_bytes(b"-1"), |other| keys[other as usize] == b"-1"), None);
        assert_eq!(index.insert(hash_bytes(b"7"), 9999, |other| keys[other as usize] == b"7"), Ok(Some(7)));
    }

    #[test]
    fn colliding_entries_end_in_an_error() {
        let mut index = Index::with_room_for(10_000);
        let refused = (0..10_000).find_map(|id| index.insert(42, id, |_| false).err());
        assert_eq!(refused, Some(TextError::IndexCollisions { entry: 1024, limit: 1024 }));
    }
}
