//! Choosing an adapter, and reading its facts.

use super::caps::{Caps, DeviceKind};
use super::context::ContextOptions;
use crate::error::{Error, Result};

/// Finds the adapter that the options ask for.
#[cfg(not(target_family = "wasm"))]
pub(super) async fn choose(options: &ContextOptions) -> Result<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    if let Some(backends) = options.backends {
        descriptor.backends = backends;
    }
    let backends = descriptor.backends;
    let instance = instance(descriptor);
    let Some(name) = &options.adapter_name else {
        let wanted = wgpu::RequestAdapterOptions { power_preference: options.power_preference, ..Default::default() };
        return instance
            .request_adapter(&wanted)
            .await
            .map_err(|error| Error::NoAdapter { tried: format!("looked for any on {backends:?}: {error}") });
    };
    let adapters = instance.enumerate_adapters(backends).await;
    let found: Vec<String> = adapters.iter().map(|a| a.get_info().name).collect();
    let wanted = name.to_ascii_lowercase();
    adapters
        .into_iter()
        .find(|a| a.get_info().name.to_ascii_lowercase().contains(&wanted))
        .ok_or_else(|| Error::NoAdapter { tried: format!("looked for \"{name}\" on {backends:?}, found {found:?}") })
}

/// The adapter that the browser gives: it has no names for others.
#[cfg(target_family = "wasm")]
pub(super) async fn choose(options: &ContextOptions) -> Result<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let wanted = wgpu::RequestAdapterOptions { power_preference: options.power_preference, ..Default::default() };
    let none = |_| Error::NoAdapter { tried: "the browser gives none".to_owned() };
    instance.request_adapter(&wanted).await.map_err(none)
}

/// The instance of these backends, one for the whole process: with the last instance the loader would
/// unload the driver, whose thread-local destructors crash every thread that used it and ends later (seen
/// with NVIDIA's driver 580).
#[cfg(not(target_family = "wasm"))]
fn instance(descriptor: wgpu::InstanceDescriptor) -> wgpu::Instance {
    use std::sync::{Mutex, PoisonError};
    static INSTANCES: Mutex<Vec<(wgpu::Backends, wgpu::Instance)>> = Mutex::new(Vec::new());
    let backends = descriptor.backends;
    let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, known)) = instances.iter().find(|(known, _)| *known == backends) {
        return known.clone();
    }
    let new = wgpu::Instance::new(descriptor);
    instances.push((backends, new.clone()));
    new
}

/// What kernels with cooperative matrices need.
const MATRICES: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16);

/// What it takes to read what other workgroups write, four words at once.
const COHERENT: wgpu::Features = wgpu::Features::MEMORY_DECORATION_COHERENT.union(wgpu::Features::MEMORY_DECORATION_VOLATILE);

/// Opens a device with everything the adapter has that this crate can use.
pub(super) async fn open(adapter: &wgpu::Adapter) -> Result<(wgpu::Device, wgpu::Queue)> {
    let mut useful = wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::IMMEDIATES | COHERENT;
    let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
    if matrices(adapter).is_some() {
        useful |= MATRICES;
        experimental_features = experimental();
    }
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("weft"),
        required_features: adapter.features() & useful,
        required_limits: adapter.limits(),
        experimental_features,
        ..Default::default()
    };
    let (device, queue) = adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| Error::NoDevice { adapter: adapter.get_info().name, message: error.to_string() })?;
    // Errors outside of any scope come from other users of the device; the default handler panics.
    device.on_uncaptured_error(std::sync::Arc::new(|error| log::error!("uncaptured GPU error: {error}")));
    Ok((device, queue))
}

/// Leave to use cooperative matrices.
#[allow(unsafe_code, reason = "wgpu's way to say that an interface may still change")]
fn experimental() -> wgpu::ExperimentalFeatures {
    // SAFETY: asked for by those of this crate's kernels alone whose texts the build has validated, and that keep within their
    // buffers and the workgroup; tests run them where a driver has such matrices.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

/// Sides of the cooperative matrices that kernels can use: of f16 with sums in f32, square, and on subgroups of the size that the
/// kernels are made for.
fn matrices(adapter: &wgpu::Adapter) -> Option<u32> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let info = adapter.get_info();
    if !adapter.features().contains(MATRICES | wgpu::Features::SUBGROUP) {
        return None;
    }
    let known = adapter.cooperative_matrix_properties();
    let has = |side: u32| known.iter().any(|p| [p.m_size, p.n_size, p.k_size] == [side; 3] && (p.ab_type, p.cr_type) == (F16, F32));
    let sizes = [info.subgroup_min_size, info.subgroup_max_size];
    [(16, 32), (8, 8)].into_iter().find(|&(side, subgroup)| sizes == [subgroup; 2] && has(side)).map(|(side, _)| side)
}

/// The facts of an open device.
pub(super) fn facts(adapter: &wgpu::Adapter, device: &wgpu::Device, options: &ContextOptions) -> Caps {
    let info = adapter.get_info();
    let features = device.features();
    let limits = device.limits();
    let native = features.contains(wgpu::Features::SUBGROUP).then_some([info.subgroup_min_size, info.subgroup_max_size]);
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => DeviceKind::Integrated,
        wgpu::DeviceType::VirtualGpu => DeviceKind::Virtual,
        wgpu::DeviceType::Cpu => DeviceKind::Software,
        wgpu::DeviceType::Other => DeviceKind::Unknown,
    };
    Caps {
        adapter: if info.name.is_empty() { "unnamed adapter".to_owned() } else { info.name },
        driver: [info.driver, info.driver_info].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" "),
        backend: match info.backend {
            wgpu::Backend::Vulkan => "vulkan",
            wgpu::Backend::Metal => "metal",
            wgpu::Backend::Dx12 => "dx12",
            wgpu::Backend::BrowserWebGpu => "webgpu",
            wgpu::Backend::Gl => "gl",
            wgpu::Backend::Noop => "noop",
        },
        kind,
        subgroups: native.or(options.web_subgroups).filter(|sizes| options.variant != super::Variant::Plain && fit_kernels(sizes)),
        matrices: matrices(adapter).filter(|_| options.variant != super::Variant::Plain && features.contains(MATRICES)),
        coherent: features.contains(COHERENT),
        together: options.workgroups_together.unwrap_or(0),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        max_buffer_bytes: limits.max_buffer_size,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        storage_alignment: u64::from(limits.min_storage_buffer_offset_alignment).max(4),
    }
    .limited(options.max_binding_bytes, options.max_workgroups)
}

/// Whether the subgroup kernels work at every size between these: their workgroup memory is made for
/// subgroups of 4 and more, and WebGPU knows none above 128.
fn fit_kernels(&[min, max]: &[u32; 2]) -> bool {
    4 <= min && min <= max && max <= 128
}

#[cfg(test)]
mod tests {
    use super::fit_kernels;

    #[test]
    fn subgroups_that_the_kernels_cannot_use_are_told() {
        assert!([[4, 4], [8, 32], [32, 128]].iter().all(fit_kernels));
        assert!(![[0, 0], [1, 1], [2, 64], [64, 256], [32, 8]].iter().any(fit_kernels));
    }
}
