//! What the build reads off a composed shader: parse, validate, reflect.

use super::compose::{Composed, Fault};
use super::variants::Variant;
use naga::back::{PipelineConstants, pipeline_constants::process_overrides};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ShaderStage, StorageAccess};
use std::collections::BTreeMap;

/// The facts of one variant that the engine and the lints need.
pub struct Reflection {
    /// Access of bindings 1, 2, … (0 is always the uniform `params`): true = read_write.
    pub writable: Vec<bool>,
    /// Bytes of the uniform `params`.
    pub params_bytes: u32,
    /// Workgroup size with default constants.
    pub workgroup_size: [u32; 3],
    /// Workgroup memory in bytes, with default constants.
    pub workgroup_bytes: u32,
    /// Names of the pipeline constants (`override`).
    pub constants: Vec<String>,
    /// The module with its constants resolved, for the lints.
    pub module: naga::Module,
}

/// Parses, validates and reflects; every fault is placed in the file that it came from.
pub fn reflect(variant: &Variant, composed: &Composed) -> Result<Reflection, Vec<Fault>> {
    let at = |byte: Option<usize>, message: String| {
        vec![Fault { origin: composed.origin_of(byte.unwrap_or(0)), variant: variant.name.clone(), message }]
    };
    let module = naga::front::wgsl::parse_str(&composed.text)
        .map_err(|error| at(error.labels().next().and_then(|(span, _)| span.to_range()).map(|r| r.start), error.message().to_owned()))?;
    let info = Validator::new(ValidationFlags::all(), capabilities(variant)).validate(&module).map_err(|error| {
        let byte = error.spans().find_map(|(span, _)| span.to_range()).map(|r| r.start);
        let mut message = error.as_inner().to_string();
        let mut source = std::error::Error::source(error.as_inner());
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        at(byte, message)
    })?;
    let mut constants: Vec<String> = module.overrides.iter().filter_map(|(_, o)| o.name.clone()).collect();
    constants.sort();
    let (resolved, _) = process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &PipelineConstants::default())
        .map_err(|error| at(None, format!("pipeline constants need defaults: {error}")))?;
    let module = resolved.into_owned();

    let mut bindings: BTreeMap<u32, Option<bool>> = BTreeMap::new();
    let (mut params_bytes, mut workgroup_bytes) = (0, 0);
    for (_, global) in module.global_variables.iter() {
        let bytes = module.types[global.ty].inner.size(module.to_ctx());
        match global.space {
            AddressSpace::WorkGroup => workgroup_bytes += bytes.next_multiple_of(16),
            AddressSpace::Uniform => params_bytes = bytes,
            _ => {}
        }
        if let Some(binding) = &global.binding {
            let access = match global.space {
                AddressSpace::Storage { access } => Some(access.contains(StorageAccess::STORE)),
                _ => None,
            };
            if binding.group != 0 || bindings.insert(binding.binding, access).is_some() {
                return Err(at(None, format!("binding {}/{} is not in group 0 or is taken twice", binding.group, binding.binding)));
            }
        }
    }
    let dense = bindings.keys().copied().eq(0..bindings.len() as u32);
    if !dense || bindings.get(&0) != Some(&None) || bindings.values().skip(1).any(Option::is_none) {
        return Err(at(None, "binding 0 must be the uniform `params`, and 1, 2, … storage buffers without gaps".to_owned()));
    }
    let entry = module.entry_points.iter().find(|e| e.name == "main").ok_or_else(|| at(None, "no entry point `main`".to_owned()))?;
    Ok(Reflection {
        writable: bindings.values().flatten().copied().collect(),
        params_bytes,
        workgroup_size: entry.workgroup_size,
        workgroup_bytes,
        constants,
        module: module.clone(),
    })
}

/// What naga may accept in this variant.
fn capabilities(variant: &Variant) -> Capabilities {
    let mut capabilities = Capabilities::empty();
    if variant.flags.iter().any(|f| f == "SUBGROUPS") {
        capabilities |= Capabilities::SUBGROUP;
    }
    capabilities
}
