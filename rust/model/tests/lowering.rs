//! Headers of small models become the programs that the snapshots show; headers that do not fit are refused with names
//! and numbers.

use chord_gguf::{Array, GgmlType, Header, Metadata, Value};
use chord_model::{BuildOptions, Hyperparameters, ModelError, lower, memory, needs};
use chord_program::{KvType, Program};
use chord_testkit::{GgufFile, Recipe, model_path};

/// The file of a recipe.
fn open(name: &str) -> GgufFile {
    Recipe::named(name).file()
}

fn factors(file: &GgufFile) -> Option<Vec<f32>> {
    needs(&file.header).first().map(|name| file.tensor_f32(name))
}

fn program(file: &GgufFile, options: &BuildOptions) -> Program {
    lower(&file.header, options, factors(file).as_deref()).expect("the header can be lowered")
}

macro_rules! snapshots {
    ($($test:ident = $name:literal,)*) => {
        $(#[test]
        fn $test() {
            let file = open($name);
            let options = BuildOptions { n_ctx: Some(128), max_batch: 32, ..BuildOptions::default() };
            insta::assert_snapshot!(program(&file, &options));
        })*
    };
}

snapshots! {
    llama_reads_like_this = "llama",
    llama_with_tied_embeddings_reads_like_this = "llama-tied",
    gemma3_reads_like_this = "gemma3",
    qwen2_reads_like_this = "qwen2",
    olmo2_reads_like_this = "olmo2",
    olmoe_reads_like_this = "olmoe",
}

#[test]
fn weights_are_in_the_order_of_the_file_and_each_is_used() {
    for name in ["llama.Q4_K", "llama-tied", "gemma3.Q4_K", "olmoe.Q4_K"] {
        let file = open(name);
        let program = program(&file, &BuildOptions::default());
        let offsets: Vec<u64> = program.weights.iter().map(|w| file.tensor(&w.name).offset).collect();
        assert!(offsets.is_sorted(), "{name}");
        let used: std::collections::HashSet<_> =
            program.ops.iter().flat_map(|op| op.kind.weights()).map(|view| view.weight.0 as usize).collect();
        assert_eq!(used.len(), program.weights.len(), "{name}");
        for weight in &program.weights {
            assert_eq!(weight.n_bytes(), file.tensor(&weight.name).n_bytes, "{name}: {}", weight.name);
        }
    }
}

#[test]
fn defaults_follow_the_trained_length() {
    let file = small_llama();
    let small = program(&file, &BuildOptions::default());
    assert_eq!((small.n_ctx, small.max_batch, small.max_outputs, small.kv_type), (512, 512, 64, KvType::F16));
    let long = with(&file.header, &[("llama.context_length", Value::U32(131_072))]);
    assert_eq!(lower(&long, &BuildOptions::default(), None).unwrap().n_ctx, 4096);
    let options = BuildOptions { n_ctx: Some(8), ..BuildOptions::default() };
    let cut = program(&file, &options);
    assert_eq!((cut.n_ctx, cut.max_batch, cut.max_outputs), (8, 8, 8));
}

#[test]
fn layers_with_a_window_keep_a_ring() {
    let file = GgufFile::open(&model_path("gemma3.Q4_K_M.gguf"));
    let capacities = |options: BuildOptions| -> Vec<u32> {
        program(&file, &options).slots.iter().map(|slot| slot.capacity).collect()
    };
    let options = BuildOptions { max_batch: 64, ..BuildOptions::default() };
    // A window of 16, the batch, and 16 positions that may be dropped.
    assert_eq!(capacities(options), [96, 96, 96, 96, 96, 512, 96]);
    assert_eq!(capacities(BuildOptions { n_ctx: Some(50), ..options }), [50; 7]);
}

#[test]
fn memory_is_summed_from_the_parts() {
    let file = small_llama();
    let options = BuildOptions { n_ctx: Some(256), n_seq_max: 3, kv_type: KvType::F16, ..BuildOptions::default() };
    let found = memory(&program(&file, &options));
    let tensors: u64 = file.header.tensors.iter().map(|t| t.n_bytes).sum();
    assert_eq!(found.weights, tensors + 256 * 32 * 4);
    // 2 layers, 3 sequences, 256 positions, 2 heads of 32 keys and values, 2 bytes each.
    assert_eq!(found.kv, 2 * 3 * 256 * 2 * (32 + 32) * 2);
    assert!(found.scratch > 0);
    let full = memory(&program(&file, &BuildOptions { kv_type: KvType::F32, ..options }));
    assert_eq!(full.kv, 2 * found.kv);
}

/// The header with some metadata added, or removed where the value is an empty array.
fn with(header: &Header, changes: &[(&str, Value)]) -> Header {
    let mut changed = header.clone();
    changed.metadata = Metadata::default();
    let kept = header.metadata.iter().filter(|(key, _)| changes.iter().all(|(other, _)| key != other));
    let added = changes.iter().filter(|(_, value)| *value != absent()).map(|(key, value)| (*key, value));
    for (key, value) in kept.chain(added) {
        changed.metadata.insert(key.to_owned(), value.clone()).expect("each key once");
    }
    changed
}

fn absent() -> Value {
    Value::Array(Array::U8(Vec::new()))
}

/// The small Llama with a vocabulary.
fn small_llama() -> GgufFile {
    GgufFile::open(&model_path("llama.Q4_0.gguf"))
}

/// The error for a header of the small Llama with one key changed.
fn refused(key: &str, value: Value) -> ModelError {
    let header = with(&small_llama().header, &[(key, value)]);
    lower(&header, &BuildOptions::default(), None).expect_err("the header must be refused")
}

#[test]
fn an_unknown_architecture_is_named() {
    let error = refused("general.architecture", Value::String("rwkv7".into()));
    assert_eq!(error.code(), "unsupported-architecture");
    assert_eq!(
        error.to_string(),
        "architecture rwkv7 is not supported (supported: llama, gemma3, qwen2, olmo2, olmoe)"
    );
    assert_eq!(refused("general.architecture", absent()).code(), "missing-key");
}

#[test]
fn missing_and_wrong_keys_are_named() {
    for key in ["embedding_length", "block_count", "attention.head_count", "context_length", "feed_forward_length"] {
        let key = format!("llama.{key}");
        let error = refused(&key, absent());
        assert_eq!(error, ModelError::MissingKey { key: key.clone() });
        let error = refused(&key, Value::String("7".into()));
        let expected = ModelError::WrongType { key: key.clone(), expected: "a whole number", found: "string" };
        assert_eq!(error, expected);
        for count in [0, u32::MAX] {
            let error = refused(&key, Value::U32(count));
            assert!(
                matches!(&error, ModelError::OutOfRange { key: k, found, .. } if *k == key && *found == f64::from(count)),
                "{error}"
            );
        }
    }
    for eps in [f32::NAN, -1.0, f32::INFINITY] {
        let error = refused("llama.attention.layer_norm_rms_epsilon", Value::F32(eps));
        assert_eq!(error.code(), "out-of-range", "{eps}");
    }
}

#[test]
fn heads_that_do_not_divide_are_named_with_both_numbers() {
    let error = refused("llama.attention.head_count_kv", Value::U32(3));
    assert!(
        error.to_string().starts_with("llama.attention.head_count = 8 does not fit llama.attention.head_count_kv = 3")
    );
    let error = refused("llama.attention.head_count", Value::U32(6));
    assert!(
        error.to_string().contains("llama.embedding_length = 256 does not fit llama.attention.head_count = 6"),
        "{error}"
    );
    let error = refused("llama.rope.dimension_count", Value::U32(34));
    assert_eq!(error.code(), "inconsistent-metadata");
    assert_eq!(refused("llama.rope.dimension_count", Value::U32(31)).code(), "inconsistent-metadata");
}

#[test]
fn what_a_page_would_ignore_is_refused() {
    let error = refused("llama.rope.scaling.type", Value::String("longrope".into()));
    assert_eq!(error.to_string(), "llama.rope.scaling.type = longrope is not supported for this architecture");
    let file = small_llama();
    let experts = [("llama.expert_count", Value::U32(8)), ("llama.expert_used_count", Value::U32(2))];
    let error = lower(&with(&file.header, &experts), &BuildOptions::default(), None).unwrap_err();
    assert_eq!(error.to_string(), "llama.expert_count = 8 is not supported for this architecture");
}

#[test]
fn tensors_that_do_not_fit_are_named_with_both_shapes() {
    let file = small_llama();
    let change = |name: &str, change: &dyn Fn(&mut chord_gguf::TensorInfo)| {
        let mut header = file.header.clone();
        change(header.tensors.iter_mut().find(|t| t.name == name).expect("the tensor"));
        lower(&header, &BuildOptions::default(), None).expect_err("the header must be refused")
    };
    let error = change("blk.1.attn_k.weight", &|t| t.dims = vec![256, 63]);
    assert_eq!(error.to_string(), "tensor blk.1.attn_k.weight: dims [256, 63], expected [256, 64]");
    let error = change("blk.0.ffn_norm.weight", &|t| t.dims = vec![256, 1]);
    assert_eq!(error.code(), "tensor-shape");
    // Renamed so that the directory's order stays as it is.
    let error = change("blk.0.ffn_down.weight", &|t| t.name.push('_'));
    assert_eq!(error, ModelError::MissingTensor { tensor: "blk.0.ffn_down.weight".into() });
    let error = change("blk.0.attn_norm.weight", &|t| t.ty = GgmlType::F16);
    assert_eq!(error.to_string(), "tensor blk.0.attn_norm.weight: type F16, expected F32");
    let error = change("blk.0.attn_q.weight", &|t| t.ty = GgmlType::Q8_K);
    assert_eq!(error.code(), "tensor-type");
    let error = change("token_embd.weight", &|t| t.dims = vec![256]);
    assert_eq!(error.code(), "out-of-range");
}

#[test]
fn rope_factors_are_needed_and_checked() {
    let file = open("llama-tied");
    let values = factors(&file).expect("the file has factors");
    let fails = |values: Option<&[f32]>| {
        let error = lower(&file.header, &BuildOptions::default(), values).expect_err("refused");
        assert!(matches!(error, ModelError::TensorValues { .. }), "{error}");
    };
    fails(None);
    fails(Some(&values[1..]));
    fails(Some(&[&values[1..], &[f32::NAN]].concat()));
    fails(Some(&[&values[1..], &[0.0]].concat()));
}

#[test]
fn a_context_longer_than_trained_is_the_callers_choice() {
    let file = small_llama();
    let long = program(&file, &BuildOptions { n_ctx: Some(2048), ..BuildOptions::default() });
    assert_eq!(long.n_ctx, 2048);
    assert_eq!(long.slots[0].capacity, 2048);
}

#[test]
fn options_out_of_range_are_named() {
    let file = small_llama();
    let refused = |option: &'static str, found: u64, max: u64, options: BuildOptions| {
        let error = lower(&file.header, &options, None).expect_err("refused");
        assert_eq!(error, ModelError::BadOption { option, found, max });
    };
    let options = BuildOptions::default();
    refused("n_ctx", 0, 1 << 26, BuildOptions { n_ctx: Some(0), ..options });
    refused("n_ctx", (1 << 26) + 1, 1 << 26, BuildOptions { n_ctx: Some((1 << 26) + 1), ..options });
    refused("n_seq_max", 0, 1 << 16, BuildOptions { n_seq_max: 0, ..options });
    refused("max_batch", 0, 1 << 16, BuildOptions { max_batch: 0, ..options });
    refused("max_outputs", 0, 1 << 16, BuildOptions { max_outputs: 0, ..options });
}

#[test]
fn linear_scaling_divides_the_frequencies() {
    let file = small_llama();
    let plain = program(&file, &BuildOptions::default());
    let scaling =
        [("llama.rope.scaling.type", Value::String("linear".into())), ("llama.rope.scaling.factor", Value::F32(4.0))];
    let header = with(&file.header, &scaling);
    assert_eq!(Hyperparameters::from_header(&header).unwrap().rope_scaling.factor, 4.0);
    let scaled = lower(&header, &BuildOptions::default(), None).unwrap();
    let frequency = |program: &Program| {
        let chord_program::Table::Rope(rope) = &program.tables[0] else { panic!("a table of rotations") };
        rope.inv_freq[3]
    };
    assert!((frequency(&plain) / frequency(&scaled) - 4.0).abs() < 1e-12);
}
