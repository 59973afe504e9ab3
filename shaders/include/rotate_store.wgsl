// Bindings of the two kernels that rotate queries and keys and store keys and values. All activations are in one
// binding, at the offsets *_AT, in elements: every device allows eight storage bindings, some no more.

override N_HEADS: u32;
override N_ROT: u32;
override V_DIM: u32;
override Q_AT: u32;
override K_AT: u32;
override V_AT: u32;
override OUT_AT: u32;
#if NORM
override Q_EPS: f32;
override K_EPS: f32;
#endif

@group(0) @binding(1) var<storage, read_write> arena: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;  // (cos, sin), N_ROT / 2 for each position
@group(0) @binding(3) var<storage, read_write> k_cache: array<KvQuad>;
@group(0) @binding(4) var<storage, read_write> v_cache: array<KvQuad>;
#if NORM
@group(0) @binding(5) var<storage, read> q_weight: array<f32>;
@group(0) @binding(6) var<storage, read> k_weight: array<f32>;
#endif
