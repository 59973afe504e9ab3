//! Every block type, every variant.

use chord_gpu::weights::types;

use crate::setup::{Bench, Product, all_variants, check_embed};

#[test]
fn every_type_matches_in_every_variant() {
    let bench = Bench::new();
    for ty in types() {
        for variant in all_variants(&bench.gpu) {
            // Three blocks of 256, a number of rows that fills no tile, tokens that fill no tile.
            Product::new(ty, 768, 70, 5).check(&bench, Some(variant));
        }
    }
    bench.dump_kernels("matmul");
}

#[test]
fn every_type_matches_by_the_devices_choice() {
    let bench = Bench::new();
    for ty in types() {
        for n_tokens in [1, 2, 8, 65] {
            Product::new(ty, 512, 67, n_tokens).check(&bench, None);
        }
    }
}

#[test]
fn every_type_embeds() {
    let bench = Bench::new();
    for ty in types() {
        check_embed(&bench, ty, 768, 20, 0..20, &[3, 0, 19, 3, 7], 1.0);
        check_embed(&bench, ty, 256, 9, 0..9, &[8, 1], 25.298_22);
    }
    bench.dump_kernels("embed");
}
