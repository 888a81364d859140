//! Prints what weft sees: every adapter that can be opened, its facts, and the kernel variants that
//! it would run.
//!
//! `WGPU_BACKEND`, `WGPU_ADAPTER_NAME`, `WGPU_POWER_PREF` and `WEFT_VARIANT` choose.

use weft::{Context, ContextOptions, device};

fn main() {
    let context = match Context::new_blocking(ContextOptions::from_env()) {
        Ok(context) => context,
        Err(error) => {
            println!("{error}\n");
            Context::cpu()
        }
    };
    println!("{}", context.caps());
    println!("kernels             {}", device::chosen_variants(context.caps()).join("\n                    "));
    println!("GPU time of a call  {}", if context.caps().timestamps { "by timestamp queries" } else { "cannot be measured" });
}
