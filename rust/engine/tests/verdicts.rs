//! A verdict, given before any weights are read, says what the load then does. And files that are odd but mean the same
//! give the same tokens.

mod common;

use chord_engine::{
    CancelFlag, DeviceFacts, Engine, EngineError, EngineInfo, GenerateRequest, Inspection, LoadOptions, Prompt,
    Sampling, Verdict, inspect,
};
use chord_gguf::{Array, Value};
use chord_testkit::{TinyModel, odd_models};
use common::{clock, cpu, generate};
use pollster::block_on;

fn look(model: &TinyModel, options: &LoadOptions) -> Inspection {
    let mut file: &[u8] = &model.file();
    block_on(inspect(&mut file, options, &DeviceFacts::default(), &CancelFlag::new())).unwrap()
}

fn load(model: &TinyModel, options: &LoadOptions) -> Result<Engine, EngineError> {
    let file: &'static [u8] = model.file().leak();
    block_on(Engine::load(file, options, clock, &mut |_| (), &CancelFlag::new()))
}

/// The codes of both, or `fits`. Their messages are the same too.
fn verdict(model: &TinyModel) -> String {
    let options = cpu();
    let found = look(model, &options);
    match (found.verdict, load(model, &options)) {
        (Verdict::Fits, Ok(engine)) => {
            let info = engine.info();
            assert_eq!((found.warnings, found.notes), (info.warnings, info.notes));
            assert_eq!(found.has_chat_template, info.has_chat_template);
            "fits".to_owned()
        }
        (Verdict::Unsupported { code, why }, Err(error)) => {
            assert_eq!((code.as_str(), why), (error.code(), error.to_string()));
            code
        }
        (verdict, loaded) => panic!("{verdict:?}, but the load gives {:?}", loaded.map(|engine| engine.info())),
    }
}

#[test]
fn a_verdict_is_what_a_load_does() {
    let models = odd_models();
    assert!(models.len() >= 30);
    for odd in models {
        assert_eq!(verdict(&odd.model), odd.verdict, "{}", odd.name);
    }
}

fn greedy(model: &TinyModel) -> (Vec<u32>, EngineInfo) {
    let mut engine = load(model, &cpu()).unwrap_or_else(|error| panic!("{error}"));
    let request = GenerateRequest {
        prompt: Prompt::Text("in the hen".to_owned()),
        sampling: Sampling::GREEDY,
        max_tokens: Some(12),
        stop: Vec::new(),
        seed: None,
        sequence: 0,
        answered: Vec::new(),
        now: None,
    };
    let tokens = generate(&mut engine, &request).unwrap().0.tokens;
    (tokens, engine.info())
}

#[test]
fn odd_files_give_the_tokens_of_plain_ones_and_notes() {
    let (expected, plain) = greedy(&TinyModel::llama());
    assert!(expected.len() == 12 && plain.notes.is_empty() && plain.warnings.is_empty());
    let mut trailing = TinyModel::llama();
    trailing.trailing_bytes = 64;
    let mut types = vec![1; TinyModel::TOKENS as usize];
    types[..3].copy_from_slice(&[2, 3, 3]);
    types[3..259].fill(6);
    types[288] = 7;
    let mut scores: Vec<f32> = (0..289).map(|id| -(id as f32)).collect();
    scores[5] = f32::NAN;
    for (words, model) in [
        (vec!["64 bytes after the last tensor"], trailing),
        (vec!["v.patch_embd.weight"], TinyModel::llama().with_tensor("v.patch_embd.weight", &[8])),
        (vec!["of type 7"], TinyModel::llama().with("tokenizer.ggml.token_type", Value::Array(Array::I32(types)))),
        (vec!["not a number"], TinyModel::llama().with("tokenizer.ggml.scores", Value::Array(Array::F32(scores)))),
        (
            vec!["llama.attention.head_count is", "llama.feed_forward_length is"],
            TinyModel::llama()
                .with("attention.head_count", Value::Array(Array::U32(vec![4, 4])))
                .with("feed_forward_length", Value::Array(Array::I32(vec![64, 64]))),
        ),
        (vec![], TinyModel::llama().with("expert_count", Value::U32(0)).with("expert_used_count", Value::U32(0))),
    ] {
        let (tokens, info) = greedy(&model);
        assert_eq!(tokens, expected, "{words:?}");
        assert_eq!(info.notes.len(), words.len(), "{:?}", info.notes);
        for word in words {
            assert!(info.notes.iter().any(|note| note.contains(word)), "{word} in {:?}", info.notes);
        }
        assert!(info.warnings.is_empty());
    }
}

#[test]
fn what_makes_answers_worse_is_a_warning_of_verdict_and_load() {
    let bpe = TinyModel::llama().with_bpe(None);
    assert_eq!(verdict(&bpe), "fits");
    let warnings = look(&bpe, &cpu()).warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("tokenizer.ggml.pre"), "{warnings:?}");

    let options = LoadOptions { n_ctx: Some(128), ..cpu() };
    let found = look(&TinyModel::llama(), &options);
    let info = load(&TinyModel::llama(), &options).unwrap().info();
    assert_eq!((found.verdict, found.n_ctx, info.n_ctx), (Verdict::Fits, Some(128), 128));
    assert_eq!(found.warnings, info.warnings);
    assert!(found.warnings[0].contains("128") && found.warnings[0].contains("64"), "{:?}", found.warnings);
    let trained = LoadOptions { n_ctx: Some(64), ..cpu() };
    assert!(look(&TinyModel::llama(), &trained).warnings.is_empty());
}

/// The model continues beyond the trained length, as far as the context reaches.
#[test]
fn a_longer_context_is_used() {
    let options = LoadOptions { n_ctx: Some(128), ..cpu() };
    let mut engine = load(&TinyModel::llama(), &options).unwrap();
    let prompt: Vec<u32> = (0..100).map(|i| 259 + i % 26).collect();
    let request = GenerateRequest {
        prompt: Prompt::Tokens(prompt),
        sampling: Sampling::GREEDY,
        max_tokens: Some(8),
        stop: Vec::new(),
        seed: None,
        sequence: 0,
        answered: Vec::new(),
        now: None,
    };
    assert_eq!(generate(&mut engine, &request).unwrap().0.tokens.len(), 8);
}

#[test]
fn ignored_tensors_are_listed_by_name() {
    let model = TinyModel::llama().with_tensor("blk.1.attn_k.input_scale", &[1]).with_tensor("mm.0.weight", &[8]);
    assert_eq!(look(&model, &cpu()).ignored_tensors, ["blk.1.attn_k.input_scale", "mm.0.weight"]);
}
