//! The engine on this machine's adapter, with plans that no op makes: what cannot be seen from outside.
//! `WEFT_TEST_NO_GPU=1` is for machines without an adapter.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use super::context::Storage;
use super::recording::{BufferId, Recording};
use super::shader::{AudioFrameParams, Kernel};
use super::{Context, ContextOptions, RunReport};
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};

fn gpu(options: impl Fn(ContextOptions) -> ContextOptions) -> Option<Context> {
    match Context::new_blocking(options(ContextOptions::from_env().with_shader_checks(true))) {
        Ok(context) => Some(context),
        Err(error) if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") => {
            println!("{error}");
            None
        }
        Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
    }
}

fn contexts() -> impl Iterator<Item = Context> {
    [Some(Context::cpu()), gpu(|options| options)].into_iter().flatten()
}

/// Copies 4 words from x to y by one launch: a frame without padding.
fn copy(recording: &mut Recording, x: BufferId, y: BufferId) {
    let windows = [recording.whole(x), recording.whole(y)];
    let set = recording.bind(&windows);
    let params = AudioFrameParams { frames: 1, hop: 4, window: 4, width: 4 };
    recording.dispatch(Kernel::AudioFrame.plain(), set, &params, [1, 1, 1], 16);
}

fn run(context: &Context, recording: &Recording, bound: &[&Tensor]) -> Result<RunReport> {
    pollster::block_on(context.run(recording, bound))
}

fn destroy(tensor: &Tensor) {
    if let Storage::Gpu(buffer) = tensor.storage() {
        buffer.buffer.destroy();
    }
}

#[test]
fn every_launch_is_timed_and_clears_come_in_order() {
    // More passes than one query set holds: a clear ends a pass.
    let rounds = 2100;
    let mut recording = Recording::new();
    let [x, y] = ["x", "y"].map(|label| recording.bound(label, 16));
    for _ in 0..rounds {
        recording.clear(y);
        copy(&mut recording, x, y);
    }
    for context in [Some(Context::cpu()), gpu(|options| options.with_timing(true))].into_iter().flatten() {
        let x = Tensor::from_slice(&context, &[4], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        let y = Tensor::empty(&context, &[4], DType::F32).unwrap();
        let report = run(&context, &recording, &[&x, &y]).unwrap();
        assert_eq!(report.dispatches, rounds);
        assert_eq!(y.to_vec_blocking().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        if context.device().is_some() {
            assert_eq!(report.passes, rounds);
            assert_eq!(report.gpu_time.is_some(), context.caps().timestamps);
            assert!(report.gpu_time.is_none_or(|time| !time.is_zero()));
        }
    }
}

#[test]
fn kernels_are_timed_one_by_one() {
    let Some(context) = gpu(|options| options.with_kernel_times(true)) else { return };
    let mut recording = Recording::new();
    let [x, y, z] = ["x", "y", "z"].map(|label| recording.bound(label, 16));
    copy(&mut recording, x, y);
    copy(&mut recording, y, z);
    let tensors = [(); 3].map(|()| Tensor::from_slice(&context, &[4], &[1.0, 2.0, 3.0, 4.0]).unwrap());
    let report = run(&context, &recording, &tensors.each_ref()).unwrap();
    let times = context.take_kernel_times();
    if context.caps().timestamps {
        assert_eq!(report.passes, 2);
        assert_eq!(times.len(), 1);
        assert_eq!((times[0].kernel, times[0].workgroups, times[0].launches), ("audio_frame", [1, 1, 1], 2));
        // Each pass is rounded down to whole nanoseconds, and so is their sum.
        let sum = report.gpu_time.unwrap();
        assert!(times[0].time <= sum && sum - times[0].time < std::time::Duration::from_nanos(3), "{sum:?} {times:?}");
    }
    assert!(context.take_kernel_times().is_empty());
}

#[test]
fn a_plan_gets_all_of_its_buffers_from_its_own_context_or_does_not_run() {
    let mut recording = Recording::new();
    let [x, y] = ["x", "y"].map(|label| recording.bound(label, 16));
    copy(&mut recording, x, y);
    for context in contexts() {
        let tensor = |len| Tensor::zeros(&context, &[len], DType::F32).unwrap();
        let (four, three) = (tensor(4), tensor(3));
        let said = |bound: &[&Tensor]| run(&context, &recording, bound).unwrap_err();
        assert!(matches!(said(&[&four]), Error::Shape { argument: "bound", .. }));
        assert!(matches!(said(&[&four, &four, &four]), Error::Shape { argument: "bound", .. }));
        assert!(matches!(said(&[&four, &three]), Error::Shape { argument: "y", .. }));
        let elsewhere = Tensor::zeros(&Context::cpu(), &[4], DType::F32).unwrap();
        assert!(matches!(said(&[&four, &elsewhere]), Error::OtherContext { argument: "y" }));
        run(&context, &recording, &[&four, &tensor(4)]).unwrap();
    }
}

#[test]
fn what_the_device_refuses_is_an_error_of_the_call_even_on_a_device_of_somebody_else() {
    let Some(context) = gpu(|options| options) else { return };
    // Its handler of errors outside of scopes is wgpu's own, which panics.
    let device = context.device().unwrap();
    device.on_uncaptured_error(std::sync::Arc::new(|error| panic!("not caught: {error}")));
    let mut recording = Recording::new();
    let [x, y] = ["x", "y"].map(|label| recording.bound(label, 16));
    copy(&mut recording, x, y);
    let tensor = || Tensor::from_slice(&context, &[4], &[1.0; 4]).unwrap();

    let gone = tensor();
    destroy(&gone);
    let error = gone.to_vec_blocking().unwrap_err();
    assert!(matches!(error, Error::Gpu { .. }), "readback: {error}");
    let error = run(&context, &recording, &[&gone, &tensor()]).unwrap_err();
    assert!(matches!(error, Error::Gpu { .. }), "run: {error}");
    let error = context.write(gone.storage(), &[0; 4]).unwrap_err();
    assert!(matches!(error, Error::Gpu { .. }), "write: {error}");
    let error = context.clear(gone.storage(), 16).unwrap_err();
    assert!(matches!(error, Error::Gpu { .. }), "clear: {error}");
    // It must not be given to somebody else: this test has spoiled it behind the pool's back.
    std::mem::forget(gone);

    let (x, y) = (tensor(), tensor());
    run(&context, &recording, &[&x, &y]).unwrap();
    assert_eq!(y.to_vec_blocking().unwrap(), [1.0; 4]);
}

#[test]
fn a_device_says_how_many_workgroups_run_together() {
    let Some(context) = gpu(|options| options) else { return };
    let recording = super::together::recording();
    let source = Tensor::zeros(&context, &[super::together::SOURCE as usize], DType::F32).unwrap();
    let words = Tensor::zeros(&context, &[super::together::WORDS as usize], DType::F32).unwrap();
    run(&context, &recording, &[&source, &words]).unwrap();
    let words: Vec<u32> = words.to_vec_blocking().unwrap().into_iter().map(f32::to_bits).collect();
    // All arrived, and the fewest that one saw are some.
    assert_eq!(words[0], 1024);
    assert!((1..=1024).contains(&(u32::MAX - words[1])), "{:?}", &words[..4]);
    // Software adapters are not asked, whatever they would say.
    let caps = pollster::block_on(context.caps_together()).unwrap();
    assert!(!caps.is_software() || caps.together == 0);
}
