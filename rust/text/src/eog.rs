//! Which tokens end a generation, and corrections to what files say of well-known tokens.

use chord_gguf::Metadata;

use crate::TextError;
use crate::vocabulary::{Attributes, Vocabulary};

/// Texts of tokens that end a turn or a document, by the models that use them. Files often name only one of several.
const ENDS: &[&str] = &[
    "<|eot_id|>",    // Llama 3
    "<|im_end|>",    // ChatML: Qwen, SmolLM
    "<|end|>",       // Phi 3
    "<|return|>",    // gpt-oss
    "<|call|>",      // gpt-oss
    "<|flush|>",     // Solar Open
    "<|calls|>",     // Solar Open
    "<end_of_turn>", // Gemma
    "<|endoftext|>", // GPT-2, Qwen
    "<|eom_id|>",    // Llama 3.1
    "<EOT>",
    "_<EOT>",
    "[EOT]",                 // Kimi K2
    "[EOS]",                 // Kimi K2
    "<|end_of_text|>",       // Llama 3, Granite
    "<end_of_utterance>",    // SmolVLM
    "<eos>",                 // Gemma
    "<turn|>",               // Gemma 4
    "<|tool_response>",      // Gemma 4
    "<｜end▁of▁sentence｜>", // DeepSeek
    "[e~[",                  // MiniMax
];

/// Padding, repository and file separators of code models: each ends a generation.
const CODE_ENDS: &[(&str, &[&str])] = &[
    ("tokenizer.ggml.fim_pad_token_id", &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"]),
    ("tokenizer.ggml.fim_rep_token_id", &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"]),
    ("tokenizer.ggml.fim_sep_token_id", &["<|file_sep|>"]),
];

/// Llama 2's and Mistral's end of text. Vocabularies with `<eos>` (Gemma) have this text for HTML.
const LLAMA_END: &str = "</s>";

/// Marks of code models around the place to fill in.
const FILL_IN: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];

/// Structure of gpt-oss replies that its users need to see.
const SHOWN: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// The id under `key`. An id outside the vocabulary counts as absent.
pub(crate) fn special_id(metadata: &Metadata, n_vocab: usize, key: &str) -> Result<Option<u32>, TextError> {
    // Files without such a token sometimes hold -1, signed or not.
    let value = metadata.get(key).and_then(|value| value.as_i64());
    if value.is_none() && metadata.contains(key) {
        metadata.u32(key)?;
    }
    Ok(value.and_then(|id| u32::try_from(id).ok()).filter(|&id| (id as usize) < n_vocab))
}

/// Marks well-known tokens as the control tokens they are, whatever the file says, and returns the ids that end a
/// generation in ascending order.
pub(crate) fn correct_and_find_ends(
    vocabulary: &mut Vocabulary,
    metadata: &Metadata,
    eos: Option<u32>,
) -> Result<Vec<u32>, TextError> {
    let n_vocab = vocabulary.len();
    let mut ends = Vec::new();
    let has_eos_text = vocabulary.id_of(b"<eos>").is_some();
    for text in ENDS.iter().copied().chain((!has_eos_text).then_some(LLAMA_END)) {
        if let Some(id) = vocabulary.id_of(text.as_bytes()) {
            vocabulary.set(id, Attributes::CONTROL);
            ends.push(id);
        }
    }
    for text in FILL_IN {
        if let Some(id) = vocabulary.id_of(text.as_bytes()) {
            vocabulary.set(id, Attributes::CONTROL);
        }
    }
    for (key, texts) in CODE_ENDS {
        let known = texts.iter().find_map(|text| vocabulary.id_of(text.as_bytes()));
        if let Some(id) = known {
            vocabulary.set(id, Attributes::CONTROL);
        }
        ends.extend(special_id(metadata, n_vocab, key)?.or(known));
    }
    for text in SHOWN {
        if let Some(id) = vocabulary.id_of(text.as_bytes()) {
            vocabulary.set(id, Attributes::CONTROL | Attributes::SHOWN);
        }
    }
    ends.extend(eos);
    for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        ends.extend(special_id(metadata, n_vocab, key)?);
    }
    ends.sort_unstable();
    ends.dedup();

    let has = |ends: &[u32], text: &str| vocabulary.id_of(text.as_bytes()).filter(|id| ends.contains(id));
    // gpt-oss and Solar Open write `<|end|>` within a reply, between its channels.
    let calls = has(&ends, "<|call|>").or(has(&ends, "<|calls|>")).is_some();
    let within = calls && (has(&ends, "<|return|>").is_some() || has(&ends, "<|flush|>").is_some());
    if let Some(end) = has(&ends, "<|end|>").filter(|_| within) {
        ends.retain(|&id| id != end);
        vocabulary.set(end, Attributes::SHOWN);
    }
    Ok(ends)
}

/// Phi-3 files do not say that white space after most of its special tokens belongs to them.
pub(crate) fn correct_phi3(vocabulary: &mut Vocabulary, metadata: &Metadata) {
    let name = metadata.get("general.name").and_then(|name| name.as_str()).unwrap_or_default().to_lowercase();
    if !(name.contains("phi-3") || name.contains("phi3")) {
        return;
    }
    for id in 0..vocabulary.len() as u32 {
        let special = Attributes::CONTROL | Attributes::UNKNOWN | Attributes::USER_DEFINED;
        if vocabulary.attributes(id).any(special)
            && !matches!(vocabulary.text(id), b"<unk>" | b"<s>" | b"<|endoftext|>")
        {
            vocabulary.set(id, Attributes::STRIP_RIGHT);
        }
    }
}
