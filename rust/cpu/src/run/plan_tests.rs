use chord_model::BuildOptions;
use chord_program::Program;
use chord_testkit::Recipe;

use super::plan::{Fusion, Plan};
use super::step::Work;

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
    // Rows that all workers prepare together need one more barrier before products read them, and one within the step.
    // Any worker may have computed any piece of a product: both residuals and the gate wait for it.
    assert_eq!(barriers(&plan.with_barriers(&program, &memory, false)), 13);
}

#[test]
fn norms_of_a_llama_layer_are_not_steps() {
    let program = llama();
    let of_norms = |fusion| {
        let plan = Plan::new(&program, fusion, |_| true);
        let layer = plan.steps[plan.segments[1].clone()].iter();
        layer.filter(|s| matches!(s.work, Work::Op(op) if program.ops[op].kind.name() == "rms_norm")).count()
    };
    assert_eq!((of_norms(Fusion::Yes), of_norms(Fusion::No)), (0, 2));
}

/// The chains of a segment, by what their steps write.
fn chains(program: &Program, plan: &Plan, segment: usize) -> Vec<String> {
    let name = |work: &Work| match work {
        Work::Product { op, .. } | Work::Op(op) => program.buffer(program.ops[*op].out()).name.clone(),
        Work::PrepareRows { .. } => "rows".to_owned(),
    };
    let starts = plan.segments[segment].clone().filter(|&at| plan.steps[at].chained > 0);
    let names = |at: usize| plan.steps[at..at + plan.steps[at].chained].iter().map(|step| name(&step.work));
    starts.map(|at| names(at).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn products_and_what_reads_their_columns_are_chained_for_a_single_token() {
    let program = llama();
    let plan = Plan::new(&program, Fusion::Yes, |_| true);
    let memory = plan.memory(&program);
    let few = plan.with_barriers(&program, &memory, true);
    let products = ["attn_out-0 ffn_inp-0", "ffn_gate-0 ffn_up-0 ffn_swiglu-0", "ffn_out-0 l_out-0"];
    assert_eq!(chains(&program, &few, 1), products);
    assert_eq!(chains(&program, &few, 3).len(), 1, "the logits");
    let many = plan.with_barriers(&program, &memory, false);
    assert!(many.steps.iter().all(|step| step.chained == 0), "each step has a queue of its own");
}
