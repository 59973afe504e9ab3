//! Models that differ in how they stretch their rotation.

use chord_gguf::Value;

use super::Recipe;
use super::decoder::{ARCHITECTURES, Decoder};

/// A key without `rope.`, and its value.
type Pair = (&'static str, Value);

/// Every model.
pub(super) fn recipes() -> Vec<Recipe> {
    let with = |name, keys: &[Pair], more: &[Pair]| model(name, &[keys, more].concat());
    let same = |recipe: Recipe, other| Recipe { same_as: Some(other), ..recipe };
    let yarn = [("scaling.type", text("yarn")), ("scaling.factor", Value::F32(4.0))];
    let [kind, factor] = yarn.clone();
    let yarn64 = [kind.clone(), factor.clone(), ("scaling.original_context_length", Value::U32(64))];
    let attn = [("scaling.attn_factor", Value::F32(1.3))];
    vec![
        model("llama-plain", &[]),
        model("llama-yarn", &yarn64),
        with("llama-yarn-attn-factor", &yarn64, &attn),
        Recipe { betas: Some((6.0, 2.0)), ..model("llama-yarn-betas", &yarn64) },
        with("llama-yarn-original-length", &yarn, &[("scaling.original_context_length", Value::U32(16))]),
        model("llama-yarn-trained-length", &yarn),
        with("llama-yarn-base", &yarn64, &[("freq_base", Value::F32(300.0))]),
        model(
            "llama-yarn-squeezed",
            &[kind.clone(), ("scaling.factor", Value::F32(0.5)), ("scaling.original_context_length", Value::U32(64))],
        ),
        of(Decoder::for_rope("llama").with_factors(), "llama-yarn-factors", &yarn64),
        with("llama-linear", &[("scaling.type", text("linear")), factor.clone()], &attn),
        with("llama-none", &[("scaling.type", text("none")), factor.clone()], &attn),
        model("llama-scale-linear", &[("scale_linear", Value::F32(4.0))]),
        model("qwen2-yarn", &yarn64),
        with("olmo2-yarn", &yarn64, &attn),
        model("olmoe-yarn", &yarn64),
        with("gemma3-yarn", &yarn64, &[attn[0].clone(), ("freq_base_swa", Value::F32(500.0))]),
        model(
            "gemma3-yarn-squeezed",
            &[kind.clone(), ("scaling.factor", Value::F32(0.5)), ("dimension_count", Value::U32(16))],
        ),
        with("gemma3-linear", &yarn[1..], &attn),
        // Keys that make no difference.
        same(
            with("llama-yarn-no-length", &yarn, &[("scaling.original_context_length", Value::U32(0))]),
            "llama-yarn-trained-length",
        ),
        same(model("llama-yarn-no-factor", &yarn64[..1]), "llama-plain"),
        same(with("llama-yarn-factor-zero", &yarn64[..1], &[("scaling.factor", Value::F32(0.0))]), "llama-plain"),
        same(
            model("llama-factor-zero", &[("scaling.factor", Value::F32(0.0)), ("scale_linear", Value::F32(4.0))]),
            "llama-plain",
        ),
        same(model("llama-no-type", &[("scaling.factor", Value::F32(4.0))]), "llama-scale-linear"),
        same(
            with(
                "llama-yarn-unread",
                &yarn64,
                &[
                    ("scaling.finetuned", Value::Bool(true)),
                    ("scaling.yarn_ext_factor", Value::F32(0.5)),
                    ("scaling.yarn_attn_factor", Value::F32(1.5)),
                    ("scaling.yarn_beta_fast", Value::F32(6.0)),
                    ("scaling.yarn_beta_slow", Value::F32(2.0)),
                    ("scaling.yarn_log_multiplier", Value::F32(0.1)),
                ],
            ),
            "llama-yarn",
        ),
        same(
            with("olmo2-yarn-unread", &yarn64, &[attn[0].clone(), ("scaling.yarn_attn_factor", Value::F32(1.2))]),
            "olmo2-yarn",
        ),
    ]
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// A model of the architecture that its name begins with.
fn model(name: &str, keys: &[Pair]) -> Recipe {
    let architecture = ARCHITECTURES.into_iter().find(|of| name.split('-').next() == Some(of));
    of(Decoder::for_rope(architecture.expect("names begin with an architecture")), name, keys)
}

fn of(decoder: Decoder, name: &str, keys: &[Pair]) -> Recipe {
    let mut recipe = decoder.recipe(name.to_owned());
    recipe.metadata.extend(keys.iter().map(|(key, value)| (format!("rope.{key}"), value.clone())));
    recipe
}
