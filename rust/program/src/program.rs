//! Buffers, weights, slots and segments of a [`Program`], and the builder that writes one.

use std::ops::Range;

use chord_gguf::GgmlType;

use crate::{Op, OpKind, ProgramError, Table};

/// Index into [`Program::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);
/// Index into [`Program::weights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub u32);
/// Index into [`Program::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);
/// Index into [`Program::slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// Number of rows of a buffer, in terms of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Always this many.
    Fixed(u32),
    /// `T` tokens of the batch, times a factor (the number of experts a token is routed to, or 1).
    Tokens(u32),
    /// `R` output rows of the batch, times a factor.
    Outputs(u32),
}

impl Rows {
    /// One row for each token.
    pub const T: Rows = Rows::Tokens(1);
    /// One row for each output row.
    pub const R: Rows = Rows::Outputs(1);

    /// The number of rows for a batch of `n_tokens` tokens and `n_outputs` output rows.
    pub fn resolve(self, n_tokens: usize, n_outputs: usize) -> usize {
        match self {
            Rows::Fixed(n) => n as usize,
            Rows::Tokens(times) => n_tokens * times as usize,
            Rows::Outputs(times) => n_outputs * times as usize,
        }
    }
}

/// The purpose of a buffer; decides who owns its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferClass {
    /// A batch input: `ids[T]`, `pos[T]`, `seq[T]` or `out_rows[R]` as u32.
    Input,
    /// Written by one op, read by later ones of the same run; executors reuse its memory.
    Transient,
    /// Handed across a segment boundary (the residual stream): lives from segment to segment.
    Carried,
    /// A named output of the program.
    Output,
}

/// A matrix `[rows, cols]` of f32 (u32 for inputs and expert ids), row-major, written by exactly one op.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Unique name; where the reference names the same activation, its name (`attn_norm-0`).
    pub name: String,
    /// Rows, in terms of the batch.
    pub rows: Rows,
    /// Columns.
    pub cols: u32,
    /// The purpose of the buffer.
    pub class: BufferClass,
    /// True for buffers of u32 ids instead of f32.
    pub is_u32: bool,
}

/// A weight tensor that the program needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Name in the GGUF file.
    pub name: String,
    /// Storage type.
    pub ty: GgmlType,
    /// Contiguous dimension (`dims[0]`).
    pub cols: u32,
    /// `dims[1]`, or 1 for a vector.
    pub rows: u32,
    /// `dims[2]`, or 1 where there is no expert axis.
    pub experts: u32,
}

impl Weight {
    /// Bytes of one row.
    pub fn row_bytes(&self) -> u64 {
        self.ty.row_bytes(u64::from(self.cols)).expect("checked when the weight was declared")
    }
    /// Bytes of the whole tensor.
    pub fn n_bytes(&self) -> u64 {
        self.row_bytes() * u64::from(self.rows) * u64::from(self.experts)
    }
}

/// A view of a weight: a range of its rows (of every expert, where there are any).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightRef {
    /// The tensor.
    pub weight: WeightId,
    /// Rows of the view.
    pub rows: Range<u32>,
}

/// Storage type of the KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum KvType {
    /// Exact: what the goldens were made with.
    F32,
    /// Half the memory: the default.
    #[default]
    F16,
}

impl KvType {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            KvType::F32 => 4,
            KvType::F16 => 2,
        }
    }
}

/// Room for the keys and values of a layer, for each sequence. Position `p` is in cell `p % capacity`; how cells are
/// laid out is up to the executor.
#[derive(Clone, Debug, PartialEq)]
pub struct KvSlot {
    /// Unique name (`kv-3`).
    pub name: String,
    /// Heads of keys and values.
    pub n_kv_heads: u32,
    /// Columns of one key head.
    pub k_dim: u32,
    /// Columns of one value head.
    pub v_dim: u32,
    /// Positions held. `n_ctx`, or for a ring at least window + largest batch + look-ahead.
    pub capacity: u32,
    /// Sliding window of the attention that reads the slot, if any.
    pub window: Option<u32>,
}

/// Where in the model a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// Before the first layer: embedding.
    Prologue,
    /// Layer `i`.
    Layer(u32),
    /// After the last layer: final norm and logits.
    Epilogue,
}

/// A run of ops that can be executed on its own ([`Executor::run_segment`](crate::Executor::run_segment)).
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Place in the model.
    pub kind: SegmentKind,
    /// Its ops, as a range of [`Program::ops`].
    pub ops: Range<usize>,
}

/// Named results of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub enum OutputName {
    /// `[R, n_vocab]`, before any sampling.
    Logits,
    /// `[R, n_embd]`, after the final norm.
    Hidden,
    /// One vector per sequence (encoders).
    Pooled,
}

/// A lowered model. Immutable once [`ProgramBuilder::finish`] has checked it.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Vocabulary size: columns of [`OutputName::Logits`].
    pub n_vocab: u32,
    /// Positions a sequence can hold.
    pub n_ctx: u32,
    /// Sequences the KV slots are held for.
    pub n_seq_max: u32,
    /// Largest number of tokens `T` in a batch.
    pub max_batch: u32,
    /// Largest number of output rows `R` in a batch.
    pub max_outputs: u32,
    /// Storage type of every KV slot.
    pub kv_type: KvType,
    /// Tensors needed, in the order of the file's data.
    pub weights: Vec<Weight>,
    /// Host-made tables.
    pub tables: Vec<Table>,
    /// Per-sequence state.
    pub slots: Vec<KvSlot>,
    /// Activations and batch inputs.
    pub buffers: Vec<Buffer>,
    /// The ops, in order.
    pub ops: Vec<Op>,
    /// Prologue, layers, epilogue: consecutive ranges that cover `ops`.
    pub segments: Vec<Segment>,
    /// Named results.
    pub outputs: Vec<(OutputName, BufferId)>,
    /// The batch inputs, in the order `ids, pos, seq, out_rows`.
    pub inputs: [BufferId; 4],
}

impl Program {
    /// The buffer's description.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }
    /// The weight's description.
    pub fn weight(&self, id: WeightId) -> &Weight {
        &self.weights[id.0 as usize]
    }
    /// The slot's description.
    pub fn slot(&self, id: SlotId) -> &KvSlot {
        &self.slots[id.0 as usize]
    }
    /// The table.
    pub fn table(&self, id: TableId) -> &Table {
        &self.tables[id.0 as usize]
    }
    /// The buffer of a named output.
    pub fn output(&self, name: OutputName) -> Option<BufferId> {
        self.outputs.iter().find(|(n, _)| *n == name).map(|(_, b)| *b)
    }
    /// Sum of the weights' bytes as stored.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.iter().map(Weight::n_bytes).sum()
    }
    /// Bytes of the KV cache of all sequences.
    pub fn kv_bytes(&self) -> u64 {
        let per_seq: u64 = self
            .slots
            .iter()
            .map(|s| u64::from(s.capacity) * u64::from(s.n_kv_heads) * u64::from(s.k_dim + s.v_dim))
            .sum();
        per_seq * self.kv_type.bytes() * u64::from(self.n_seq_max)
    }
    /// How far back a sequence of `n_past` positions can be cut without losing keys that a window still needs:
    /// positions `0` (start afresh) and everything from the returned one on are allowed.
    pub fn truncate_floor(&self, n_past: u32) -> u32 {
        self.slots
            .iter()
            .filter(|slot| slot.capacity < self.n_ctx)
            .filter_map(|slot| Some(n_past.saturating_sub(slot.capacity - slot.window?.min(slot.capacity))))
            .max()
            .unwrap_or(0)
    }
}

/// Writes a [`Program`] op by op. Every method that computes returns the buffer it writes.
#[derive(Debug)]
pub struct ProgramBuilder {
    program: Program,
    segment_start: Option<(SegmentKind, usize)>,
}

impl ProgramBuilder {
    /// An empty program with its batch inputs declared.
    pub fn new(n_vocab: u32, n_ctx: u32, n_seq_max: u32, max_batch: u32, max_outputs: u32, kv_type: KvType) -> Self {
        let input =
            |name: &str, rows| Buffer { name: name.to_owned(), rows, cols: 1, class: BufferClass::Input, is_u32: true };
        let buffers =
            vec![input("ids", Rows::T), input("pos", Rows::T), input("seq", Rows::T), input("out_rows", Rows::R)];
        let program = Program {
            n_vocab,
            n_ctx,
            n_seq_max,
            max_batch,
            max_outputs,
            kv_type,
            weights: Vec::new(),
            tables: Vec::new(),
            slots: Vec::new(),
            buffers,
            ops: Vec::new(),
            segments: Vec::new(),
            outputs: Vec::new(),
            inputs: [BufferId(0), BufferId(1), BufferId(2), BufferId(3)],
        };
        ProgramBuilder { program, segment_start: None }
    }

    /// Ends the segment being written, if any, and starts another.
    pub fn segment(&mut self, kind: SegmentKind) {
        self.end_segment();
        self.segment_start = Some((kind, self.program.ops.len()));
    }

    fn end_segment(&mut self) {
        if let Some((kind, start)) = self.segment_start.take() {
            let ops = start..self.program.ops.len();
            self.program.segments.push(Segment { kind, ops });
        }
    }

    /// Declares a weight, once per name, and returns a view of all its rows.
    pub fn weight(&mut self, weight: Weight) -> WeightRef {
        let rows = 0..weight.rows;
        let index = match self.program.weights.iter().position(|w| w.name == weight.name) {
            Some(index) => index,
            None => {
                self.program.weights.push(weight);
                self.program.weights.len() - 1
            }
        };
        WeightRef { weight: WeightId(index as u32), rows }
    }

    /// Adds a host-made table; equal tables are kept once.
    pub fn table(&mut self, table: Table) -> TableId {
        let index = match self.program.tables.iter().position(|t| *t == table) {
            Some(index) => index,
            None => {
                self.program.tables.push(table);
                self.program.tables.len() - 1
            }
        };
        TableId(index as u32)
    }

    /// Adds a KV slot.
    pub fn slot(&mut self, slot: KvSlot) -> SlotId {
        self.program.slots.push(slot);
        SlotId(self.program.slots.len() as u32 - 1)
    }

    /// Adds a buffer of f32.
    pub fn buffer(&mut self, name: impl Into<String>, rows: Rows, cols: u32) -> BufferId {
        self.push_buffer(Buffer { name: name.into(), rows, cols, class: BufferClass::Transient, is_u32: false })
    }

    /// Adds a buffer of u32 ids.
    pub fn buffer_u32(&mut self, name: impl Into<String>, rows: Rows, cols: u32) -> BufferId {
        self.push_buffer(Buffer { name: name.into(), rows, cols, class: BufferClass::Transient, is_u32: true })
    }

    fn push_buffer(&mut self, buffer: Buffer) -> BufferId {
        self.program.buffers.push(buffer);
        BufferId(self.program.buffers.len() as u32 - 1)
    }

    /// Rows and columns of a buffer already written.
    pub fn shape(&self, id: BufferId) -> (Rows, u32) {
        let buffer = self.program.buffer(id);
        (buffer.rows, buffer.cols)
    }

    /// The batch inputs `ids, pos, seq, out_rows`.
    pub fn inputs(&self) -> [BufferId; 4] {
        self.program.inputs
    }

    /// Appends an op that writes the f32 buffer `name` of `[rows, cols]`.
    pub fn op(&mut self, name: impl Into<String>, rows: Rows, cols: u32, kind: OpKind) -> BufferId {
        let out = self.buffer(name, rows, cols);
        self.push(kind, vec![out]);
        out
    }

    /// Appends an op with the given outputs (none for a KV write, two for routing).
    pub fn push(&mut self, kind: OpKind, outputs: Vec<BufferId>) {
        self.program.ops.push(Op { kind, outputs });
    }

    /// Names a buffer as a result of the program.
    pub fn output(&mut self, name: OutputName, buffer: BufferId) {
        self.program.buffers[buffer.0 as usize].class = BufferClass::Output;
        self.program.outputs.push((name, buffer));
    }

    /// Classifies the buffers that cross segments and checks the whole program.
    pub fn finish(mut self) -> Result<Program, ProgramError> {
        self.end_segment();
        crate::verify::classify_carried(&mut self.program);
        crate::verify::verify(&self.program)?;
        Ok(self.program)
    }
}
