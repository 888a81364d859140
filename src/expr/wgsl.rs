//! Functions as WGSL.

use super::Function;
use super::graph::{Binary, Id, Node, Unary};
use std::fmt::Write;

/// What the texts of [`Function::wgsl`] call, to stand once in a module. All names begin with `cell_`.
///
/// Only exp of numbers up to 88 is taken: an infinity is what WGSL lets a compiler assume never to happen. The built-in
/// sine and cosine promise nothing outside [-π, π], and little within.
pub const FUNCTIONS: &str = include_str!("functions.wgsl");

/// A function as WGSL: statements, then an expression for each output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// `let` statements, a line each; their names are `v` and a number.
    pub statements: String,
    /// An expression for each output, in order: a name, a literal or what stood for an input.
    pub outputs: Vec<String>,
}

impl Function {
    /// The function as WGSL, with an expression for each input; one that is not given is `0.0`. The text calls [`FUNCTIONS`].
    ///
    /// Numbers keep their bits.
    pub fn wgsl(&self, inputs: &[&str]) -> Text {
        let mut statements = String::new();
        let mut names: Vec<String> = Vec::with_capacity(self.nodes.len());
        for (id, &node) in self.nodes.iter().enumerate() {
            let name = match node {
                Node::Input(index) => inputs.get(index as usize).map_or("0.0", |name| name).to_owned(),
                Node::Constant(bits) => literal(f32::from_bits(bits)),
                _ => {
                    // Writing to a string cannot fail.
                    let _ = writeln!(statements, "    let v{id} = {};", expression(node, &names));
                    format!("v{id}")
                }
            };
            names.push(name);
        }
        Text { statements, outputs: self.results.iter().map(|&id| names[id as usize].clone()).collect() }
    }
}

fn expression(node: Node, names: &[String]) -> String {
    let at = |id: Id| names[id as usize].as_str();
    match node {
        Node::Unary(Unary::Neg, a) => ["-", at(a)].concat(),
        Node::Unary(op, a) => [callee(op), "(", at(a), ")"].concat(),
        Node::Binary(Binary::Min, a, b) => ["min(", at(a), ", ", at(b), ")"].concat(),
        Node::Binary(Binary::Max, a, b) => ["max(", at(a), ", ", at(b), ")"].concat(),
        Node::Binary(op, a, b) => [at(a), operator(op), at(b)].concat(),
        Node::Select([a, b, x, y]) => ["select(", at(y), ", ", at(x), ", ", at(a), " < ", at(b), ")"].concat(),
        Node::Input(_) | Node::Constant(_) => String::new(),
    }
}

fn callee(op: Unary) -> &'static str {
    match op {
        Unary::Neg => "-",
        Unary::Exp => "cell_exp",
        Unary::Log => "cell_log",
        Unary::Sqrt => "cell_sqrt",
        Unary::Tanh => "cell_tanh",
        Unary::Sigmoid => "cell_sigmoid",
        Unary::Softplus => "cell_softplus",
        Unary::Sin => "cell_sin",
        Unary::Cos => "cell_cos",
        Unary::Abs => "abs",
        Unary::Sign => "sign",
    }
}

fn operator(op: Binary) -> &'static str {
    match op {
        Binary::Add => " + ",
        Binary::Sub => " - ",
        Binary::Mul => " * ",
        _ => " / ",
    }
}

/// An f32 with all its bits: a whole number, or hexadecimal, since printing decimals takes more code than all of this room.
fn literal(value: f32) -> String {
    let size = value.abs();
    let bits = size.to_bits();
    let text = if size < 65_536.0 && size.fract() == 0.0 {
        format!("{}.0", size as u32)
    } else {
        format!("0x1.{:06x}p{}f", (bits & 0x7f_ffff) << 1, (bits >> 23) as i32 - 127)
    };
    if value < 0.0 { ["(-", &text, ")"].concat() } else { text }
}
