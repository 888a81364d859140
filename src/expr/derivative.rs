//! Reverse mode: the derivative of a function as a function.

use super::Function;
use super::graph::{Binary, Graph, Id, Node, Unary};
use crate::error::{Error, Result};

impl Function {
    /// The gradients of some inputs, by their names.
    ///
    /// The derivative has the inputs of the function, then `d_OUTPUT` for each output: the gradient of a loss with respect to
    /// that output. Its outputs are `d_INPUT` for each name in `wrt`. It computes from the inputs what it needs of the function.
    /// At ties and kinks it has the slopes that [the room](crate::expr) and the methods of [`Value`](super::Value) name.
    ///
    /// # Errors
    /// [`Error::Value`] if a name is no input, or none is given.
    pub fn derivative(&self, wrt: &[&str]) -> Result<Self> {
        let mut places = Vec::new();
        for &name in wrt {
            match self.inputs.iter().position(|input| input == name) {
                Some(place) => places.push(place),
                None => return Err(Error::Value { argument: "wrt", value: name.to_owned(), help: "name inputs of the function" }),
            }
        }
        if places.is_empty() {
            return Err(Error::Value { argument: "wrt", value: "[]".to_owned(), help: "name one input at least" });
        }
        Ok(self.gradient_of(&places))
    }

    /// [`derivative`](Self::derivative), by the places of the inputs.
    pub(crate) fn gradient_of(&self, wrt: &[usize]) -> Self {
        let mut sums = Sums { graph: Graph { nodes: self.nodes.clone(), bad_constant: None }, of: vec![None; self.nodes.len()] };
        for (index, &result) in self.results.iter().enumerate() {
            let d = sums.graph.input(self.inputs.len() + index);
            sums.add(result, d);
        }
        for id in (0..self.nodes.len()).rev() {
            if let Some(d) = sums.of[id] {
                sums.pass_on(id as Id, self.nodes[id], d);
            }
        }
        let zero = sums.graph.constant(0.0);
        let of_input = |&place: &usize| {
            let node = self.nodes.iter().position(|&node| node == Node::Input(place as u32));
            node.and_then(|node| sums.of[node]).unwrap_or(zero)
        };
        let results: Vec<Id> = wrt.iter().map(of_input).collect();
        let named = |name: &String| format!("d_{name}");
        let inputs = self.inputs.iter().cloned().chain(self.outputs.iter().map(named)).collect();
        let outputs = wrt.iter().map(|&place| self.inputs.get(place).map(named).unwrap_or_default()).collect();
        Self::assemble(inputs, outputs, &sums.graph, &results)
    }
}

/// For each node of a function, the gradient that has come to it so far.
struct Sums {
    graph: Graph,
    of: Vec<Option<Id>>,
}

impl Sums {
    fn add(&mut self, to: Id, d: Id) {
        let place = to as usize;
        let sum = match self.of[place] {
            Some(before) => self.graph.binary(Binary::Add, before, d),
            None => d,
        };
        self.of[place] = Some(sum);
    }

    /// Hands the whole gradient `d` of a node to what it reads.
    fn pass_on(&mut self, id: Id, node: Node, d: Id) {
        let graph = &mut self.graph;
        match node {
            Node::Input(_) | Node::Constant(_) => {}
            Node::Unary(op, a) => {
                let d = slope(graph, op, id, a, d);
                self.add(a, d);
            }
            Node::Binary(Binary::Add, a, b) => {
                self.add(a, d);
                self.add(b, d);
            }
            Node::Binary(Binary::Sub, a, b) => {
                let minus = graph.unary(Unary::Neg, d);
                self.add(a, d);
                self.add(b, minus);
            }
            Node::Binary(Binary::Mul, a, b) => {
                let (d_a, d_b) = (graph.binary(Binary::Mul, d, b), graph.binary(Binary::Mul, d, a));
                self.add(a, d_a);
                self.add(b, d_b);
            }
            Node::Binary(Binary::Div, a, b) => {
                let d_a = graph.binary(Binary::Div, d, b);
                let product = graph.binary(Binary::Mul, d_a, id);
                let d_b = graph.unary(Unary::Neg, product);
                self.add(a, d_a);
                self.add(b, d_b);
            }
            Node::Binary(Binary::Min, a, b) => self.branch(b, a, b, a, d),
            Node::Binary(Binary::Max, a, b) => self.branch(a, b, b, a, d),
            Node::Select([a, b, x, y]) => self.branch(a, b, x, y, d),
        }
    }

    /// `d` to `then` where `a < b`, else to `otherwise`.
    fn branch(&mut self, a: Id, b: Id, then: Id, otherwise: Id, d: Id) {
        let zero = self.graph.constant(0.0);
        let (d_then, d_otherwise) = (self.graph.select(a, b, d, zero), self.graph.select(a, b, zero, d));
        self.add(then, d_then);
        self.add(otherwise, d_otherwise);
    }
}

/// `d` times the slope of y = op(a).
fn slope(graph: &mut Graph, op: Unary, y: Id, a: Id, d: Id) -> Id {
    let factor = match op {
        Unary::Neg => return graph.unary(Unary::Neg, d),
        Unary::Exp => y,
        Unary::Log => return graph.binary(Binary::Div, d, a),
        Unary::Sqrt => {
            let twice = graph.binary(Binary::Add, y, y);
            return graph.binary(Binary::Div, d, twice);
        }
        Unary::Tanh => {
            let (one, square) = (graph.constant(1.0), graph.binary(Binary::Mul, y, y));
            graph.binary(Binary::Sub, one, square)
        }
        Unary::Sigmoid => {
            let one = graph.constant(1.0);
            let rest = graph.binary(Binary::Sub, one, y);
            graph.binary(Binary::Mul, y, rest)
        }
        Unary::Softplus => graph.unary(Unary::Sigmoid, a),
        Unary::Sin => graph.unary(Unary::Cos, a),
        Unary::Cos => {
            let sine = graph.unary(Unary::Sin, a);
            graph.unary(Unary::Neg, sine)
        }
        Unary::Abs => graph.unary(Unary::Sign, a),
        Unary::Sign => graph.constant(0.0),
    };
    graph.binary(Binary::Mul, d, factor)
}
