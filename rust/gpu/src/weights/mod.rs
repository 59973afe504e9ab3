//! Weights on the device: how each storage type is laid out there, and the way from a file's bytes to it.
//!
//! Weights stay quantized. [`Layout`] says what a row becomes, `repack` moves the bits, [`DeviceWeight`] holds the
//! buffers, split by rows where a binding cannot cover a whole matrix.

mod device;
mod layout;
mod repack;
mod slot;

pub(crate) use device::plane_bytes;
pub use device::{DeviceWeight, WeightPart};
pub use layout::Layout;
pub(crate) use slot::{Groups, SlotLayout, groups};
