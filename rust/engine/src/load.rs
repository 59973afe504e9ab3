//! From a header to a runner: lowering, the fallback order of backends, weights.

use std::future::poll_fn;
use std::sync::Arc;

use chord_cpu::matmul::{Fastest, fastest};
use chord_cpu::pool::{MOST_THREADS, Pool, default_threads};
use chord_cpu::{CpuExecutor, InstructionSet};
use chord_gguf::{Header, dequantize};
use chord_model::BuildOptions;
use chord_program::{Executor, Program};

use crate::clock::Clock;
use crate::discard::DiscardingExecutor;
use crate::fields::invalid;
use crate::paging::Pager;
use crate::runner::Runner;
use crate::weights::{self, Placed, zeroed};
use crate::{Backend, CancelFlag, EngineError, LoadOptions, LoadProgress, LoadStage, LoadTimes, ReadAt};

/// Tokens of a prompt chunk on a GPU: enough rows for tiled kernels, few enough for one submit to stay short.
pub(crate) const GPU_BATCH: u32 = 256;
/// Tokens of a prompt chunk on the CPU: weights are unpacked once for this many tokens, and a cancellation waits for no
/// more than these.
pub(crate) const CPU_BATCH: u32 = 128;

/// Bytes that a model may take of a 32-bit address space: 3.5 of 4 GiB. The rest is for the tokenizer, the window and
/// the stack.
pub const ROOM_OF_32_BITS: u64 = 7 << 29;

/// Loads a model without its text side, and says why it runs on this backend: each fallback with its reason.
/// The header is freed as soon as it has been lowered. The reader is kept where layers are paged and dropped elsewhere.
pub async fn load_runner(
    mut reader: impl ReadAt + 'static,
    header: Header,
    options: &LoadOptions,
    clock: Clock,
    progress: &mut dyn FnMut(LoadProgress),
    cancel: &CancelFlag,
) -> Result<(Runner, Vec<String>), EngineError> {
    if options.window_bytes == 0 {
        return Err(invalid("window_bytes", "window_bytes is 0, expected 1 or more".into()));
    }
    let factors = read_rope_factors(&mut reader, &header).await?;
    let lower = |max_batch: u32| lower(&header, options, max_batch, factors.as_deref());
    let gpu_program =
        if options.backend == Backend::Cpu || options.discard_weights { None } else { Some(lower(GPU_BATCH)?) };
    let cpu_program =
        if options.backend == Backend::Gpu && !options.discard_weights { None } else { Some(lower(CPU_BATCH)?) };
    let placed = match gpu_program.as_ref().or(cpu_program.as_ref()) {
        Some(program) => weights::place(program, &header)?,
        None => Vec::new(),
    };
    drop(header);

    let mut load =
        Load { reader, placed, options, clock, progress, cancel, times: LoadTimes::default(), self_test: None };
    let mut why = Vec::new();
    let mut executor = None;
    if let Some(program) = gpu_program {
        match load.onto_gpu(program, &mut why).await {
            Ok(ready) => executor = Some(ready),
            Err(error) if cpu_program.is_some() && is_reason_to_step_down(&error) => {
                why.push(match error {
                    EngineError::NoBackend { reason, .. } => format!("no GPU: {reason}"),
                    other => format!("not on the GPU: {other}"),
                });
            }
            Err(error) => return Err(error),
        }
    }
    if let (None, Some(program)) = (&executor, cpu_program) {
        executor = Some(match options.discard_weights {
            true => load.onto_nothing(program, &mut why).await?,
            false => load.onto_cpu(program, &mut why).await?,
        });
    }
    let executor = executor.ok_or_else(|| EngineError::Internal("no backend was tried".into()))?;
    (load.progress)(LoadProgress { stage: LoadStage::Ready, loaded: 1, total: 1 });
    let pages = executor.device().pages;
    let Load { reader, placed, options, times, self_test, .. } = load;
    let is_paged = !pages.segments.is_empty();
    let pager = is_paged.then(|| Pager::new(reader, executor.program(), &pages, &placed, options.window_bytes));
    let mut runner = Runner::with_pager(executor, pager, clock);
    (runner.load_times, runner.self_test) = (times, self_test);
    Ok((runner, why))
}

/// Whether the next backend is tried: after an error of a device, but not after one of the file, the source or the
/// caller.
fn is_reason_to_step_down(error: &EngineError) -> bool {
    matches!(error, EngineError::NoBackend { .. } | EngineError::Exec(_))
}

/// Lowers a header without loading anything, with the batch size of the CPU unless the options say otherwise.
pub async fn lower_header(
    reader: &mut impl ReadAt,
    header: &Header,
    options: &LoadOptions,
) -> Result<Arc<Program>, EngineError> {
    let factors = read_rope_factors(reader, header).await?;
    lower(header, options, CPU_BATCH, factors.as_deref())
}

pub(crate) fn lower(
    header: &Header,
    options: &LoadOptions,
    max_batch: u32,
    rope_factors: Option<&[f32]>,
) -> Result<Arc<Program>, EngineError> {
    let build = BuildOptions {
        n_ctx: options.n_ctx,
        kv_type: options.kv.into(),
        n_seq_max: options.n_seq_max,
        max_batch: options.max_batch.unwrap_or(max_batch),
        max_outputs: options.max_outputs,
    };
    Ok(Arc::new(chord_model::lower(header, &build, rope_factors)?))
}

/// The RoPE factors: the values of the one small tensor that lowering needs in some files.
async fn read_rope_factors(reader: &mut impl ReadAt, header: &Header) -> Result<Option<Vec<f32>>, EngineError> {
    /// Far above half of any head's size; limits what a hostile file can make a load read.
    const MOST_FACTORS: u64 = 1 << 16;
    let Some(info) = chord_model::needs(header).first().and_then(|name| header.tensor(name)) else { return Ok(None) };
    if info.n_elements() > MOST_FACTORS {
        return Ok(None);
    }
    let mut bytes = zeroed(info.n_bytes)?;
    reader.read_at(info.offset, &mut bytes).await?;
    let mut values = vec![0.0; usize::try_from(info.n_elements()).unwrap_or_default()];
    // A type that cannot be read leaves the factors out, and lowering refuses the file by the tensor's name.
    Ok(dequantize(info.ty, &bytes, &mut values).ok().map(|()| values))
}

/// Refuses a model that is too large for addresses of `bits` bits, before a byte of its weights is read.
fn check_address_space(needed: u64, bits: u32) -> Result<(), EngineError> {
    match bits <= 32 && needed > ROOM_OF_32_BITS {
        true => Err(EngineError::NeedsMemory64 { needed, limit: ROOM_OF_32_BITS }),
        false => Ok(()),
    }
}

/// What loading onto any backend needs.
struct Load<'a, R> {
    reader: R,
    placed: Vec<Placed>,
    options: &'a LoadOptions,
    clock: Clock,
    progress: &'a mut dyn FnMut(LoadProgress),
    cancel: &'a CancelFlag,
    /// Times of the backend being tried.
    times: LoadTimes,
    /// Name of the self-test that its device has passed.
    self_test: Option<String>,
}

impl<R: ReadAt> Load<'_, R> {
    async fn fill(&mut self, executor: &mut dyn Executor) -> Result<(), EngineError> {
        let window = self.options.window_bytes;
        let (own, pages) = (executor.program().layer_weights(), executor.device().pages);
        let is_paged = |id| pages.segments.iter().any(|segment| own[*segment].contains(&id));
        let held: Vec<Placed> = self.placed.iter().filter(|placed| !is_paged(placed.id)).copied().collect();
        let moved =
            weights::stream(&mut self.reader, &held, window, executor, self.clock, self.progress, self.cancel).await?;
        let began = (self.clock)();
        poll_fn(|cx| executor.poll_written(cx)).await?;
        self.times.read_ms = moved.read_ms;
        self.times.upload_ms = moved.write_ms + (self.clock)() - began;
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), EngineError> {
        (self.progress)(LoadProgress { stage: LoadStage::Prepare, loaded: 0, total: 1 });
        (self.times, self.self_test) = (LoadTimes::default(), None);
        if self.cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }

    async fn onto_cpu(
        &mut self,
        program: Arc<Program>,
        why: &mut Vec<String>,
    ) -> Result<Box<dyn Executor>, EngineError> {
        self.prepare()?;
        check_address_space(chord_model::memory(&program).total(), usize::BITS)?;
        let n_threads = self.options.threads.map_or_else(default_threads, |n| n as usize);
        if !(1..=MOST_THREADS).contains(&n_threads) {
            let message = format!("threads must be a whole number from 1 to {MOST_THREADS}, not {n_threads}");
            return Err(invalid("threads", message));
        }
        let began = (self.clock)();
        let pool = self.options.pool.start(n_threads).await.unwrap_or_else(|reason| {
            why.push(format!("no {n_threads} threads: {reason}"));
            Pool::alone()
        });
        let opened = (self.clock)();
        let (isa, reason) = self.instruction_set()?;
        let chosen = (self.clock)();
        let mut executor = CpuExecutor::with_pool(program, self.options.activations.into(), isa, pool)?;
        self.times.device_ms = opened - began;
        self.times.self_test_ms = chosen - opened;
        self.times.compile_ms = (self.clock)() - chosen;
        self.fill(&mut executor).await?;
        why.push(match self.options.backend {
            Backend::Auto => "the CPU runs everything".into(),
            _ => "the CPU was requested".into(),
        });
        why.extend(reason);
        Ok(Box::new(executor))
    }

    /// The CPU's instruction set, and the reason if there was a choice.
    fn instruction_set(&mut self) -> Result<(InstructionSet, Option<String>), EngineError> {
        if let Some(name) = &self.options.instruction_set {
            let isa = InstructionSet::named(name).ok_or_else(|| {
                let names: Vec<_> = InstructionSet::available().iter().map(|isa| isa.name()).collect();
                invalid("instruction_set", format!("instruction_set must be {} here, not {name}", names.join(" or ")))
            })?;
            return Ok((isa, Some(format!("{isa} was requested"))));
        }
        let rivals = InstructionSet::rivals();
        if let [isa] = rivals[..] {
            return Ok((isa, None));
        }
        let test = |isa: InstructionSet| format!("fastest: {isa}");
        let known = rivals.iter().copied().find(|isa| self.options.passed_tests.contains(&test(*isa)));
        let (isa, reason) = match known {
            Some(isa) => (isa, format!("{isa} was the fastest when it was measured here")),
            None => {
                let Fastest { isa, speeds } = fastest(&rivals, self.clock)?;
                let speeds = speeds
                    .iter()
                    .map(|(isa, [one, many])| format!("{isa} {one:.2} with one token and {many:.2} with several"));
                (isa, format!("{isa} is the fastest here (relative speeds: {})", speeds.collect::<Vec<_>>().join(", ")))
            }
        };
        self.self_test = Some(test(isa));
        Ok((isa, Some(reason)))
    }

    async fn onto_nothing(
        &mut self,
        program: Arc<Program>,
        why: &mut Vec<String>,
    ) -> Result<Box<dyn Executor>, EngineError> {
        self.prepare()?;
        let mut executor = DiscardingExecutor::new(program);
        self.fill(&mut executor).await?;
        why.push("the weights are dropped on request".into());
        Ok(Box::new(executor))
    }

    #[cfg(not(feature = "gpu"))]
    async fn onto_gpu(&mut self, _: Arc<Program>, _: &mut Vec<String>) -> Result<Box<dyn Executor>, EngineError> {
        self.prepare()?;
        Err(EngineError::NoBackend { backend: "gpu", reason: "this build has no GPU support".into() })
    }

    #[cfg(feature = "gpu")]
    async fn onto_gpu(
        &mut self,
        program: Arc<Program>,
        why: &mut Vec<String>,
    ) -> Result<Box<dyn Executor>, EngineError> {
        self.prepare()?;
        let (options, clock) = (self.options, self.clock);
        let no_gpu = |reason: String| EngineError::NoBackend { backend: "gpu", reason };
        let request = chord_gpu::GpuOptions {
            adapter_name: options.adapter.clone(),
            allow_software: options.backend == Backend::Gpu,
            disable_features: options.disable_features.clone(),
            max_binding_bytes: options.max_binding_bytes,
            web_subgroups: options.web_subgroups,
        };
        let began = clock();
        let gpu = chord_gpu::Gpu::request(request).await.map_err(|error| no_gpu(error.to_string()))?;
        let opened = clock();
        let plan =
            chord_gpu::PlanOptions { fusion: options.fusion, max_bytes: options.max_gpu_bytes, ..Default::default() };
        if options.self_test {
            let plan = chord_gpu::PlanOptions { max_bytes: None, ..plan.clone() };
            let name = crate::selftest::name(&gpu, &program, &plan);
            if !options.passed_tests.contains(&name) {
                crate::selftest::compare_with_cpu(&gpu, &program, plan).await.map_err(no_gpu)?;
            }
            self.self_test = Some(name);
        }
        let compared = clock();
        let mut executor = chord_gpu::GpuExecutor::new(&gpu, program, plan).await?;
        self.times.device_ms = opened - began;
        self.times.self_test_ms = compared - opened;
        self.times.compile_ms = clock() - compared;
        self.fill(&mut executor).await?;
        let tested = if options.self_test { " and computes as the CPU does" } else { "" };
        why.push(match options.backend {
            Backend::Gpu => format!("the GPU was requested{tested}"),
            _ => format!("the GPU is real{tested}"),
        });
        let pages = executor.device().pages;
        if !pages.segments.is_empty() {
            let paged = pages.segments.len();
            let max = options.max_gpu_bytes.unwrap_or_default();
            why.push(format!("{paged} layers are paged, because not all of them fit into {max} bytes"));
        }
        Ok(Box::new(executor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_bit_builds_refuse_a_model_beyond_32_bits() {
        let error = check_address_space(ROOM_OF_32_BITS + 1, 32).unwrap_err();
        assert_eq!(error.code(), "needs-memory64");
        assert!(error.to_string().contains("3758096385 bytes") && error.to_string().contains("3758096384"), "{error}");
        assert!(check_address_space(ROOM_OF_32_BITS, 32).is_ok());
        assert!(check_address_space(64 << 30, 64).is_ok());
    }
}
