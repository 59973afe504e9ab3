//! Views of rows, matrices in several parts, and more rows than a dimension of a grid.

use chord_gguf::GgmlType;
use chord_gpu::GpuOptions;
use chord_gpu::ops::matmul::Variant;
use chord_gpu::weights::types;

use crate::setup::{Bench, LANE_PER_ROW, LANE_ROWS, Product, WHOLE_GROUP, check_embed};

#[test]
fn views_of_rows_match() {
    let bench = Bench::new();
    for ty in types() {
        for variant in [Variant::Tiled, LANE_PER_ROW, LANE_ROWS] {
            let product = Product { view: 13..50, ..Product::new(ty, 256, 61, 3) };
            product.check(&bench, Some(variant));
        }
        check_embed(&bench, ty, 256, 61, 13..50, &[0, 36, 5], 1.0);
    }
}

#[test]
fn matrices_in_parts_match() {
    // 8 KiB per binding: 56 rows of Q4_K of 256 columns, 16 of F16.
    let bench = Bench::with(GpuOptions { max_binding_bytes: Some(8192), ..GpuOptions::default() });
    for ty in [GgmlType::F16, GgmlType::Q5_1, GgmlType::Q8_0, GgmlType::Q4_K, GgmlType::Q6_K] {
        let product = Product { view: 3..68, ..Product::new(ty, 256, 71, 5) };
        let weight = bench.weight(ty, 256, 71, &product.bytes, 7);
        assert!(weight.parts().len() > 1, "{ty} was not split");
        product.check_weight(&bench, &weight, None);
        product.check_weight(&bench, &weight, Some(Variant::Tiled));
        check_embed(&bench, ty, 256, 71, 3..68, &[0, 64, 27, 28, 11, 10, 36, 37], 2.0);
    }
}

#[test]
fn more_rows_than_a_grids_dimension_match() {
    let bench = Bench::new();
    let product = Product::new(GgmlType::Q8_0, 32, 300_000, 1);
    let weight = bench.weight(GgmlType::Q8_0, 32, 300_000, &product.bytes, 123_456);
    // Four rows for each workgroup make a grid of 75,000.
    for variant in [None, Some(WHOLE_GROUP)] {
        product.check_weight(&bench, &weight, variant);
    }
    check_embed(&bench, GgmlType::Q8_0, 32, 300_000, 0..300_000, &[0, 299_999, 65_535, 65_536], 1.0);
}
