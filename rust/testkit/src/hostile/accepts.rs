//! Unusual files that are valid.

use chord_gguf::{Array, GgmlType, Header, Value, ValueType};

use super::Accept;
use chord_gguf::FileBuilder;

pub(super) fn all() -> Vec<Accept> {
    macro_rules! accepts {
        ($($name:ident)*) => {
            vec![$({
                let (file, check) = $name();
                Accept { name: stringify!($name), bytes: file.bytes, check }
            },)*]
        };
    }
    accepts! {
        nothing_but_a_preamble
        version_2
        every_scalar_type
        every_array_type
        empty_arrays
        every_tensor_type
        alignment_of_1
        alignment_of_64
        four_dimensions
        data_in_another_order
        last_tensor_padded
        last_tensor_not_padded
        bytes_behind_the_padding
        bytes_behind_an_unpadded_tensor
        bytes_without_tensors
        vocabulary_with_broken_utf8
        longest_names
        text_in_many_scripts
        a_long_template
    }
}

type Valid = (FileBuilder, fn(&Header));

fn nothing_but_a_preamble() -> Valid {
    (FileBuilder::new(3, 0, 0), |header| {
        assert_eq!((header.version, header.alignment, header.data_offset), (3, 32, 32));
        assert!(header.metadata.is_empty() && header.tensors.is_empty());
        assert_eq!(header.architecture(), None);
    })
}

fn version_2() -> Valid {
    let mut file = FileBuilder::new(2, 1, 1);
    file.string("general.architecture", "llama");
    file.tensor("token_embd.weight", &[32, 3], GgmlType::Q8_0, 0);
    file.pad(32).zeros(102);
    (file, |header| {
        assert_eq!((header.version, header.architecture()), (2, Some("llama")));
        let tensor = header.tensor("token_embd.weight").unwrap();
        assert_eq!((tensor.n_bytes, tensor.offset), (102, header.data_offset));
        assert_eq!((tensor.cols(), tensor.rows(), tensor.row_bytes()), (32, 3, 34));
    })
}

fn every_scalar_type() -> Valid {
    let mut file = FileBuilder::new(3, 0, 12);
    file.key("u8", ValueType::U8);
    file.raw(&[200]);
    file.key("i8", ValueType::I8);
    file.raw(&[0xff]);
    file.key("u16", ValueType::U16);
    file.raw(&60_000u16.to_le_bytes());
    file.key("i16", ValueType::I16);
    file.raw(&(-2i16).to_le_bytes());
    file.number("u32", 4_000_000_000);
    file.key("i32", ValueType::I32);
    file.raw(&(-3i32).to_le_bytes());
    file.key("f32", ValueType::F32);
    file.raw(&1e-6f32.to_le_bytes());
    file.key("bool", ValueType::Bool);
    file.raw(&[1]);
    file.string("string", "");
    file.key("u64", ValueType::U64);
    file.u64(u64::MAX);
    file.key("i64", ValueType::I64);
    file.raw(&i64::MIN.to_le_bytes());
    file.key("f64", ValueType::F64);
    file.raw(&f64::MIN_POSITIVE.to_le_bytes());
    (file, |header| {
        let expected = [
            ("u8", Value::U8(200)),
            ("i8", Value::I8(-1)),
            ("u16", Value::U16(60_000)),
            ("i16", Value::I16(-2)),
            ("u32", Value::U32(4_000_000_000)),
            ("i32", Value::I32(-3)),
            ("f32", Value::F32(1e-6)),
            ("bool", Value::Bool(true)),
            ("string", Value::String(String::new())),
            ("u64", Value::U64(u64::MAX)),
            ("i64", Value::I64(i64::MIN)),
            ("f64", Value::F64(f64::MIN_POSITIVE)),
        ];
        assert!(header.metadata.iter().eq(expected.iter().map(|(key, value)| (*key, value))));
    })
}

fn every_array_type() -> Valid {
    let mut file = FileBuilder::new(3, 0, 12);
    file.array("u8", ValueType::U8, 3);
    file.raw(&[1, 2, 255]);
    file.array("i8", ValueType::I8, 2);
    file.raw(&[1, 255]);
    file.array("u16", ValueType::U16, 2);
    file.raw(&[1, 0, 0, 1]);
    file.array("i16", ValueType::I16, 2);
    file.raw(&[1, 0, 255, 255]);
    file.array("u32", ValueType::U32, 1);
    file.u32(7);
    file.array("i32", ValueType::I32, 2);
    file.u32(7).u32(u32::MAX);
    file.array("f32", ValueType::F32, 2);
    file.raw(&1.5f32.to_le_bytes()).raw(&f32::INFINITY.to_le_bytes());
    file.array("bool", ValueType::Bool, 3);
    file.raw(&[1, 0, 1]);
    file.array("string", ValueType::String, 3);
    file.text("a").text("").text("bc");
    file.array("u64", ValueType::U64, 1);
    file.u64(1 << 40);
    file.array("i64", ValueType::I64, 1);
    file.u64(u64::MAX);
    file.array("f64", ValueType::F64, 1);
    file.raw(&0.1f64.to_le_bytes());
    (file, |header| {
        let expected = [
            ("u8", Array::U8(vec![1, 2, 255])),
            ("i8", Array::I8(vec![1, -1])),
            ("u16", Array::U16(vec![1, 256])),
            ("i16", Array::I16(vec![1, -1])),
            ("u32", Array::U32(vec![7])),
            ("i32", Array::I32(vec![7, -1])),
            ("f32", Array::F32(vec![1.5, f32::INFINITY])),
            ("bool", Array::Bool(vec![true, false, true])),
            ("string", Array::String(["a", "", "bc"].into_iter().collect())),
            ("u64", Array::U64(vec![1 << 40])),
            ("i64", Array::I64(vec![-1])),
            ("f64", Array::F64(vec![0.1])),
        ];
        assert_eq!(header.metadata.len(), expected.len());
        for (key, array) in expected {
            assert_eq!(header.metadata.array(key), Ok(&array));
            assert_eq!(array.element_type().name(), key);
        }
    })
}

fn empty_arrays() -> Valid {
    let mut file = FileBuilder::new(3, 0, 3);
    file.array("none", ValueType::String, 0);
    file.array("no.numbers", ValueType::F64, 0);
    file.number("last", 1);
    (file, |header| {
        assert!(header.metadata.strings("none").unwrap().is_empty());
        assert!(header.metadata.array("no.numbers").unwrap().is_empty());
        assert_eq!(header.metadata.u32("last"), Ok(1));
    })
}

/// Files may hold types that cannot be run yet: they can be listed all the same.
fn every_tensor_type() -> Valid {
    let mut file = FileBuilder::new(3, GgmlType::ALL.len() as u64, 0);
    let mut data = 0;
    for ty in GgmlType::ALL {
        file.tensor(ty.name(), &[256, 2], *ty, data);
        data = (data + ty.row_bytes(512).unwrap()).next_multiple_of(32);
    }
    file.pad(32).zeros(data as usize);
    (file, |header| {
        for ty in GgmlType::ALL {
            let tensor = header.tensor(ty.name()).unwrap();
            assert_eq!((tensor.ty, tensor.n_elements()), (*ty, 512));
            assert_eq!(Some(tensor.row_bytes()), ty.row_bytes(256));
        }
    })
}

fn alignment_of_1() -> Valid {
    let mut file = FileBuilder::new(3, 2, 1);
    file.number("general.alignment", 1);
    file.tensor("a", &[3], GgmlType::I8, 0);
    file.tensor("b", &[1], GgmlType::F32, 3);
    file.zeros(7);
    (file, |header| {
        assert_eq!(header.alignment, 1);
        assert_eq!(header.tensors[1].offset, header.data_offset + 3);
        assert_eq!(header.file_len, header.data_offset + 7);
    })
}

fn alignment_of_64() -> Valid {
    let mut file = FileBuilder::new(3, 2, 1);
    file.number("general.alignment", 64);
    file.tensor("a", &[1], GgmlType::F32, 0);
    file.tensor("b", &[1], GgmlType::F32, 64);
    file.pad(64).zeros(128);
    (file, |header| {
        assert_eq!(header.data_offset % 64, 0);
        assert_eq!(header.tensors[1].offset, header.data_offset + 64);
    })
}

fn four_dimensions() -> Valid {
    let mut file = FileBuilder::new(3, 1, 0);
    file.tensor("v.patch_embd.weight", &[14, 2, 3, 5], GgmlType::F16, 0);
    file.pad(32).zeros(840);
    (file, |header| {
        let tensor = &header.tensors[0];
        assert_eq!((tensor.n_elements(), tensor.rows(), tensor.n_bytes), (420, 30, 840));
    })
}

fn data_in_another_order() -> Valid {
    let mut file = FileBuilder::new(3, 3, 0);
    file.tensor("third", &[8], GgmlType::F32, 64);
    file.tensor("first", &[7], GgmlType::F32, 0);
    file.tensor("second", &[8], GgmlType::F32, 32);
    file.pad(32).zeros(96);
    (file, |header| {
        let names: Vec<_> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["third", "first", "second"]);
        assert_eq!(header.tensor("first").unwrap().offset, header.data_offset);
    })
}

fn last_tensor_padded() -> Valid {
    let mut file = FileBuilder::new(3, 1, 0);
    file.tensor("a", &[9], GgmlType::F32, 0);
    file.pad(32).zeros(64);
    (file, |header| assert_eq!((header.file_len, header.trailing_bytes), (header.data_offset + 64, 0)))
}

fn last_tensor_not_padded() -> Valid {
    let mut file = FileBuilder::new(3, 1, 0);
    file.tensor("a", &[9], GgmlType::F32, 0);
    file.pad(32).zeros(36);
    (file, |header| assert_eq!((header.file_len, header.trailing_bytes), (header.data_offset + 36, 0)))
}

/// llama.cpp never looks past the last tensor; some uploads have a line break or a signature there.
fn bytes_behind_the_padding() -> Valid {
    let mut file = FileBuilder::new(3, 1, 0);
    file.tensor("a", &[9], GgmlType::F32, 0);
    file.pad(32).zeros(65);
    (file, |header| assert_eq!((header.file_len, header.trailing_bytes), (header.data_offset + 65, 1)))
}

/// The tensor with the highest offset is not the last of the directory.
fn bytes_behind_an_unpadded_tensor() -> Valid {
    let mut file = FileBuilder::new(3, 2, 0);
    file.tensor("second", &[8], GgmlType::F32, 32);
    file.tensor("first", &[8], GgmlType::F32, 0);
    file.pad(32).zeros(64 + 5000);
    (file, |header| assert_eq!(header.trailing_bytes, 5000))
}

fn bytes_without_tensors() -> Valid {
    let mut file = FileBuilder::new(3, 0, 0);
    file.pad(32).zeros(7);
    (file, |header| assert_eq!((header.tensors.len(), header.trailing_bytes), (0, 7)))
}

/// Byte-level vocabularies are not obliged to hold whole characters.
fn vocabulary_with_broken_utf8() -> Valid {
    let mut file = FileBuilder::new(3, 0, 2);
    file.array("tokenizer.ggml.tokens", ValueType::String, 4);
    file.text("ok").text(b"\xf0\x9f").text(b"\0").text("é");
    file.number("last", 1);
    (file, |header| {
        let tokens = header.metadata.strings("tokenizer.ggml.tokens").unwrap();
        assert_eq!((tokens.len(), tokens.total_bytes()), (4, 7));
        assert_eq!(tokens.get_bytes(1), b"\xf0\x9f");
        let texts: Vec<_> = (0..5).map(|i| tokens.get(i)).collect();
        assert_eq!(texts, [Some("ok"), None, Some("\0"), Some("é"), None]);
    })
}

fn longest_names() -> Valid {
    let mut file = FileBuilder::new(3, 1, 1);
    file.number(&"k".repeat(65_535), 5);
    file.tensor("n".repeat(256), &[1], GgmlType::F32, 0);
    file.pad(32).zeros(4);
    (file, |header| {
        assert_eq!(header.metadata.u32(&"k".repeat(65_535)), Ok(5));
        assert!(header.tensor(&"n".repeat(256)).is_some());
    })
}

fn text_in_many_scripts() -> Valid {
    let mut file = FileBuilder::new(3, 0, 2);
    file.string("general.beschreibung.größe", "模型 🦙 Ελληνικά \u{1b}[31m \0");
    file.string("__proto__", "a key like any other");
    (file, |header| {
        assert_eq!(header.metadata.str("general.beschreibung.größe"), Ok("模型 🦙 Ελληνικά \u{1b}[31m \0"));
        assert_eq!(header.metadata.str("__proto__"), Ok("a key like any other"));
    })
}

fn a_long_template() -> Valid {
    let mut file = FileBuilder::new(3, 0, 2);
    file.string("tokenizer.chat_template", &"{{ message }}".repeat(10_000));
    file.number("last", 1);
    (file, |header| {
        assert_eq!(header.metadata.str("tokenizer.chat_template").unwrap().len(), 130_000);
        assert_eq!(header.metadata.u32("last"), Ok(1));
    })
}
