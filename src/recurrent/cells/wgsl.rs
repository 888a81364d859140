//! Cells as WGSL.

use super::{Cell, Pair};
use crate::expr::{FUNCTIONS, Function};

const ARGUMENTS: &str = "x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f";
/// Groups of a gradient.
const GROUPS: [&str; 4] = ["x", "r", "s", "p"];

impl Cell {
    /// The cell as WGSL: all that a tier needs to know of it.
    ///
    /// Vectors hold what [`Cell`] names, x0 in x.x and so on; lanes that the cell does not have are 0, and need not be 0
    /// coming in. All names of the module begin with `cell_` or `Cell`.
    /// ```text
    /// struct CellGradient { x: vec4f, r: vec4f, s: vec4f, p: vec4f }
    /// fn cell_update(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f) -> vec4f
    /// fn cell_gradient(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, d: vec4f) -> CellGradient
    /// ```
    /// `cell_update` gives the new states, `cell_gradient` takes the gradient d of these. A cell with
    /// [`mid`](Self::mid) has
    /// ```text
    /// fn cell_mid(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f) -> f32
    /// fn cell_mid_gradient(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, d: f32) -> CellGradient
    /// ```
    /// as well, whose r need not hold the second product; and one with [`output`](Self::output), where s are the new states and n
    /// the normalised one,
    /// ```text
    /// struct CellOutputGradient { x: vec4f, r: vec4f, s: vec4f, p: vec4f, n: f32 }
    /// fn cell_output(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, n: f32) -> f32
    /// fn cell_output_gradient(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, n: f32, d: f32) -> CellOutputGradient
    /// ```
    pub fn wgsl(&self) -> String {
        self.wgsl_named("cell_update", "cell_output")
    }

    /// [`wgsl`](Self::wgsl), with other names for the functions that give h.
    pub(in crate::recurrent) fn wgsl_named(&self, update_name: &str, output_name: &str) -> String {
        let mut text = [FUNCTIONS, "\nstruct CellGradient { x: vec4f, r: vec4f, s: vec4f, p: vec4f }\n"].concat();
        let update = &self.0.update;
        function(&mut text, update_name, "", "vec4f", &update.function, |all| vector(all, "s"));
        gradient(&mut text, "cell_gradient", ", d: vec4f", "CellGradient", update);
        if let Some(mid) = self.mid() {
            function(&mut text, "cell_mid", "", "f32", &mid.function, |all| all.find("mid"));
            gradient(&mut text, "cell_mid_gradient", ", d: f32", "CellGradient", mid);
        }
        if let Some(output) = self.output() {
            text.push_str("\nstruct CellOutputGradient { x: vec4f, r: vec4f, s: vec4f, p: vec4f, n: f32 }\n");
            function(&mut text, output_name, ", n: f32", "f32", &output.function, |all| all.find("s0"));
            gradient(&mut text, "cell_output_gradient", ", n: f32, d: f32", "CellOutputGradient", output);
        }
        text
    }
}

/// Expressions of the outputs, by their names.
struct Outputs<'a> {
    names: &'a [String],
    expressions: &'a [String],
}

impl Outputs<'_> {
    fn find(&self, name: &str) -> String {
        let place = self.names.iter().position(|known| known == name);
        place.and_then(|place| self.expressions.get(place)).map_or("0.0", String::as_str).to_owned()
    }
}

/// `vec4f` of the outputs `PREFIX0` to `PREFIX3`.
fn vector(outputs: &Outputs<'_>, prefix: &str) -> String {
    let lanes = ["0", "1", "2", "3"].map(|lane| outputs.find(&[prefix, lane].concat()));
    ["vec4f(", &lanes.join(", "), ")"].concat()
}

fn gradient(text: &mut String, name: &str, more: &str, kind: &str, pair: &Pair) {
    function(text, name, more, kind, &pair.gradient, |all| {
        let mut parts = GROUPS.map(|group| vector(all, &["d_", group].concat())).to_vec();
        if kind == "CellOutputGradient" {
            parts.push(all.find("d_n"));
        }
        [kind, "(", &parts.join(", "), ")"].concat()
    });
}

/// Appends a function of the cell's vectors and of `more`, which gives what `result` makes of its outputs.
fn function(text: &mut String, name: &str, more: &str, kind: &str, function: &Function, result: impl Fn(&Outputs<'_>) -> String) {
    let inputs: Vec<String> = function.inputs().iter().map(|input| argument(input, more)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let body = function.wgsl(&inputs);
    let result = result(&Outputs { names: function.outputs(), expressions: &body.outputs });
    for part in ["\nfn ", name, "(", ARGUMENTS, more, ") -> ", kind, " {\n", &body.statements, "    return ", &result, ";\n}\n"] {
        text.push_str(part);
    }
}

/// Where an input stands among the arguments: `x.y` for x1, `d.y` for d_s1, `n` and `d` for themselves.
fn argument(input: &str, more: &str) -> String {
    let is_gradient = input.starts_with("d_");
    if is_gradient && !more.ends_with("d: vec4f") {
        return "d".to_owned();
    }
    let lane = ["x", "y", "z", "w"].get(input.bytes().last().map_or(4, |digit| usize::from(digit.wrapping_sub(b'0'))));
    match lane {
        Some(lane) if is_gradient => ["d.", lane].concat(),
        Some(lane) => [input.get(..1).unwrap_or_default(), ".", lane].concat(),
        None => input.to_owned(),
    }
}
