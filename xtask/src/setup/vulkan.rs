//! A software Vulkan driver, so that the GPU tests run on any machine.

use crate::command::Cmd;
use crate::failure::Result;
use crate::vulkan::Driver;

pub fn install() -> Result {
    if !cfg!(target_os = "linux") {
        println!("  the tests use this system's own adapters; software Vulkan is set up on Linux only");
        return Ok(());
    }
    if Driver::lavapipe().is_some() && loader() {
        println!("  lavapipe and the Vulkan loader are here");
        return Ok(());
    }
    super::apt::install("the software Vulkan driver (Mesa's lavapipe) or the Vulkan loader", &["mesa-vulkan-drivers", "libvulkan1"])
}

fn loader() -> bool {
    // Not on every user's PATH.
    ["ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"]
        .into_iter()
        .find_map(|ldconfig| Cmd::new(ldconfig).arg("-p").output().ok())
        .is_some_and(|libraries| libraries.contains("libvulkan.so.1"))
}
