//! A GPU is compared with the CPU on a tiny program before it is trusted: some pairs of browser and driver compute
//! wrong numbers without saying so.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use chord_cpu::{CpuExecutor, CpuOptions};
use chord_gguf::{GgmlType, quantize};
use chord_program::{
    Activation, Batch, ExecError, Executor, KvSlot, Mask, OpKind, OutputName, Program, ProgramBuilder, ProgramError,
    RopePairing, RopeTable, Rows, SegmentKind, Table, Want, Weight, WeightId, WeightRef,
};

use crate::rng::uniform;

/// Largest NMSE of the logits: as much as a whole model is allowed with half-precision keys and values.
const NMSE_LIMIT: f64 = 1e-5;
/// Below this difference of the two best logits the choice is not compared.
const MARGIN: f32 = 0.02;
const PROMPT: [u32; 9] = [1, 99, 300, 7, 511, 42, 42, 256, 13];
const STEPS: u32 = 4;

const N_VOCAB: u32 = 512;
const N_EMBD: u32 = 256;
const N_FF: u32 = 512;
const N_LAYERS: u32 = 2;
/// The most query heads for each key head, and the most columns of all query heads, that the test has.
const MAX_GROUP: u32 = 4;
const MAX_Q_COLS: u32 = 1024;

/// Everything that a test depends on: on one device and with one build, tests of the same name are the same test.
pub(crate) fn name(gpu: &chord_gpu::Gpu, program: &Program, plan: &chord_gpu::PlanOptions) -> String {
    let (like, kv, lanes) = (Likeness::of(program), program.kv_type, gpu.lanes_are_a_loop);
    let (fusion, features, binding) = (plan.fusion, gpu.features, gpu.max_binding_bytes());
    format!("{like:?}, kv {kv:?}, fusion {fusion}, {features:?}, binding {binding}, lanes in a loop {lanes}")
}

/// Runs two random layers, of the block types that `program` uses, on the GPU and on the CPU, and says what differs.
pub(crate) async fn compare_with_cpu(
    gpu: &chord_gpu::Gpu,
    program: &Program,
    plan: chord_gpu::PlanOptions,
) -> Result<(), String> {
    let failed = |what: &str, error: ExecError| format!("self-test: {what}: {error}");
    let tiny = tiny_program(program).map_err(|error| format!("self-test: {error}"))?;
    let tiny = Arc::new(tiny);
    let mut making = pin!(chord_gpu::GpuExecutor::new(gpu, tiny.clone(), plan));
    // The first poll starts the compilation, which goes on while the CPU computes the expected answers.
    let made = poll_fn(|cx| Poll::Ready(making.as_mut().poll(cx))).await;
    yield_once().await;
    let mut cpu = CpuExecutor::new(tiny.clone(), CpuOptions::exact()).map_err(|e| failed("CPU", e))?;
    fill(&mut cpu).map_err(|e| failed("CPU", e))?;
    let expected = answers(&mut cpu).await.map_err(|e| failed("CPU", e))?;
    let made = match made {
        Poll::Ready(made) => made,
        Poll::Pending => making.await,
    };
    let mut device = made.map_err(|e| failed("GPU", e))?;
    fill(&mut device).map_err(|e| failed("GPU", e))?;
    let found = answers(&mut device).await.map_err(|e| failed("GPU", e))?;
    expected.compare(&found)
}

/// Lets a browser's other tasks run: commands are sent to the device only then.
async fn yield_once() {
    let mut is_first = true;
    poll_fn(|cx| {
        if !std::mem::take(&mut is_first) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What an executor computes.
struct Answers {
    /// Of every position of the prompt.
    logits: Vec<f32>,
    /// Greedy continuation.
    ids: Vec<u32>,
    /// Logits of each step of the continuation.
    step_logits: Vec<Vec<f32>>,
}

impl Answers {
    fn compare(&self, found: &Answers) -> Result<(), String> {
        let error = nmse(&self.logits, &found.logits);
        if error.is_nan() || error > NMSE_LIMIT {
            return Err(format!(
                "self-test: its logits differ from the CPU's by NMSE {error:.1e}, at most {NMSE_LIMIT:.0e}"
            ));
        }
        for (step, (&expected, logits)) in self.ids.iter().zip(&self.step_logits).enumerate() {
            if margin(logits) < MARGIN {
                break;
            }
            match found.ids.get(step) {
                Some(&id) if id == expected => {}
                other => return Err(format!("self-test: step {step} chose {other:?}, the CPU {expected}")),
            }
        }
        Ok(())
    }
}

fn nmse(expected: &[f32], found: &[f32]) -> f64 {
    let pairs = || expected.iter().zip(found).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>() / pairs().map(|(a, _)| a * a).sum::<f64>()
}

fn margin(logits: &[f32]) -> f32 {
    let mut sorted = logits.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted[0] - sorted[1]
}

async fn answers(executor: &mut dyn Executor) -> Result<Answers, ExecError> {
    let n = PROMPT.len() as u32;
    let pos: Vec<u32> = (0..n).collect();
    let seq = vec![0; PROMPT.len()];
    let all = Batch { ids: &PROMPT, pos: &pos, seq: &seq, out_rows: &pos };
    let mut logits = Vec::new();
    executor.enqueue_prefill(&all, Want::Logits)?;
    poll_fn(|cx| executor.poll_logits(cx, &mut logits)).await?;

    executor.truncate(0, 0)?;
    let last = [n - 1];
    executor.enqueue_prefill(&Batch { out_rows: &last, ..all }, Want::Ids)?;
    executor.enqueue_decode(0, STEPS - 1)?;
    let mut ids = Vec::new();
    while ids.len() < STEPS as usize {
        let before = ids.len();
        poll_fn(|cx| executor.poll_ids(cx, &mut ids)).await?;
        if ids.len() == before {
            return Err(ExecError::Device(format!("{before} ids of {STEPS} arrived")));
        }
    }

    executor.truncate(0, n)?;
    let mut step_logits = vec![logits[logits.len() - N_VOCAB as usize..].to_vec()];
    for (step, &id) in ids.iter().enumerate().take(STEPS as usize - 1) {
        let step_batch = Batch { ids: &[id], pos: &[n + step as u32], seq: &[0], out_rows: &[0] };
        let mut row = Vec::new();
        executor.enqueue_prefill(&step_batch, Want::Logits)?;
        poll_fn(|cx| executor.poll_logits(cx, &mut row)).await?;
        step_logits.push(row);
    }
    Ok(Answers { logits, ids, step_logits })
}

/// Random weights of unit gain, the same on every device.
fn fill(executor: &mut dyn Executor) -> Result<(), ExecError> {
    for (index, weight) in executor.program().weights.clone().iter().enumerate() {
        let n = weight.cols * weight.rows;
        let scale = if weight.rows == 1 { 1.0 } else { (3.0 / f64::from(weight.cols)).sqrt() };
        let center = if weight.rows == 1 { 1.0 } else { 0.0 };
        let value = |i: u32| (center + scale * (2.0 * uniform(index as u64, i) - 1.0) * (1.0 - center / 2.0)) as f32;
        let values: Vec<f32> = (0..n).map(value).collect();
        let bytes = quantize(weight.ty, &values)
            .ok_or_else(|| ExecError::Unsupported { backend: "cpu", what: format!("quantizing to {}", weight.ty) })?;
        executor.write(WeightId(index as u32), 0, &bytes)?;
    }
    executor.finish()
}

/// The block types of the program's matrices to which random weights can be quantized.
fn matrix_types(program: &Program) -> Vec<GgmlType> {
    let mut types = Vec::new();
    for weight in program.weights.iter().filter(|w| w.rows > 1) {
        if !types.contains(&weight.ty) && quantize(weight.ty, &[0.0; 256]).is_some() {
            types.push(weight.ty);
        }
    }
    if types.is_empty() {
        types.push(GgmlType::F32);
    }
    types
}

/// The properties of a program that its small likeness shares, so that it mostly uses the same kernels.
#[derive(Debug)]
struct Likeness {
    /// Block types of all matrices, and of the embedding, of the first layer and of the output, as far as weights can
    /// be quantized to them.
    types: Vec<GgmlType>,
    embedding: Option<GgmlType>,
    layer: Vec<GgmlType>,
    output: Option<GgmlType>,
    head_dim: u32,
    n_heads: u32,
    n_kv_heads: u32,
    pairing: RopePairing,
    act: Activation,
    /// Some layers attend to a window only.
    has_window: bool,
}

impl Likeness {
    fn of(program: &Program) -> Self {
        let types = matrix_types(program);
        let known = |weight: &WeightRef| Some(program.weight(weight.weight).ty).filter(|ty| types.contains(ty));
        let is_layer = |index: usize, wanted: u32| {
            program.segments.iter().any(|s| s.kind == SegmentKind::Layer(wanted) && s.ops.contains(&index))
        };
        let mut like = Likeness {
            embedding: None,
            layer: Vec::new(),
            output: None,
            head_dim: 64,
            n_heads: 4,
            n_kv_heads: 2,
            pairing: RopePairing::Interleaved,
            act: Activation::Silu,
            has_window: false,
            types: types.clone(),
        };
        for (index, op) in program.ops.iter().enumerate() {
            match &op.kind {
                OpKind::Embed { weight, .. } => like.embedding = known(weight),
                OpKind::MatMul { weight, .. } if is_layer(index, 0) => like.layer.extend(known(weight)),
                OpKind::MatMul { weight, .. } => like.output = known(weight).or(like.output),
                OpKind::Rope { pairing, .. } => like.pairing = *pairing,
                OpKind::Glu { act, .. } => like.act = *act,
                OpKind::Attention { slot, n_heads, mask, .. } => {
                    let slot = program.slot(*slot);
                    like.has_window |= matches!(mask, Mask::Causal { window: Some(_) });
                    if slot.k_dim == slot.v_dim && slot.k_dim <= 256 {
                        like.head_dim = slot.k_dim;
                    }
                    let group = (n_heads / slot.n_kv_heads).clamp(1, MAX_GROUP);
                    let room = (MAX_Q_COLS / (group * like.head_dim)).max(1);
                    like.n_kv_heads = slot.n_kv_heads.min(room);
                    like.n_heads = like.n_kv_heads * group;
                }
                // The tiny program takes nothing from these.
                OpKind::RmsNorm { .. }
                | OpKind::LayerNorm { .. }
                | OpKind::MatMulId { .. }
                | OpKind::Add { .. }
                | OpKind::KvWrite { .. }
                | OpKind::Act { .. }
                | OpKind::Route { .. }
                | OpKind::CombineExperts { .. }
                | OpKind::GatherRows { .. }
                | OpKind::SoftCap { .. }
                | OpKind::Scale { .. } => {}
            }
        }
        like
    }

    /// The type of the matrix number `place` of a layer. The first layer has the model's types; the following layers
    /// cycle through all types, unless the first layer has them all.
    fn matrix(&self, layer: u32, place: usize) -> GgmlType {
        let turn = self.types[(place + layer as usize) % self.types.len()];
        match layer {
            0 => self.layer.get(place).copied().unwrap_or(turn),
            _ if self.types.iter().all(|ty| self.layer.contains(ty)) => self.matrix(0, place),
            _ => turn,
        }
    }
}

/// Two layers of the common decoder, with the properties of `program` that [`Likeness`] has.
fn tiny_program(program: &Program) -> Result<Program, ProgramError> {
    let like = Likeness::of(program);
    let head_dim = like.head_dim;
    let n_ctx = 32;
    let mut b = ProgramBuilder::new(N_VOCAB, n_ctx, 1, PROMPT.len() as u32, PROMPT.len() as u32, program.kv_type);
    let matrix = |b: &mut ProgramBuilder, name: String, ty: GgmlType, cols: u32, rows| {
        // All widths but that of the heads together are whole blocks of every type.
        let ty = if ty.row_bytes(u64::from(cols)).is_some() { ty } else { GgmlType::F32 };
        b.weight(Weight { name, ty, cols, rows, experts: 1 })
    };
    let norm = |b: &mut ProgramBuilder, name: String, x| {
        let weight = Weight { name: name.clone(), ty: GgmlType::F32, cols: N_EMBD, rows: 1, experts: 1 };
        let weight = Some(b.weight(weight));
        let (rows, cols) = b.shape(x);
        b.op(name, rows, cols, OpKind::RmsNorm { x, weight, group: N_EMBD, eps: 1e-5 })
    };
    let linear = |b: &mut ProgramBuilder, name: String, x, weight: WeightRef| {
        let (rows, _) = b.shape(x);
        let cols = weight.rows.len() as u32;
        b.op(name, rows, cols, OpKind::MatMul { x, weight, bias: None, scale: 1.0 })
    };
    let add = |b: &mut ProgramBuilder, name: String, x, y| {
        b.op(name, Rows::T, N_EMBD, OpKind::Add { a: x, b: y, scale: 1.0 })
    };

    let [ids, pos, seq, out_rows] = b.inputs();
    let table = b.table(Table::Rope(RopeTable::new(10_000.0, head_dim, 1.0, None)));
    b.segment(SegmentKind::Prologue);
    let ty = like.embedding.unwrap_or(like.types[0]);
    let embedding = matrix(&mut b, "embedding".into(), ty, N_EMBD, N_VOCAB);
    let mut x = b.op("embd", Rows::T, N_EMBD, OpKind::Embed { ids, weight: embedding, scale: 1.0 });
    let (q_cols, kv_cols) = (like.n_heads * head_dim, like.n_kv_heads * head_dim);
    for layer in 0..N_LAYERS {
        b.segment(SegmentKind::Layer(layer));
        let window = (layer % 2 == 1 && like.has_window).then_some(5);
        let name = |what: &str| format!("{what}-{layer}");
        let ty = |place| like.matrix(layer, place);
        let h = norm(&mut b, name("attn_norm"), x);
        let project = |b: &mut ProgramBuilder, what: &str, place, cols: u32| {
            let weight = matrix(b, name(&format!("w{what}")), ty(place), N_EMBD, cols);
            linear(b, name(what), h, weight)
        };
        let q = project(&mut b, "q", 0, q_cols);
        let k = project(&mut b, "k", 1, kv_cols);
        let v = project(&mut b, "v", 2, kv_cols);
        let turn = |b: &mut ProgramBuilder, what: &str, x, cols| {
            b.op(name(what), Rows::T, cols, OpKind::Rope { x, pos, table, head_dim, pairing: like.pairing })
        };
        let q = turn(&mut b, "q_rope", q, q_cols);
        let k = turn(&mut b, "k_rope", k, kv_cols);
        let slot = b.slot(KvSlot {
            name: name("kv"),
            n_kv_heads: like.n_kv_heads,
            k_dim: head_dim,
            v_dim: head_dim,
            capacity: n_ctx,
            window,
        });
        b.push(OpKind::KvWrite { k, v, pos, seq, slot }, Vec::new());
        let attention = OpKind::Attention {
            q,
            pos,
            seq,
            slot,
            n_heads: like.n_heads,
            scale: 1.0 / (head_dim as f32).sqrt(),
            mask: Mask::Causal { window },
            soft_cap: None,
            sinks: None,
        };
        let heads = b.op(name("heads"), Rows::T, q_cols, attention);
        let wo = matrix(&mut b, name("wo"), ty(3), q_cols, N_EMBD);
        let attended = linear(&mut b, name("attn_out"), heads, wo);
        x = add(&mut b, name("ffn_inp"), attended, x);
        let h = norm(&mut b, name("ffn_norm"), x);
        let w_gate = matrix(&mut b, name("w_gate"), ty(4), N_EMBD, N_FF);
        let gate = linear(&mut b, name("gate"), h, w_gate);
        let w_up = matrix(&mut b, name("w_up"), ty(5), N_EMBD, N_FF);
        let up = linear(&mut b, name("up"), h, w_up);
        let hidden = b.op(name("glu"), Rows::T, N_FF, OpKind::Glu { gate, up, act: like.act });
        let w_down = matrix(&mut b, name("w_down"), ty(6), N_FF, N_EMBD);
        let down = linear(&mut b, name("down"), hidden, w_down);
        x = add(&mut b, name("l_out"), down, x);
    }
    b.segment(SegmentKind::Epilogue);
    let x = b.op("last", Rows::R, N_EMBD, OpKind::GatherRows { x, rows: out_rows });
    let x = norm(&mut b, "result_norm".into(), x);
    let ty = like.output.unwrap_or(like.types[0]);
    let output = matrix(&mut b, "output".into(), ty, N_EMBD, N_VOCAB);
    let logits = linear(&mut b, "result_output".into(), x, output);
    b.output(OutputName::Logits, logits);
    b.finish()
}

#[cfg(test)]
mod tests {
    use chord_gguf::{HeaderReader, Status};
    use chord_gpu::shader::ShaderSet;
    use chord_gpu::{Gpu, GpuOptions, PlanOptions};
    use chord_model::{BuildOptions, Quant};
    use pollster::block_on;

    use super::*;

    /// The kernels for hardware GPUs, on whatever adapter there is.
    fn gpu() -> Gpu {
        let disable_features = vec!["software-kernels".to_owned()];
        let options = GpuOptions { allow_software: true, disable_features, ..GpuOptions::default() };
        block_on(Gpu::request(options)).expect("these tests need a GPU adapter, a software one at least")
    }

    /// A program with matrices of the given types.
    fn like(quant: &str) -> Program {
        // Rows of 2,048 elements: whole blocks of every type.
        let shape = chord_model::SHAPES[1];
        let (bytes, file_len) = shape.gguf_header(quant.parse::<Quant>().unwrap());
        let Ok(Status::Done(header)) = HeaderReader::new(file_len).feed(&bytes) else { panic!("a whole header") };
        chord_model::lower(&header, &BuildOptions::default(), None).unwrap()
    }

    /// The same with windowed layers.
    fn windowed(quant: &str) -> Program {
        let mut program = like(quant);
        for op in &mut program.ops {
            if let OpKind::Attention { mask, .. } = &mut op.kind {
                *mask = Mask::Causal { window: Some(512) };
            }
        }
        program
    }

    #[test]
    fn a_gpu_that_computes_correctly_passes() {
        let gpu = gpu();
        let mut runs = vec![("Q4_0", true), ("Q8_0", true), ("Q4_K_M", true), ("Q4_K_M", false), ("F16", true)];
        if std::env::var_os("CHORD_FULL").is_some_and(|value| value == "1") {
            runs.extend(chord_gpu::weights::types().map(|ty| (ty.name(), true)));
        } else {
            eprintln!("other storage types are left to the full tier (CHORD_FULL=1)");
        }
        for (quant, fusion) in runs {
            let plan = PlanOptions { fusion, ..PlanOptions::default() };
            let passed = block_on(compare_with_cpu(&gpu, &like(quant), plan));
            assert_eq!(passed, Ok(()), "{quant}, fusion {fusion}");
        }
    }

    #[test]
    fn a_gpu_that_computes_wrongly_fails() {
        let gpu = gpu();
        let broken = [
            ("ops/rope.wgsl", "u * turn.x - v * turn.y", "u * turn.x + v * turn.y"),
            ("ops/attention.wgsl", "key <= pos &&", "key < max(pos, 1u) &&"),
            ("include/window.wgsl", "pos - min(pos, WINDOW - 1u)", "pos - min(pos, WINDOW)"),
            ("ops/kv_write.wgsl", "kv_pack(v[", "kv_pack(1.1 * v["),
            ("include/batch.wgsl", "return batch.words[t];", "return 1u ^ batch.words[t];"),
            ("include/kv.wgsl", "pos % CAPACITY", "pos / 2u % CAPACITY"),
        ];
        for (file, right, wrong) in broken {
            let mut shaders = ShaderSet::default();
            let text = shaders.text(file).unwrap().to_owned();
            assert!(text.contains(right), "{file} does not contain {right:?}");
            shaders.replace(file, text.replace(right, wrong));
            let plan = PlanOptions { fusion: false, shaders, ..PlanOptions::default() };
            let found = block_on(compare_with_cpu(&gpu, &windowed("Q4_K_M"), plan));
            assert!(found.as_ref().is_err_and(|reason| reason.starts_with("self-test: ")), "{file}: {found:?}");
        }
    }
}
