//! Scores made on the device: the largest batches are tens of gigabytes, which the host would take
//! longer to make and to upload than everything else here together.

use weft::wgpu::{self, util::DeviceExt as _};
use weft::{Context, DType, Error, Tensor};

const SHADER: &str = "
struct Params {
    // First word of the utterance within the bound window, and its words.
    first: u32,
    words: u32,
    positions: u32,
    row: u32,
    frames: u32,
    labels: u32,
    utterance: u32,
    // Bit 0: two f16 a word. Bit 1: a band. Bit 2: of the states of CTC.
    flags: u32,
    // Labels are of 1 .. labelled.
    labelled: u32,
    // Durations, the last values of a row.
    durations: u32,
    // Added to every value.
    offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;

// A hash of 32 bits (the finaliser of MurmurHash3) as a number in [-1, 1).
fn noise(i: u32) -> f32 {
    var h = i + params.utterance * 0x9e3779b9u;
    h = (h ^ (h >> 16u)) * 0x85ebca6bu;
    h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
    h = h ^ (h >> 16u);
    return f32(h >> 8u) / 8388608.0 - 1.0;
}

// Frame of label u in the alignment of a trained model; after the last, the end.
fn label_frame(u: u32) -> u32 {
    return min((2u * u + 1u) * params.frames / max(2u * params.labels, 1u), params.frames);
}

// Whether that model wants value v of this cell: label u from its frame on, else the blank 0, and the duration that leads there; of
// CTC the label in its frame only.
fn is_wanted(v: u32, t: u32, position: u32) -> bool {
    let frames = (params.flags & 4u) != 0u;
    let u = select(position, t * params.labels / max(params.frames, 1u), frames);
    let wait = label_frame(u) - min(t, label_frame(u));
    let symbols = params.row - params.durations;
    if (v >= symbols) {
        return v - symbols == min(wait, params.durations - 1u);
    }
    let is_label = u < params.labels && select(wait == 0u, t == label_frame(u), frames);
    return v == select(0u, label(u), is_label);
}

// As `label` in fill.rs.
fn label(u: u32) -> u32 {
    return 1u + (params.utterance * 5u + u * 7u) % (params.labelled - 1u);
}

fn value(i: u32) -> f32 {
    let cell = i / params.row;
    let v = i % params.row;
    let band = (params.flags & 2u) != 0u;
    return noise(i) + params.offset + select(0.0, 10.0, band && is_wanted(v, cell / params.positions, cell % params.positions));
}

@compute @workgroup_size(256)
fn fill(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    for (var i = id.x; i < params.words; i += groups.x * 256u) {
        if ((params.flags & 1u) != 0u) {
            words[params.first + i] = pack2x16float(vec2f(value(2u * i), value(2u * i + 1u)));
        } else {
            words[params.first + i] = bitcast<u32>(value(i));
        }
    }
}
";

/// What the values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Noise in [-1, 1): every path is about as likely as any other.
    Flat,
    /// The same, with 10 added to the symbol, and to the duration, that a fixed alignment wants: nearly all paths
    /// run within a few labels of it, as under a trained model.
    Band,
    /// The same for CTC, whose rows have no positions.
    CtcBand,
}

/// One utterance's block of elements.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Number of the utterance in the batch.
    pub utterance: usize,
    /// First element in the tensor.
    pub first: u64,
    /// Sides of the block: frames (with padding), labels + 1 (with padding), values a cell.
    pub sides: [usize; 3],
    /// Frames and labels of the utterance.
    pub frames: u32,
    pub labels: u32,
}

/// What all blocks have in common.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub data: Data,
    /// Labels are of 1 .. labelled: what follows are blanks and durations.
    pub labelled: usize,
    pub durations: usize,
    /// Added to every value.
    pub offset: f32,
}

/// Label u of utterance n.
pub fn label(n: usize, u: usize, labelled: usize) -> u32 {
    (1 + (n * 5 + u * 7) % (labelled - 1)) as u32
}

/// The kernel, ready for any number of tensors.
pub struct Filler {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipeline: wgpu::ComputePipeline,
}

impl Filler {
    /// # Errors
    /// [`Error::Gpu`] if the context has no GPU.
    pub fn new(gpu: &Context) -> weft::Result<Self> {
        let (Some(device), Some(queue)) = (gpu.device(), gpu.queue()) else { return Err(no_gpu()) };
        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("fill"),
            layout: None,
            module: &module,
            entry_point: Some("fill"),
            compilation_options: Default::default(),
            cache: None,
        });
        Ok(Self { device: device.clone(), queue: queue.clone(), pipeline })
    }

    /// Fills the blocks of a tensor.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the tensor is not on a GPU or the device refuses. That its memory could not be had
    /// shows in the next call on it.
    pub fn fill(&self, tensor: &Tensor, blocks: &[Block], look: Look) -> weft::Result<()> {
        let buffer = tensor.buffer().ok_or_else(no_gpu)?;
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        for block in blocks {
            let [frames, positions, row] = block.sides;
            let element = tensor.dtype().bytes();
            let words = ((frames * positions * row) as u64 * element).div_ceil(4);
            let start = block.first * element;
            let offset = start - start % 256;
            let first = (start - offset) / 4;
            let data = match look.data {
                Data::Flat => 0,
                Data::Band => 2,
                Data::CtcBand => 6,
            };
            let flags = u32::from(tensor.dtype() == DType::F16) | data;
            let params = [
                first as u32,
                words as u32,
                positions as u32,
                row as u32,
                block.frames,
                block.labels,
                block.utterance as u32,
                flags,
                look.labelled as u32,
                look.durations as u32,
                look.offset.to_bits(),
            ];
            let uniform = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents: bytemuck::cast_slice(&params),
                usage: wgpu::BufferUsages::UNIFORM,
            });
            let window = wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new((first + words) * 4) };
            let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &self.pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() },
                    wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Buffer(window) },
                ],
            });
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups((words as u32).div_ceil(256).min(8192), 1, 1);
        }
        drop(pass);
        self.queue.submit([encoder.finish()]);
        match pollster::block_on(scope.pop()) {
            Some(error) => Err(Error::Gpu { message: error.to_string() }),
            None => Ok(()),
        }
    }
}

fn no_gpu() -> Error {
    Error::Gpu { message: "the bench needs a GPU".to_owned() }
}
