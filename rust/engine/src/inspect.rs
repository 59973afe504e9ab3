//! The verdict from a file's header alone: facts, memory, and whether this device can run the model.

use chord_gguf::Header;
use chord_program::{PagePlan, Program, SegmentKind};
use serde::{Deserialize, Serialize};

use crate::load::{CPU_BATCH, GPU_BATCH, lower};
use crate::text::{self, TextSide};
use crate::{Backend, CancelFlag, EngineError, LoadOptions, MemoryInfo, ModelInfo, ReadAt, read_header};

/// Contexts are offered in multiples of this, and none shorter.
const CONTEXT_STEP: u32 = 256;

/// What a device reports about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(default, deny_unknown_fields)]
pub struct DeviceFacts {
    /// Its GPU, if it has one.
    pub gpu: Option<GpuFacts>,
    /// Most bytes that a model may take on the CPU; no limit if absent.
    pub cpu_bytes: Option<u64>,
}

/// Limits of a GPU, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct GpuFacts {
    /// Largest buffer.
    pub max_buffer_bytes: u64,
    /// Largest range of a buffer that a kernel can see.
    pub max_binding_bytes: u64,
    /// True for a software GPU, which computes on the CPU.
    pub is_software: bool,
}

impl GpuFacts {
    /// An estimate of a GPU's memory if none is given, because WebGPU does not report it. A GPU with room for one
    /// buffer of the largest size usually has room for a second; how much of it other programs use is unknown.
    pub fn likely_bytes(&self) -> u64 {
        self.max_buffer_bytes.saturating_mul(2)
    }
}

/// Whether a device can run a model with the given options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verdict {
    /// As asked.
    Fits,
    /// With a shorter context.
    FitsWithContext {
        /// The longest that fits, in steps of 256.
        n_ctx: u32,
    },
    /// With layers read from the file again for every token ([`LoadOptions::max_gpu_bytes`] must be given).
    Pages {
        /// Layers held.
        resident_layers: u32,
        /// Layers read again and again.
        paged_layers: u32,
        /// Bytes read for every token.
        bytes_per_token: u64,
    },
    /// Not at all.
    Unsupported {
        /// The error's code.
        code: String,
        /// What is missing.
        why: String,
    },
}

/// The facts of a file's header.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Inspection {
    /// What the file says about itself.
    pub model: ModelInfo,
    /// Bytes before the first tensor.
    pub header_bytes: u64,
    /// True if messages can be given.
    pub has_chat_template: bool,
    /// Context that the figures are for; absent for a model that cannot be lowered.
    pub n_ctx: Option<u32>,
    /// Bytes needed for that context with all layers held; absent likewise.
    pub memory: Option<MemoryInfo>,
    /// The backend that would run it.
    #[cfg_attr(feature = "typescript", ts(type = "\"gpu\" | \"cpu\" | null"))]
    pub backend: Option<Backend>,
    /// Bytes it may take there, if there is a limit.
    pub budget_bytes: Option<u64>,
    /// True if the limit is an estimate: see [`GpuFacts::likely_bytes`].
    pub budget_is_guess: bool,
    /// Whether the device can run it.
    pub verdict: Verdict,
    /// What makes answers worse than the model could give them, in sentences to show.
    pub warnings: Vec<String>,
    /// Oddities of the file that change no answer.
    pub notes: Vec<String>,
    /// Names of the tensors that no answer to a text needs, in the order of the file.
    pub ignored_tensors: Vec<String>,
}

/// Reads only a file's header and judges the model by it.
///
/// # Errors
/// Errors of a file that is not GGUF, and of the source. A model that cannot run is not an error but a [`Verdict`].
pub async fn inspect(
    reader: &mut impl ReadAt,
    options: &LoadOptions,
    device: &DeviceFacts,
    cancel: &CancelFlag,
) -> Result<Inspection, EngineError> {
    let header = read_header(reader, &mut |_| (), cancel).await?;
    Ok(inspect_header(&header, options, device))
}

/// [`inspect`] for a header that has been read. A file that a load refuses without having read its weights is
/// [`Verdict::Unsupported`], with the code that the load gives.
pub fn inspect_header(header: &Header, options: &LoadOptions, device: &DeviceFacts) -> Inspection {
    let mut judged = judge(header, options, device);
    let (tokenizer, template) = match TextSide::read(header) {
        Ok(text) => (Some(text.tokenizer), text.template),
        Err(error) => {
            judged.verdict = unsupported(error.code(), error.to_string());
            (None, None)
        }
    };
    let model = ModelInfo::from_header(header);
    let n_ctx = judged.program.as_ref().map(|p| p.n_ctx);
    Inspection {
        warnings: text::warnings(tokenizer.as_ref(), n_ctx, model.n_ctx_train),
        notes: text::notes(header, tokenizer.as_ref()),
        ignored_tensors: chord_model::ignored_tensors(header).into_iter().map(str::to_owned).collect(),
        model,
        header_bytes: header.data_offset,
        has_chat_template: template.is_some(),
        n_ctx,
        memory: judged.program.as_ref().map(|p| chord_model::memory(p).into()),
        backend: judged.backend,
        budget_bytes: judged.budget_bytes,
        budget_is_guess: judged.budget_is_guess,
        verdict: judged.verdict,
    }
}

fn unsupported(code: &str, why: String) -> Verdict {
    Verdict::Unsupported { code: code.to_owned(), why }
}

struct Judged {
    program: Option<Program>,
    backend: Option<Backend>,
    budget_bytes: Option<u64>,
    budget_is_guess: bool,
    verdict: Verdict,
}

/// The fallback order of a load: the GPU if it can hold or page the model, else the CPU.
fn judge(header: &Header, options: &LoadOptions, device: &DeviceFacts) -> Judged {
    let gpu = device.gpu.filter(|gpu| match options.backend {
        Backend::Auto => !gpu.is_software,
        Backend::Gpu => true,
        Backend::Cpu => false,
    });
    let on_gpu = gpu.map(|gpu| {
        let budget = options.max_gpu_bytes.unwrap_or_else(|| gpu.likely_bytes());
        let judged = Candidate { header, options, gpu: Some(gpu), budget: Some(budget) }.judge();
        Judged { budget_is_guess: options.max_gpu_bytes.is_none(), ..judged }
    });
    let can_run = |judged: &Judged| !matches!(judged.verdict, Verdict::Unsupported { .. });
    match on_gpu {
        Some(judged) if options.backend == Backend::Gpu || can_run(&judged) => judged,
        None if options.backend == Backend::Gpu => {
            let why = "no GPU backend: the device offers no adapter".to_owned();
            Judged { backend: None, verdict: unsupported("no-backend", why), ..EMPTY }
        }
        _ => Candidate { header, options, gpu: None, budget: device.cpu_bytes }.judge(),
    }
}

const EMPTY: Judged =
    Judged { program: None, backend: None, budget_bytes: None, budget_is_guess: false, verdict: Verdict::Fits };

/// One backend to judge: a GPU with its limits, or the CPU.
struct Candidate<'a> {
    header: &'a Header,
    options: &'a LoadOptions,
    gpu: Option<GpuFacts>,
    budget: Option<u64>,
}

impl Candidate<'_> {
    fn judge(&self) -> Judged {
        let backend = Some(if self.gpu.is_some() { Backend::Gpu } else { Backend::Cpu });
        let judged = Judged { backend, budget_bytes: self.budget, ..EMPTY };
        let program = match self.lower(self.options.n_ctx) {
            Ok(program) => program,
            Err(error) => return Judged { verdict: unsupported(error.code(), error.to_string()), ..judged },
        };
        #[cfg(feature = "gpu")]
        if let Some(why) = self.gpu.and_then(|_| chord_gpu::missing_kernel(&program)) {
            return Judged { program: Some(program), verdict: unsupported("unsupported", why), ..judged };
        }
        let verdict = if self.fits(&program) {
            Verdict::Fits
        } else if let Some(n_ctx) = self.longest_context(program.n_ctx) {
            Verdict::FitsWithContext { n_ctx }
        } else if let Some(pages) = self.pages(&program) {
            pages
        } else {
            let budget = self.budget.unwrap_or_default();
            let needed = self.least(&program);
            unsupported("out-of-memory", format!("at least {needed} bytes are needed, {budget} are available"))
        };
        Judged { program: Some(program), verdict, ..judged }
    }

    /// Lowers with RoPE factors of 1, because their values change no size. Factors that a load could not dequantize are
    /// left out, as there.
    fn lower(&self, n_ctx: Option<u32>) -> Result<Program, EngineError> {
        let factors = chord_model::needs(self.header).first().and_then(|name| self.header.tensor(name));
        let factors = factors.filter(|info| info.ty.can_dequantize());
        let factors = factors.map(|info| vec![1.0; info.n_elements().min(1 << 16) as usize]);
        let options = LoadOptions { n_ctx, ..self.options.clone() };
        let max_batch = if self.gpu.is_some() { GPU_BATCH } else { CPU_BATCH };
        lower(self.header, &options, max_batch, factors.as_deref()).map(|program| (*program).clone())
    }

    fn fits(&self, program: &Program) -> bool {
        self.budget.is_none_or(|budget| chord_model::memory(program).total() <= budget) && self.is_bindable(program)
    }

    /// A layer's keys, its values and each table must fit one binding. Weights are split.
    fn is_bindable(&self, program: &Program) -> bool {
        let Some(gpu) = self.gpu else { return true };
        let most = gpu.max_binding_bytes.min(gpu.max_buffer_bytes);
        let positions = |capacity: u32| u64::from(capacity) * u64::from(program.n_seq_max);
        let caches = program.slots.iter().map(|slot| {
            let dim = u64::from(slot.k_dim.max(slot.v_dim));
            positions(slot.capacity) * u64::from(slot.n_kv_heads) * dim * program.kv_type.bytes()
        });
        let tables = program.tables.iter().map(|table| 4 * u64::from(table.cols()) * u64::from(program.n_ctx));
        caches.chain(tables).all(|bytes| bytes <= most)
    }

    /// The longest context below `n_ctx` with which everything is held.
    fn longest_context(&self, n_ctx: u32) -> Option<u32> {
        let fits = |steps: u32| self.lower(Some(steps * CONTEXT_STEP)).is_ok_and(|program| self.fits(&program));
        let (mut good, mut bad) = (0, n_ctx.div_ceil(CONTEXT_STEP));
        while bad - good > 1 {
            let middle = (good + bad) / 2;
            if fits(middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        (good > 0).then_some(good * CONTEXT_STEP)
    }

    fn pages(&self, program: &Program) -> Option<Verdict> {
        self.gpu?;
        if !self.is_bindable(program) {
            return None;
        }
        let (resident, layer) = (chord_model::memory(program).total(), layer_bytes(program));
        let plan = PagePlan::choose(program, self.budget?, resident, |s| layer[s], |s| largest(&layer, s))?;
        let n_layers = program.segments.iter().filter(|s| matches!(s.kind, SegmentKind::Layer(_))).count();
        let n_paged = plan.segments.len();
        Some(Verdict::Pages {
            resident_layers: (n_layers - n_paged) as u32,
            paged_layers: n_paged as u32,
            bytes_per_token: plan.bytes_per_pass,
        })
    }

    /// The fewest bytes with which this backend can run `program`.
    fn least(&self, program: &Program) -> u64 {
        let (resident, layer) = (chord_model::memory(program).total(), layer_bytes(program));
        match self.gpu {
            Some(_) => PagePlan::least(program, resident, |s| layer[s], |s| largest(&layer, s)),
            None => resident,
        }
    }
}

/// Bytes of each segment's own weights, as the file stores them.
fn layer_bytes(program: &Program) -> Vec<u64> {
    let own = program.layer_weights();
    own.iter().map(|own| own.iter().map(|id| program.weight(*id).n_bytes()).sum()).collect()
}

fn largest(layer: &[u64], segments: &[usize]) -> u64 {
    segments.iter().map(|segment| layer[*segment]).max().unwrap_or(0)
}
