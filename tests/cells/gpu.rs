//! The texts, run on this machine's adapter, against f64.

use crate::all::{Numbers, cells};
use crate::common::difference;
use crate::harness::{READS, WRITES, kernel};
use weft::expr::Function;
use weft::recurrent::cells::Cell;
use weft::wgpu;
use weft::{Context, ContextOptions};

const LANES: usize = 128;

/// Runs the kernel of a cell on vectors of 4.
fn run(device: &wgpu::Device, queue: &wgpu::Queue, text: &str, inputs: &[f32]) -> Vec<f32> {
    let buffer = |bytes: usize, usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size: bytes as u64, usage, mapped_at_creation: false })
    };
    let bytes = LANES * WRITES * 16;
    let source = buffer(size_of_val(inputs), wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    let results = buffer(bytes, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let staging = buffer(bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    queue.write_buffer(&source, 0, bytemuck::cast_slice(inputs));
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(text.into()) });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: source.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: results.as_entire_binding() },
        ],
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups((LANES / 64) as u32, 1, 1);
    }
    encoder.copy_buffer_to_buffer(&results, 0, &staging, 0, bytes as u64);
    queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    bytemuck::cast_slice(&staging.get_mapped_range(..).unwrap()).to_vec()
}

/// What the kernel gives for one invocation, from the functions in f64.
fn expected(cell: &Cell, vectors: &[f32]) -> Vec<f64> {
    let mut all = vec![0.0; WRITES * 4];
    let value = |name: &str, single: bool| {
        let lane = name[name.len() - 1..].parse::<usize>().ok();
        let vector = match (name, lane) {
            ("n", _) => return vectors[24],
            _ if name.starts_with("d_") && single => return vectors[25],
            _ if name.starts_with("d_") => 5,
            _ => ["x", "r", "s", "p", "m"].iter().position(|group| name.starts_with(group)).unwrap(),
        };
        vectors[vector * 4 + lane.unwrap()]
    };
    let mut put = |function: &Function, single: bool, first: usize, names: [&str; 5]| {
        let inputs: Vec<f64> = function.inputs().iter().map(|input| f64::from(value(input, single))).collect();
        for (output, value) in function.outputs().iter().zip(function.eval(&inputs)) {
            let group = names.iter().position(|&name| !name.is_empty() && output.starts_with(name)).unwrap();
            // d_n stands beside the single results.
            let place = match output.as_str() {
                "d_n" => 5 * 4 + 2,
                "mid" => 5 * 4,
                "s0" if names[1].is_empty() && single => 5 * 4 + 1,
                _ => (first + group) * 4 + output[output.len() - 1..].parse::<usize>().unwrap(),
            };
            all[place] = value;
        }
    };
    let gradients = ["d_x", "d_r", "d_s", "d_p", "d_n"];
    put(cell.update(), false, 0, ["s", "", "", "", ""]);
    put(cell.update_gradient(), false, 1, gradients);
    if let Some(mid) = cell.mid() {
        put(&mid.function, true, 5, ["mid", "", "", "", ""]);
        put(&mid.gradient, true, 6, gradients);
    }
    if let Some(output) = cell.output() {
        put(&output.function, true, 5, ["s", "", "", "", ""]);
        put(&output.gradient, true, 10, gradients);
    }
    all
}

#[test]
fn texts_compute_what_the_functions_are() {
    if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") {
        return;
    }
    let context =
        Context::new_blocking(ContextOptions::from_env()).unwrap_or_else(|error| panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"));
    let (device, queue) = (context.device().unwrap(), context.queue().unwrap());
    for (name, cell) in cells() {
        let mut numbers = Numbers::new(31);
        let inputs: Vec<f32> = (0..LANES * READS * 4)
            .map(|place| {
                let (vector, lane) = (place / 4 % READS, place % 4);
                let name = ["x", "r", "s", "p", "m", "d", "n"][vector].to_owned() + &lane.to_string();
                // Every eighth invocation has gates far beyond saturation.
                let far = place / (4 * READS) % 8 == 7 && vector == 0;
                numbers.for_input(&cell, &name) as f32 * if far { 1e3 } else { 1.0 }
            })
            .collect();
        let results = run(device, queue, &kernel(&cell), &inputs);
        for lane in 0..LANES {
            let vectors = &inputs[lane * READS * 4..][..READS * 4];
            let expected = expected(&cell, vectors);
            let scale = expected.iter().fold(1.0f64, |most, value| value.abs().max(most));
            let far = lane % 8 == 7 && (name.starts_with("s_lstm") || name.ends_with("_sin"));
            let got = &results[lane * WRITES * 4..][..WRITES * 4];
            if far {
                assert!(got.iter().all(|value| value.is_finite()), "{name}, lane {lane}: {got:?}");
            } else if let Some(difference) = difference(got, &expected, 4e-6 * scale, 4e-6) {
                panic!("{name}, lane {lane}: {difference}\n{vectors:?}");
            }
        }
    }
}
