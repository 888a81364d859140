//! Prints what weft sees: the adapters of this machine, and of the one that it would take, all facts and
//! the kernel variants that would run.
//!
//! `WGPU_BACKEND`, `WGPU_ADAPTER_NAME`, `WGPU_POWER_PREF` and `WEFT_VARIANT` choose.

use weft::{Context, ContextOptions, wgpu};

fn main() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    for adapter in pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all())) {
        let info = adapter.get_info();
        println!("found               {} ({:?}, {:?})", info.name, info.backend, info.device_type);
    }
    let context = match Context::new_blocking(ContextOptions::from_env()) {
        Ok(context) => context,
        Err(error) => {
            println!("{error}\n");
            Context::cpu()
        }
    };
    println!("{}", context.caps());
    println!("kernels             {}", context.caps().variants().join("\n                    "));
    println!("GPU time of a call  {}", if context.caps().timestamps { "by timestamp queries" } else { "cannot be measured" });
}
