//! Models with scaled rotations against the reference's numbers. Models and results are part of the repository, so that
//! nothing is left out anywhere.

mod support;

use chord_model::{Hyperparameters, RopeScaling};
use chord_program::{KvType, Program, Table};
use chord_testkit::compare::NMSE_F32_KV;
use chord_testkit::{GgufFile, LogitsReport, Recipe, rope_recipes};
use support::{compare_logits, executor, lower, options};

/// The model's program with a rotation table made from a changed scaling.
fn program_with(file: &GgufFile, n_ctx: u32, change: impl Fn(&mut RopeScaling)) -> Program {
    let mut program = lower(file, &options(KvType::F32, n_ctx));
    let h = Hyperparameters::from_header(&file.header).expect("hyperparameters");
    let mut scaling = h.rope_scaling;
    change(&mut scaling);
    let table = scaling.table(h.rope_theta, h.n_rot, scaling.factor, None);
    program.tables[0] = Table::Rope(table);
    program
}

fn report(model: &Recipe, file: &GgufFile, program: Program, chunk: usize) -> LogitsReport {
    let golden = model.golden();
    compare_logits(&mut executor(file, program), &golden, golden.tokens.len(), chunk)
}

#[test]
fn every_scaling_gives_the_references_logits() {
    let mut worst: f64 = 0.0;
    for model in rope_recipes() {
        let (file, n_ctx) = (model.file(), model.golden().n_ctx);
        for chunk in [48, 7, 1] {
            let program = match model.betas {
                None => lower(&file, &options(KvType::F32, n_ctx)),
                Some((fast, slow)) => program_with(&file, n_ctx, |scaling| {
                    let yarn = scaling.yarn.as_mut().expect("a ramp");
                    (yarn.beta_fast, yarn.beta_slow) = (fast, slow);
                }),
            };
            let report = report(&model, &file, program, chunk);
            println!("{}, {chunk} at once: {report}", &model.name);
            report.assert_within(NMSE_F32_KV, &model.name);
            worst = worst.max(report.nmse);
        }
    }
    println!("worst NMSE {worst:.1e}");
}

/// With any other rotation the results do not pass.
#[test]
fn a_different_rotation_is_seen() {
    type Change = (&'static str, &'static str, fn(&mut RopeScaling));
    let changes: [Change; 9] = [
        ("llama-yarn", "every pair stretched alike", |scaling| scaling.yarn = None),
        ("llama-yarn", "another factor", |scaling| scaling.factor = 4.1),
        ("llama-yarn", "an attention factor", |scaling| scaling.attn_factor = 1.01),
        ("llama-yarn", "another original length", |scaling| scaling.yarn.as_mut().unwrap().n_ctx_orig = 256),
        ("llama-yarn", "a ramp that ends a pair later", |scaling| scaling.yarn.as_mut().unwrap().beta_slow = 0.4),
        ("llama-yarn-attn-factor", "no attention factor", |scaling| scaling.attn_factor = 1.0),
        ("llama-yarn-betas", "a ramp between the usual ends", |_| ()),
        ("llama-linear", "no attention factor", |scaling| scaling.attn_factor = 1.0),
        ("llama-none", "the factor of a model that has none", |scaling| scaling.factor = 4.0),
    ];
    for (name, what, change) in changes {
        let model = Recipe::named(name);
        let file = model.file();
        let program = program_with(&file, model.golden().n_ctx, change);
        let report = report(&model, &file, program, 48);
        println!("{name}, {what}: {report}");
        assert!(report.nmse > 100.0 * NMSE_F32_KV, "{name}, {what}: {report}");
    }
}
