//! Token lists of the reference (llama.cpp), exactly.

mod support;

use chord_text::{ChatTemplate, Detokenizer, EncodeOptions, Message, Tokenizer, encode_chat};
use support::{golden_path, ids, json, model_path, vocab};

/// One vector file: texts with a separator line between them, and a line of ids for each.
fn check_vectors(name: &str) {
    let tokenizer = support::tokenizer(&vocab(name));
    let inputs = std::fs::read_to_string(vocab(&format!("{name}.inp"))).unwrap();
    let outputs = std::fs::read_to_string(vocab(&format!("{name}.out"))).unwrap();
    let inputs: Vec<&str> = inputs.split("\n__ggml_vocab_test__\n").collect();
    let outputs: Vec<Vec<u32>> =
        outputs.lines().map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect()).collect();
    // The last separator is followed by nothing.
    assert_eq!(inputs.len(), outputs.len() + 1);
    for (input, expected) in inputs.iter().zip(&outputs) {
        let found = tokenizer.encode(input, EncodeOptions::default());
        assert_eq!(&found, expected, "{name}: {input:?}");
    }
}

#[test]
#[ignore = "needs llama.cpp's tokenizer vectors: CHORD_VOCAB"]
fn llama_spm_vectors() {
    check_vectors("llama-spm.gguf");
}

#[test]
#[ignore = "needs llama.cpp's tokenizer vectors: CHORD_VOCAB"]
fn gpt_2_vectors() {
    check_vectors("gpt-2.gguf");
}

#[test]
#[ignore = "needs llama.cpp's tokenizer vectors: CHORD_VOCAB"]
fn phi_3_vectors() {
    check_vectors("phi-3.gguf");
}

#[test]
#[ignore = "needs llama.cpp's tokenizer vectors: CHORD_VOCAB"]
fn llama_bpe_vectors() {
    check_vectors("llama-bpe.gguf");
}

const WHOLE: EncodeOptions = EncodeOptions { add_special: true, parse_special: false };

fn check_text(tokenizer: &Tokenizer, golden_name: &str) {
    let expected = json(&golden_path(golden_name));
    let text = std::fs::read_to_string(golden_path(expected["text"]["file"].as_str().unwrap())).unwrap();
    let found = tokenizer.encode(&text, WHOLE);
    assert_eq!(found, ids(&expected["text"]["tokens"]), "{golden_name}");
    assert_eq!(tokenizer.decode(&found), text, "{golden_name}");
}

const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GEMMA3: &str = "gemma-3-270m-q4_k_m.gguf";

#[test]
fn smollm2_text() {
    check_text(&support::tokenizer(&model_path(SMOLLM2)), "smollm2-135m-instruct.q4_1.json");
}

#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn long_texts() {
    check_text(&support::tokenizer(&model_path(SMOLLM2)), "smollm2-long.json");
    check_text(&support::tokenizer(&model_path(GEMMA3)), "gemma-3-long.json");
}

#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn gemma_3_text_and_prompts() {
    let tokenizer = support::tokenizer(&model_path(GEMMA3));
    check_text(&tokenizer, "gemma-3-270m.q4_k_m.json");
    let golden = golden_path("gemma-3-270m.q4_k_m.json");
    for chat in json(&golden)["chats"].as_array().unwrap() {
        assert_eq!(chat["rendered"], serde_json::Value::Null, "this model has no chat template");
        let prompt = chat["prompt"].as_str().unwrap();
        assert_eq!(tokenizer.encode(prompt, WHOLE), ids(&chat["tokens"]), "{prompt}");
        let greedy = tokenizer.decode(&ids(&chat["greedy"]));
        assert!(chat["text"].as_str().unwrap().starts_with(&greedy) || greedy == chat["text"], "{greedy:?}");
    }
}

#[test]
fn smollm2_chats() {
    let golden = golden_path("smollm2-135m-instruct.q4_1.json");
    let metadata = support::metadata(&model_path(SMOLLM2));
    let tokenizer = Tokenizer::from_metadata(&metadata).unwrap();
    let template = ChatTemplate::from_metadata(&metadata).unwrap();
    for chat in json(&golden)["chats"].as_array().unwrap() {
        let messages = [Message::new("user", chat["prompt"].as_str().unwrap())];
        assert_eq!(template.render(&messages, true).unwrap(), chat["rendered"].as_str().unwrap());
        assert_eq!(encode_chat(&tokenizer, &template, &messages).unwrap(), ids(&chat["tokens"]));
        let mut detokenizer = Detokenizer::continuing().render_special(true);
        let mut reply: String =
            ids(&chat["greedy"]).iter().map(|&id| detokenizer.push(&tokenizer, id).to_owned()).collect();
        reply.push_str(detokenizer.finish());
        assert_eq!(reply, chat["text"].as_str().unwrap());
    }
}
