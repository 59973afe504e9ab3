//! Memory that all workers of a run see and of which each writes its own part, and where it comes from.
//!
//! The rule that keeps this sound, everywhere in this crate: between two barriers no element is written by one worker
//! and read or written by another. The plan puts the barriers where the ops' shares would break it.

mod frame;
mod huge_pages;
mod shared;

pub(crate) use frame::{Frame, View};
pub(crate) use huge_pages::{CacheLines, HugePages};
pub(crate) use shared::{PerWorker, SharedMemory};
