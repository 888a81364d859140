//! Contexts and tensors: what they promise when all is well, and when it is not.
//!
//! These tests make and destroy devices all the time. On NVIDIA's driver 580 run them with
//! `RUST_TEST_THREADS=1`: there `vkDestroyDevice` can wait for ever when another thread that has used
//! Vulkan ends at the same moment.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use common::contexts;
use weft::dense::{Conv1dOptions, Linear, conv1d_blocking};
use weft::lattice::{Blank, CtcBatch, CtcLoss, Logits, LossBatch, TransducerLoss};
use weft::recurrent::{Cell, Layer, LayerWeights, RunOptions, State, TrainOptions};
use weft::{Context, ContextOptions, DType, Error, RunReport, Tensor, Variant, f16, wgpu};

#[test]
fn tensors_come_back_as_they_went() {
    for (name, gpu) in contexts() {
        for len in [0, 1, 63, 64, 65, 70_001] {
            let values: Vec<f32> = (0..len).map(|i| i as f32 - 0.5).collect();
            let tensor = Tensor::from_slice(&gpu, &[len], &values).unwrap();
            assert_eq!(tensor.to_vec_blocking().unwrap(), values, "{name}");
        }
        let bits = [f32::NAN.to_bits(), f32::NEG_INFINITY.to_bits(), 1, u32::MAX];
        let tensor = Tensor::from_u32(&gpu, &[2, 2], &bits).unwrap();
        assert_eq!(tensor.to_vec_u32_blocking().unwrap(), bits, "{name}");
        assert_eq!(Tensor::zeros(&gpu, &[3], DType::F32).unwrap().to_vec_blocking().unwrap(), [0.0; 3], "{name}");
    }
}

#[test]
fn f16_tensors_come_back_as_the_f32_of_their_values() {
    // Of each kind: zeros, the smallest and largest subnormal and normal, what rounds, no numbers.
    let kinds = [0.0, -0.0, 5.960_464_5e-8, 6.097_555e-5, 6.103_515_6e-5, 65_504.0, 0.1, -3.0, f32::INFINITY, f32::NEG_INFINITY];
    for (name, gpu) in contexts() {
        for len in [0, 1, 2, 3, 64, 65, 9_999] {
            let values: Vec<f16> = (0..len).map(|i| f16::from_f32(kinds[i % kinds.len()])).collect();
            let tensor = Tensor::from_f16(&gpu, &[len], &values).unwrap();
            assert_eq!((tensor.dtype(), tensor.len(), tensor.bytes()), (DType::F16, len, 2 * len as u64), "{name}");
            let expected: Vec<u32> = values.iter().map(|v| v.to_f32().to_bits()).collect();
            let got: Vec<u32> = tensor.to_vec_blocking().unwrap().into_iter().map(f32::to_bits).collect();
            assert_eq!(got, expected, "{name}: {len}");
            // Not at the start of a word.
            let tensor = Tensor::from_f16(&gpu, &[len.saturating_sub(1)], values.get(1..).unwrap_or_default()).unwrap();
            let got: Vec<u32> = tensor.to_vec_blocking().unwrap().into_iter().map(f32::to_bits).collect();
            assert_eq!(got, expected.get(1..).unwrap_or_default(), "{name}: {len}");
        }
        assert!(Tensor::from_f16(&gpu, &[1], &[f16::NAN]).unwrap().to_vec_blocking().unwrap()[0].is_nan(), "{name}");
        let zeros = Tensor::zeros(&gpu, &[3, 5], DType::F16).unwrap();
        assert_eq!(zeros.to_vec_blocking().unwrap(), [0.0; 15], "{name}");
        assert_eq!(Tensor::empty(&gpu, &[3], DType::F16).unwrap().to_vec_blocking().unwrap().len(), 3, "{name}");
        assert!(matches!(zeros.to_vec_u32_blocking(), Err(Error::Value { argument: "dtype", .. })), "{name}");
        assert!(matches!(Tensor::from_f16(&gpu, &[2], &[f16::ONE]), Err(Error::Shape { argument: "values", .. })), "{name}");
    }
}

#[test]
fn calls_that_take_f32_only_refuse_f16() {
    for (name, gpu) in contexts() {
        let half = |shape: &[usize]| Tensor::zeros(&gpu, shape, DType::F16).unwrap();
        let weights =
            LayerWeights { input_size: 1, hidden_size: 1, weight_ih: &[0.1; 4], weight_hh: &[0.1; 4], bias: None, parameters: &[] };
        let lstm = Layer::new(&gpu, &Cell::lstm(), &weights).unwrap();
        let error = lstm.forward_blocking(&half(&[3, 1, 1]), None, None).unwrap_err();
        assert!(matches!(&error, Error::Value { argument: "x", value, .. } if value == "F16"), "{name}: {error}");
        let error = State::of(half(&[2, 1, 1])).unwrap_err();
        assert!(matches!(&error, Error::Value { argument: "state", value, .. } if value == "F16"), "{name}: {error}");
        let linear = Linear::new(&gpu, [2, 3], &[0.0; 6], None).unwrap();
        let error = linear.forward_blocking(&half(&[1, 3])).unwrap_err();
        assert!(matches!(&error, Error::Value { argument: "x", value, .. } if value == "F16"), "{name}: {error}");
        let error = conv1d_blocking(&half(&[1, 1, 4]), &half(&[1, 1, 2]), None, &Conv1dOptions::default()).unwrap_err();
        assert!(matches!(&error, Error::Value { argument: "x", value, .. } if value == "F16"), "{name}: {error}");
    }
}

/// A loss and a recurrent layer, and what their reports say.
fn some_work(gpu: &Context) -> (Vec<f32>, RunReport) {
    let mut lcg = common::Lcg(7);
    let logits = Tensor::from_slice(gpu, &[2, 5, 4, 6], &lcg.list(240, 2.0)).unwrap();
    let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(gpu).unwrap();
    let loss = loss.run_blocking(&LossBatch::new(Logits::padded(&logits), &[1, 2, 3, 4, 0, 0], &[5, 4], &[3, 1])).unwrap();
    let (weight_ih, weight_hh) = (lcg.list(4 * 9 * 5, 0.3), lcg.list(4 * 9 * 9, 0.3));
    let weights = LayerWeights { input_size: 5, hidden_size: 9, weight_ih: &weight_ih, weight_hh: &weight_hh, bias: None, parameters: &[] };
    let x = Tensor::from_slice(gpu, &[6, 3, 5], &lcg.list(90, 1.0)).unwrap();
    let (y, _, report) = Layer::new(gpu, &Cell::lstm(), &weights).unwrap().run_blocking(&x, &RunOptions::default()).unwrap();
    let mut values = loss.costs;
    values.extend(loss.gradients[0].to_vec_blocking().unwrap());
    values.extend(y.to_vec_blocking().unwrap());
    (values, report)
}

#[test]
fn kernels_without_checks_give_the_same_bits() {
    for (name, gpu) in contexts() {
        let (expected, _) = some_work(&gpu);
        let Some(variant) = [Variant::Plain, Variant::Subgroups].into_iter().find(|v| name.contains(&format!("{v:?}"))) else { continue };
        let options = ContextOptions::from_env().with_variant(variant).with_shader_checks(false);
        let (got, _) = some_work(&Context::new_blocking(options).unwrap());
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn a_report_tells_what_was_compiled_and_that_it_stays_so() {
    for (name, gpu) in contexts() {
        let first = some_work(&gpu).1;
        let second = some_work(&gpu).1;
        assert_eq!((second.compiled, second.compile), (0, std::time::Duration::ZERO), "{name}");
        assert_eq!(first.dispatches, second.dispatches, "{name}");
        if gpu.device().is_some() {
            // The product, the step, and the copy of states.
            assert_eq!(first.compiled, 3, "{name}");
            assert!(!first.compile.is_zero(), "{name}");
        }
    }
}

#[test]
fn what_was_prepared_is_not_compiled_by_calls() {
    for (name, gpu) in contexts() {
        let is_gpu = gpu.device().is_some();
        let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(&gpu).unwrap();
        let logits = Tensor::zeros(&gpu, &[1, 3, 2, 5], DType::F32).unwrap();
        let batch = LossBatch::new(Logits::padded(&logits), &[1], &[3], &[1]);
        assert_eq!(loss.prepare_blocking(&batch).unwrap().compiled > 0, is_gpu, "{name}");
        assert_eq!(loss.prepare_blocking(&batch).unwrap(), RunReport::default(), "{name}");
        assert_eq!(loss.run_blocking(&batch).unwrap().report.compiled, 0, "{name}");

        let ctc = CtcLoss::new(Blank(0)).gradients(true).build(&gpu).unwrap();
        let logits = Tensor::zeros(&gpu, &[1, 3, 5], DType::F32).unwrap();
        let batch = CtcBatch::new(&logits, &[1], &[3], &[1]);
        assert_eq!(ctc.prepare_blocking(&batch).unwrap().compiled > 0, is_gpu, "{name}");
        assert_eq!(ctc.run_blocking(&batch).unwrap().report.compiled, 0, "{name}");

        let weights =
            LayerWeights { input_size: 3, hidden_size: 2, weight_ih: &[0.1; 24], weight_hh: &[0.1; 16], bias: None, parameters: &[] };
        let lstm = Layer::new(&gpu, &Cell::lstm(), &weights).unwrap();
        let x = Tensor::zeros(&gpu, &[4, 2, 3], DType::F32).unwrap();
        assert_eq!(lstm.prepare_blocking(4, 2, false).unwrap().compiled > 0, is_gpu, "{name}");
        assert_eq!(lstm.run_blocking(&x, &RunOptions::default()).unwrap().2.compiled, 0, "{name}");
        assert_eq!(lstm.prepare_blocking(4, 2, true).unwrap().compiled > 0, is_gpu, "{name}");
        let (y, _, tape) = lstm.train_blocking(&x, &TrainOptions::default()).unwrap();
        assert_eq!(tape.report().compiled, 0, "{name}");
        assert_eq!(lstm.backward_blocking(&tape, &y, None).unwrap().report.compiled, 0, "{name}");
        assert_eq!(lstm.prepare_blocking(0, 2, true).unwrap(), RunReport::default(), "{name}");
    }
}

#[test]
fn a_dropped_tensor_is_recycled_without_mixing_contents() {
    for (name, gpu) in contexts() {
        let keep = Tensor::from_slice(&gpu, &[1000], &[1.0; 1000]).unwrap();
        for round in 0..20 {
            let tensor = Tensor::from_slice(&gpu, &[1000], &[round as f32; 1000]).unwrap();
            assert_eq!(tensor.to_vec_blocking().unwrap(), [round as f32; 1000], "{name}");
        }
        assert_eq!(keep.to_vec_blocking().unwrap(), [1.0; 1000], "{name}");
        gpu.trim();
    }
}

#[test]
fn bad_shapes_name_the_numbers() {
    for (name, gpu) in contexts() {
        let error = Tensor::from_slice(&gpu, &[2, 3], &[0.0; 5]).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "values", .. }), "{name}: {error}");
        assert!(error.to_string().contains('6') && error.to_string().contains('5'), "{error}");
        let tensor = Tensor::from_slice(&gpu, &[2, 3], &[0.0; 6]).unwrap();
        assert!(matches!(tensor.reshape(&[7]), Err(Error::Shape { .. })));
        assert!(matches!(tensor.to_vec_u32_blocking(), Err(Error::Value { argument: "dtype", .. })));
        assert_eq!(tensor.reshape(&[3, 2]).unwrap().shape(), [3, 2]);
    }
}

#[test]
fn a_buffer_above_the_limit_is_an_error_with_both_numbers_and_the_context_stays_usable() {
    for (name, gpu) in contexts() {
        let have = gpu.caps().max_buffer_bytes;
        let error = Tensor::empty(&gpu, &[(have / 4) as usize + 1], DType::F32).unwrap_err();
        match error {
            Error::LimitExceeded { need, have: told, .. } => assert!(need > have && told == have, "{name}"),
            other => panic!("{name}: {other}"),
        }
        assert!(matches!(Tensor::empty(&gpu, &[usize::MAX, 2], DType::F32), Err(Error::Shape { .. })), "{name}");
        let tensor = Tensor::from_slice(&gpu, &[2], &[1.0, 2.0]).unwrap();
        assert_eq!(tensor.to_vec_blocking().unwrap(), [1.0, 2.0], "{name}");
    }
}

#[test]
fn a_lost_device_says_so_never_hangs_and_a_new_context_works() {
    for (name, gpu) in contexts() {
        let Some(device) = gpu.device().cloned() else { continue };
        let tensor = Tensor::from_slice(&gpu, &[4], &[1.0; 4]).unwrap();
        device.destroy();
        let error = tensor.to_vec_blocking().unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{name}: {error}");
        let error = Tensor::from_slice(&gpu, &[4], &[1.0; 4]).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{name}: {error}");
    }
    for (name, gpu) in contexts() {
        let tensor = Tensor::from_slice(&gpu, &[1], &[3.0]).unwrap();
        assert_eq!(tensor.to_vec_blocking().unwrap(), [3.0], "{name}");
    }
}

#[test]
fn calls_on_a_lost_device_say_so() {
    for (name, gpu) in contexts() {
        let Some(device) = gpu.device().cloned() else { continue };
        let logits = Tensor::zeros(&gpu, &[1, 2, 2, 3], DType::F32).unwrap();
        let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(&gpu).unwrap();
        let batch = LossBatch::new(Logits::padded(&logits), &[1], &[2], &[1]);
        let weights =
            LayerWeights { input_size: 1, hidden_size: 1, weight_ih: &[0.1; 4], weight_hh: &[0.1; 4], bias: None, parameters: &[] };
        let lstm = Layer::new(&gpu, &Cell::lstm(), &weights).unwrap();
        let x = Tensor::zeros(&gpu, &[3, 1, 1], DType::F32).unwrap();
        // Once alive, so that the pipelines are there and the failure is not theirs.
        loss.run_blocking(&batch).unwrap();
        lstm.forward_blocking(&x, None, None).unwrap();
        device.destroy();
        let error = loss.run_blocking(&batch).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{name}: {error}");
        let error = lstm.forward_blocking(&x, None, None).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{name}: {error}");
    }
}

#[test]
fn a_readback_that_is_pending_when_the_device_goes_ends() {
    for (name, gpu) in contexts() {
        let Some(device) = gpu.device().cloned() else { continue };
        let big = Tensor::zeros(&gpu, &[4 << 20], DType::F32).unwrap();
        let reader = std::thread::spawn(move || big.to_vec_blocking());
        std::thread::sleep(std::time::Duration::from_millis(2));
        device.destroy();
        // Either it was quick enough, or it hears of the loss: it must come back.
        match reader.join().unwrap() {
            Ok(values) => assert_eq!(values.len(), 4 << 20, "{name}"),
            Err(error) => assert!(matches!(error, Error::DeviceLost { .. }), "{name}: {error}"),
        }
    }
}

#[test]
fn a_readback_that_nobody_waits_for_spoils_nothing() {
    for (name, gpu) in contexts() {
        let tensor = Tensor::from_slice(&gpu, &[5000], &[2.0; 5000]).unwrap();
        for _ in 0..10 {
            // Polled once, then dropped: the mapping is still under way.
            let _ = futures::FutureExt::now_or_never(tensor.to_vec());
            assert_eq!(tensor.to_vec_blocking().unwrap(), [2.0; 5000], "{name}");
        }
    }
}

#[test]
#[ignore = "takes all memory of the GPU: `cargo test --test device -- --ignored`; on a software adapter after `ulimit -v 16000000`"]
fn no_memory_is_an_error_and_the_context_stays_usable() {
    for (name, gpu) in contexts().into_iter().filter(|(_, gpu)| gpu.device().is_some()) {
        let small = Tensor::from_slice(&gpu, &[2], &[1.0, 2.0]).unwrap();
        let elements = (gpu.caps().max_buffer_bytes.min(1 << 30) / 4) as usize;
        let mut all = Vec::new();
        let error = loop {
            assert!(all.len() < 4000, "{name}: memory without end");
            match Tensor::empty(&gpu, &[elements], DType::F32) {
                Ok(tensor) => all.push(tensor),
                Err(error) => break error,
            }
        };
        // Of the call that failed, not of a later one.
        assert!(matches!(error, Error::OutOfMemory { bytes } if bytes == 4 * elements as u64), "{name}: {error}");
        println!("{name}: out of memory after {} buffers of {} B", all.len(), 4 * elements);
        assert!(all.len() > 3, "{name}: too little memory for this test");
        let most = all.len() - 1;
        assert_eq!(small.to_vec_blocking().unwrap(), [1.0, 2.0], "{name}");
        drop(all);
        Tensor::zeros(&gpu, &[1 << 20], DType::F32).unwrap().to_vec_blocking().unwrap();

        // What dropped tensors leave in the pool makes room when it is needed for tensors of another size.
        let fill = |count: usize, elements: usize| -> Vec<Tensor> {
            (0..count).map(|_| Tensor::empty(&gpu, &[elements], DType::F32).unwrap_or_else(|e| panic!("{name}: {e}"))).collect()
        };
        for round in 0..3 {
            drop(fill(2 * most, elements / 2));
            drop(fill(most, elements));
            assert_eq!(small.to_vec_blocking().unwrap(), [1.0, 2.0], "{name}, round {round}");
        }
    }
}

#[test]
fn an_adapter_that_is_not_there_is_named() {
    let mut options = ContextOptions::from_env();
    options.adapter_name = Some("no such adapter".to_owned());
    let error = Context::new_blocking(options).unwrap_err();
    assert!(matches!(error, Error::NoAdapter { .. }));
    assert!(error.to_string().contains("no such adapter"), "{error}");
}

#[test]
fn a_device_of_the_callers_own_can_be_shared() {
    if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") {
        return;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
    let gpu = Context::from_wgpu(&adapter, device, queue).unwrap();
    // No feature was enabled on it, whatever the adapter has.
    assert_eq!(gpu.caps().subgroups, None);
    assert_eq!(gpu.caps().max_binding_bytes, 128 << 20);
    let tensor = Tensor::from_slice(&gpu, &[2], &[5.0, 6.0]).unwrap();
    assert_eq!(tensor.to_vec_blocking().unwrap(), [5.0, 6.0]);
    // Nor does it take params with a launch: they lie in a buffer, and the results are the same.
    let own = Context::new_blocking(ContextOptions::from_env().with_variant(Variant::Plain)).unwrap();
    assert_eq!(some_work(&gpu).0, some_work(&own).0);
}

#[test]
fn a_device_that_is_too_small_for_the_kernels_is_refused_with_the_numbers() {
    if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") {
        return;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let refused = |required_limits| {
        let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        match Context::from_wgpu(&adapter, device, queue).map(|gpu| gpu.caps().clone()) {
            Err(Error::LimitExceeded { need, have, .. }) => (need, have),
            other => panic!("{other:?}"),
        }
    };
    let enough = wgpu::Limits::default();
    assert_eq!(refused(wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..enough.clone() }), (7, 4));
    assert_eq!(refused(wgpu::Limits { max_compute_invocations_per_workgroup: 128, ..enough.clone() }), (256, 128));
    assert_eq!(refused(wgpu::Limits { max_compute_workgroup_storage_size: 8192, ..enough }), (16_384, 8192));
}

#[test]
fn several_threads_share_a_context() {
    for (name, gpu) in contexts() {
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let gpu = gpu.clone();
                std::thread::spawn(move || Tensor::from_slice(&gpu, &[100], &[i as f32; 100]).unwrap().to_vec_blocking().unwrap())
            })
            .collect();
        for (i, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), [i as f32; 100], "{name}");
        }
    }
}

#[test]
fn variants_are_those_that_were_demanded() {
    for (name, gpu) in contexts() {
        // The adapters of the tests have subgroups, or no context of that variant is there.
        let subgroups = name.contains("Subgroups");
        assert_eq!(gpu.caps().subgroups.is_some(), subgroups, "{name}");
        let variants = gpu.caps().variants();
        assert!(variants.contains(&"dense_gemm"), "{name}: {variants:?}");
        assert_eq!(variants.iter().any(|v| v.ends_with("subgroups")), subgroups, "{name}: {variants:?}");
    }
}
