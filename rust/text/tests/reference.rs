//! Token lists of the reference (llama.cpp), exactly.

mod support;

use chord_text::{ChatTemplate, Detokenizer, EncodeOptions, Message, Tokenizer, encode_chat};
use support::{golden, ids, json, model, vocab};

/// One vector file: texts with a separator line between them, and a line of ids for each.
fn check_vectors(name: &str) {
    let (Some(path), Some(inputs), Some(outputs)) =
        (vocab(name), vocab(&format!("{name}.inp")), vocab(&format!("{name}.out")))
    else {
        return;
    };
    let tokenizer = support::tokenizer(&path);
    let inputs = std::fs::read_to_string(inputs).unwrap();
    let outputs = std::fs::read_to_string(outputs).unwrap();
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
fn llama_spm_vectors() {
    check_vectors("llama-spm.gguf");
}

#[test]
fn gpt_2_vectors() {
    check_vectors("gpt-2.gguf");
}

#[test]
fn phi_3_vectors() {
    check_vectors("phi-3.gguf");
}

/// Vocabularies of the other splits, from the same source; larger than the three above, so not everywhere at hand.
#[test]
fn vectors_of_other_vocabularies() {
    for name in ["llama-bpe", "qwen2", "starcoder", "refact", "command-r", "mpt"] {
        check_vectors(&format!("{name}.gguf"));
    }
}

const WHOLE: EncodeOptions = EncodeOptions { add_special: true, parse_special: false };

fn check_text(tokenizer: &Tokenizer, golden_name: &str) {
    let Some(path) = golden(golden_name) else { return };
    let expected = json(&path);
    let Some(text) = golden(expected["text"]["file"].as_str().unwrap()) else { return };
    let text = std::fs::read_to_string(text).unwrap();
    let found = tokenizer.encode(&text, WHOLE);
    assert_eq!(found, ids(&expected["text"]["tokens"]), "{golden_name}");
    assert_eq!(tokenizer.decode(&found), text, "{golden_name}");
}

#[test]
fn smollm2_texts() {
    let Some(path) = model("SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    let tokenizer = support::tokenizer(&path);
    check_text(&tokenizer, "smollm2-135m-instruct.q4_1.json");
    check_text(&tokenizer, "smollm2-long.json");
}

#[test]
fn gemma_3_texts_and_prompts() {
    let Some(path) = model("gemma-3-270m-q4_k_m.gguf") else { return };
    let tokenizer = support::tokenizer(&path);
    check_text(&tokenizer, "gemma-3-270m.q4_k_m.json");
    check_text(&tokenizer, "gemma-3-long.json");
    let Some(golden) = golden("gemma-3-270m.q4_k_m.json") else { return };
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
    let (Some(path), Some(golden)) =
        (model("SmolLM2-135M-Instruct.Q4_1.gguf"), golden("smollm2-135m-instruct.q4_1.json"))
    else {
        return;
    };
    let metadata = support::metadata(&path);
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
