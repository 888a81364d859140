//! The nodes of a function, each once, in an order in which each comes after what it reads.

use super::{eval, math};

/// Place of a node in its graph.
pub(super) type Id = u32;

/// Functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Neg,
    Exp,
    Log,
    Sqrt,
    Tanh,
    Sigmoid,
    Softplus,
    Sin,
    Cos,
    Abs,
    Sign,
}

/// Functions of two arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The input of this index.
    Input(u32),
    /// The f32 of these bits; finite, neither -0 nor subnormal.
    Constant(u32),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    /// The third where the first is less than the second, else the fourth.
    Select([Id; 4]),
}

impl Node {
    /// What it reads; what is not used names the node 0.
    pub fn reads(self) -> ([Id; 4], usize) {
        match self {
            Self::Input(_) | Self::Constant(_) => ([0; 4], 0),
            Self::Unary(_, a) => ([a, 0, 0, 0], 1),
            Self::Binary(_, a, b) => ([a, b, 0, 0], 2),
            Self::Select(all) => (all, 4),
        }
    }
}

/// Nodes under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    /// The first constant, given or computed, that is no finite f32.
    pub bad_constant: Option<f32>,
}

impl Graph {
    /// The node, if it is new at the end. A cell has some hundred nodes: a search through the list costs less than a map.
    fn push(&mut self, node: Node) -> Id {
        let place = self.nodes.iter().position(|&known| known == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        place as Id
    }

    fn node(&self, id: Id) -> Node {
        self.nodes[id as usize]
    }

    fn value(&self, id: Id) -> Option<f32> {
        if let Node::Constant(bits) = self.node(id) { Some(f32::from_bits(bits)) } else { None }
    }

    /// What a negation negates; a constant below 0 is one of its opposite.
    fn negated(&mut self, id: Id) -> Option<Id> {
        match self.node(id) {
            Node::Unary(Unary::Neg, a) => Some(a),
            Node::Constant(bits) if f32::from_bits(bits) < 0.0 => Some(self.constant(-f32::from_bits(bits))),
            _ => None,
        }
    }

    pub fn input(&mut self, index: usize) -> Id {
        self.push(Node::Input(index as u32))
    }

    pub fn constant(&mut self, value: f32) -> Id {
        if !value.is_finite() {
            self.bad_constant.get_or_insert(value);
        }
        // A GPU may take subnormal numbers for 0, and -0 differs from 0 in nothing that a cell computes.
        let value = if value.is_normal() { value } else { 0.0 };
        self.push(Node::Constant(value.to_bits()))
    }

    pub fn unary(&mut self, op: Unary, a: Id) -> Id {
        match (op, self.node(a), self.value(a)) {
            (_, _, Some(a)) => self.constant(math::unary(op, a)),
            (Unary::Neg, Node::Unary(Unary::Neg, inner), _) => inner,
            (Unary::Neg, Node::Binary(Binary::Sub, b, c), _) => self.binary(Binary::Sub, c, b),
            (Unary::Abs, Node::Unary(Unary::Neg, inner), _) => self.unary(Unary::Abs, inner),
            _ => self.push(Node::Unary(op, a)),
        }
    }

    pub fn binary(&mut self, op: Binary, a: Id, b: Id) -> Id {
        let (left, right) = (self.value(a), self.value(b));
        match (op, left, right) {
            (_, Some(left), Some(right)) => self.constant(eval::binary(op, left, right)),
            (Binary::Add, Some(0.0), _) => b,
            (Binary::Add | Binary::Sub, _, Some(0.0)) => a,
            (Binary::Sub, Some(0.0), _) => self.unary(Unary::Neg, b),
            (Binary::Mul, Some(0.0), _) | (Binary::Mul, _, Some(0.0)) | (Binary::Div, Some(0.0), _) => self.constant(0.0),
            (Binary::Mul, Some(1.0), _) => b,
            (Binary::Mul | Binary::Div, _, Some(1.0)) => a,
            (Binary::Mul, Some(-1.0), _) => self.unary(Unary::Neg, b),
            (Binary::Mul | Binary::Div, _, Some(-1.0)) => self.unary(Unary::Neg, a),
            (Binary::Min | Binary::Max, ..) if a == b => a,
            (Binary::Sub, ..) if a == b => self.constant(0.0),
            _ => self.signed(op, a, b),
        }
    }

    /// A sum with what is negated is a difference, and the other way round.
    fn signed(&mut self, op: Binary, a: Id, b: Id) -> Id {
        match (op, self.negated(b), self.negated(a)) {
            (Binary::Add, Some(b), _) => self.binary(Binary::Sub, a, b),
            (Binary::Sub, Some(b), _) => self.binary(Binary::Add, a, b),
            (Binary::Add, _, Some(a)) => self.binary(Binary::Sub, b, a),
            // Both orders are one node. The order of min and max says where the gradient of a tie goes.
            (Binary::Add | Binary::Mul, ..) if b < a => self.push(Node::Binary(op, b, a)),
            _ => self.push(Node::Binary(op, a, b)),
        }
    }

    /// `x` where `a < b`, else `y`.
    pub fn select(&mut self, a: Id, b: Id, x: Id, y: Id) -> Id {
        match (self.value(a), self.value(b)) {
            _ if x == y => x,
            (Some(a), Some(b)) => {
                if a < b {
                    x
                } else {
                    y
                }
            }
            _ if a == b => y,
            _ => self.push(Node::Select([a, b, x, y])),
        }
    }

    /// What the results need, and nothing else, numbered anew; the results' new numbers.
    pub fn without_waste(&self, results: &[Id]) -> (Vec<Node>, Vec<Id>) {
        let mut needed = vec![false; self.nodes.len()];
        for &id in results {
            needed[id as usize] = true;
        }
        for (id, node) in self.nodes.iter().enumerate().rev() {
            if needed[id] {
                let (reads, count) = node.reads();
                for &read in &reads[..count] {
                    needed[read as usize] = true;
                }
            }
        }
        let mut nodes = Vec::new();
        let mut number = vec![0; self.nodes.len()];
        for (id, &node) in self.nodes.iter().enumerate().filter(|&(id, _)| needed[id]) {
            let new = |old: Id| number[old as usize];
            let renamed = match node {
                Node::Input(_) | Node::Constant(_) => node,
                Node::Unary(op, a) => Node::Unary(op, new(a)),
                Node::Binary(op, a, b) => Node::Binary(op, new(a), new(b)),
                Node::Select(all) => Node::Select(all.map(new)),
            };
            number[id] = nodes.len() as Id;
            nodes.push(renamed);
        }
        (nodes, results.iter().map(|&id| number[id as usize]).collect())
    }
}
