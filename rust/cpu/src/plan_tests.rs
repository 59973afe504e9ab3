use chord_model::BuildOptions;
use chord_program::Program;
use chord_testkit::Recipe;

use crate::plan::{Fusion, Plan, Work};

fn llama() -> Program {
    let header = Recipe::named("llama.Q4_0").file().header;
    chord_model::lower(&header, &BuildOptions::default(), None).expect("the model can be lowered")
}

/// Barriers in the second layer.
fn barriers(plan: &Plan) -> usize {
    plan.steps[plan.segments[2].clone()].iter().filter(|step| step.barrier).count()
}

#[test]
fn a_llama_layer_has_six_barriers_for_a_single_token() {
    let program = llama();
    let plan = Plan::new(&program, Fusion::Yes, |_| true);
    let memory = plan.memory(&program);
    assert_eq!(barriers(&plan.with_barriers(&program, &memory, true)), 6);
    // Rows that all workers take together are waited for once more, before products read them; once within the step, too.
    // And what products leave was dealt to anyone: both residuals and the gate wait for it.
    assert_eq!(barriers(&plan.with_barriers(&program, &memory, false)), 13);
}

#[test]
fn norms_of_a_llama_layer_are_no_steps() {
    let program = llama();
    let of_norms = |fusion| {
        let plan = Plan::new(&program, fusion, |_| true);
        let layer = plan.steps[plan.segments[1].clone()].iter();
        layer.filter(|s| matches!(s.work, Work::Op(op) if program.ops[op].kind.name() == "rms_norm")).count()
    };
    assert_eq!((of_norms(Fusion::Yes), of_norms(Fusion::No)), (0, 2));
}

/// The steps of a layer that are dealt together, by what they write.
fn dealt_together(program: &Program, plan: &Plan, segment: usize) -> Vec<String> {
    let name = |work: &Work| match work {
        Work::Product { op, .. } | Work::Op(op) => program.buffer(program.ops[*op].out()).name.clone(),
        Work::TakeRows { .. } => "rows".to_owned(),
    };
    let starts = plan.segments[segment].clone().filter(|&at| plan.steps[at].together > 0);
    let names = |at: usize| plan.steps[at..at + plan.steps[at].together].iter().map(|step| name(&step.work));
    starts.map(|at| names(at).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn products_and_what_takes_their_columns_are_dealt_together_for_a_single_token() {
    let program = llama();
    let plan = Plan::new(&program, Fusion::Yes, |_| true);
    let memory = plan.memory(&program);
    let few = plan.with_barriers(&program, &memory, true);
    let products = ["attn_out-0 ffn_inp-0", "ffn_gate-0 ffn_up-0 ffn_swiglu-0", "ffn_out-0 l_out-0"];
    assert_eq!(dealt_together(&program, &few, 1), products);
    assert_eq!(dealt_together(&program, &few, 3).len(), 1, "the logits");
    let many = plan.with_barriers(&program, &memory, false);
    assert!(many.steps.iter().all(|step| step.together == 0), "what is dealt on its own needs no more");
}
