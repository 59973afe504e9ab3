//! Views of rows, matrices in several parts, and more rows than a dimension of a grid.

use chord_gguf::GgmlType;
use chord_gpu::GpuOptions;

use crate::setup::{Bench, Product, TYPES, all_variants, check_embed};

#[test]
fn views_of_rows_match() {
    let bench = Bench::new();
    for ty in TYPES {
        for variant in all_variants(&bench.gpu) {
            let product = Product { view: 13..50, ..Product::new(ty, 256, 61, 3) };
            product.check(&bench, Some(variant));
        }
        check_embed(&bench, ty, 256, 61, 13..50, &[0, 36, 5], 1.0);
    }
}

#[test]
fn matrices_in_parts_match() {
    // 4 KiB per binding: 28 rows of Q4_K of 256 columns, 4 of F32.
    let bench = Bench::with(GpuOptions { max_binding_bytes: Some(4096), ..GpuOptions::default() });
    for ty in TYPES {
        let product = Product { view: 3..58, ..Product::new(ty, 256, 61, 5) };
        let weight = bench.weight(ty, 256, 61, &product.bytes, 7);
        assert!(weight.parts().len() > 1, "{ty} was not split");
        product.check_weight(&bench, &weight, None);
        for variant in all_variants(&bench.gpu) {
            product.check_weight(&bench, &weight, Some(variant));
        }
        check_embed(&bench, ty, 256, 61, 3..58, &[0, 54, 27, 28, 11, 10], 2.0);
    }
}

#[test]
fn more_rows_than_a_grids_dimension_match() {
    let bench = Bench::new();
    for ty in [GgmlType::Q8_0, GgmlType::F32] {
        let product = Product::new(ty, 32, 300_000, 1);
        let weight = bench.weight(ty, 32, 300_000, &product.bytes, 123_456);
        // With a row group of four per workgroup the grid has 75,000.
        for variant in all_variants(&bench.gpu) {
            product.check_weight(&bench, &weight, Some(variant));
        }
        check_embed(&bench, ty, 32, 300_000, 0..300_000, &[0, 299_999, 65_535, 65_536], 1.0);
    }
}
