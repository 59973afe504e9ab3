//! What the metadata says about the rotation is read as the reference reads it, or refused by name.

use chord_gguf::{Array, Header, Metadata, Value};
use chord_model::{BuildOptions, Hyperparameters, ModelError, RopeScaling, lower, notes};
use chord_program::{RopeTable, Table};
use chord_testkit::Recipe;

/// A model's header with some keys changed; each is `rope.` and its name here.
fn header(model: &str, changes: &[(&str, Value)]) -> Header {
    let model = Recipe::named(model);
    let file = model.file();
    let key = |name: &str| format!("{}.rope.{name}", model.architecture);
    let mut header = file.header.clone();
    header.metadata = Metadata::default();
    for (name, value) in file.header.metadata.iter().filter(|(name, _)| changes.iter().all(|(c, _)| key(c) != *name)) {
        header.metadata.insert(name.to_owned(), value.clone()).expect("each key once");
    }
    for (name, value) in changes {
        header.metadata.insert(key(name), value.clone()).expect("each key once");
    }
    header
}

fn scaling(changes: &[(&str, Value)]) -> Result<RopeScaling, ModelError> {
    Hyperparameters::from_header(&header("llama-plain", changes)).map(|h| h.rope_scaling)
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn tables(header: &Header, n_ctx: u32) -> Vec<RopeTable> {
    let options = BuildOptions { n_ctx: Some(n_ctx), ..BuildOptions::default() };
    let program = lower(header, &options, None).expect("a program");
    let rope = |table| if let Table::Rope(table) = table { table } else { panic!("a table of rotations") };
    program.tables.into_iter().map(rope).collect()
}

#[test]
fn types_without_an_implementation_are_refused_by_name() {
    for name in ["longrope", "dynamic", "llama3", "YARN", ""] {
        let error = scaling(&[("scaling.type", text(name)), ("scaling.factor", Value::F32(4.0))]).unwrap_err();
        assert_eq!(error.code(), "unsupported-value");
        let expected = format!("llama.rope.scaling.type = {name} is not supported for this architecture");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn values_of_another_type_are_refused_by_name() {
    let array = || Value::Array(Array::F32(vec![1e4, 1e4]));
    let wrong = [
        ("scaling.type", Value::U32(2)),
        ("scaling.type", array()),
        ("scaling.factor", array()),
        ("scaling.factor", text("4")),
        ("scaling.factor", Value::U32(4)),
        ("scale_linear", array()),
        ("scaling.attn_factor", text("1")),
        ("scaling.original_context_length", Value::F32(64.0)),
        ("scaling.original_context_length", Value::Array(Array::U32(vec![64]))),
        ("freq_base", array()),
        ("freq_base", Value::U32(10_000)),
    ];
    for (key, value) in wrong {
        let error = scaling(&[(key, value.clone())]).unwrap_err();
        assert_eq!(error.code(), "wrong-type", "{key} = {value:?}: {error}");
        assert!(error.to_string().contains(&format!("llama.rope.{key}:")), "{error}");
    }
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for key in ["scaling.factor", "scale_linear", "scaling.attn_factor", "freq_base"] {
        for value in [-1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            let error = scaling(&[("scaling.type", text("yarn")), (key, Value::F32(value))]).unwrap_err();
            assert_eq!(error.code(), "out-of-range", "{key} = {value}");
            assert!(error.to_string().contains(&format!("llama.rope.{key}:")), "{error}");
        }
    }
    let length = [("scaling.original_context_length", Value::U32(u32::MAX))];
    assert_eq!(scaling(&length).unwrap_err().code(), "out-of-range");
}

#[test]
fn zero_means_absent() {
    let plain = tables(&header("llama-plain", &[]), 64);
    let zero = Value::F32(0.0);
    for kind in ["none", "linear", "yarn"] {
        let kind = ("scaling.type", text(kind));
        let factors = ["scaling.factor", "scale_linear", "scaling.attn_factor", "freq_base"];
        for zeros in factors.map(|key| (key, zero.clone())) {
            assert_eq!(
                tables(&header("llama-plain", &[kind.clone(), zeros.clone()]), 64),
                plain,
                "{kind:?}, {zeros:?}"
            );
        }
    }
    // A factor of zero is not replaced by the one of early files.
    let both = [("scaling.factor", zero.clone()), ("scale_linear", Value::F32(4.0))];
    assert_eq!(scaling(&both).unwrap().factor, 1.0);
    let yarn = |length: &[(&str, Value)]| {
        let keys = [("scaling.type", text("yarn")), ("scaling.factor", Value::F32(4.0))];
        tables(&header("llama-plain", &[&keys, length].concat()), 64)
    };
    let of_length = |length| yarn(&[("scaling.original_context_length", Value::U32(length))]);
    assert_eq!(of_length(0), yarn(&[]));
    assert_eq!(of_length(256), yarn(&[]), "the trained length");
    assert_ne!(of_length(64), yarn(&[]));
    let window = |theta| tables(&header("gemma3-linear", &[("freq_base_swa", Value::F32(theta))]), 64);
    assert_eq!(window(0.0), tables(&header("gemma3-linear", &[]), 64));
    assert_ne!(window(300.0), window(0.0));
}

#[test]
fn the_ramp_lies_where_the_paper_puts_it() {
    let keys = [
        ("scaling.type", text("yarn")),
        ("scaling.factor", Value::F32(8.0)),
        ("scaling.original_context_length", Value::U32(8192)),
        ("freq_base", Value::F32(500_000.0)),
    ];
    let [plain, yarn] = [&keys[3..], &keys[..]].map(|keys| tables(&header("llama-plain", keys), 64).remove(0));
    // 32 turns within 8,192 positions: 16 · ln(8192 / 64π) / ln 500000 = 4.52; one turn: 8.75.
    for (pair, (plain, yarn)) in plain.inv_freq.iter().zip(&yarn.inv_freq).enumerate() {
        let stretched = ((pair as f64 - 4.0) / 5.0).clamp(0.0, 1.0);
        let expected = plain * (stretched / 8.0 + 1.0 - stretched);
        assert!((yarn / expected - 1.0).abs() < 1e-6, "pair {pair}: {yarn}, not {expected}");
    }
    assert_eq!(plain.magnitude, 1.0);
    assert!((yarn.magnitude - (1.0 + 0.1 * 8f64.ln())).abs() < 1e-12);
}

#[test]
fn the_rotation_does_not_depend_on_the_context_asked_for() {
    // Shorter and longer than the original length of 64.
    let header = header("llama-yarn", &[]);
    let long = tables(&header, 256);
    for n_ctx in [16, 64, 65, 128] {
        assert_eq!(tables(&header, n_ctx), long, "{n_ctx}");
    }
}

#[test]
fn degenerate_numbers_give_finite_tables() {
    for theta in [0.5, 1.0, 1.5] {
        for length in [1, 6, 1 << 26] {
            for factor in [1e-3, 1.0, 1e6] {
                let keys = [
                    ("scaling.type", text("yarn")),
                    ("scaling.factor", Value::F32(factor)),
                    ("scaling.original_context_length", Value::U32(length)),
                    ("freq_base", Value::F32(theta)),
                ];
                for table in tables(&header("gemma3-linear", &keys), 64) {
                    assert!(table.magnitude.is_finite(), "{keys:?}");
                    assert!(table.inv_freq.iter().all(|f| f.is_finite()), "{keys:?}: {:?}", table.inv_freq);
                }
            }
        }
    }
}

#[test]
fn what_does_not_count_is_noted() {
    let found = notes(&Recipe::named("llama-yarn-unread").file().header);
    let expected = [
        "llama.rope.scaling.yarn_beta_fast = 6 is ignored; 32 is used, as in llama.cpp",
        "llama.rope.scaling.yarn_beta_slow = 2 is ignored; 1 is used, as in llama.cpp",
        "llama.rope.scaling.yarn_ext_factor = 0.5 is ignored; 1 is used, as in llama.cpp",
        "llama.rope.scaling.yarn_log_multiplier = 0.1 is ignored; 0 is used, as in llama.cpp",
    ];
    assert_eq!(found, expected);
    // The values that llama.cpp writes for every model are those in use.
    let saved = [
        ("scaling.yarn_ext_factor", Value::F32(-1.0)),
        ("scaling.yarn_attn_factor", Value::F32(1.0)),
        ("scaling.yarn_beta_fast", Value::F32(32.0)),
        ("scaling.yarn_beta_slow", Value::F32(1.0)),
        ("scaling.yarn_log_multiplier", Value::F32(0.0)),
    ];
    assert_eq!(notes(&header("llama-yarn", &saved)), [""; 0]);
}

#[test]
fn divisors_of_frequencies_are_llamas_alone() {
    let llama = Recipe::named("llama-yarn-factors").file().header;
    let mut qwen = Recipe::named("qwen2-yarn").file().header;
    qwen.tensors.push(llama.tensor("rope_freqs.weight").expect("a divisor for each frequency").clone());
    let error = lower(&qwen, &BuildOptions::default(), Some(&[1.0; 16])).unwrap_err();
    assert!(error.to_string().contains("rope_freqs.weight"), "{error}");
}
