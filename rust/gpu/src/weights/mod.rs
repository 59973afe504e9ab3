//! Weights on the device: how each block type is laid out there, and the way from a file's bytes to it.
//!
//! Weights stay quantized. `planes` says where the bytes of each type's blocks go, [`Layout`] what a row becomes,
//! `repack` moves the bits, [`DeviceWeight`] holds the buffers, split by rows where a binding cannot cover a whole
//! matrix.

mod device;
mod layout;
mod planes;
mod repack;
mod slot;

pub(crate) use device::plane_bytes;
pub use device::{DeviceWeight, WeightPart};
pub use layout::Layout;
pub(crate) use planes::shader_name;
pub use planes::types;
pub(crate) use slot::{Groups, SlotLayout, groups};
