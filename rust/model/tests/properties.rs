//! The properties of ops fit their buffers, in the programs of every architecture.

use chord_model::BuildOptions;
use chord_program::{BufferId, CacheUse, Division, Op, Program};
use chord_testkit::architecture_recipes;

/// All buffers that an op's properties name as inputs.
fn named_inputs(op: &Op) -> Vec<BufferId> {
    let product = op.kind.product().into_iter().flat_map(|product| [product.x].into_iter().chain(product.ids));
    let divided = match op.kind.division() {
        Division::Columns(same) => same,
        Division::Groups(_) | Division::Rows => Vec::new(),
        Division::Heads(CacheUse::Write { k, v, .. }) => vec![k, v],
        Division::Heads(CacheUse::Read { q, .. }) => vec![q],
    };
    let of_batch = op.kind.batch_inputs().into_iter().map(|(id, _)| id);
    product.chain(divided).chain(of_batch).collect()
}

fn check(program: &Program, op: &Op) {
    let rows = |id: &BufferId| program.buffer(*id).rows;
    let inputs = op.kind.inputs();
    let out = op.outputs.first();
    let context = format!("{} of {:?}", op.kind.name(), out.map(|id| &program.buffer(*id).name));
    assert!(named_inputs(op).iter().all(|id| inputs.contains(id)), "{context} names a buffer that it does not read");
    for (id, input) in op.kind.batch_inputs() {
        assert_eq!(id, program.inputs[input as usize], "{context}: {input:?}");
    }
    assert_eq!(op.outputs.len(), op.kind.n_outputs(), "{context} has a different number of outputs than it says");
    // An op that writes the cache alone has no output to compare with.
    let Some(out) = out else { return };
    let has_rows_of_inputs = inputs.iter().all(|id| rows(id) == rows(out));
    assert!(has_rows_of_inputs || !op.kind.is_row_wise(), "{context} changes the number of rows");
    match op.kind.division() {
        Division::Columns(same) => {
            let cols = |id: &BufferId| program.buffer(*id).cols;
            assert!(same.iter().all(|id| cols(id) == cols(out)), "{context} differs from its inputs in columns");
        }
        Division::Groups(n) => assert!(program.buffer(*out).cols.is_multiple_of(n), "{context}: groups of {n}"),
        Division::Rows => assert!(has_rows_of_inputs, "{context} differs from its inputs in rows"),
        Division::Heads(_) => {}
    }
}

#[test]
fn properties_of_ops_fit_their_buffers() {
    for recipe in architecture_recipes() {
        let file = recipe.file();
        let factors = chord_model::needs(&file.header).first().map(|name| file.tensor_f32(name));
        let options = BuildOptions::default();
        let program = chord_model::lower(&file.header, &options, factors.as_deref()).expect("it can be lowered");
        for program in [&program, &program.narrowed()] {
            program.ops.iter().for_each(|op| check(program, op));
        }
    }
}
