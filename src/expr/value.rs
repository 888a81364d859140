//! What an expression is written with.

use super::graph::{Binary, Graph, Id, Unary};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number of a function that is being built: an input, or what was computed from inputs.
///
/// Operators and methods take another value or an f32. Values of two functions cannot be mixed: each function has a lifetime
/// of its own.
#[derive(Clone, Copy)]
pub struct Value<'g> {
    graph: &'g Cell<Graph>,
    pub(super) id: Id,
    /// Invariant, so that no lifetime of one function fits another.
    brand: PhantomData<fn(&'g ()) -> &'g ()>,
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.id)
    }
}

/// What can stand beside a [`Value`]: another one, or a number.
pub trait Operand<'g> {
    /// The operand as a value of the function that `beside` belongs to.
    fn value(self, beside: Value<'g>) -> Value<'g>;
}

impl<'g> Operand<'g> for Value<'g> {
    fn value(self, _: Value<'g>) -> Value<'g> {
        self
    }
}

impl<'g> Operand<'g> for f32 {
    fn value(self, beside: Value<'g>) -> Value<'g> {
        beside.make(|graph| graph.constant(self))
    }
}

impl<'g> Value<'g> {
    /// The input of this index.
    pub(super) fn input(graph: &'g Cell<Graph>, index: usize) -> Self {
        Self { graph, id: 0, brand: PhantomData }.make(|graph| graph.input(index))
    }

    fn make(self, add: impl FnOnce(&mut Graph) -> Id) -> Self {
        let mut graph = self.graph.take();
        let id = add(&mut graph);
        self.graph.set(graph);
        Self { id, ..self }
    }

    fn unary(self, op: Unary) -> Self {
        self.make(|graph| graph.unary(op, self.id))
    }

    fn binary(self, op: Binary, other: impl Operand<'g>) -> Self {
        let other = other.value(self);
        self.make(|graph| graph.binary(op, self.id, other.id))
    }

    /// This number, whatever the value is.
    pub fn constant(self, number: f32) -> Self {
        number.value(self)
    }

    /// e^x; from x = 88 on, e^88.
    pub fn exp(self) -> Self {
        self.unary(Unary::Exp)
    }

    /// The natural logarithm; of the smallest normal f32 where x is below.
    pub fn log(self) -> Self {
        self.unary(Unary::Log)
    }

    /// The square root; 0 where x is below 0. Its slope at 0 is infinite.
    pub fn sqrt(self) -> Self {
        self.unary(Unary::Sqrt)
    }

    /// The hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.unary(Unary::Tanh)
    }

    /// 1 / (1 + e^-x).
    pub fn sigmoid(self) -> Self {
        self.unary(Unary::Sigmoid)
    }

    /// log(1 + e^x); the logarithm of a sigmoid is `-(-x).softplus()`.
    pub fn softplus(self) -> Self {
        self.unary(Unary::Softplus)
    }

    /// The sine, to 1e-6 for |x| up to 10,000.
    pub fn sin(self) -> Self {
        self.unary(Unary::Sin)
    }

    /// The cosine, to 1e-6 for |x| up to 10,000.
    pub fn cos(self) -> Self {
        self.unary(Unary::Cos)
    }

    /// |x|.
    pub fn abs(self) -> Self {
        self.unary(Unary::Abs)
    }

    /// -1, 0 or 1; its slope is 0.
    pub fn sign(self) -> Self {
        self.unary(Unary::Sign)
    }

    /// max(0, x), with slope 0 at 0.
    pub fn relu(self) -> Self {
        self.constant(0.0).max(self)
    }

    /// The smaller one. At a tie the gradient is that of `self`.
    pub fn min(self, other: impl Operand<'g>) -> Self {
        self.binary(Binary::Min, other)
    }

    /// The larger one. At a tie the gradient is that of `self`.
    pub fn max(self, other: impl Operand<'g>) -> Self {
        self.binary(Binary::Max, other)
    }

    /// x within [low, high]; the slope is 1 between the bounds, and 0 at and beyond them.
    pub fn clamp(self, low: f32, high: f32) -> Self {
        self.constant(high).min(self.constant(low).max(self))
    }

    /// `then` where `self < other`, else `otherwise`. No gradient goes to what is compared.
    pub fn less(self, other: impl Operand<'g>, then: impl Operand<'g>, otherwise: impl Operand<'g>) -> Self {
        let (other, then, otherwise) = (other.value(self), then.value(self), otherwise.value(self));
        self.make(|graph| graph.select(self.id, other.id, then.id, otherwise.id))
    }
}

impl Neg for Value<'_> {
    type Output = Self;

    fn neg(self) -> Self {
        self.unary(Unary::Neg)
    }
}

/// An operator of Rust, with a value on either side.
macro_rules! operator {
    ($($trait:ident $method:ident),*) => {$(
        impl<'g, O: Operand<'g>> $trait<O> for Value<'g> {
            type Output = Value<'g>;

            fn $method(self, other: O) -> Value<'g> {
                self.binary(Binary::$trait, other)
            }
        }

        impl<'g> $trait<Value<'g>> for f32 {
            type Output = Value<'g>;

            fn $method(self, other: Value<'g>) -> Value<'g> {
                self.value(other).binary(Binary::$trait, other)
            }
        }
    )*};
}

operator!(Add add, Sub sub, Mul mul, Div div);
