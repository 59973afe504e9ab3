// The KV cache of one slot: a buffer of keys and one of values, [seq][kv_head][position % CAPACITY][dim] each.
//
// KV_F16: two f16 in each u32, otherwise f32. Kernels read and write quads: four neighbouring columns.

override CAPACITY: u32;

#if KV_F16
alias KvQuad = vec2<u32>;

// Packing is undefined beyond f16's range.
const F16_MAX: f32 = 65504.0;

fn kv_pack(v: vec4<f32>) -> KvQuad {
    let c = clamp(v, vec4<f32>(-F16_MAX), vec4<f32>(F16_MAX));
    return vec2<u32>(pack2x16float(c.xy), pack2x16float(c.zw));
}

fn kv_unpack(q: KvQuad) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(q.x), unpack2x16float(q.y));
}
#else
alias KvQuad = vec4<f32>;

fn kv_pack(v: vec4<f32>) -> KvQuad {
    return v;
}

fn kv_unpack(q: KvQuad) -> vec4<f32> {
    return q;
}
#endif

// The row of a head's key or value at a position; times the quads of a row, the place of its first quad.
fn kv_row(seq: u32, kv_head: u32, pos: u32) -> u32 {
    return (seq * N_KV_HEADS + kv_head) * CAPACITY + pos % CAPACITY;
}
