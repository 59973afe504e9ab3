//! Keys and values of all sequences, laid out for [`crate::ops::attention`].
//!
//! A slot holds cells for each sequence and KV head; position `p` is in cell `p % capacity`. Keys are stored in
//! blocks of [`CELLS`] cells, column by column: `[seq][kv_head][cell / CELLS][dim][cell % CELLS]`. Values are stored in
//! rows, padded to whole vectors: `[seq][kv_head][cell][stride]`.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::Zeroable;
use chord_program::{ExecError, KvSlot, KvType, Program, SlotId};

use crate::memory::{HugePages, SharedMemory};
use crate::simd::Float;
use crate::simd::f16::f32_to_f16;

/// Cells in a block of keys: the number of lanes of the longest vector.
pub(crate) const CELLS: usize = 16;

/// A storage type of keys and values.
pub(crate) trait Element: Zeroable + Copy + Default + 'static {
    /// The same elements, known to be finite.
    type Finite: Element;

    fn from_f32(value: f32) -> Self;

    /// Whether all values are finite as such elements.
    fn fits(values: &[f32]) -> bool {
        let _ = values;
        true
    }

    /// Widens one element for each lane.
    ///
    /// # Safety
    /// The processor has `I`, and there is a whole vector at `from`.
    unsafe fn load<I: Float>(from: *const Self, widener: I::Widener) -> I::F;
}

impl Element for f32 {
    type Finite = f32;

    #[inline(always)]
    fn from_f32(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    unsafe fn load<I: Float>(from: *const f32, _: I::Widener) -> I::F {
        // SAFETY: the caller's promise.
        unsafe { I::load_f32(from) }
    }
}

/// Bits of an f16.
impl Element for u16 {
    type Finite = FiniteF16;

    #[inline(always)]
    fn from_f32(value: f32) -> u16 {
        f32_to_f16(value)
    }

    #[inline(always)]
    fn fits(values: &[f32]) -> bool {
        values.iter().fold(true, |fits, value| fits & (value.abs() < 65_520.0))
    }

    #[inline(always)]
    unsafe fn load<I: Float>(from: *const u16, _: I::Widener) -> I::F {
        // SAFETY: the caller's promise.
        unsafe { I::load_f16(from.cast()) }
    }
}

/// Bits of an f16 that is neither infinite nor a NaN.
#[derive(Clone, Copy, Default, Zeroable)]
#[repr(transparent)]
pub(crate) struct FiniteF16(u16);

impl Element for FiniteF16 {
    type Finite = FiniteF16;

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        FiniteF16(f32_to_f16(value))
    }

    #[inline(always)]
    unsafe fn load<I: Float>(from: *const FiniteF16, widener: I::Widener) -> I::F {
        // SAFETY: the caller's promise.
        unsafe { I::load_finite_f16(from.cast(), widener) }
    }
}

/// Keys and values of one head of a sequence.
pub(crate) struct Head<'a, T> {
    pub(crate) k: *const T,
    pub(crate) v: *const T,
    /// Elements from one value to the next.
    pub(crate) v_stride: usize,
    /// Cells of the ring.
    pub(crate) capacity: usize,
    /// No number that was ever stored in this slot as f16 was infinite or a NaN.
    pub(crate) is_finite: bool,
    _memory: PhantomData<&'a T>,
}

/// Memory of one slot.
struct Store<T> {
    k: SharedMemory<T>,
    v: SharedMemory<T>,
    /// As in [`Head`]. A barrier lies between writing it and reading it.
    is_finite: AtomicBool,
}

impl<T: Element> Store<T> {
    fn new(shape: &SlotShape, n_seq: u32, pages: &mut HugePages) -> Result<Self, ExecError> {
        let cells = u64::from(n_seq) * (shape.n_kv_heads * shape.cells) as u64;
        let mut memory = |dim: usize| SharedMemory::new_in(pages, cells * dim as u64, &shape.name);
        Ok(Store { k: memory(shape.k_dim)?, v: memory(shape.v_stride)?, is_finite: AtomicBool::new(true) })
    }

    /// # Safety
    /// The rule of [`crate::memory`] for this cell.
    unsafe fn write(&self, shape: &SlotShape, head: usize, cell: usize, k: &[f32], v: &[f32]) {
        if !T::fits(k) || !T::fits(v) {
            self.is_finite.store(false, Ordering::Relaxed);
        }
        let first = head * shape.cells + cell / CELLS * CELLS;
        for (d, &k) in k.iter().enumerate() {
            let at = first * shape.k_dim + d * CELLS + cell % CELLS;
            // SAFETY: the caller's promise.
            unsafe { *self.k.pointer(at) = T::from_f32(k) };
        }
        let first = (head * shape.cells + cell) * shape.v_stride;
        // SAFETY: the caller's promise.
        let places = unsafe { self.v.write(first..first + v.len()) };
        places.iter_mut().zip(v).for_each(|(place, &v)| *place = T::from_f32(v));
    }

    fn head(&self, shape: &SlotShape, head: usize) -> Head<'_, T> {
        let first = head * shape.cells;
        let (k, v) = (self.k.pointer(first * shape.k_dim), self.v.pointer(first * shape.v_stride));
        let is_finite = self.is_finite.load(Ordering::Relaxed);
        Head { k, v, v_stride: shape.v_stride, capacity: shape.capacity, is_finite, _memory: PhantomData }
    }

    fn bytes(&self) -> u64 {
        (size_of::<T>() * (self.k.len() + self.v.len())) as u64
    }
}

struct SlotShape {
    name: String,
    n_kv_heads: usize,
    k_dim: usize,
    v_stride: usize,
    /// Cells of the ring.
    capacity: usize,
    /// The same, padded to whole blocks.
    cells: usize,
}

impl SlotShape {
    fn new(slot: &KvSlot) -> Self {
        let capacity = slot.capacity as usize;
        SlotShape {
            name: slot.name.clone(),
            n_kv_heads: slot.n_kv_heads as usize,
            k_dim: slot.k_dim as usize,
            v_stride: (slot.v_dim as usize).next_multiple_of(CELLS),
            capacity,
            cells: capacity.next_multiple_of(CELLS),
        }
    }
}

enum Stores {
    F32(Vec<Store<f32>>),
    F16(Vec<Store<u16>>),
}

/// All slots of a program, for all sequences.
pub(crate) struct KvCache {
    shapes: Vec<SlotShape>,
    stores: Stores,
}

/// A head's keys and values as they are stored.
pub(crate) enum AnyHead<'a> {
    F32(Head<'a, f32>),
    F16(Head<'a, u16>),
}

impl KvCache {
    pub(crate) fn new(program: &Program) -> Result<Self, ExecError> {
        fn stores<T: Element>(shapes: &[SlotShape], n_seq: u32) -> Result<Vec<Store<T>>, ExecError> {
            let mut pages = HugePages::for_many();
            shapes.iter().map(|shape| Store::new(shape, n_seq, &mut pages)).collect()
        }
        let shapes: Vec<SlotShape> = program.slots.iter().map(SlotShape::new).collect();
        let stores = match program.kv_type {
            KvType::F32 => Stores::F32(stores(&shapes, program.n_seq_max)?),
            KvType::F16 => Stores::F16(stores(&shapes, program.n_seq_max)?),
        };
        Ok(KvCache { shapes, stores })
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.stores {
            Stores::F32(stores) => stores.iter().map(Store::bytes).sum(),
            Stores::F16(stores) => stores.iter().map(Store::bytes).sum(),
        }
    }

    /// Stores the key and value of one head at a position.
    ///
    /// # Safety
    /// No other worker touches this head's cell of that position before the next barrier.
    pub(crate) unsafe fn write(&self, slot: SlotId, seq: u32, head: usize, pos: u32, k: &[f32], v: &[f32]) {
        let slot = slot.0 as usize;
        let shape = &self.shapes[slot];
        let (head, cell) = (seq as usize * shape.n_kv_heads + head, pos as usize % shape.capacity);
        // SAFETY: the caller's promise.
        unsafe {
            match &self.stores {
                Stores::F32(stores) => stores[slot].write(shape, head, cell, k, v),
                Stores::F16(stores) => stores[slot].write(shape, head, cell, k, v),
            }
        }
    }

    /// The keys and values of a head. Its pointers may be used under the rule of [`crate::memory`].
    pub(crate) fn head(&self, slot: SlotId, seq: u32, head: usize) -> AnyHead<'_> {
        let slot = slot.0 as usize;
        let shape = &self.shapes[slot];
        let head = seq as usize * shape.n_kv_heads + head;
        match &self.stores {
            Stores::F32(stores) => AnyHead::F32(stores[slot].head(shape, head)),
            Stores::F16(stores) => AnyHead::F16(stores[slot].head(shape, head)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_become_infinite_or_nan_in_storage_are_noticed() {
        let slot = KvSlot { name: "kv".into(), n_kv_heads: 1, k_dim: 4, v_dim: 4, capacity: 16, window: None };
        let shape = SlotShape::new(&slot);
        let good = [65_519.0, -65_519.0, 0.0, 1e-9];
        for bad in [65_520.0, -65_520.0, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            for place in 0..2 {
                let store = Store::<u16>::new(&shape, 1, &mut HugePages::for_one()).unwrap();
                let mut kv = [good; 2];
                // SAFETY: no other thread touches the stores.
                unsafe { store.write(&shape, 0, 0, &kv[0], &kv[1]) };
                assert!(store.head(&shape, 0).is_finite);
                kv[place][2] = bad;
                // SAFETY: as above.
                unsafe { store.write(&shape, 0, 1, &kv[0], &kv[1]) };
                assert!(!store.head(&shape, 0).is_finite, "{bad} as f16");
            }
        }
    }
}
