//! `chord inspect`

use std::path::PathBuf;

use chord_engine::{
    Backend, DeviceFacts, GpuFacts, LoadOptions, MemoryInfo, ModelInfo, ReadAt, Verdict, inspect_header, lower_header,
};
use chord_gguf::{Array, Header, TensorInfo, Value, dequantize};
use serde::Serialize;
use serde_json::json;

use crate::args::{KvName, parse_bytes};
use crate::error::CliError;
use crate::file::ModelFile;
use crate::output;

/// Elements of an array that are shown.
const SHOWN_ELEMENTS: usize = 4;
/// Characters of a string that are shown.
const SHOWN_CHARS: usize = 72;

/// Show what a GGUF file contains: metadata, tensors, memory needed. Works for every architecture.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A GGUF file, or one part of a split model in the same folder as the others.
    model: PathBuf,
    /// List the tensors.
    #[arg(long)]
    tensors: bool,
    /// Print the program that the model is lowered to.
    #[arg(long)]
    program: bool,
    /// Decode a block of this tensor.
    #[arg(long, value_name = "NAME", requires = "block")]
    tensor: Option<String>,
    /// Index of the block, from 0.
    #[arg(long, value_name = "N", requires = "tensor")]
    block: Option<u64>,
    /// Context length for which memory is computed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ctx: Option<u32>,
    /// Storage type of the KV cache for which memory is computed.
    #[arg(long, value_enum, default_value = "f16")]
    kv: KvName,
    /// Say whether a GPU with this many bytes can run the model, and how; K, M and G are powers of 1024.
    #[arg(long, alias = "max-gpu-bytes", value_name = "BYTES", value_parser = parse_bytes)]
    gpu_mem: Option<u64>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Limits of ordinary desktop GPUs, for a verdict about one that is not here.
const DESKTOP_GPU: GpuFacts = GpuFacts { max_buffer_bytes: 4 << 30, max_binding_bytes: 2 << 30, is_software: false };

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let (mut file, header) = ModelFile::open_with_header(&args.model).await?;
    if let (Some(name), Some(index)) = (&args.tensor, args.block) {
        let block = Block::read(&mut file, &header, name, index).await?;
        return if args.json { output::json(&block) } else { block.print() };
    }
    let kv = match args.kv {
        KvName::F32 => chord_engine::KvCache::F32,
        KvName::F16 => chord_engine::KvCache::F16,
    };
    let options = LoadOptions { n_ctx: args.ctx, kv, ..LoadOptions::default() };
    if args.program {
        let text = lower_header(&mut file, &header, &options).await?.to_string();
        return if args.json { output::json(&json!({ "program": text })) } else { output::piece(&text) };
    }
    // Without a GPU to judge for, the figures are those of a CPU with unlimited memory.
    let backend = if args.gpu_mem.is_some() { Backend::Gpu } else { Backend::Cpu };
    let options = LoadOptions { backend, max_gpu_bytes: args.gpu_mem, ..options };
    let device = DeviceFacts { gpu: Some(DESKTOP_GPU), cpu_bytes: None };
    let inspection = inspect_header(&header, &options, &device);
    let cannot_run = match &inspection.verdict {
        Verdict::Unsupported { code, why } => Some(format!("[{code}] {why}")),
        _ => None,
    };
    let report = Report {
        version: header.version,
        alignment: header.alignment,
        data_offset: header.data_offset,
        model: inspection.model,
        memory: inspection.memory,
        n_ctx: inspection.n_ctx,
        has_chat_template: inspection.has_chat_template,
        verdict: args.gpu_mem.map(|_| inspection.verdict),
        cannot_run,
        warnings: inspection.warnings,
        notes: inspection.notes,
        ignored_tensors: inspection.ignored_tensors,
        metadata: header.metadata.iter().map(|(key, value)| (key.to_owned(), to_json(value))).collect(),
        tensors: if args.tensors { header.tensors.iter().map(Tensor::from).collect() } else { Vec::new() },
    };
    if args.json { output::json(&report) } else { report.print(&header) }
}

#[derive(Serialize)]
struct Report {
    version: u32,
    alignment: u64,
    data_offset: u64,
    model: ModelInfo,
    /// For one sequence of `n_ctx` positions; absent where the model cannot run.
    memory: Option<MemoryInfo>,
    n_ctx: Option<u32>,
    has_chat_template: bool,
    cannot_run: Option<String>,
    /// What makes answers worse than the model could give them.
    warnings: Vec<String>,
    /// Oddities of the file that change no answer.
    notes: Vec<String>,
    /// Tensors that no answer to a text needs.
    ignored_tensors: Vec<String>,
    /// For the GPU that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    metadata: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<Tensor>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    #[serde(rename = "type")]
    ty: &'static str,
    dims: Vec<u64>,
    offset: u64,
    n_bytes: u64,
}

impl From<&TensorInfo> for Tensor {
    fn from(info: &TensorInfo) -> Self {
        let TensorInfo { name, dims, ty, offset, n_bytes } = info;
        Tensor { name: name.clone(), ty: ty.name(), dims: dims.clone(), offset: *offset, n_bytes: *n_bytes }
    }
}

impl Report {
    fn print(&self, header: &Header) -> Result<(), CliError> {
        let model = &self.model;
        output::line(format_args!(
            "GGUF v{}, {}, {} tensors, {} parameters, {}",
            self.version,
            if model.architecture.is_empty() { "no architecture" } else { &model.architecture },
            header.tensors.len(),
            model.n_params,
            output::bytes(model.file_bytes),
        ))?;
        for (name, bytes) in &model.types {
            let count = header.tensors.iter().filter(|t| t.ty.name() == name).count();
            output::line(format_args!("  {name:<8} {count:>5} tensors {:>12}", output::bytes(*bytes)))?;
        }
        if let Some(memory) = &self.memory {
            output::line(format_args!(
                "memory for {} positions: weights {}, KV cache {}, scratch {}",
                self.n_ctx.unwrap_or_default(),
                output::bytes(memory.weights),
                output::bytes(memory.kv),
                output::bytes(memory.scratch),
            ))?;
        }
        let verdict = match (&self.cannot_run, &self.verdict) {
            (Some(reason), _) => Some(format!("cannot be run: {reason}")),
            (_, Some(Verdict::Fits)) => Some("fits".to_owned()),
            (_, Some(Verdict::FitsWithContext { n_ctx })) => Some(format!("fits with context {n_ctx}")),
            (_, Some(Verdict::Pages { resident_layers, paged_layers, bytes_per_token })) => Some(format!(
                "pages: {paged_layers} of {} layers, {} for each token",
                resident_layers + paged_layers,
                output::bytes(*bytes_per_token)
            )),
            _ => None,
        };
        if let Some(verdict) = verdict {
            output::line(verdict)?;
        }
        for warning in &self.warnings {
            output::line(format_args!("warning: {warning}"))?;
        }
        for note in &self.notes {
            output::line(format_args!("note: {note}"))?;
        }
        if !self.ignored_tensors.is_empty() {
            output::line("ignored tensors:")?;
        }
        for name in &self.ignored_tensors {
            output::line(format_args!("  {name}"))?;
        }
        output::line("metadata:")?;
        for (key, value) in header.metadata.iter() {
            output::line(format_args!("  {key} = {}", shorten(value)))?;
        }
        if !self.tensors.is_empty() {
            output::line("tensors:")?;
        }
        for tensor in &self.tensors {
            let Tensor { name, ty, dims, offset, n_bytes } = tensor;
            output::line(format_args!("  {name} {ty} {dims:?} {n_bytes} bytes at {offset}"))?;
        }
        Ok(())
    }
}

/// One block of a tensor, decoded.
#[derive(Serialize)]
struct Block {
    tensor: String,
    #[serde(rename = "type")]
    ty: &'static str,
    block: u64,
    offset: u64,
    bytes: Vec<u8>,
    values: Vec<f32>,
}

impl Block {
    async fn read(file: &mut ModelFile, header: &Header, name: &str, block: u64) -> Result<Self, CliError> {
        let info = header.tensor(name).ok_or_else(|| CliError::Input(format!("no tensor {name:?} in the file")))?;
        let block_bytes = info.ty.block_bytes();
        let n_blocks = info.n_bytes / block_bytes;
        if block >= n_blocks {
            return Err(CliError::Input(format!("block {block} of tensor {name:?}, which has {n_blocks}")));
        }
        let offset = info.offset + block * block_bytes;
        let mut bytes = vec![0; block_bytes as usize];
        file.read_at(offset, &mut bytes).await?;
        let mut values = vec![0.0; info.ty.block_elems() as usize];
        dequantize(info.ty, &bytes, &mut values)
            .map_err(|error| CliError::Input(format!("tensor {name:?}, block {block}: {error}")))?;
        Ok(Block { tensor: name.to_owned(), ty: info.ty.name(), block, offset, bytes, values })
    }

    fn print(&self) -> Result<(), CliError> {
        let Block { tensor, ty, block, offset, bytes, values } = self;
        output::line(format_args!("{tensor} {ty} block {block}: {} bytes at {offset}", bytes.len()))?;
        for (row, line) in bytes.chunks(16).enumerate() {
            let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
            output::line(format_args!("  {:04x}  {}", row * 16, hex.join(" ")))?;
        }
        output::line(format_args!("{} values:", values.len()))?;
        for line in values.chunks(8) {
            let numbers: Vec<String> = line.iter().map(|v| format!("{v:>13.6e}")).collect();
            output::line(format_args!("  {}", numbers.join(" ")))?;
        }
        Ok(())
    }
}

fn elements(array: &Array, most: usize) -> impl Iterator<Item = Value> + '_ {
    (0..array.len().min(most)).filter_map(|index| array.get(index))
}

fn to_json(value: &Value) -> serde_json::Value {
    if let Some(text) = value.as_str() {
        return json!(text);
    }
    if let Some(array) = value.as_array() {
        return elements(array, usize::MAX).map(|v| to_json(&v)).collect();
    }
    if let Some(flag) = value.as_bool() {
        return json!(flag);
    }
    match (value.as_u64(), value.as_i64(), value.as_f64()) {
        (Some(n), _, _) => json!(n),
        (_, Some(n), _) => json!(n),
        // JSON has no NaN and no infinities.
        (_, _, Some(n)) if n.is_finite() => json!(n),
        (_, _, Some(n)) => json!(n.to_string()),
        _ => serde_json::Value::Null,
    }
}

/// A value in one line.
fn shorten(value: &Value) -> String {
    if let Some(array) = value.as_array() {
        let shown: Vec<String> = elements(array, SHOWN_ELEMENTS).map(|v| shorten(&v)).collect();
        let rest = if array.len() > SHOWN_ELEMENTS { ", …" } else { "" };
        return format!("[{}{rest}] ({})", shown.join(", "), array.len());
    }
    if let Some(text) = value.as_str() {
        let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        return format!("{shown:?}");
    }
    to_json(value).to_string()
}
