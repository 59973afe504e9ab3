//! Writes GGUF files field by field, valid and invalid ones.

use crate::{Array, GgmlType, Value, ValueType};

/// Alignment of the data section and of each tensor.
pub const ALIGNMENT: u64 = 32;

/// A file that is being written. Every method appends; nothing is checked.
#[derive(Clone, Debug, Default)]
pub struct FileBuilder {
    /// What has been written.
    pub bytes: Vec<u8>,
}

/// Where the fields of a metadata entry begin.
#[derive(Clone, Copy, Debug)]
pub struct EntryPlaces {
    /// The entry: the length of its key.
    pub entry: u64,
    /// The bytes of the key.
    pub key: u64,
    /// The type of the value.
    pub ty: u64,
    /// The value.
    pub value: u64,
}

/// Where the fields of a directory entry begin.
#[derive(Clone, Copy, Debug)]
pub struct TensorPlaces {
    /// The entry: the length of its name.
    pub entry: u64,
    /// The bytes of the name.
    pub name: u64,
    /// The number of dimensions.
    pub count: u64,
    /// The first extent.
    pub dims: u64,
    /// The type.
    pub ty: u64,
    /// The data offset.
    pub offset: u64,
}

/// A tensor to be declared: name, extents and type.
pub type NewTensor<'a> = (&'a str, &'a [u64], GgmlType);

impl FileBuilder {
    /// A header with these entries and tensors, padded to where the data begins, and the length of the data section.
    /// The caller appends the data in the order of the tensors, each at the next multiple of [`ALIGNMENT`].
    ///
    /// # Panics
    /// If a row is not a whole number of blocks of its type.
    pub fn header<'a>(
        metadata: impl ExactSizeIterator<Item = (&'a str, &'a Value)>,
        tensors: impl ExactSizeIterator<Item = NewTensor<'a>>,
    ) -> (Self, u64) {
        let mut file = FileBuilder::new(3, tensors.len() as u64, metadata.len() as u64);
        metadata.for_each(|(key, value)| file.value(key, value));
        let mut data_len: u64 = 0;
        for (name, dims, ty) in tensors {
            let offset = data_len.next_multiple_of(ALIGNMENT);
            file.tensor(name, dims, ty, offset);
            let row_bytes = ty.row_bytes(dims[0]).expect("rows are whole blocks");
            data_len = offset + row_bytes * dims[1..].iter().product::<u64>();
        }
        file.pad(ALIGNMENT as usize);
        (file, data_len)
    }

    /// Begins with magic number, version and counts.
    pub fn new(version: u32, n_tensors: u64, n_metadata: u64) -> Self {
        let mut file = FileBuilder::default();
        file.raw(b"GGUF").u32(version).u64(n_tensors).u64(n_metadata);
        file
    }

    /// Where the next byte goes.
    pub fn here(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A little-endian number.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A little-endian number.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A length and that many bytes.
    pub fn text(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let text = text.as_ref();
        self.u64(text.len() as u64).raw(text)
    }

    /// Key and value type of an entry; the value is to follow.
    pub fn key(&mut self, key: impl AsRef<[u8]>, ty: ValueType) -> EntryPlaces {
        let entry = self.here();
        let ty_place = self.text(key).here();
        self.u32(ty as u32);
        EntryPlaces { entry, key: entry + 8, ty: ty_place, value: ty_place + 4 }
    }

    /// A whole entry with a number.
    pub fn number(&mut self, key: &str, value: u32) -> EntryPlaces {
        let places = self.key(key, ValueType::U32);
        self.u32(value);
        places
    }

    /// A whole entry with a text.
    pub fn string(&mut self, key: &str, value: &str) -> EntryPlaces {
        let places = self.key(key, ValueType::String);
        self.text(value);
        places
    }

    /// Key, element type and count of an array; the elements are to follow.
    pub fn array(&mut self, key: &str, ty: ValueType, count: u64) -> EntryPlaces {
        let places = self.key(key, ValueType::Array);
        self.u32(ty as u32).u64(count);
        places
    }

    /// A whole entry with any value.
    pub fn value(&mut self, key: &str, value: &Value) {
        let Some(array) = value.as_array() else {
            self.key(key, value.value_type());
            self.scalar(value);
            return;
        };
        self.array(key, array.element_type(), array.len() as u64);
        if let Array::String(strings) = array {
            strings.iter().for_each(|string| {
                self.text(string);
            });
            return;
        }
        (0..array.len()).filter_map(|index| array.get(index)).for_each(|element| self.scalar(&element));
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::U8(v) => self.raw(&v.to_le_bytes()),
            Value::I8(v) => self.raw(&v.to_le_bytes()),
            Value::U16(v) => self.raw(&v.to_le_bytes()),
            Value::I16(v) => self.raw(&v.to_le_bytes()),
            Value::U32(v) => self.raw(&v.to_le_bytes()),
            Value::I32(v) => self.raw(&v.to_le_bytes()),
            Value::U64(v) => self.raw(&v.to_le_bytes()),
            Value::I64(v) => self.raw(&v.to_le_bytes()),
            Value::F32(v) => self.raw(&v.to_le_bytes()),
            Value::F64(v) => self.raw(&v.to_le_bytes()),
            Value::Bool(v) => self.raw(&[u8::from(*v)]),
            Value::String(v) => self.text(v),
            other => panic!("{} is no value of one element", other.type_name()),
        };
    }

    /// A whole directory entry. `offset` is from the start of the data section.
    pub fn tensor(&mut self, name: impl AsRef<[u8]>, dims: &[u64], ty: GgmlType, offset: u64) -> TensorPlaces {
        let entry = self.here();
        let count = self.text(name).here();
        self.u32(dims.len() as u32);
        for &extent in dims {
            self.u64(extent);
        }
        let ty_place = self.here();
        self.u32(ty.id()).u64(offset);
        TensorPlaces { entry, name: entry + 8, count, dims: count + 4, ty: ty_place, offset: ty_place + 4 }
    }

    /// Zeros up to the next multiple of `alignment`.
    pub fn pad(&mut self, alignment: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        self
    }

    /// `n` zeros.
    pub fn zeros(&mut self, n: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len() + n, 0);
        self
    }
}
