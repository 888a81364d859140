//! Which software Vulkan drivers are on this machine, and how a test is pointed at one.

use std::path::{Path, PathBuf};

use crate::command::Cmd;

/// A driver description ("ICD") that the Vulkan loader reads.
pub struct Driver(PathBuf);

const LOADER_FOLDERS: [&str; 3] = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

const CHROMIUM_FOLDERS: [&str; 5] =
    ["/usr/lib/chromium", "/usr/lib64/chromium-browser", "/usr/lib/chromium-browser", "/opt/google/chrome", "/opt/chromium.org/chromium"];

impl Driver {
    /// Mesa's llvmpipe, through its Vulkan front end.
    pub fn lavapipe() -> Option<Self> {
        let folders = LOADER_FOLDERS.iter().filter_map(|f| std::fs::read_dir(f).ok());
        let mut files: Vec<PathBuf> =
            folders.flat_map(|entries| entries.flatten().map(|entry| entry.path())).filter(|path| is_lavapipe(path)).collect();
        files.sort();
        files.into_iter().next().map(Self)
    }

    /// The SwiftShader that Chromium ships.
    pub fn swiftshader() -> Option<Self> {
        let beside =
            crate::browser::chromium().and_then(|path| path.canonicalize().ok()).and_then(|path| path.parent().map(Path::to_owned));
        let fixed = CHROMIUM_FOLDERS.iter().map(PathBuf::from);
        beside.into_iter().chain(fixed).map(|folder| folder.join("vk_swiftshader_icd.json")).find(|path| path.is_file()).map(Self)
    }

    /// Makes this the only driver that the command's process can see.
    pub fn only(&self, cmd: Cmd) -> Cmd {
        let cmd = match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(_) => cmd,
            // The drivers complain at each start about a session without this folder, and do not use it.
            None => cmd.env("XDG_RUNTIME_DIR", std::env::temp_dir()),
        };
        // The second name is the older one; loaders before 1.3.207 know no other.
        cmd.env("VK_DRIVER_FILES", &self.0).env("VK_ICD_FILENAMES", &self.0).env("WGPU_BACKEND", "vulkan").without_env("WGPU_ADAPTER_NAME")
    }
}

fn is_lavapipe(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with("lvp_icd") && name.ends_with(".json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lavapipe_is_told_from_other_drivers() {
        assert!(is_lavapipe(Path::new("/x/lvp_icd.x86_64.json")));
        assert!(is_lavapipe(Path::new("/x/lvp_icd.json")));
        assert!(!is_lavapipe(Path::new("/x/radeon_icd.x86_64.json")));
        assert!(!is_lavapipe(Path::new("/x/lvp_icd.x86_64.json.bak")));
    }
}
