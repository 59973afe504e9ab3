//! Failures end in typed errors, and all memory is freed.

use chord_gpu::{GpuExecutor, GpuOptions, PlanOptions};
use chord_program::{ExecError, Executor, Want, WeightId, WeightSink};

use crate::setup::{Tokens, all_ids, gpu, logits, options, request};
use crate::stream::small_model;

#[test]
fn every_allocation_may_fail() {
    let gpu = gpu();
    let model = small_model(1);
    let total = model.on_gpu(&gpu, PlanOptions::default()).expect("a model the GPU runs").counters().buffers_created;
    for n in 0..total {
        let options = PlanOptions { fail_allocation: Some(n), ..PlanOptions::default() };
        let error = model.on_gpu(&gpu, options).expect_err("an allocation failed");
        assert!(matches!(error, ExecError::OutOfMemory { backend: "gpu", .. }), "allocation {n}: {error}");
    }
    model.on_gpu(&gpu, PlanOptions::default()).expect("the device still works");
}

#[test]
fn a_buffer_beyond_the_devices_limit_is_out_of_memory() {
    let mut gpu = gpu();
    gpu.limits.max_buffer_size = 4096;
    let error = small_model(1).on_gpu(&gpu, PlanOptions::default()).expect_err("16 KiB of keys");
    assert!(matches!(error, ExecError::OutOfMemory { .. }), "{error}");
}

#[test]
fn a_lost_device_is_an_error_at_every_stage() {
    let model = small_model(1);
    let prompt = Tokens::run(0, 5).with_outputs(&[4]);
    let is_lost = |error: ExecError| assert!(matches!(error, ExecError::DeviceLost(_)), "{error}");

    // During the upload.
    let first = gpu();
    let mut executor = pollster::block_on(GpuExecutor::new(&first, model.program.clone(), PlanOptions::default()))
        .expect("a model the GPU runs");
    first.device.destroy();
    let _ = first.device.poll(wgpu::PollType::Poll);
    is_lost(executor.write(WeightId(0), 0, &[]).expect_err("no device to write to"));

    // With ids on their way.
    let second = gpu();
    let mut executor = model.on_gpu(&second, PlanOptions::default()).expect("a model the GPU runs");
    executor.enqueue_prefill(&prompt.batch(), Want::Ids).expect("a prompt");
    executor.enqueue_decode(0, 20).expect("room");
    second.device.destroy();
    is_lost(all_ids(&mut executor).expect_err("no device to wait for"));
    is_lost(executor.enqueue_decode(0, 1).expect_err("no device to run on"));

    // With logits on their way.
    let third = gpu();
    let mut executor = model.on_gpu(&third, PlanOptions::default()).expect("a model the GPU runs");
    executor.enqueue_prefill(&prompt.batch(), Want::Logits).expect("a prompt");
    third.device.destroy();
    is_lost(logits(&mut executor).expect_err("no device to wait for"));
    is_lost(executor.enqueue_prefill(&prompt.batch(), Want::Ids).expect_err("no device to run on"));

    // A new device gives the same ids.
    let mut executor = model.on_gpu(&gpu(), PlanOptions::default()).expect("a model the GPU runs");
    executor.enqueue_prefill(&prompt.batch(), Want::Ids).expect("a prompt");
    assert_eq!(all_ids(&mut executor).expect("ids").len(), 1);
}

#[test]
fn dropping_an_executor_frees_its_memory() {
    let gpu = gpu();
    let executor = small_model(1).on_gpu(&gpu, PlanOptions::default()).expect("a model the GPU runs");
    assert!(executor.device().memory.total() > 0);
    let watch = executor.resources().watch_memory();
    drop(executor);
    assert_eq!(watch.memory().total(), 0, "a buffer outlived its executor");
}

#[test]
fn an_unknown_adapter_is_named_in_the_error() {
    let wanted = GpuOptions { adapter_name: Some("no such adapter".into()), ..options() };
    let error = pollster::block_on(chord_gpu::Gpu::request(wanted)).expect_err("no such adapter");
    assert!(error.to_string().contains("no such adapter"), "{error}");
    drop(request(options()));
}

#[test]
fn missing_weights_are_reported() {
    let gpu = gpu();
    let model = small_model(1);
    let new = GpuExecutor::new(&gpu, model.program.clone(), PlanOptions::default());
    let mut executor = pollster::block_on(new).expect("a model the GPU runs");
    let error = executor.finish().expect_err("no weight came");
    assert!(matches!(error, ExecError::BadWeight { .. }), "{error}");
    assert!(executor.enqueue_prefill(&Tokens::run(0, 1).batch(), Want::Logits).is_err());
}
