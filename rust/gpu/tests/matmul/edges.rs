//! Epilogues, extreme scales, and what an upload refuses.

use chord_gguf::GgmlType;
use chord_gpu::ops::matmul::Variant;
use chord_gpu::weights::{DeviceWeight, types};
use chord_program::{ExecError, Weight};

use crate::setup::{Bench, LANE_PER_ROW, LANE_ROWS, Numbers, Product, SHARED_ROWS, random_rows};

#[test]
fn scale_bias_and_residual_match() {
    let bench = Bench::new();
    for variant in [Variant::Tiled, LANE_PER_ROW, LANE_ROWS, SHARED_ROWS] {
        for (scale, bias, residual) in
            [(0.25, false, None), (1.0, true, None), (1.0, false, Some(1.0)), (-3.0, true, Some(0.22))]
        {
            let product = Product { scale, bias, residual, view: 2..35, ..Product::new(GgmlType::Q4_1, 96, 40, 3) };
            product.check(&bench, Some(variant));
        }
    }
}

/// Scales that f16 holds with few bits, or as zero, are scales like any other.
#[test]
fn scales_below_the_normal_range_of_f16_match() {
    let bench = Bench::new();
    let tiny = |numbers: &mut Numbers| match numbers.bits() % 4 {
        0 => 0.0,
        1 => -5.96e-8,
        2 => 3.1e-5 * numbers.value(),
        _ => 6.2e-5,
    };
    for ty in types().filter(|ty| ty.is_quantized()) {
        for variant in [Variant::Tiled, LANE_PER_ROW, LANE_ROWS] {
            let bytes = random_rows(ty, 512, 10, tiny);
            let product = Product { bytes, scale: 65536.0, ..Product::new(ty, 512, 10, 2) };
            product.check(&bench, Some(variant));
        }
    }
}

#[test]
fn f16_weights_below_the_normal_range_match() {
    let bench = Bench::new();
    for variant in [Variant::Tiled, LANE_PER_ROW, LANE_ROWS] {
        let values: Vec<f32> = Numbers::new(3).take(64 * 5).iter().map(|v| v * 5e-5).collect();
        let bytes = chord_gguf::quantize(GgmlType::F16, &values).expect("whole blocks");
        let product = Product { bytes, scale: 65536.0, ..Product::new(GgmlType::F16, 64, 5, 2) };
        product.check(&bench, Some(variant));
    }
}

#[test]
fn largest_scales_match() {
    let bench = Bench::new();
    for ty in types().filter(|ty| ty.is_quantized()) {
        let bytes = random_rows(ty, 256, 6, |numbers| if numbers.bits() % 2 == 0 { 65504.0 } else { -65504.0 });
        let product = Product { bytes, scale: 1.0 / 65504.0, ..Product::new(ty, 256, 6, 5) };
        product.check(&bench, None);
    }
}

#[test]
fn rows_out_of_order_or_too_many_are_refused() {
    let bench = Bench::new();
    let weight = Weight { name: "w".to_owned(), ty: GgmlType::Q4_0, cols: 64, rows: 3, experts: 1 };
    let mut on_device = DeviceWeight::new(&bench.resources, &weight).unwrap();
    let refused = |result| matches!(result, Err(ExecError::BadWeight { name, .. }) if name == "w");
    assert!(refused(on_device.write(&bench.gpu, 36, &[0; 36])), "a gap");
    assert!(refused(on_device.write(&bench.gpu, 0, &[0; 35])), "part of a row");
    assert!(refused(on_device.write(&bench.gpu, 0, &[0; 144])), "a row too many");
    assert!(on_device.write(&bench.gpu, 0, &[0; 72]).is_ok());
    assert!(!on_device.is_complete());
    assert!(refused(on_device.write(&bench.gpu, 0, &[0; 36])), "rows that are there");
    assert!(on_device.write(&bench.gpu, 72, &[0; 36]).is_ok());
    assert!(on_device.is_complete());
}

#[test]
fn a_type_without_kernels_is_refused() {
    let bench = Bench::new();
    let weight = Weight { name: "w".to_owned(), ty: GgmlType::Q2_K, cols: 256, rows: 3, experts: 1 };
    let error = DeviceWeight::new(&bench.resources, &weight).unwrap_err();
    assert!(matches!(error, ExecError::Unsupported { .. }), "{error}");
}

#[test]
fn weights_take_no_more_room_than_in_the_file() {
    let bench = Bench::new();
    for ty in types() {
        let before = bench.resources.memory().weights;
        let weight = Weight { name: "w".to_owned(), ty, cols: 2304, rows: 100, experts: 1 };
        let on_device = DeviceWeight::new(&bench.resources, &weight).unwrap();
        let bytes = bench.resources.memory().weights - before;
        assert!(bytes as f64 <= 1.002 * weight.n_bytes() as f64, "{ty}: {bytes} for {}", weight.n_bytes());
        drop(on_device);
    }
}
