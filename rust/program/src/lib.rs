//! The straight-line tensor program that executors run.
//!
//! A [`Program`] is data: buffers with symbolic row counts, weights by tensor name, host-made tables, KV slots, and a
//! list of ops cut into segments. `chord-model` writes it, `chord-cpu` and `chord-gpu` run it through [`Executor`],
//! and nothing here depends on an architecture or a device.

mod batch;
mod error;
mod executor;
mod memory;
mod narrow;
mod op;
mod paging;
mod program;
mod properties;
mod table;
mod text;
mod verify;

pub use batch::{Batch, BatchShape};
pub use error::{ExecError, ProgramError};
pub use executor::{Counters, DeviceInfo, Executor, MemoryUse, TraceVisitor, Want, WeightSink};
pub use memory::{MemoryPlan, Reuse};
pub use op::{Activation, Gating, Mask, Op, OpKind, RopePairing};
pub use paging::{PAGE_SLOTS, PagePlan, Paged};
pub use program::{
    Buffer, BufferClass, BufferId, KvSlot, KvType, OutputName, Program, ProgramBuilder, Rows, Segment, SegmentKind,
    SlotId, TableId, Weight, WeightId, WeightRef,
};
pub use properties::{BatchInput, CacheUse, Division, Product, WeightUse};
pub use table::{RopeTable, Table};
