//! Products with packed matrices, on every instruction set that this machine has.

#![allow(unreachable_pub)]

mod checks;

use checks::*;
use chord_cpu::InstructionSet;

const SHAPES: [(usize, usize); 7] = [(1, 32), (3, 576), (31, 640), (33, 96), (33, 256), (48, 2048), (20, 768)];
const TOKENS: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 33, 130];

fn on_each(check: impl Fn(InstructionSet)) {
    for isa in InstructionSet::available() {
        check(isa);
    }
}

#[test]
fn rows_that_were_packed_read_back() {
    on_each(rows_read_back);
}

#[test]
fn products_of_eight_bits_are_exact_but_for_their_scales() {
    on_each(|isa| rounded_products_are_right(isa, 1, &SHAPES, &TOKENS));
}

#[test]
fn products_of_two_bytes_are_exact_but_for_their_scales() {
    on_each(|isa| rounded_products_are_right(isa, 2, &SHAPES, &TOKENS));
}

#[test]
fn products_of_f32_are_right() {
    on_each(|isa| f32_products_are_right(isa, &SHAPES, &TOKENS));
}

#[test]
fn plain_types_may_have_any_width() {
    on_each(|isa| f32_products_are_right(isa, &[(5, 3), (18, 300)], &[1, 2, 9]));
}

#[test]
fn the_largest_codes_and_activations_do_not_saturate() {
    on_each(extremes_do_not_saturate);
}

#[test]
fn activations_that_are_not_finite_are_seen() {
    on_each(bad_activations_are_seen);
}

#[test]
fn weights_that_are_not_finite_are_seen() {
    on_each(bad_weights_are_seen);
}

#[test]
fn ranges_of_rows_are_right() {
    on_each(row_ranges_are_right);
}

#[test]
fn selected_rows_go_where_they_belong() {
    on_each(selected_rows_are_right);
}
