//! The build script's own stages: what they compose, what they read off a shader, and that each kind
//! of bad shader is refused with its place.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../build/compose.rs"]
mod compose;
#[path = "../build/lint.rs"]
mod lint;
#[path = "../build/minify.rs"]
mod minify;
#[path = "../build/reflect.rs"]
mod reflect;
#[path = "../src/device/unroll.rs"]
mod unroll;
#[path = "../build/variants.rs"]
mod variants;

use compose::Fault;
use std::fs;
use std::path::PathBuf;
use variants::Variant;

/// A folder of shader files that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("weft-{test}-{}", std::process::id()));
        fs::create_dir_all(root.join("shared")).unwrap();
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
        }
        Self(root)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn variant(flags: &[&str]) -> Variant {
    Variant {
        file: "kernel".to_owned(),
        name: "kernel".to_owned(),
        kernel: "Kernel".to_owned(),
        native: false,
        training: false,
        first: true,
        flags: flags.iter().map(|f| (*f).to_owned()).collect(),
    }
}

/// Everything the build does with one variant.
fn check(test: &str, body: &str, flags: &[&str]) -> Result<reflect::Reflection, Vec<Fault>> {
    let folder = Folder::new(test, &[("kernel.wgsl", body)]);
    let variant = variant(flags);
    let composed = compose::compose(&folder.0, &variant.file, &variant.name, &variant.flags)?;
    let reflection = reflect::reflect(&variant, &composed)?;
    let broken = lint::lint(&variant, &composed, &reflection);
    if broken.is_empty() { Ok(reflection) } else { Err(broken) }
}

const HEAD: &str = "struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> b: array<f32>;
";

fn kernel(body: &str) -> String {
    format!("{HEAD}{body}")
}

#[test]
fn a_good_shader_is_reflected() {
    let text = kernel(
        "override WIDTH: u32 = 64u;
var<workgroup> wg_a: array<f32, WIDTH>;
@compute @workgroup_size(WIDTH) fn main(@builtin(local_invocation_index) i: u32) {
    wg_a[i] = a[i];
    workgroupBarrier();
    if (i < params.n) { b[i] = wg_a[i ^ 1u]; }
}",
    );
    let reflection = check("good", &text, &[]).unwrap_or_else(|f| panic!("{}", f[0]));
    assert_eq!(reflection.writable, [false, true]);
    assert_eq!(reflection.params, [("n".to_owned(), "u32".to_owned())]);
    assert_eq!(reflection.workgroup_size, [64, 1, 1]);
    assert_eq!(reflection.workgroup_bytes, 256);
}

#[test]
fn params_have_twins_in_rust_or_are_refused() {
    let entry = "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { b[i] = a[i] + f32(params.n); }";
    let with = |members: &str| kernel(entry).replace("{ n: u32 }", members);
    let reflection =
        check("params", &with("{ n: i32, scale: f32, sides: vec2u, shift: vec4f }"), &[]).unwrap_or_else(|f| panic!("{}", f[0]));
    let members: Vec<(&str, &str)> = reflection.params.iter().map(|(name, ty)| (&**name, &**ty)).collect();
    assert_eq!(members, [("n", "i32"), ("scale", "f32"), ("sides", "[u32; 2]"), ("shift", "[f32; 4]")]);
    assert_refused("params-gap", &with("{ n: u32, sides: vec2u }"), &[], 0, "params.sides begins at byte 8");
    assert_refused("params-end", &with("{ sides: vec2u, n: u32 }"), &[], 0, "fill them up");
    assert_refused("params-type", &with("{ n: u32, m: mat2x2f }"), &[], 0, "params.m");
    assert_refused(
        "params-bare",
        &kernel(entry).replace("params: Params", "params: u32").replace("params.n", "params"),
        &[],
        0,
        "must be a struct",
    );
}

#[track_caller]
fn assert_refused(test: &str, text: &str, flags: &[&str], line: usize, part: &str) {
    let faults = check(test, text, flags).err().unwrap_or_default();
    assert!(
        faults.iter().any(|f| f.message.contains(part) && (line == 0 || f.origin.line == line)),
        "wanted \"{part}\" at line {line}, got {:?}",
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
}

#[test]
fn each_bad_shader_is_refused_with_its_place() {
    let entry = "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32)";
    assert_refused("syntax", &kernel(&format!("{entry} {{\n    b[i] = ;\n}}")), &[], 6, "");
    assert_refused("types", &kernel(&format!("{entry} {{\n    b[i] = 1u;\n}}")), &[], 6, "");
    assert_refused(
        "return",
        &kernel(&format!("{entry} {{\n    if (i > params.n) {{ return; }}\n    workgroupBarrier();\n    b[i] = a[i];\n}}")),
        &[],
        6,
        "return before a barrier",
    );
    let invocations = "@compute @workgroup_size(512) fn main(@builtin(local_invocation_index) i: u32)";
    assert_refused("invocations", &kernel(&format!("{invocations} {{ b[i] = a[i] + f32(params.n); }}")), &[], 0, "512 invocations");
    let memory =
        format!("var<workgroup> wg_a: array<f32, 5000>;\n{entry} {{ wg_a[i] = a[i]; workgroupBarrier(); b[i] = wg_a[i ^ params.n]; }}");
    assert_refused("memory", &kernel(&memory), &[], 0, "workgroup memory");
    let many: String = (3..9).map(|i| format!("@group(0) @binding({i}) var<storage, read> a{i}: array<f32>;\n")).collect();
    let uses: String = (3..9).map(|i| format!(" + a{i}[i]")).collect();
    assert_refused("bindings", &kernel(&format!("{many}{entry} {{ b[i] = a[i] + f32(params.n){uses}; }}")), &[], 0, "8 storage bindings");
    assert_refused("entry", &kernel("@compute @workgroup_size(64) fn other() { b[0] = a[params.n]; }"), &[], 0, "main");
    let subgroup = kernel(&format!("{entry} {{ b[i] = subgroupAdd(a[i] + f32(params.n)); }}"));
    assert_refused("subgroup", &subgroup, &[], 0, "");
    assert!(check("subgroup-ok", &subgroup, &["SUBGROUPS"]).is_ok());
}

#[test]
fn imports_come_once_and_conditions_choose() {
    let body = "#import part\n#import part\n#ifdef FAST\nfast\n#ifndef OTHER\nnested\n#endif\n#else\nslow\n#endif\n";
    let folder = Folder::new("compose", &[("kernel.wgsl", body), ("shared/part.wgsl", "part\n")]);
    let text = |flags: &[&str]| compose::compose(&folder.0, "kernel", "kernel", &variant(flags).flags).unwrap().text;
    assert_eq!(text(&[]), "part\nslow\n");
    assert_eq!(text(&["FAST"]), "part\nfast\nnested\n");
    assert_eq!(text(&["FAST", "OTHER"]), "part\nfast\n");
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let folder = Folder::new("mistakes", &[("kernel.wgsl", "#import nothing\n#else\n#frobnicate\n#ifdef X\n")]);
    let faults = compose::compose(&folder.0, "kernel", "kernel", &[]).err().unwrap();
    let lines: Vec<usize> = faults.iter().map(|f| f.origin.line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
}

#[test]
fn the_table_demands_a_plain_variant_and_known_flags() {
    let table = |text: &str| {
        let folder = Folder::new("table", &[("variants", text)]);
        variants::read(&folder.0)
    };
    let good = table("# a comment\nlattice/row: plain | subgroups\n").unwrap();
    assert_eq!(
        good.iter().map(|v| (v.name.as_str(), v.kernel.as_str())).collect::<Vec<_>>(),
        [("lattice_row", "LatticeRow"), ("lattice_row_subgroups", "LatticeRow")]
    );
    assert!(good[0].first && !good[1].first);
    assert!(table("a: subgroups\n").is_err());
    assert!(table("native a: subgroups\n").is_ok());
    let whose = |line: &str| table(line).unwrap().iter().map(|v| (v.is_native_only(), v.is_in_package())).collect::<Vec<_>>();
    assert_eq!(whose("a: plain | coop\n"), [(false, true), (true, false)]);
    assert_eq!(whose("training a: plain\n"), [(false, false)]);
    assert_eq!(whose("native a: plain\n"), [(true, false)]);
    assert!(table("a: plain | warp\n").is_err());
    assert!(table("a\n").is_err());
}

/// What pages load: every shader of the crate, with the names that its neighbours leave it.
#[test]
fn minified_shaders_are_the_same_shaders() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let composed = |variant: &Variant| compose::compose(&root, &variant.file, &variant.name, &variant.flags).unwrap();
    let variants = variants::read(&root).unwrap();
    let parts: Vec<[String; 3]> = variants.iter().map(|variant| composed(variant).parts().map(|part| minify::squeeze(&part))).collect();
    let texts: Vec<String> = parts.iter().flat_map(|[before, _, behind]| [before.clone(), behind.clone()]).collect();
    let slots: Vec<&str> = parts.iter().map(|[_, slot, _]| slot.as_str()).collect();
    let small = minify::minify(&texts, &slots);
    for ((variant, [_, sample, _]), text) in variants.iter().zip(&parts).zip(small.chunks_exact(2)) {
        let text = format!("{}{sample}{}", text[0], text[1]);
        reflect::same(variant, &reflect::reflect(variant, &composed(variant)).unwrap(), &text).unwrap();
    }
    let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    assert!(bytes(&small) * 3 < bytes(&texts) * 2, "{} B of {} B", bytes(&small), bytes(&texts));
}

#[test]
fn minified_text_means_the_same() {
    let text = "fn twice(x: f32, min: i32) -> f32 {\nlet position = - -min;\nvar<private> other = v.xy;\nreturn max(x , 1e-4) * f32(position) << 2u;\n}\n";
    let again = "fn position(@builtin(position) n: u32) {\nlet a = min(1u, 2u);\n}\n";
    let [small, _] = &minify::minify(&[text.to_owned(), again.to_owned()], &[])[..] else { panic!() };
    // `max` is the language's; `min` is too, in the other text, so it stays, as do what may be components.
    let expected = "fn d(x:f32,min:i32)->f32{\nlet c= - -min;\nvar<private>e=v.xy;\nreturn max(x,1e-4)*f32(c)<<2u;\n}\n";
    assert_eq!(small, expected);
}

#[test]
fn a_slot_is_taken_out_whole() {
    let folder = Folder::new(
        "slot",
        &[("kernel.wgsl", "fn before() {}\n#slot sample\nfn behind() {}\n"), ("shared/sample.wgsl", "fn sample() {}\nconst ONE = 1u;\n")],
    );
    let composed = compose::compose(&folder.0, "kernel", "kernel", &[]).unwrap_or_else(|faults| panic!("{}", faults[0]));
    assert_eq!(composed.text, "fn before() {}\nfn sample() {}\nconst ONE = 1u;\nfn behind() {}\n");
    assert_eq!(composed.parts(), ["fn before() {}\n", "fn sample() {}\nconst ONE = 1u;\n", "fn behind() {}\n"]);

    let twice = Folder::new("slots", &[("kernel.wgsl", "#slot sample\n#slot sample\n"), ("shared/sample.wgsl", "const ONE = 1u;\n")]);
    let faults = compose::compose(&twice.0, "kernel", "kernel", &[]).err().unwrap_or_default();
    assert!(faults.iter().any(|fault| fault.message.contains("second #slot") && fault.origin.line == 2), "{faults:?}");

    let none = Folder::new("no-slot", &[("kernel.wgsl", "fn all() {}\n")]);
    let composed = compose::compose(&none.0, "kernel", "kernel", &[]).unwrap_or_else(|faults| panic!("{}", faults[0]));
    assert_eq!(composed.parts(), ["fn all() {}\n", "", ""]);
}

#[test]
fn texts_are_unrolled_by_their_own_numbers_or_those_of_a_plan() {
    let text = "#shape LANES 2
#repeat i LANES
#repeat j i + 1
let w$(i)_$j = $(i * 4 + j)u << $(LANES - (i + 1));
#end
#end
done";
    let unrolled = unroll::unroll(text, &[]).unwrap();
    assert_eq!(unrolled.text, "const LANES = 2u;\nlet w0_0 = 0u << 1;\nlet w1_0 = 4u << 0;\nlet w1_1 = 5u << 0;\ndone\n");
    assert_eq!(unrolled.lines, [0, 3, 3, 3, 6]);
    assert_eq!(unrolled.shape, [("LANES".to_owned(), 2)]);
    let more = unroll::unroll(text, &[("LANES", 3), ("OTHER", 9)]).unwrap();
    assert_eq!(more.text.lines().count(), 1 + 6 + 1);
    for (text, line, part) in [
        ("a\n#end", 1, "without #repeat"),
        ("#repeat i 2\nx", 2, "without #end"),
        ("#repeat i 0\nx", 0, "without #end"),
        ("#repeat i\n#end", 0, "a name and a count"),
        ("#repeat i 1\n#repeat i 1\n#end\n#end", 1, "has a value already"),
        ("x\n$y", 1, "`y` has no value"),
        ("$(1 + 2", 0, "is open"),
        ("$(1 ? 2)", 0, "unknown operator"),
        ("#repeat i 1 - 2\n#end", 0, "is no number"),
        ("#repeat i 1 / 0\n#end", 0, "is no number"),
    ] {
        let (at, message) = unroll::unroll(text, &[]).unwrap_err();
        assert!(at == line && message.contains(part), "{text}: {at} {message}");
    }
}

#[test]
fn what_a_plan_unrolls_is_checked_as_it_is_and_kept_as_it_was() {
    let text = kernel(
        "#shape COUNT 2
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
#repeat k COUNT
    let x$k = a[min(i + $(k)u, params.n)];
#end
#repeat k COUNT
    b[i * COUNT + $(k)u] = x$k;
#end
}",
    );
    let folder = Folder::new("rolled", &[("kernel.wgsl", &text)]);
    let composed = compose::compose(&folder.0, "kernel", "kernel", &[]).unwrap_or_else(|f| panic!("{}", f[0]));
    assert_eq!(composed.shape, [("COUNT".to_owned(), 2)]);
    assert!(composed.text.contains("let x1 = a") && composed.rolled.is_some_and(|rolled| rolled.text.contains("#repeat k COUNT")));
    // Where the first copy reads what is not there.
    assert_refused("rolled-fault", &text.replace("= x$k", "= y$k"), &[], 11, "y0");
}
