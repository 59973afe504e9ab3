//! Attention over a KV slot: tiles of query rows for prompts, keys divided among several workgroups for single tokens.

use chord_program::{ExecError, Mask, Rows};

use super::OpContext;
use super::kv::KvCache;
use crate::{Access, Activation, Binding, Dispatch, Grid, KernelSource, Kernels};

/// Most tokens of a batch for which keys are split over workgroups: larger batches have enough tiles.
pub const MAX_SPLIT_TOKENS: u32 = 4;
/// Positions that are worth a separate workgroup.
const KEYS_PER_SPLIT: u32 = 256;
/// Most parts of one head.
const MAX_SPLITS: u32 = 16;
/// Most query rows of a tile.
const MAX_TILE_ROWS: u32 = 16;
/// Most values of a query tile: 8 KiB of the 16 KiB of workgroup memory.
const MAX_TILE_VALUES: u32 = 2048;
/// Lanes of a workgroup, and so the most quads of a value head.
const LANES: u32 = 64;

/// Attention of one batch.
#[derive(Debug)]
pub struct Attention<'a> {
    /// `[T, n_heads · k_dim]`.
    pub q: &'a Activation,
    /// Keys and values.
    pub cache: &'a KvCache,
    /// Query heads.
    pub n_heads: u32,
    /// Factor on `q kᵀ`.
    pub scale: f32,
    /// Which keys are seen.
    pub mask: Mask,
    /// Cap of the scores.
    pub soft_cap: Option<f32>,
    /// `[T, n_heads · v_dim]`.
    pub out: &'a Activation,
    /// Room for the parts of split keys, [`scratch_bytes`] long.
    pub scratch: Binding,
    /// Parts into which the keys of single tokens are divided.
    pub splits: u32,
}

/// Parts into which a slot of `capacity` positions is divided for single tokens.
pub fn default_splits(capacity: u32) -> u32 {
    (capacity / KEYS_PER_SPLIT).clamp(1, MAX_SPLITS)
}

/// Bytes of scratch for attention with `n_heads` heads of `v_dim` columns in `splits` parts.
pub fn scratch_bytes(n_heads: u32, v_dim: u32, splits: u32) -> u64 {
    let quads = 1 + u64::from(v_dim / 4);
    if splits > 1 { u64::from(MAX_SPLIT_TOKENS) * u64::from(n_heads) * u64::from(splits) * quads * 16 } else { 0 }
}

/// Attention over the slot, which already holds the batch's own keys and values.
///
/// # Errors
/// [`ExecError::Unsupported`] for bidirectional masks and heads of more than 256 value or 2,048 key columns.
pub fn attention(ctx: &OpContext<'_>, op: &Attention<'_>) -> Result<Kernels, ExecError> {
    let slot = op.cache.slot();
    let unsupported = |what: String| Err(ExecError::Unsupported { backend: "gpu", what });
    let window = match op.mask {
        Mask::Causal { window } => window.unwrap_or(0),
        Mask::Bidirectional => return unsupported("bidirectional attention".to_owned()),
    };
    if slot.v_dim / 4 > LANES || slot.k_dim > MAX_TILE_VALUES {
        return unsupported(format!("attention heads of {} and {} columns", slot.k_dim, slot.v_dim));
    }
    let group = op.n_heads / slot.n_kv_heads;
    let shared = |file| {
        let source = op
            .cache
            .specialise(KernelSource::new(file))
            .define("GROUP", format!("{group}u"))
            .define("K_QUADS", format!("{}u", slot.k_dim / 4))
            .define("V_QUADS", format!("{}u", slot.v_dim / 4))
            .define("WINDOW", format!("{window}u"))
            .flag("SOFT_CAP", op.soft_cap.is_some())
            .constant("SCALE", op.scale);
        match op.soft_cap {
            Some(cap) => source.constant("CAP", cap),
            None => source,
        }
    };
    if ctx.resources.gpu.lanes_are_a_loop {
        return Ok(Kernels::always(vec![rows_dispatch(ctx, op, shared("ops/attention_rows.wgsl"))?]));
    }
    let most = MAX_TILE_ROWS.min(floor_power_of_two(MAX_TILE_VALUES / slot.k_dim));
    let variant = |rows: u32, splits: u32| {
        let source =
            shared("ops/attention.wgsl").define("ROWS", format!("{rows}u")).define("SPLITS", format!("{splits}u"));
        let [k, v] = op.cache.bindings(Access::Read);
        let out = if splits > 1 { op.scratch.clone() } else { op.out.binding() };
        let bindings = [ctx.batch.clone(), op.q.binding(), k, v, out];
        let grid = Grid::tiles(Rows::Tokens(group), rows, slot.n_kv_heads * splits);
        ctx.resources.dispatch(&source, &bindings, grid)
    };

    let prompt = vec![variant(most, 1)?];
    let mut single = vec![variant(group.next_power_of_two().min(most), op.splits)?];
    if op.splits > 1 {
        let source = KernelSource::new("ops/attention_merge.wgsl")
            .define("SPLITS", format!("{}u", op.splits))
            .define("V_QUADS", format!("{}u", slot.v_dim / 4))
            .constant("N_HEADS", op.n_heads);
        let bindings = [ctx.batch.clone(), op.scratch.clone(), op.out.binding()];
        let grid = Grid::elements(Rows::T, op.n_heads * slot.v_dim / 4, LANES);
        single.push(ctx.resources.dispatch(&source, &bindings, grid)?);
    }
    Ok(Kernels::by_rows(Rows::T, vec![(MAX_SPLIT_TOKENS, single), (u32::MAX, prompt)]))
}

/// Lanes of a workgroup of `ops/attention_rows.wgsl`.
const ROWS_LANES: u32 = 4;

/// The kernel without barriers: each lane takes four quads of the value columns of one query head.
fn rows_dispatch(ctx: &OpContext<'_>, op: &Attention<'_>, source: KernelSource) -> Result<Dispatch, ExecError> {
    let source = source.define("WG_SIZE", format!("{ROWS_LANES}u"));
    let [k, v] = op.cache.bindings(Access::Read);
    let bindings = [ctx.batch.clone(), op.q.binding(), k, v, op.out.binding()];
    let row_lanes = (op.cache.slot().v_dim / 4).div_ceil(4);
    let grid = Grid::elements(Rows::T, op.n_heads * row_lanes, ROWS_LANES);
    ctx.resources.dispatch(&source, &bindings, grid)
}

fn floor_power_of_two(n: u32) -> u32 {
    1 << n.max(1).ilog2()
}
