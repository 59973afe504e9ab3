//! Running a program: `plan` turns ops into `step`s and knows from `access` where barriers must lie; a `machine` holds
//! what a program needs and walks through the steps, each a `dispatch` to `ops`; the `executor` runs what is in its
//! `schedule`.

mod access;
mod attention;
mod dispatch;
mod executor;
mod input;
mod machine;
mod pass;
mod plan;
#[cfg(test)]
mod plan_tests;
mod prepared;
mod product;
mod profile;
mod schedule;
mod state;
mod step;

pub use executor::CpuExecutor;
pub use profile::{Profile, StepTimes};
