//! From a header to a program: the page of the architecture, and the checks around it.

use chord_gguf::Header;
use chord_program::{MemoryPlan, MemoryUse, Program, Weight};

use crate::lowering::{BuildOptions, Lowering, Sizes};
use crate::{Hyperparameters, ModelError, arch, unread};

/// Frequency divisors of newer files, one for each rotated pair.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Names of the small tensors whose values [`lower`] needs: at most one today, handed over as `rope_factors`.
pub fn needs(header: &Header) -> Vec<&'static str> {
    header.tensor(ROPE_FACTORS).map(|_| ROPE_FACTORS).into_iter().collect()
}

/// Bytes that `program` needs on a device that stores weights as the file does: weights with tables, KV cache, scratch.
pub fn memory(program: &Program) -> MemoryUse {
    let tables: u64 = program.tables.iter().map(|t| 4 * u64::from(t.cols()) * u64::from(program.n_ctx)).sum();
    MemoryUse {
        weights: program.weight_bytes() + tables,
        kv: program.kv_bytes(),
        scratch: MemoryPlan::new(program, 256, chord_program::Reuse::Yes).total,
    }
}

/// Lowers a header to a program. `rope_factors` are the values of the tensor that [`needs`] names, if it names one.
pub fn lower(header: &Header, options: &BuildOptions, rope_factors: Option<&[f32]>) -> Result<Program, ModelError> {
    let page = arch::page(header)?;
    let hyper = Hyperparameters::from_header(header)?;
    let rope_factors = check_rope_factors(header, &hyper, rope_factors)?;
    let sizes = Sizes::new(&hyper, options)?;
    let write = |weights: Vec<Weight>| {
        let mut m = Lowering::new(header, hyper.clone(), sizes, rope_factors, weights);
        page(&mut m)?;
        m.into_program()
    };
    // Written twice: the first pass finds which tensors are used, the second declares them in the order of the file.
    let mut weights = write(Vec::new())?.weights;
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    let is_weight = |name: &str| weights.binary_search_by(|weight| weight.name.as_str().cmp(name)).is_ok();
    let has_factors = arch::has_rope_factors(&hyper.architecture);
    unread::refuse(header, &hyper, |name| (has_factors && name == ROPE_FACTORS) || is_weight(name))?;
    weights.sort_by_key(|w| header.tensor(&w.name).map(|t| t.offset));
    write(weights)
}

fn check_rope_factors<'a>(
    header: &Header,
    hyper: &Hyperparameters,
    factors: Option<&'a [f32]>,
) -> Result<Option<&'a [f32]>, ModelError> {
    let bad = |what: String| Err(ModelError::TensorValues { tensor: ROPE_FACTORS.to_owned(), what });
    if header.tensor(ROPE_FACTORS).is_none() {
        return Ok(None);
    }
    let Some(factors) = factors else { return bad("its values are needed".to_owned()) };
    let expected = hyper.n_rot as usize / 2;
    if factors.len() != expected {
        return bad(format!("{} values, expected {expected}", factors.len()));
    }
    match factors.iter().find(|f| !(f.is_finite() && **f > 0.0)) {
        Some(factor) => bad(format!("{factor} cannot divide a frequency")),
        None => Ok(Some(factors)),
    }
}
