//! Memory and verdicts, from a header's bytes alone.
#![cfg(feature = "gpu")]

mod common;

use chord_engine::{
    Backend, CancelFlag, DeviceFacts, GpuFacts, Inspection, LoadOptions, ReadAt, ReadError, Verdict, inspect,
};
use chord_model::{Quant, Shape};
use chord_testkit::{TinyModel, model_path};
use common::TestFile;
use pollster::block_on;

const GIB: u64 = 1 << 30;

/// A file of which only the header exists.
struct HeaderOnly {
    header: Vec<u8>,
    len: u64,
    end_of_reads: u64,
}

impl HeaderOnly {
    fn new(shape: &str) -> Self {
        let (header, len) = Shape::find(shape).unwrap().gguf_header(Quant::Q4KM);
        HeaderOnly { header, len, end_of_reads: 0 }
    }
}

impl ReadAt for HeaderOnly {
    fn len(&self) -> u64 {
        self.len
    }
    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        self.end_of_reads = self.end_of_reads.max(offset + buf.len() as u64);
        buf.fill(0);
        let rest = self.header.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(())
    }
}

fn gpu(max_buffer_bytes: u64) -> GpuFacts {
    GpuFacts { max_buffer_bytes, max_binding_bytes: max_buffer_bytes / 2, is_software: false }
}

fn look(mut file: impl ReadAt, options: &LoadOptions, device: &DeviceFacts) -> Inspection {
    block_on(inspect(&mut file, options, device, &CancelFlag::new())).unwrap()
}

/// The 8B model on a GPU of which `max` bytes may be used, and a CPU with `cpu` bytes.
fn judge(max: Option<u64>, n_ctx: Option<u32>, backend: Backend, cpu: Option<u64>) -> Inspection {
    let options = LoadOptions { backend, n_ctx, max_gpu_bytes: max, ..LoadOptions::default() };
    let device = DeviceFacts { gpu: Some(gpu(4 * GIB)), cpu_bytes: cpu };
    look(HeaderOnly::new("llama-3.1-8b"), &options, &device)
}

fn total(inspection: &Inspection) -> u64 {
    let memory = inspection.memory.unwrap();
    memory.weights + memory.kv + memory.scratch
}

#[test]
fn nothing_but_the_header_is_read_and_all_facts_are_there() {
    let mut file = HeaderOnly::new("llama-3.1-8b");
    let device = DeviceFacts { gpu: Some(gpu(4 * GIB)), cpu_bytes: None };
    let found = block_on(inspect(&mut file, &LoadOptions::default(), &device, &CancelFlag::new())).unwrap();
    assert!(file.end_of_reads <= 2 * found.header_bytes + (256 << 10), "read up to {}", file.end_of_reads);
    assert_eq!(found.model.architecture, "llama");
    assert_eq!(found.model.file_bytes, file.len);
    assert_eq!(found.n_ctx, Some(4096));
    assert!(!found.has_chat_template);
    let memory = found.memory.unwrap();
    // Tensors, and a table of 64 cosines and 64 sines for each position. 32 layers, 8 heads, 128 columns, f16.
    assert_eq!(memory.weights, found.model.tensor_bytes - 64 * 4 + 4096 * 128 * 4);
    assert_eq!(memory.kv, 4096 * 32 * 8 * 2 * 128 * 2);
    // The GPU's memory is not given: twice its largest buffer, marked as a guess.
    assert_eq!((found.budget_bytes, found.budget_is_guess), (Some(8 * GIB), true));
    assert_eq!((found.backend, found.verdict), (Some(Backend::Gpu), Verdict::Fits));
}

#[test]
fn a_budget_is_used_up_before_the_context_is_cut_and_before_layers_are_paged() {
    let whole = judge(Some(24 * GIB), None, Backend::Auto, None);
    assert_eq!(whole.verdict, Verdict::Fits);
    assert!(!whole.budget_is_guess);
    assert_eq!(judge(Some(total(&whole)), None, Backend::Auto, None).verdict, Verdict::Fits);

    let budget = total(&whole) - whole.memory.unwrap().kv / 2;
    let Verdict::FitsWithContext { n_ctx } = judge(Some(budget), None, Backend::Auto, None).verdict else {
        panic!("half of the KV cache fits")
    };
    // Tables shrink with it, so that a little more than half fits.
    assert!((2048..2304).contains(&n_ctx) && n_ctx % 256 == 0, "{n_ctx}");
    assert_eq!(judge(Some(budget), Some(n_ctx), Backend::Auto, None).verdict, Verdict::Fits);
    assert_ne!(judge(Some(budget), Some(n_ctx + 256), Backend::Auto, None).verdict, Verdict::Fits);

    let Verdict::Pages { resident_layers, paged_layers, bytes_per_token } =
        judge(Some(3 * GIB), None, Backend::Auto, None).verdict
    else {
        panic!("3 GiB hold some layers of 8B")
    };
    assert_eq!(resident_layers + paged_layers, 32);
    assert!(resident_layers > 0 && paged_layers > 8, "{resident_layers} and {paged_layers}");
    let layer = whole.model.tensor_bytes / 40..whole.model.tensor_bytes / 32;
    assert!(layer.contains(&(bytes_per_token / u64::from(paged_layers))), "{bytes_per_token} for {paged_layers}");
}

#[test]
fn the_cpu_may_run_what_the_gpu_cannot() {
    let little = Some(100 << 20);
    let on_cpu = judge(little, None, Backend::Auto, None);
    assert_eq!((on_cpu.backend, on_cpu.verdict), (Some(Backend::Cpu), Verdict::Fits));
    let neither = judge(little, None, Backend::Auto, Some(3 * GIB));
    let Verdict::Unsupported { code, why } = neither.verdict else { panic!("{:?}", neither.verdict) };
    assert_eq!(code, "out-of-memory");
    assert!(why.contains(&(3 * GIB).to_string()), "{why}");
    let asked_for = judge(little, None, Backend::Gpu, None);
    assert!(matches!(asked_for.verdict, Verdict::Unsupported { .. }), "{:?}", asked_for.verdict);
    assert_eq!(judge(little, None, Backend::Cpu, None).backend, Some(Backend::Cpu));

    // A software adapter counts only if it is requested.
    for (backend, expected) in [(Backend::Auto, Backend::Cpu), (Backend::Gpu, Backend::Gpu)] {
        let device = DeviceFacts { gpu: Some(GpuFacts { is_software: true, ..gpu(4 * GIB) }), cpu_bytes: None };
        let options = LoadOptions { backend, ..LoadOptions::default() };
        let found = look(HeaderOnly::new("smollm2-135m"), &options, &device);
        assert_eq!((found.backend, found.verdict), (Some(expected), Verdict::Fits));
    }
    let options = LoadOptions { backend: Backend::Gpu, ..LoadOptions::default() };
    let none = look(HeaderOnly::new("smollm2-135m"), &options, &DeviceFacts::default());
    assert!(
        matches!(none.verdict, Verdict::Unsupported { ref code, .. } if code == "no-backend"),
        "{:?}",
        none.verdict
    );
}

#[test]
fn keys_of_a_layer_must_fit_one_binding() {
    // 8 heads of 128 columns in f16: 2 KiB for each position.
    let small = GpuFacts { max_buffer_bytes: 4 << 20, max_binding_bytes: 4 << 20, is_software: false };
    let options = LoadOptions { max_gpu_bytes: Some(24 * GIB), ..LoadOptions::default() };
    let device = DeviceFacts { gpu: Some(small), cpu_bytes: None };
    let found = look(HeaderOnly::new("llama-3.1-8b"), &options, &device);
    assert_eq!(found.verdict, Verdict::FitsWithContext { n_ctx: 2048 });
}

#[test]
fn experts_run_on_the_cpu_and_a_gpu_that_was_asked_for_says_why_not() {
    let model = common::written("olmoe.gguf", &TinyModel::of("olmoe").file());
    let device = DeviceFacts { gpu: Some(gpu(4 * GIB)), cpu_bytes: None };
    let judge = |backend| {
        let options = LoadOptions { backend, ..LoadOptions::default() };
        look(TestFile::open(&model), &options, &device)
    };
    let found = judge(Backend::Auto);
    assert_eq!((found.backend, found.verdict), (Some(Backend::Cpu), Verdict::Fits));
    let refused = judge(Backend::Gpu);
    assert!(matches!(refused.verdict, Verdict::Unsupported { ref code, .. } if code == "unsupported"));
}

#[test]
fn a_loaded_model_takes_the_memory_that_the_verdict_gave() {
    let path = model_path("llama.Q4_K_M.gguf");
    let options = common::cpu();
    let found = look(TestFile::open(&path), &options, &DeviceFacts::default());
    let loaded = common::load(&path, &options).unwrap().info();
    assert_eq!(found.n_ctx, Some(loaded.n_ctx));
    assert_eq!(found.memory.unwrap().kv, loaded.memory.kv);
    assert_eq!(found.has_chat_template, loaded.has_chat_template);
    assert_eq!(found.model, loaded.model);
}
