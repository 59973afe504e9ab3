//! The checks of `tests/matmul` and the rates of `matmul_rates`, as a WebAssembly module without imports.
//! `wasm_kernels.mjs` builds it, runs it in Node or Chromium, and prints the rates.

#![allow(unreachable_pub)]

#[path = "../tests/matmul/checks.rs"]
mod checks;

use std::cell::RefCell;

use checks::*;
use chord_cpu::InstructionSet;
use chord_cpu::matmul::{Activations, PackedMatrix, Precision};
use chord_gguf::GgmlType;

struct Case {
    matrix: PackedMatrix,
    acts: Activations,
    precision: Precision,
    out: Vec<f32>,
}

thread_local! {
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
    static CASE: RefCell<Option<Case>> = const { RefCell::new(None) };
}

fn say(text: String) {
    MESSAGE.with_borrow_mut(|message| *message = text);
}

/// Address of the last message: a panic's or a call's.
#[unsafe(no_mangle)]
pub extern "C" fn message_at() -> *const u8 {
    MESSAGE.with_borrow(|message| message.as_ptr())
}

/// Its length.
#[unsafe(no_mangle)]
pub extern "C" fn message_length() -> usize {
    MESSAGE.with_borrow(|message| message.len())
}

/// Makes panics leave their message. Leaves the names of the instruction sets as a message and returns how many there
/// are.
#[unsafe(no_mangle)]
pub extern "C" fn start() -> usize {
    std::panic::set_hook(Box::new(|info| say(info.to_string())));
    let sets = InstructionSet::available();
    say(sets.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(" "));
    sets.len()
}

/// Leaves the types as a message: the name and the number in files of each, `Q4_0=2`.
#[unsafe(no_mangle)]
pub extern "C" fn types() {
    say(GgmlType::decodable().map(|ty| format!("{ty}={}", ty.id())).collect::<Vec<_>>().join(" "));
}

/// Runs all checks of an instruction set; traps where one fails.
#[unsafe(no_mangle)]
pub extern "C" fn check(isa: usize) {
    let isa = InstructionSet::available()[isa];
    let (shapes, tokens) = ([(1, 32), (3, 576), (33, 96), (33, 256), (20, 768)], [1, 2, 3, 4, 5, 8, 9, 33, 70]);
    rows_read_back(isa);
    rounded_products_are_right(isa, 1, &shapes, &tokens);
    rounded_products_are_right(isa, 2, &shapes, &tokens);
    f32_products_are_right(isa, &shapes, &tokens);
    f32_products_are_right(isa, &[(5, 3), (18, 300)], &[1, 2, 9]);
    extremes_do_not_saturate(isa);
    bad_activations_are_seen(isa);
    bad_weights_are_seen(isa);
    row_ranges_are_right(isa);
    selected_rows_are_right(isa);
    #[cfg(target_family = "wasm")]
    rivals_agree_to_the_bit();
}

/// Makes a product ready: the type by its number in files, and 8, 16 or 32 bits of activations.
#[unsafe(no_mangle)]
pub extern "C" fn prepare(isa: usize, ty: u32, rows: usize, cols: usize, n_tokens: usize, bits: u32) {
    let isa = InstructionSet::available()[isa];
    let ty = GgmlType::from_id(ty).expect("a type");
    let precision = if bits < 32 { Precision::Rounded } else { Precision::F32 };
    let mut random = Random::new(9);
    let row = chord_gguf::quantize(ty, &random.values(cols)).expect("whole blocks");
    let mut matrix = PackedMatrix::new(ty, rows, cols, isa, "weights").expect("memory");
    for r in 0..rows {
        matrix.write_rows(r, &row);
    }
    let mut acts = Activations::with_bytes(isa, if bits == 16 { 2 } else { 1 });
    acts.fill(&random.values(n_tokens * cols), n_tokens, cols, bits < 32, bits == 32);
    CASE.replace(Some(Case { matrix, acts, precision, out: vec![0.0; n_tokens * rows] }));
}

/// Runs it `times` times.
#[unsafe(no_mangle)]
pub extern "C" fn run(times: u32) {
    CASE.with_borrow_mut(|case| {
        let Case { matrix, acts, precision, out } = case.as_mut().expect("a product made ready");
        let rows = matrix.rows();
        for _ in 0..times {
            // SAFETY: `out` is [n_tokens, rows].
            unsafe { matrix.multiply(acts, *precision, 0..rows, matrix.row_blocks(0..rows), out.as_mut_ptr(), rows) };
        }
    });
}
