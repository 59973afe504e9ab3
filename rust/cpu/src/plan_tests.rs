use chord_model::BuildOptions;
use chord_program::Program;
use chord_testkit::{GgufFile, find_model};

use crate::plan::{Fusion, Plan, Work};

fn program(name: &str) -> Option<Program> {
    let file = GgufFile::open(&find_model(name)?);
    Some(chord_model::lower(&file.header, &BuildOptions::default(), None).expect("the model can be lowered"))
}

/// Barriers in the second layer.
fn barriers(plan: &Plan) -> usize {
    plan.steps[plan.segments[2].clone()].iter().filter(|step| step.barrier).count()
}

#[test]
fn a_llama_layer_has_six_barriers_for_a_single_token() {
    let Some(program) = program("llama.Q4_0.gguf") else { return };
    let plan = Plan::new(&program, Fusion::Yes, |_| true);
    let memory = plan.memory(&program);
    assert_eq!(barriers(&plan.with_barriers(&program, &memory, true)), 6);
    // Rows that all workers take together are waited for once more, before products read them; once within the step, too.
    // And what products leave was dealt to anyone: both residuals and the gate wait for it.
    assert_eq!(barriers(&plan.with_barriers(&program, &memory, false)), 13);
}

#[test]
fn norms_of_a_llama_layer_are_no_steps() {
    let Some(program) = program("llama.Q4_0.gguf") else { return };
    let of_norms = |fusion| {
        let plan = Plan::new(&program, fusion, |_| true);
        let layer = plan.steps[plan.segments[1].clone()].iter();
        layer.filter(|s| matches!(s.work, Work::Op(op) if program.ops[op].kind.name() == "rms_norm")).count()
    };
    assert_eq!((of_norms(Fusion::Yes), of_norms(Fusion::No)), (0, 2));
}
