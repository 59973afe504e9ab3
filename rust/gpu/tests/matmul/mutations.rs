//! Kernels broken on purpose, each in one small place: the comparison must see it.

use chord_gguf::GgmlType;
use chord_gpu::ops::matmul::Variant;
use chord_gpu::shader::ShaderSet;
use chord_gpu::weights::types;

use crate::setup::{Bench, LANE_PER_ROW, LANE_ROWS, LIMIT, Product, SHARED_ROWS};

/// File, text, and what it becomes.
type Mutation = (&'static str, &'static str, &'static str);

#[track_caller]
fn is_seen(bench: &Bench, ty: GgmlType, variant: Variant, (file, from, to): Mutation) {
    let mut shaders = ShaderSet::default();
    let text = shaders.text(file).expect("a shader file").to_owned();
    assert!(text.contains(from), "{file} has no {from:?} to break");
    shaders.replace(file, text.replacen(from, to, 1));
    let broken = bench.with_shaders(shaders);
    let product = Product::new(ty, 512, 64, 2);
    let weight = broken.weight(ty, 512, 64, &product.bytes, 64);
    let nmse = product.compare(&broken, &weight, Some(variant)).nmse();
    assert!(nmse > LIMIT, "{file} with {to:?} for {from:?} has an NMSE of {nmse:e}");
}

#[test]
fn a_broken_block_type_is_seen() {
    let bench = Bench::new();
    let mutations = [
        (GgmlType::F32, ("quant/f32.wgsl", "codes[at + 3u]", "codes[at + 2u]")),
        (GgmlType::F16, ("quant/f16.wgsl", "two(a.x), two(a.y)", "two(a.y), two(a.x)")),
        (GgmlType::BF16, ("quant/bf16.wgsl", "word & 0xffff0000u", "word & 0xff800000u")),
        (GgmlType::Q4_0, ("quant/q4_0.wgsl", "-8.0 * d", "-8.01 * d")),
        (GgmlType::Q4_1, ("quant/q4_1.wgsl", "SCALE_WORDS + i", "SCALE_WORDS + (i ^ 1u)")),
        (GgmlType::Q5_0, ("quant/fifth_bits.wgsl", "0u, 1u, 2u, 3u", "0u, 1u, 3u, 2u")),
        (GgmlType::Q5_1, ("quant/fifth_bits.wgsl", "bits.x >> (4u * h)", "bits.x >> (3u * h)")),
        (GgmlType::Q8_0, ("quant/q8_0.wgsl", "24u, 16u, 8u, 0u", "24u, 16u, 8u, 1u")),
        (GgmlType::Q4_K, ("quant/k_scales.wgsl", "(s >> 2u) & 0x3030u", "(s >> 2u) & 0x3010u")),
        (GgmlType::Q5_K, ("quant/q5_k.wgsl", "bits >> vec4<u32>(h)", "bits >> vec4<u32>(2u * h)")),
        (GgmlType::Q6_K, ("quant/q6_k.wgsl", "(two << 16u) >> 24u", "(two << 24u) >> 24u")),
        (GgmlType::IQ4_NL, ("quant/iq4_nl.wgsl", "0xf6eaddcfu", "0xf6ebddcfu")),
    ];
    for ty in types() {
        let mut of_type = mutations.iter().filter(|(other, _)| *other == ty).peekable();
        assert!(of_type.peek().is_some(), "the reader of {ty} is never broken");
        of_type.for_each(|(_, mutation)| is_seen(&bench, ty, SHARED_ROWS, *mutation));
    }
}

#[test]
fn a_broken_product_is_seen() {
    let bench = Bench::new();
    let mutations = [
        (SHARED_ROWS, ("matmul/input.wgsl", "column + 12u", "column + 8u")),
        (SHARED_ROWS, ("matmul/group_sum.wgsl", "width > 0u", "width > 1u")),
        (LANE_PER_ROW, ("matmul/matvec.wgsl", "min(token + t, last_token)", "min(token, last_token)")),
        (LANE_ROWS, ("matmul/lane_rows.wgsl", "input_run(token + t,", "input_run(token,")),
        (LANE_ROWS, ("matmul/lane_rows.wgsl", "half == 1u", "half == 2u")),
        (Variant::Tiled, ("matmul/tiled.wgsl", "w_at + 7u * W_STEP", "w_at + 6u * W_STEP")),
        (Variant::Tiled, ("matmul/tiled.wgsl", "i < UNITS; i++", "i + 1u < UNITS; i++")),
    ];
    for (variant, mutation) in mutations {
        is_seen(&bench, GgmlType::Q4_K, variant, mutation);
    }
}
