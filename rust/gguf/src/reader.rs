//! The header reader: it is given bytes and requests more until the header is complete. It does no I/O itself.
//!
//! A header is a sequence of small items (a count, a length, the bytes of a name). Each [`Stage`] is one item whose
//! size is known before it is read, so that nothing is ever parsed twice, and nothing is allocated before the bytes
//! that fill it have been seen.

use crate::directory::{Checked, Directory};
use crate::growth;
use crate::limits::{self, MAX_HEADER_BYTES};
use crate::{Array, GgmlType, GgufError, Header, Metadata, Value, ValueType};

/// The result of [`HeaderReader::feed`].
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// The header continues past the bytes seen: feed the next ones, from [`HeaderReader::position`].
    NeedMore,
    /// The header is complete and checked.
    Done(Header),
}

/// Reads a header from pieces of any size.
///
/// ```
/// # let file = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// use chord_gguf::{HeaderReader, Status};
///
/// let mut reader = HeaderReader::new(file.len() as u64);
/// let header = loop {
///     let start = reader.position() as usize;
///     let piece = &file[start..file.len().min(start + 4096)];
///     match reader.feed(piece)? {
///         Status::NeedMore => continue,
///         Status::Done(header) => break header,
///     }
/// };
/// assert_eq!(header.version, 3);
/// # Ok::<(), chord_gguf::GgufError>(())
/// ```
#[derive(Debug)]
pub struct HeaderReader {
    file_len: u64,
    stage: Stage,
    /// Where the current item begins in the file.
    item_offset: u64,
    /// The part of the current item that has been seen.
    pending: Vec<u8>,
    version: u32,
    metadata_left: u64,
    /// Where the current metadata or directory entry begins.
    entry_offset: u64,
    key: String,
    array: Array,
    array_left: u64,
    alignment: u64,
    metadata: Metadata,
    tensors_left: u64,
    directory: Directory,
}

/// Which item comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Magic,
    Version,
    TensorCount,
    MetadataCount,
    KeyLength,
    Key {
        length: u64,
    },
    ValueType,
    Scalar(ValueType),
    TextLength,
    Text {
        length: u64,
    },
    ElementType,
    ElementCount(ValueType),
    /// Elements of an array of numbers or truth values: as many as are available.
    Numbers {
        width: u64,
    },
    ElementLength,
    Element {
        length: u64,
    },
    NameLength,
    Name {
        length: u64,
    },
    DimensionCount,
    Dimensions {
        count: u32,
    },
    TensorType,
    DataOffset,
    Complete,
    Finished,
}

impl Stage {
    /// What the item is, and its size in bytes.
    fn item(self) -> (&'static str, u64) {
        match self {
            Stage::Magic => ("the magic number", 4),
            Stage::Version => ("the version", 4),
            Stage::TensorCount => ("the number of tensors", 8),
            Stage::MetadataCount => ("the number of metadata entries", 8),
            Stage::KeyLength => ("the length of a metadata key", 8),
            Stage::Key { length } => ("a metadata key", length),
            Stage::ValueType => ("the type of a metadata value", 4),
            Stage::Scalar(ty) => ("a metadata value", ty.min_bytes()),
            Stage::TextLength => ("the length of a metadata string", 8),
            Stage::Text { length } => ("a metadata string", length),
            Stage::ElementType => ("the element type of an array", 4),
            Stage::ElementCount(_) => ("the length of an array", 8),
            Stage::Numbers { width } => ("an array", width),
            Stage::ElementLength => ("the length of a string in an array", 8),
            Stage::Element { length } => ("a string in an array", length),
            Stage::NameLength => ("the length of a tensor name", 8),
            Stage::Name { length } => ("a tensor name", length),
            Stage::DimensionCount => ("the number of dimensions", 4),
            Stage::Dimensions { count } => ("the dimensions of a tensor", u64::from(count) * 8),
            Stage::TensorType => ("the type of a tensor", 4),
            Stage::DataOffset => ("the data offset of a tensor", 8),
            Stage::Complete | Stage::Finished => ("nothing", 0),
        }
    }
}

impl HeaderReader {
    /// A reader for a file of `file_len` bytes.
    pub fn new(file_len: u64) -> Self {
        HeaderReader {
            file_len,
            stage: Stage::Magic,
            item_offset: 0,
            pending: Vec::new(),
            version: 0,
            metadata_left: 0,
            entry_offset: 0,
            key: String::new(),
            array: Array::U8(Vec::new()),
            array_left: 0,
            alignment: limits::DEFAULT_ALIGNMENT,
            metadata: Metadata::default(),
            tensors_left: 0,
            directory: Directory::default(),
        }
    }

    /// The byte of the file that the next call of [`HeaderReader::feed`] must begin with. Once the header is complete,
    /// this is where it ends.
    pub fn position(&self) -> u64 {
        self.item_offset + self.pending.len() as u64
    }

    /// Takes the file's next bytes, from [`HeaderReader::position`] on; bytes past the header are ignored.
    ///
    /// Uses at most 1 MiB of memory more than twice the bytes seen.
    ///
    /// # Errors
    /// If the file is not a valid GGUF file. The reader is finished then, as it is after [`Status::Done`]: a further
    /// call gives [`GgufError::Finished`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Status, GgufError> {
        let result = self.advance(bytes);
        if !matches!(result, Ok(Status::NeedMore)) {
            *self = HeaderReader {
                stage: Stage::Finished,
                item_offset: self.position(),
                ..HeaderReader::new(self.file_len)
            };
        }
        result
    }

    fn advance(&mut self, mut bytes: &[u8]) -> Result<Status, GgufError> {
        loop {
            match self.stage {
                Stage::Finished => return Err(GgufError::Finished),
                Stage::Complete => return self.complete().map(Status::Done),
                _ => {}
            }
            let size = self.item_size()?;
            if self.pending.is_empty() && bytes.len() >= size {
                let (item, rest) = bytes.split_at(self.stretch(size, bytes.len()));
                bytes = rest;
                self.take(item)?;
                self.item_offset += item.len() as u64;
            } else {
                let missing = size - self.pending.len();
                let (more, rest) = bytes.split_at(missing.min(bytes.len()));
                bytes = rest;
                growth::append(&mut self.pending, more);
                if self.pending.len() < size {
                    return Ok(Status::NeedMore);
                }
                let mut item = std::mem::take(&mut self.pending);
                self.take(&item)?;
                self.item_offset += size as u64;
                if item.capacity() <= growth::STEP {
                    item.clear();
                    self.pending = item;
                }
            }
        }
    }

    /// The size of the next item, checked against the rest of the file.
    fn item_size(&self) -> Result<usize, GgufError> {
        let (what, size) = self.stage.item();
        self.check_room(what, self.item_offset, size)?;
        if self.item_offset + size > MAX_HEADER_BYTES {
            return Err(GgufError::HeaderTooLong { offset: self.item_offset, limit: MAX_HEADER_BYTES });
        }
        // It fits: the header's limit is far below 4 GiB.
        Ok(size as usize)
    }

    fn check_room(&self, what: &'static str, offset: u64, needed: u64) -> Result<(), GgufError> {
        let available = self.file_len.saturating_sub(offset);
        if needed > available {
            return Err(GgufError::Truncated { what, offset, needed, available });
        }
        Ok(())
    }

    /// How many of `available` bytes to take at once: all whole elements of an array of numbers, or the one item.
    fn stretch(&self, size: usize, available: usize) -> usize {
        match self.stage {
            Stage::Numbers { .. } => {
                let left = usize::try_from(self.array_left).unwrap_or(usize::MAX);
                (available / size).min(left) * size
            }
            _ => size,
        }
    }

    /// Takes one whole item and moves on to the next stage.
    fn take(&mut self, item: &[u8]) -> Result<(), GgufError> {
        let offset = self.item_offset;
        self.stage = match self.stage {
            Stage::Magic => {
                if item != b"GGUF" {
                    return Err(GgufError::BadMagic { found: [item[0], item[1], item[2], item[3]] });
                }
                Stage::Version
            }
            Stage::Version => {
                self.version = read_u32(item);
                if !matches!(self.version, 2 | 3) {
                    let big_endian = matches!(self.version.swap_bytes(), 1..=3);
                    return Err(GgufError::UnsupportedVersion { found: self.version, big_endian });
                }
                Stage::TensorCount
            }
            Stage::TensorCount => {
                self.tensors_left =
                    self.count(item, "the number of tensors", limits::MAX_TENSORS, limits::MIN_TENSOR_BYTES)?;
                Stage::MetadataCount
            }
            Stage::MetadataCount => {
                let what = "the number of metadata entries";
                self.metadata_left = self.count(item, what, limits::MAX_METADATA, limits::MIN_METADATA_BYTES)?;
                self.next_entry(offset + 8)
            }
            Stage::KeyLength => match self.length(item, limits::MAX_KEY_BYTES)? {
                0 => return Err(GgufError::EmptyKey { offset }),
                length => Stage::Key { length },
            },
            Stage::Key { .. } => {
                self.key = utf8(item, "a metadata key", offset)?.to_owned();
                if self.metadata.contains(&self.key) {
                    return Err(GgufError::DuplicateKey { key: self.take_key(), offset: self.entry_offset });
                }
                Stage::ValueType
            }
            Stage::ValueType => self.value_type(read_u32(item))?,
            Stage::Scalar(ty) => {
                let value = self.scalar(ty, item)?;
                self.insert(value, offset + item.len() as u64)?
            }
            Stage::TextLength => Stage::Text { length: self.length(item, limits::MAX_STRING_BYTES)? },
            Stage::Text { length } => {
                let text = utf8(item, "a metadata string", offset)?.to_owned();
                self.insert(Value::String(text), offset + length)?
            }
            Stage::ElementType => {
                let found = read_u32(item);
                match ValueType::from_id(found) {
                    None => return Err(GgufError::UnknownValueType { key: self.take_key(), offset, found }),
                    Some(ValueType::Array) => {
                        return Err(GgufError::NestedArray { key: self.take_key(), offset });
                    }
                    Some(ty) => Stage::ElementCount(ty),
                }
            }
            Stage::ElementCount(ty) => {
                let what = "the length of an array";
                self.array_left = self.count(item, what, limits::MAX_ARRAY_ELEMENTS, ty.min_bytes())?;
                self.array = growth::empty_array(ty);
                self.next_element(ty, offset + 8)?
            }
            Stage::Numbers { width } => {
                growth::extend_array(&mut self.array, item).map_err(|(at, found)| GgufError::InvalidBool {
                    key: std::mem::take(&mut self.key),
                    offset: offset + at as u64,
                    found,
                })?;
                self.array_left -= item.len() as u64 / width;
                self.next_element(self.array.element_type(), offset + item.len() as u64)?
            }
            Stage::ElementLength => Stage::Element { length: self.length(item, limits::MAX_ARRAY_STRING_BYTES)? },
            Stage::Element { length } => {
                if let Array::String(strings) = &mut self.array {
                    growth::append_string(strings, item);
                }
                self.array_left -= 1;
                self.next_element(ValueType::String, offset + length)?
            }
            Stage::NameLength => match self.length(item, limits::MAX_TENSOR_NAME_BYTES)? {
                0 => return Err(GgufError::EmptyTensorName { offset }),
                length => Stage::Name { length },
            },
            Stage::Name { .. } => {
                let name = utf8(item, "a tensor name", offset)?.to_owned();
                self.directory.begin(name, self.entry_offset)?;
                Stage::DimensionCount
            }
            Stage::DimensionCount => match read_u32(item) {
                count @ 1..=limits::MAX_DIMENSIONS => Stage::Dimensions { count },
                found => {
                    let tensor = self.directory.take_name();
                    return Err(GgufError::BadDimensionCount { tensor, offset, found, limit: limits::MAX_DIMENSIONS });
                }
            },
            Stage::Dimensions { .. } => {
                self.directory.dimensions(item.chunks_exact(8).map(read_u64).collect(), offset)?;
                Stage::TensorType
            }
            Stage::TensorType => {
                let found = read_u32(item);
                let Some(ty) = GgmlType::from_id(found) else {
                    return Err(GgufError::UnknownTensorType { tensor: self.directory.take_name(), offset, found });
                };
                self.directory.tensor_type(ty)?;
                Stage::DataOffset
            }
            Stage::DataOffset => {
                self.directory.data_offset(read_u64(item), offset, self.alignment)?;
                self.tensors_left -= 1;
                self.next_entry(offset + 8)
            }
            Stage::Complete | Stage::Finished => self.stage,
        };
        Ok(())
    }

    /// The stage that the next entry begins with.
    fn next_entry(&mut self, offset: u64) -> Stage {
        self.entry_offset = offset;
        match (self.metadata_left, self.tensors_left) {
            (0, 0) => Stage::Complete,
            (0, _) => Stage::NameLength,
            _ => Stage::KeyLength,
        }
    }

    /// The stage that the next element of the current array begins with; an array with none left goes into the map.
    fn next_element(&mut self, ty: ValueType, offset: u64) -> Result<Stage, GgufError> {
        if self.array_left > 0 {
            return Ok(match ty {
                ValueType::String => Stage::ElementLength,
                _ => Stage::Numbers { width: ty.min_bytes() },
            });
        }
        let mut array = std::mem::replace(&mut self.array, Array::U8(Vec::new()));
        growth::shrink(&mut array);
        self.insert(Value::Array(array), offset)
    }

    fn value_type(&mut self, found: u32) -> Result<Stage, GgufError> {
        let offset = self.item_offset;
        let Some(ty) = ValueType::from_id(found) else {
            return Err(GgufError::UnknownValueType { key: self.take_key(), offset, found });
        };
        if self.key == "general.alignment" && ty != ValueType::U32 {
            return Err(GgufError::AlignmentType { offset, found: ty.name() });
        }
        Ok(match ty {
            ValueType::String => Stage::TextLength,
            ValueType::Array => Stage::ElementType,
            scalar => Stage::Scalar(scalar),
        })
    }

    fn scalar(&mut self, ty: ValueType, item: &[u8]) -> Result<Value, GgufError> {
        let offset = self.item_offset;
        Ok(match ty {
            ValueType::U8 => Value::U8(item[0]),
            ValueType::I8 => Value::I8(item[0] as i8),
            ValueType::U16 => Value::U16(u16::from_le_bytes([item[0], item[1]])),
            ValueType::I16 => Value::I16(i16::from_le_bytes([item[0], item[1]])),
            ValueType::U32 => Value::U32(read_u32(item)),
            ValueType::I32 => Value::I32(read_u32(item) as i32),
            ValueType::F32 => Value::F32(f32::from_bits(read_u32(item))),
            ValueType::U64 => Value::U64(read_u64(item)),
            ValueType::I64 => Value::I64(read_u64(item) as i64),
            ValueType::F64 => Value::F64(f64::from_bits(read_u64(item))),
            ValueType::Bool => match item[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                found => return Err(GgufError::InvalidBool { key: self.take_key(), offset, found }),
            },
            ValueType::String | ValueType::Array => unreachable!("strings and arrays have stages of their own"),
        })
    }

    /// Adds the current key with `value` and moves on to the entry at `next`.
    fn insert(&mut self, value: Value, next: u64) -> Result<Stage, GgufError> {
        let key = self.take_key();
        if key == "general.alignment" {
            let found = value.as_u64().unwrap_or(0);
            if !found.is_power_of_two() || found > limits::MAX_ALIGNMENT {
                return Err(GgufError::BadAlignment { offset: self.item_offset, found, limit: limits::MAX_ALIGNMENT });
            }
            self.alignment = found;
        }
        if let Err((key, _)) = self.metadata.insert(key, value) {
            return Err(GgufError::DuplicateKey { key, offset: self.entry_offset });
        }
        self.metadata_left -= 1;
        Ok(self.next_entry(next))
    }

    /// A count of entries that take at least `min_bytes` each.
    fn count(&self, item: &[u8], what: &'static str, limit: u64, min_bytes: u64) -> Result<u64, GgufError> {
        let (count, offset) = (read_u64(item), self.item_offset);
        if count > limit {
            return Err(GgufError::CountTooLarge { what, offset, count, limit });
        }
        let what = match self.stage {
            Stage::TensorCount => "the tensor directory",
            Stage::MetadataCount => "the metadata",
            _ => "an array",
        };
        // No overflow: counts and sizes are below 2^32 here.
        self.check_room(what, offset + 8, count * min_bytes)?;
        Ok(count)
    }

    /// The length of the string that follows.
    fn length(&self, item: &[u8], limit: u64) -> Result<u64, GgufError> {
        let length = read_u64(item);
        if length > limit {
            let what = match self.stage {
                Stage::KeyLength => "a metadata key",
                Stage::TextLength => "a metadata string",
                Stage::NameLength => "a tensor name",
                _ => "a string in an array",
            };
            return Err(GgufError::StringTooLong { what, offset: self.item_offset, length, limit });
        }
        Ok(length)
    }

    fn take_key(&mut self) -> String {
        std::mem::take(&mut self.key)
    }

    fn complete(&mut self) -> Result<Header, GgufError> {
        // No overflow: the item offset is below the header limit.
        let data_offset = self.item_offset.next_multiple_of(self.alignment);
        let directory = std::mem::take(&mut self.directory);
        let Checked { tensors, by_name, trailing_bytes } =
            directory.check(data_offset, self.alignment, self.file_len)?;
        Ok(Header {
            version: self.version,
            alignment: self.alignment,
            metadata: std::mem::take(&mut self.metadata),
            tensors,
            data_offset,
            file_len: self.file_len,
            trailing_bytes,
            by_name,
        })
    }
}

/// Reads the header of a file that is in memory as a whole.
///
/// # Errors
/// As [`HeaderReader::feed`].
pub fn read_header(file: &[u8]) -> Result<Header, GgufError> {
    let mut reader = HeaderReader::new(file.len() as u64);
    match reader.feed(file)? {
        Status::Done(header) => Ok(header),
        Status::NeedMore => unreachable!("a reader that has seen the whole file never asks for more"),
    }
}

fn read_u32(item: &[u8]) -> u32 {
    u32::from_le_bytes([item[0], item[1], item[2], item[3]])
}

fn read_u64(item: &[u8]) -> u64 {
    u64::from(read_u32(item)) | u64::from(read_u32(&item[4..])) << 32
}

fn utf8<'a>(item: &'a [u8], what: &'static str, offset: u64) -> Result<&'a str, GgufError> {
    std::str::from_utf8(item)
        .map_err(|error| GgufError::InvalidUtf8 { what, offset: offset + error.valid_up_to() as u64 })
}
