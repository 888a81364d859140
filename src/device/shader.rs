//! The typed table of every shader variant, written by the build script.

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// One checked, reflected variant of a kernel.
pub struct Shader {
    /// `lattice_row`, `lattice_row_subgroups`.
    pub name: &'static str,
    /// The kernel that this is a variant of.
    pub kernel: Kernel,
    /// Whether it needs subgroup operations.
    pub subgroups: bool,
    /// Access of the storage bindings 1, 2, …: true = read_write. Binding 0 is the uniform `params`.
    pub writable: &'static [bool],
    /// Bytes of the uniform `params`.
    pub params_bytes: u32,
    /// Workgroup size with default constants.
    pub workgroup_size: [u32; 3],
    /// Workgroup memory with default constants, bytes.
    pub workgroup_bytes: u32,
    /// Names of the pipeline constants that a plan may set.
    pub constants: &'static [&'static str],
    /// The WGSL text, without `enable` lines.
    pub wgsl: &'static str,
}
