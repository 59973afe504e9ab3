//! Headers as llama.cpp's own writer and other converters leave them: what means the same is read the same, and what a
//! program would not read is refused by name.

use chord_gguf::{Array, Header, Value, read_header};
use chord_model::{BuildOptions, Hyperparameters, ModelError, ignored_tensors, lower, notes};
use chord_program::Program;
use chord_testkit::{TINY_LAYERS, TinyModel};

fn header(model: &TinyModel) -> Header {
    read_header(&model.file()).expect("a valid file")
}

fn lowered(model: &TinyModel) -> Result<Program, ModelError> {
    lower(&header(model), &BuildOptions::default(), None)
}

fn program(model: &TinyModel) -> Program {
    lowered(model).unwrap_or_else(|error| panic!("{error}"))
}

fn u32s(numbers: &[u32]) -> Value {
    Value::Array(Array::U32(numbers.to_vec()))
}

/// Every count that llama.cpp writes as 0 for models without it.
#[test]
fn a_count_of_0_is_as_if_the_key_were_not_there() {
    let plain = program(&TinyModel::llama());
    for key in [
        "expert_count",
        "expert_used_count",
        "expert_shared_count",
        "expert_group_count",
        "expert_group_used_count",
        "expert_feed_forward_length",
        "expert_shared_feed_forward_length",
        "attention.sliding_window",
        "attention.key_length",
        "attention.value_length",
        "rope.dimension_count",
        "nextn_predict_layers",
        "leading_dense_block_count",
    ] {
        assert_eq!(program(&TinyModel::llama().with(key, Value::U32(0))), plain, "{key}");
    }
    for key in ["rope.scaling.factor", "rope.freq_base", "logit_scale", "attention.scale"] {
        assert_eq!(program(&TinyModel::llama().with(key, Value::F32(0.0))), plain, "{key}");
    }
    let gemma = program(&TinyModel::of("gemma3"));
    for (key, zero) in [
        ("final_logit_softcapping", Value::F32(0.0)),
        ("rope.freq_base_swa", Value::F32(0.0)),
        ("attention.key_length_swa", Value::U32(0)),
        ("expert_count", Value::U32(0)),
    ] {
        assert_eq!(program(&TinyModel::of("gemma3").with(key, zero)), gemma, "{key}");
    }
    let all_heads = TinyModel::llama().with("attention.head_count_kv", Value::U32(0));
    assert_eq!(Hyperparameters::from_header(&header(&all_heads)).unwrap().n_kv_head, 4);
}

#[test]
fn counts_of_every_width_are_read() {
    let plain = program(&TinyModel::llama());
    for value in [Value::U8(4), Value::I8(4), Value::U16(4), Value::I16(4), Value::I32(4), Value::U64(4), Value::I64(4)]
    {
        assert_eq!(program(&TinyModel::llama().with("attention.head_count", value.clone())), plain, "{value:?}");
    }
    let error = lowered(&TinyModel::llama().with("attention.head_count", Value::I32(-4))).unwrap_err();
    assert_eq!(error.code(), "wrong-type");
}

#[test]
fn equal_numbers_for_all_layers_are_one_number() {
    let plain = program(&TinyModel::llama());
    for (key, number) in [("attention.head_count", 4), ("attention.head_count_kv", 2), ("feed_forward_length", 64)] {
        for array in
            [Array::U32(vec![number; 2]), Array::I32(vec![number as i32; 2]), Array::U64(vec![number.into(); 2])]
        {
            let model = TinyModel::llama().with(key, Value::Array(array));
            assert_eq!(program(&model), plain, "{key}");
            let found = notes(&header(&model));
            assert!(found.len() == 1 && found[0].contains(&format!("llama.{key}")), "{found:?}");
        }
        let error = lowered(&TinyModel::llama().with(key, u32s(&[number, number * 2]))).unwrap_err();
        assert_eq!(error.code(), "unsupported-value");
        assert!(error.to_string().contains(key) && error.to_string().contains(&(number * 2).to_string()), "{error}");
        let error = lowered(&TinyModel::llama().with(key, u32s(&[number; 3]))).unwrap_err();
        assert_eq!(error.code(), "inconsistent-metadata");
        assert!(error.to_string().contains("llama.block_count = 2"), "{error}");
        let error = lowered(&TinyModel::llama().with(key, Value::Array(Array::F32(vec![4.0; 2])))).unwrap_err();
        assert_eq!(error.code(), "wrong-type");
    }
    assert!(notes(&header(&TinyModel::llama())).is_empty());
}

#[test]
fn layers_with_a_window_are_given_by_a_period_or_by_flags() {
    let windows = |model: &TinyModel| program(model).slots.iter().map(|slot| slot.window).collect::<Vec<_>>();
    let pattern = |value| TinyModel::of("gemma3").with("attention.sliding_window_pattern", value);
    assert_eq!(windows(&TinyModel::of("gemma3")), [Some(4), None]);
    assert_eq!(windows(&pattern(Value::Array(Array::Bool(vec![false, true])))), [None, Some(4)]);
    assert_eq!(windows(&pattern(u32s(&[1, 0]))), [Some(4), None]);
    assert_eq!(windows(&pattern(Value::Array(Array::I32(vec![1, 1])))), [Some(4), Some(4)]);
    assert_eq!(windows(&pattern(Value::U32(1))), [None, None]);
    assert_eq!(windows(&pattern(Value::U32(0))), [Some(4), Some(4)]);
    // Of six layers the first five have one.
    assert_eq!(windows(&TinyModel::of("gemma3").without("attention.sliding_window_pattern")), [Some(4), Some(4)]);
    for wrong in [u32s(&[1]), Value::Array(Array::F32(vec![1.0, 0.0])), Value::Bool(true)] {
        assert!(matches!(
            lowered(&pattern(wrong)).unwrap_err(),
            ModelError::WrongType { .. } | ModelError::Inconsistent { .. }
        ));
    }
    let other = TinyModel::of("gemma3").with("attention.key_length_swa", Value::U32(16));
    assert_eq!(lowered(&other).unwrap_err().code(), "unsupported-value");
}

#[test]
fn tensors_that_the_program_does_not_read_are_refused_by_name() {
    let one = [
        "output.bias",
        "token_embd.bias",
        "blk.0.attn_q.scale",
        "output.scale",
        "blk.1.ffn_down.scale",
        "blk.0.attn_norm.bias",
        "blk.0.ffn_gate_inp.weight",
        "blk.0.attn_sinks.weight",
        "blk.2.attn_q.weight",
        "rope_factors_long.weight",
        "something.else",
    ];
    for name in one {
        let error = lowered(&TinyModel::llama().with_tensor(name, &[32])).unwrap_err();
        assert_eq!(
            error,
            ModelError::UnreadTensor { tensor: name.to_owned(), others: 0, architecture: "llama".to_owned() },
            "{name}"
        );
        assert!(error.to_string().contains(name), "{error}");
    }
    let both = TinyModel::llama().with_tensor("y.scale", &[1]).with_tensor("x.scale", &[1]);
    let error = lowered(&both).unwrap_err();
    assert_eq!(error.to_string().split(" is not").next(), Some("tensor y.scale (and 1 more)"));
}

/// Which biases an architecture has is part of it.
#[test]
fn biases_are_read_where_the_architecture_has_them() {
    for (model, name, cols, is_read) in [
        (TinyModel::llama(), "blk.0.attn_q.bias", 32, true),
        (TinyModel::llama(), "blk.0.attn_output.bias", 32, true),
        (TinyModel::llama(), "blk.0.ffn_gate.bias", 64, true),
        (TinyModel::llama(), "blk.1.ffn_down.bias", 32, true),
        (TinyModel::of("qwen2"), "blk.0.attn_q.bias", 32, true),
        (TinyModel::of("qwen2"), "blk.0.attn_output.bias", 32, false),
        // Its output has one, and so has its embedding where that serves as the output.
        (TinyModel::of("qwen2"), "output.bias", TinyModel::TOKENS, true),
        (TinyModel::of("gemma3"), "output.bias", TinyModel::TOKENS, false),
        (TinyModel::of("gemma3"), "blk.0.attn_v.bias", 16, true),
        (TinyModel::of("gemma3"), "blk.0.attn_output.bias", 32, false),
        (TinyModel::of("gemma3"), "blk.0.ffn_up.bias", 64, false),
    ] {
        let has_it = model.tensors.iter().any(|(other, _)| other == name);
        let model = if has_it { model } else { model.with_tensor(name, &[cols]) };
        match lowered(&model) {
            Ok(program) => assert!(is_read && program.weights.iter().any(|weight| weight.name == name), "{name}"),
            Err(error) => assert!(!is_read && error.code() == "unread-tensor", "{name}: {error}"),
        }
    }
}

#[test]
fn what_cannot_change_an_answer_is_ignored_and_listed() {
    let plain = program(&TinyModel::llama());
    let names = [
        "blk.0.attn_q.input_scale",
        "output.input_scale",
        "v.patch_embd.weight",
        "mm.0.weight",
        "a.blk.0.attn_q.weight",
        "resampler.kv.weight",
        "blk.1.nextn.eh_proj.weight",
    ];
    let model = names.iter().fold(TinyModel::llama(), |model, name| model.with_tensor(name, &[32]));
    assert_eq!(ignored_tensors(&header(&model)), names);
    assert_eq!(program(&model), plain);
    assert!(ignored_tensors(&header(&TinyModel::llama())).is_empty());
}

/// The last layers of some files predict the tokens after the next.
#[test]
fn layers_that_look_ahead_do_not_compute_the_answer() {
    let plain = program(&TinyModel::llama());
    let model = TinyModel::llama()
        .with("block_count", Value::U32(TINY_LAYERS + 1))
        .with("nextn_predict_layers", Value::U32(1))
        .with("attention.head_count", u32s(&[4; 3]))
        .with_tensor("blk.2.attn_q.weight", &[32, 32])
        .with_tensor("blk.2.nextn.eh_proj.weight", &[64, 32]);
    assert_eq!(program(&model), plain);
    assert_eq!(ignored_tensors(&header(&model)).len(), 2);
    let none_left = TinyModel::llama().with("nextn_predict_layers", Value::U32(TINY_LAYERS));
    assert_eq!(lowered(&none_left).unwrap_err().code(), "inconsistent-metadata");
}
