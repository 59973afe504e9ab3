//! Shapes of real models, and odd ones.

use chord_gguf::GgmlType;

use crate::setup::{Bench, LANE_PER_ROW, LANE_ROWS, Product, SHARED_ROWS, all_variants, check_embed};
use chord_gpu::ops::matmul::Variant;

#[test]
fn columns_of_real_models_match() {
    let bench = Bench::new();
    let types = [GgmlType::F16, GgmlType::Q4_1, GgmlType::Q5_0, GgmlType::Q8_0, GgmlType::Q4_K, GgmlType::Q6_K];
    for cols in [576, 640, 2048, 4096, 5632, 14336] {
        for ty in types.into_iter().filter(|ty| cols % ty.block_elems() as u32 == 0) {
            for n_tokens in [1, 33] {
                Product::new(ty, cols, 9, n_tokens).check(&bench, None);
            }
        }
    }
}

#[test]
fn odd_numbers_of_rows_match() {
    let bench = Bench::new();
    for n_rows in [1, 2, 3, 5, 7, 31, 33, 65] {
        for variant in [Variant::Tiled, LANE_PER_ROW, LANE_ROWS, SHARED_ROWS] {
            Product::new(GgmlType::Q5_0, 32, n_rows, 2).check(&bench, Some(variant));
        }
    }
}

#[test]
fn odd_numbers_of_tokens_match() {
    let bench = Bench::new();
    for n_tokens in (1..=9).chain([31, 33, 63, 65, 129]) {
        for variant in all_variants(&bench.gpu) {
            Product::new(GgmlType::Q4_K, 256, 12, n_tokens).check(&bench, Some(variant));
        }
    }
}

#[test]
fn floats_with_any_number_of_columns_match() {
    let bench = Bench::new();
    for ty in [GgmlType::F32, GgmlType::F16, GgmlType::BF16] {
        for cols in [1, 7, 31, 33] {
            for variant in [Variant::Tiled, LANE_ROWS, SHARED_ROWS] {
                Product::new(ty, cols, 5, 3).check(&bench, Some(variant));
            }
            check_embed(&bench, ty, cols, 7, 0..7, &[6, 0, 3], 0.5);
        }
    }
}
