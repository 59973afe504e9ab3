//! Where the time of a run goes: how long the calling thread works on each kind of step, and how long it waits for
//! others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chord_program::{Product, Program};

use super::step::{Step, Work};

/// All steps of one kind, since the profile began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// Steps run.
    pub steps: u64,
    /// Time the calling thread has worked on its share of them.
    pub work: Duration,
    /// Time it has waited for other threads before them.
    pub wait: Duration,
    /// Bytes of weights that all threads together have read.
    pub weight_bytes: u64,
}

/// Times by kind of step: an op's name, for products with the weight's type and shape.
pub type Profile = BTreeMap<String, StepTimes>;

/// Times of one run, step by step.
#[derive(Default)]
pub(crate) struct Clock {
    /// Wait and work of each step.
    times: Vec<(Duration, Duration)>,
    wait: Duration,
    started: Option<Instant>,
}

impl Clock {
    pub(crate) fn wait_begins(&mut self) {
        self.started = Some(Instant::now());
    }

    pub(crate) fn work_begins(&mut self) {
        self.wait = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        self.started = Some(Instant::now());
    }

    pub(crate) fn work_ends(&mut self) {
        let work = self.started.take().map_or(Duration::ZERO, |started| started.elapsed());
        self.times.push((self.wait, work));
    }

    /// Adds the times of a run of `steps`.
    pub(crate) fn add_to(self, profile: &mut Profile, program: &Program, steps: &[Step]) {
        for (step, (wait, work)) in steps.iter().zip(self.times) {
            let (name, bytes) = describe(program, &step.work);
            let times = profile.entry(name).or_default();
            times.steps += 1;
            times.work += work;
            times.wait += wait;
            times.weight_bytes += bytes;
        }
    }
}

/// A step's kind, and the bytes of weights that it reads.
fn describe(program: &Program, work: &Work) -> (String, u64) {
    let op = match work {
        Work::PrepareRows { norm: None, .. } => return ("prepare rows".to_owned(), 0),
        Work::PrepareRows { norm: Some(_), .. } => return ("norm and prepare rows".to_owned(), 0),
        Work::Product { op, .. } | Work::Op(op) => *op,
    };
    let kind = &program.ops[op].kind;
    match kind.product() {
        Some(Product { weight, ids: None, .. }) => {
            let (rows, tensor) = (weight.rows.len() as u64, program.weight(weight.weight));
            let name = format!("product {} [{rows}, {}]", tensor.ty, tensor.cols);
            (name, rows * tensor.row_bytes())
        }
        Some(_) | None => (kind.name().to_owned(), 0),
    }
}
