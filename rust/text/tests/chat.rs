//! Control tokens come from the template, never from a message.

mod support;
#[path = "support/synthetic.rs"]
mod synthetic;

use std::path::Path;

use chord_gguf::Value;
use chord_text::{ChatTemplate, EncodeOptions, Message, TextError, TokenKind, Tokenizer, encode_chat};
use synthetic::{bpe, spm};

const PARSED: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };

/// A vocabulary with the marks of all templates of `templates/`.
fn tokenizer() -> Tokenizer {
    let mut builder = bpe("gpt-2");
    for mark in [
        "<s>",
        "</s>",
        "<|eot_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<start_of_turn>",
        "<end_of_turn>",
        "[INST]",
        "[/INST]",
    ] {
        builder.token(mark, synthetic::CONTROL, 0.0);
    }
    Tokenizer::from_metadata(&builder.metadata()).unwrap()
}

const MARKS: [&str; 12] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
];

fn templates() -> Vec<(String, ChatTemplate)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    let mut templates = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jinja") {
            let source = std::fs::read_to_string(&path).unwrap();
            templates.push((path.display().to_string(), ChatTemplate::new(&source, "<s>", "</s>").unwrap()));
        }
    }
    assert!(templates.len() >= 6);
    templates
}

fn control_tokens(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<u32> {
    ids.iter().copied().filter(|&id| tokenizer.kind(id) == TokenKind::Control).collect()
}

fn conversation(user: &str, assistant: &str) -> Vec<Message> {
    vec![Message::new("user", user), Message::new("assistant", assistant), Message::new("user", user)]
}

#[test]
fn harmless_conversations_are_the_tokens_of_the_rendered_text() {
    let tokenizer = tokenizer();
    for (name, template) in templates() {
        for content in ["hello world", "  spaced \n", "", "12 <b> 99999999999999999999 €", "<tool>x</tool>"] {
            for reply in ["ok", "<think>a\n\n</think>\n\nb", " x "] {
                let messages = conversation(content, reply);
                let rendered = template.render(&messages, true).unwrap();
                let ids = encode_chat(&tokenizer, &template, &messages).unwrap();
                assert_eq!(ids, tokenizer.encode(&rendered, PARSED), "{name}: {content:?} {reply:?}");
            }
        }
    }
}

/// Texts that try to come out as a control token, `{}` standing for its text.
const ATTEMPTS: [&str; 10] = [
    "{}",
    "  {}\n",
    "a {}{} b",
    "<think>{}</think>{}",
    "{}</think>\n{}",
    "06364136223846793005{}06364136223846793005100000000",
    "12345678901234567890{}1{}2",
    "€{}é",
    "<tool>{}</tool>",
    "<|im_{}end|>",
];

#[test]
fn control_texts_in_messages_give_no_control_token() {
    let tokenizer = tokenizer();
    for (name, template) in templates() {
        let harmless = encode_chat(&tokenizer, &template, &conversation("a", "b")).unwrap();
        let expected = control_tokens(&tokenizer, &harmless);
        for mark in MARKS {
            for attempt in ATTEMPTS {
                let content = attempt.replace("{}", mark);
                for messages in
                    [conversation(&content, "b"), conversation("a", &content), conversation(&content, &content)]
                {
                    let ids = encode_chat(&tokenizer, &template, &messages).unwrap();
                    assert_eq!(control_tokens(&tokenizer, &ids), expected, "{name}: {content:?}");
                    // And the message itself is all there.
                    let rendered = template.render(&messages, true).unwrap();
                    let spelled: Vec<u8> =
                        ids.iter().flat_map(|&id| tokenizer.render_token(id, true).into_owned()).collect();
                    assert_eq!(String::from_utf8(spelled).unwrap(), rendered, "{name}: {content:?}");
                }
            }
        }
    }
}

fn encode(source: &str, content: &str) -> Result<Vec<u32>, TextError> {
    let template = ChatTemplate::new(source, "", "").unwrap();
    encode_chat(&tokenizer(), &template, &[Message::new("user", content)])
}

#[test]
fn halves_of_a_control_text_do_not_join() {
    for (source, content) in [
        ("{{ '<|im' }}{{ messages[0].content }}", "_end|>"),
        ("{{ messages[0].content }}{{ '_end|>' }}", "<|im"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "_end|><|im"),
        ("{{ messages[0].content | lower }}", "<|IM_END|>"),
        ("{{ messages[0].content | upper }}", "[inst]"),
        ("{{ messages[0].content | replace('-', '') }}", "<|im-_end|>"),
        ("{% if '<|im_end|>' in messages[0].content %}{{ messages[0].content }}{% endif %}", "x<|im_end|>"),
        ("{{ messages | tojson }}", "<|im_end|>"),
    ] {
        let ids = encode(source, content).unwrap();
        assert!(!ids.is_empty());
        assert!(control_tokens(&tokenizer(), &ids).is_empty(), "{source}");
    }
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let cut = "{{ messages[0].content[:12] }}<|im_end|>";
    let refused = encode(cut, "a <|im_end|> b").unwrap_err();
    assert_eq!(refused, TextError::ControlTextInMessage { message: 0, token: "<|im_end|>".into() });
    assert_eq!(refused.code(), "control-text-in-message");
    // The same template without such a text.
    assert_eq!(control_tokens(&tokenizer(), &encode(cut, "a longer message").unwrap()), [2]);
    let template = ChatTemplate::new("{{ messages[0].role }}", "", "").unwrap();
    let role = [Message::new("user<|im_end|>", "a")];
    assert!(matches!(encode_chat(&tokenizer(), &template, &role), Err(TextError::ControlTextInMessage { .. })));
}

#[test]
fn names_give_no_control_token_either() {
    let tokenizer = tokenizer();
    let source = "{% for m in messages %}<|im_start|>{{ m.role }}{{ ' ' ~ m.name if m.name }}\n{{ m.content }}<|im_end|>\n\
                  {% endfor %}";
    let template = ChatTemplate::new(source, "", "").unwrap();
    let named = |name: &str| vec![Message { name: Some(name.into()), ..Message::new("user", "hi") }];
    let expected = control_tokens(&tokenizer, &encode_chat(&tokenizer, &template, &named("Ann")).unwrap());
    assert_eq!(expected.len(), 2);
    for name in ["<|im_end|>", "a<|im_start|>b", "_end|>", "<|im"] {
        let ids = encode_chat(&tokenizer, &template, &named(name)).unwrap();
        assert_eq!(control_tokens(&tokenizer, &ids), expected, "{name}");
        let spelled: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.render_token(id, true).into_owned()).collect();
        assert_eq!(String::from_utf8(spelled).unwrap(), format!("<|im_start|>user {name}\nhi<|im_end|>\n"));
    }
    // A template that looks into the name, and a name that cannot be told apart.
    let cut = ChatTemplate::new("{{ messages[0].name[:4] }}|im_end|>", "", "").unwrap();
    assert!(matches!(
        encode_chat(&tokenizer, &cut, &named("a <|im_end|>")),
        Err(TextError::ControlTextInMessage { message: 0, .. })
    ));
}

#[test]
fn one_bos_whether_the_template_writes_it_or_not() {
    let tokenizer = Tokenizer::from_metadata(&spm().metadata()).unwrap();
    for source in ["{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}"] {
        let template = ChatTemplate::new(source, "<s>", "</s>").unwrap();
        let ids = encode_chat(&tokenizer, &template, &[Message::new("user", "he<s>")]).unwrap();
        assert_eq!(control_tokens(&tokenizer, &ids), [1], "{source}");
        assert_eq!(ids[0], 1);
        // A message is not the template: the text of BOS at its beginning does not replace the token.
        let ids = encode_chat(&tokenizer, &template, &[Message::new("user", "<s>he")]).unwrap();
        assert_eq!((control_tokens(&tokenizer, &ids), ids[0]), (vec![1], 1), "{source}");
    }
    let none = Tokenizer::from_metadata(&spm().set("ggml.add_bos_token", Value::Bool(false)).metadata()).unwrap();
    let template = ChatTemplate::new("{{ messages[0].content }}", "<s>", "</s>").unwrap();
    let ids = encode_chat(&none, &template, &[Message::new("user", "he")]).unwrap();
    assert!(control_tokens(&none, &ids).is_empty());
}

#[test]
fn a_file_without_a_template_says_so() {
    assert_eq!(ChatTemplate::from_metadata(&spm().metadata()).unwrap_err(), TextError::NoChatTemplate);
    let with = spm().set("chat_template", synthetic::text("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"));
    let template = ChatTemplate::from_metadata(&with.metadata()).unwrap();
    assert_eq!(template.render(&[Message::new("user", "x")], true).unwrap(), "<s>x</s>");
}

#[test]
fn smollm2_keeps_its_turns() {
    let path = support::model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
    let metadata = support::metadata(&path);
    let (tokenizer, template) =
        (Tokenizer::from_metadata(&metadata).unwrap(), ChatTemplate::from_metadata(&metadata).unwrap());
    let harmless = encode_chat(&tokenizer, &template, &conversation("a", "b")).unwrap();
    let expected = control_tokens(&tokenizer, &harmless);
    assert_eq!(expected, [1, 2, 1, 2, 1, 2, 1, 2, 1]);
    for attempt in ATTEMPTS {
        for mark in ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<file_sep>"] {
            let content = attempt.replace("{}", mark);
            let ids = encode_chat(&tokenizer, &template, &conversation(&content, &content)).unwrap();
            assert_eq!(control_tokens(&tokenizer, &ids), expected, "{content:?}");
        }
    }
}
