//! What the build reads off a composed shader: parse, validate, reflect.

use super::compose::{Composed, Fault};
use super::variants::Variant;
use naga::back::{PipelineConstants, pipeline_constants::process_overrides};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Scalar, ScalarKind, ShaderStage, StorageAccess, TypeInner};
use std::collections::BTreeMap;

/// The facts of one variant that the engine and the lints need.
pub struct Reflection {
    /// Access of bindings 1, 2, … (0 is always the uniform `params`): true = read_write.
    pub writable: Vec<bool>,
    /// Members of the uniform `params`: names, and their types in Rust.
    pub params: Vec<(String, String)>,
    /// Workgroup size with default constants.
    pub workgroup_size: [u32; 3],
    /// Workgroup memory in bytes, with default constants.
    pub workgroup_bytes: u32,
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
    let (resolved, _) = process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &PipelineConstants::default())
        .map_err(|error| at(None, format!("pipeline constants need defaults: {error}")))?;
    let module = resolved.into_owned();

    let mut bindings: BTreeMap<u32, Option<bool>> = BTreeMap::new();
    let (mut params, mut workgroup_bytes) = (Vec::new(), 0);
    for (_, global) in module.global_variables.iter() {
        let bytes = module.types[global.ty].inner.size(module.to_ctx());
        match global.space {
            AddressSpace::WorkGroup => workgroup_bytes += bytes.next_multiple_of(16),
            AddressSpace::Uniform => params = members(&module, global.ty).map_err(|message| at(None, message))?,
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
        params,
        workgroup_size: entry.workgroup_size,
        workgroup_bytes,
        module: module.clone(),
    })
}

/// Whether another text of a variant does the same to the world outside: same bindings, params of the same types.
pub fn same(variant: &Variant, reflection: &Reflection, text: &str) -> Result<(), String> {
    let composed = Composed { text: text.to_owned(), ..Composed::default() };
    let faults = |faults: Vec<Fault>| faults.iter().map(|fault| format!("{fault}\n")).collect::<String>() + text;
    let other = reflect(variant, &composed).map_err(faults)?;
    let facts = |of: &Reflection| {
        let types: Vec<String> = of.params.iter().map(|(_, ty)| ty.clone()).collect();
        (of.writable.clone(), types, of.workgroup_size, of.workgroup_bytes)
    };
    if facts(&other) == facts(reflection) { Ok(()) } else { Err(format!("{} is another shader once it is minified", variant.name)) }
}

/// Members of the struct `params`, with types of Rust that lie as WGSL lays them.
fn members(module: &naga::Module, params: naga::Handle<naga::Type>) -> Result<Vec<(String, String)>, String> {
    let TypeInner::Struct { members, span } = &module.types[params].inner else {
        return Err("the uniform `params` must be a struct".to_owned());
    };
    let mut found = Vec::new();
    let mut end = 0;
    for member in members {
        let name = member.name.clone().unwrap_or_default();
        let inner = &module.types[member.ty].inner;
        let ty = match *inner {
            TypeInner::Scalar(scalar) => scalar_name(scalar)?.to_owned(),
            TypeInner::Vector { size, scalar } => format!("[{}; {}]", scalar_name(scalar)?, size as u32),
            _ => return Err(format!("params.{name}: only scalars and vectors have a type in Rust")),
        };
        if member.offset != end {
            return Err(format!(
                "params.{name} begins at byte {} and not at {end}: order the members so that nothing lies between",
                member.offset
            ));
        }
        end += inner.size(module.to_ctx());
        found.push((name, ty));
    }
    if end != *span {
        return Err(format!("params take {span} B and their members {end}: fill them up with members"));
    }
    Ok(found)
}

fn scalar_name(scalar: Scalar) -> Result<&'static str, String> {
    match (scalar.kind, scalar.width) {
        (ScalarKind::Uint, 4) => Ok("u32"),
        (ScalarKind::Sint, 4) => Ok("i32"),
        (ScalarKind::Float, 4) => Ok("f32"),
        other => Err(format!("params: {other:?} has no type in Rust")),
    }
}

/// What naga may accept in this variant.
fn capabilities(variant: &Variant) -> Capabilities {
    // unpack2x16float: part of WebGPU, and of every native backend but WebGL's.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    if variant.flags.iter().any(|f| f == "SUBGROUPS") {
        capabilities |= Capabilities::SUBGROUP;
    }
    if variant.is_native_only() {
        capabilities |= Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16;
    }
    if variant.flags.iter().any(|f| f == "COHERENT") {
        capabilities |= Capabilities::MEMORY_DECORATION_COHERENT | Capabilities::MEMORY_DECORATION_VOLATILE;
    }
    capabilities
}
