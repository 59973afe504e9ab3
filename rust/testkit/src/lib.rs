//! Shared by the workspace's tests: where models and goldens are, how results are compared with them, and
//! files that readers must refuse.
//!
//! A dev-dependency only; nothing that ships uses it.

pub mod allocations;
pub mod blocks;
pub mod compare;
pub mod gguf_file;
pub mod golden;
pub mod hostile;
pub mod odd;
pub mod paths;
pub mod recipe;
pub mod synthetic;
pub mod tiny;
pub mod trace;

pub use chord_gguf::FileBuilder;
pub use compare::{ArgmaxMismatch, GreedyReport, LogitsComparison, LogitsReport, compare_logits, nmse, nmse_of_rows};
pub use gguf_file::GgufFile;
pub use golden::{Chat, Golden};
pub use odd::{Odd, odd_models};
pub use paths::{golden_path, model_path, read_f32_file, repo_dir};
pub use recipe::{Recipe, architecture_recipes, recipes, rope_recipes, type_recipes};
pub use synthetic::{SyntheticModel, SyntheticShape};
pub use tiny::{TINY_LAYERS, TinyModel};
pub use trace::Trace;
