//! Keys and values of all sequences: `[seq][kv_head][position % capacity][dim]` for each slot.

use std::ops::Range;

use chord_program::{ExecError, KvSlot, KvType, Program, SlotId};
use half::f16;

use crate::ops::f16::f16_to_f32;
use crate::weights::zeroed;

enum Store {
    F32(Vec<f32>),
    F16(Vec<u16>),
}

impl Store {
    fn new(kv_type: KvType, len: u64, what: &str) -> Result<Self, ExecError> {
        Ok(match kv_type {
            KvType::F32 => Store::F32(zeroed(len, what)?),
            KvType::F16 => Store::F16(zeroed(len, what)?),
        })
    }

    fn put(&mut self, at: usize, values: &[f32]) {
        match self {
            Store::F32(store) => store[at..][..values.len()].copy_from_slice(values),
            Store::F16(store) => {
                for (place, &value) in store[at..].iter_mut().zip(values) {
                    *place = f16::from_f32(value).to_bits();
                }
            }
        }
    }

    fn append_to(&self, range: Range<usize>, out: &mut Vec<f32>) {
        match self {
            Store::F32(store) => out.extend_from_slice(&store[range]),
            Store::F16(store) => out.extend(store[range].iter().map(|&bits| f16_to_f32(bits))),
        }
    }
}

struct Slot {
    k: Store,
    v: Store,
    shape: KvSlot,
}

/// All slots of a program, for all sequences.
pub(crate) struct KvCache {
    slots: Vec<Slot>,
}

impl KvCache {
    pub(crate) fn new(program: &Program) -> Result<Self, ExecError> {
        let slots = program.slots.iter().map(|shape| {
            let cells = u64::from(program.n_seq_max) * u64::from(shape.n_kv_heads) * u64::from(shape.capacity);
            let store = |dim: u32| Store::new(program.kv_type, cells * u64::from(dim), &shape.name);
            Ok(Slot { k: store(shape.k_dim)?, v: store(shape.v_dim)?, shape: shape.clone() })
        });
        Ok(KvCache { slots: slots.collect::<Result<_, _>>()? })
    }

    /// Stores the rows of `k` `[T, n_kv_heads · k_dim]` and `v` at the positions of their sequences.
    pub(crate) fn write(&mut self, slot: SlotId, k: &[f32], v: &[f32], pos: &[u32], seq: &[u32]) {
        let Slot { k: k_store, v: v_store, shape } = &mut self.slots[slot.0 as usize];
        let (k_dim, v_dim) = (shape.k_dim as usize, shape.v_dim as usize);
        let rows =
            pos.iter().zip(seq).flat_map(|(&pos, &seq)| (0..shape.n_kv_heads as usize).map(move |h| (pos, seq, h)));
        for (i, (pos, seq, head)) in rows.enumerate() {
            let cell = cell(shape, seq, head) + pos as usize % shape.capacity as usize;
            k_store.put(cell * k_dim, &k[i * k_dim..][..k_dim]);
            v_store.put(cell * v_dim, &v[i * v_dim..][..v_dim]);
        }
    }

    /// Keys and values of one head at consecutive positions, into `k` `[n, k_dim]` and `v` `[n, v_dim]`.
    pub(crate) fn read(&self, slot: SlotId, seq: u32, head: usize, positions: Range<u32>, [k, v]: [&mut Vec<f32>; 2]) {
        let Slot { k: k_store, v: v_store, shape } = &self.slots[slot.0 as usize];
        let (k_dim, v_dim) = (shape.k_dim as usize, shape.v_dim as usize);
        let base = cell(shape, seq, head);
        k.clear();
        v.clear();
        let mut next = positions.start;
        while next < positions.end {
            // Up to the end of the ring, then on from its start.
            let start = next % shape.capacity;
            let n = (positions.end - next).min(shape.capacity - start);
            let cells = base + start as usize..base + (start + n) as usize;
            k_store.append_to(cells.start * k_dim..cells.end * k_dim, k);
            v_store.append_to(cells.start * v_dim..cells.end * v_dim, v);
            next += n;
        }
    }
}

fn cell(shape: &KvSlot, seq: u32, head: usize) -> usize {
    (seq as usize * shape.n_kv_heads as usize + head) * shape.capacity as usize
}
