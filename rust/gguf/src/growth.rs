//! Arrays that grow as their bytes arrive. The reserved memory stays close to what has been read, whatever the file
//! announces.

use crate::{Array, StringArray, ValueType};

/// Buffers grow by doubling up to this size in bytes, and by this much from there on: old and new buffer together stay
/// below twice the bytes seen and a constant.
pub(crate) const STEP: usize = 256 << 10;

/// Makes room for `more` further elements.
fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        let step = STEP / size_of::<T>();
        vec.reserve_exact(more.max(vec.len().clamp(16, step)));
    }
}

/// Appends bytes.
pub(crate) fn append(vec: &mut Vec<u8>, bytes: &[u8]) {
    reserve(vec, bytes.len());
    vec.extend_from_slice(bytes);
}

/// Appends a string.
pub(crate) fn append_string(strings: &mut StringArray, bytes: &[u8]) {
    reserve(&mut strings.arena, bytes.len());
    reserve(&mut strings.ends, 1);
    let added = strings.push(bytes);
    debug_assert!(added, "a header is far below 4 GiB");
}

fn extend<T, const WIDTH: usize>(vec: &mut Vec<T>, bytes: &[u8], read: impl Fn([u8; WIDTH]) -> T) {
    reserve(vec, bytes.len() / WIDTH);
    vec.extend(bytes.as_chunks().0.iter().map(|&element| read(element)));
}

/// Appends whole elements to an array of numbers or truth values. A truth value that is neither 0 nor 1 is an error:
/// its index and value.
pub(crate) fn extend_array(array: &mut Array, bytes: &[u8]) -> Result<(), (usize, u8)> {
    match array {
        Array::U8(v) => append(v, bytes),
        Array::I8(v) => extend(v, bytes, i8::from_le_bytes),
        Array::U16(v) => extend(v, bytes, u16::from_le_bytes),
        Array::I16(v) => extend(v, bytes, i16::from_le_bytes),
        Array::U32(v) => extend(v, bytes, u32::from_le_bytes),
        Array::I32(v) => extend(v, bytes, i32::from_le_bytes),
        Array::U64(v) => extend(v, bytes, u64::from_le_bytes),
        Array::I64(v) => extend(v, bytes, i64::from_le_bytes),
        Array::F32(v) => extend(v, bytes, f32::from_le_bytes),
        Array::F64(v) => extend(v, bytes, f64::from_le_bytes),
        Array::Bool(v) => {
            if let Some(at) = bytes.iter().position(|&b| b > 1) {
                return Err((at, bytes[at]));
            }
            extend(v, bytes, |[b]| b == 1);
        }
        Array::String(_) => unreachable!("strings are appended one by one"),
    }
    Ok(())
}

/// An array without elements.
pub(crate) fn empty_array(ty: ValueType) -> Array {
    match ty {
        ValueType::U8 => Array::U8(Vec::new()),
        ValueType::I8 => Array::I8(Vec::new()),
        ValueType::U16 => Array::U16(Vec::new()),
        ValueType::I16 => Array::I16(Vec::new()),
        ValueType::U32 => Array::U32(Vec::new()),
        ValueType::I32 => Array::I32(Vec::new()),
        ValueType::F32 => Array::F32(Vec::new()),
        ValueType::U64 => Array::U64(Vec::new()),
        ValueType::I64 => Array::I64(Vec::new()),
        ValueType::F64 => Array::F64(Vec::new()),
        ValueType::Bool => Array::Bool(Vec::new()),
        ValueType::String => Array::String(StringArray::default()),
        ValueType::Array => unreachable!("arrays of arrays are refused"),
    }
}

/// Releases reserved memory that was not used.
pub(crate) fn shrink(array: &mut Array) {
    any_array!(array, v => v.shrink_to_fit());
}
