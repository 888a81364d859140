//! Vectors of f64 that remember how they came about, so that a cell is written once, as its paper has it,
//! and its gradient follows.

use std::ops::Range;

/// A vector on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(usize);

enum Origin {
    Leaf,
    /// Elements from this place on of another vector.
    Slice(Id, usize),
    /// One after the other.
    Join(Vec<Id>),
    /// Row-major matrix times vector.
    Product(Id, Id),
    /// Element by element; the derivatives lie on the tape.
    Map(Id, Range<usize>),
    Zip([Id; 2], [Range<usize>; 2]),
    Sum(Id),
    /// One number, many times.
    Spread(Id),
}

struct Node {
    value: Range<usize>,
    origin: Origin,
}

/// What was computed, in order.
#[derive(Default)]
pub struct Tape {
    values: Vec<f64>,
    partials: Vec<f64>,
    nodes: Vec<Node>,
}

/// A range for each `of` numbers that come next.
fn grow(list: &mut Vec<f64>, numbers: impl IntoIterator<Item = f64>) -> Range<usize> {
    let start = list.len();
    list.extend(numbers);
    start..list.len()
}

impl Tape {
    pub fn value(&self, id: Id) -> &[f64] {
        &self.values[self.nodes[id.0].value.clone()]
    }

    pub fn len(&self, id: Id) -> usize {
        self.nodes[id.0].value.len()
    }

    fn add_node(&mut self, numbers: Vec<f64>, origin: Origin) -> Id {
        let value = grow(&mut self.values, numbers);
        self.nodes.push(Node { value, origin });
        Id(self.nodes.len() - 1)
    }

    pub fn leaf(&mut self, numbers: &[f64]) -> Id {
        self.add_node(numbers.to_vec(), Origin::Leaf)
    }

    pub fn slice(&mut self, from: Id, start: usize, len: usize) -> Id {
        let numbers = self.value(from)[start..start + len].to_vec();
        self.add_node(numbers, Origin::Slice(from, start))
    }

    pub fn join(&mut self, parts: &[Id]) -> Id {
        let numbers = parts.iter().flat_map(|&part| self.value(part).to_vec()).collect();
        self.add_node(numbers, Origin::Join(parts.to_vec()))
    }

    /// matrix [R, C] times vector [C].
    pub fn product(&mut self, matrix: Id, vector: Id) -> Id {
        let (m, v) = (self.value(matrix), self.value(vector));
        assert!(!v.is_empty() && m.len().is_multiple_of(v.len()), "a matrix of {} elements times a vector of {}", m.len(), v.len());
        let numbers = m.chunks_exact(v.len()).map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect();
        self.add_node(numbers, Origin::Product(matrix, vector))
    }

    /// `f` gives the value and its derivative.
    pub fn map(&mut self, a: Id, f: impl Fn(f64) -> (f64, f64)) -> Id {
        let (numbers, slopes): (Vec<f64>, Vec<f64>) = self.value(a).iter().map(|&x| f(x)).unzip();
        let slopes = grow(&mut self.partials, slopes);
        self.add_node(numbers, Origin::Map(a, slopes))
    }

    /// `f` gives the value and both derivatives.
    pub fn zip(&mut self, a: Id, b: Id, f: impl Fn(f64, f64) -> (f64, f64, f64)) -> Id {
        assert_eq!(self.len(a), self.len(b), "vectors of two lengths");
        let all: Vec<_> = self.value(a).iter().zip(self.value(b)).map(|(&x, &y)| f(x, y)).collect();
        let first = grow(&mut self.partials, all.iter().map(|z| z.1));
        let second = grow(&mut self.partials, all.iter().map(|z| z.2));
        self.add_node(all.iter().map(|z| z.0).collect(), Origin::Zip([a, b], [first, second]))
    }

    pub fn sum(&mut self, a: Id) -> Id {
        let total = self.value(a).iter().sum();
        self.add_node(vec![total], Origin::Sum(a))
    }

    pub fn spread(&mut self, a: Id, len: usize) -> Id {
        let numbers = vec![self.value(a)[0]; len];
        self.add_node(numbers, Origin::Spread(a))
    }

    pub fn add(&mut self, a: Id, b: Id) -> Id {
        self.zip(a, b, |x, y| (x + y, 1.0, 1.0))
    }

    pub fn sub(&mut self, a: Id, b: Id) -> Id {
        self.zip(a, b, |x, y| (x - y, 1.0, -1.0))
    }

    pub fn mul(&mut self, a: Id, b: Id) -> Id {
        self.zip(a, b, |x, y| (x * y, y, x))
    }

    pub fn div(&mut self, a: Id, b: Id) -> Id {
        self.zip(a, b, |x, y| (x / y, 1.0 / y, -x / (y * y)))
    }

    pub fn max(&mut self, a: Id, b: Id) -> Id {
        self.zip(a, b, |x, y| if x >= y { (x, 1.0, 0.0) } else { (y, 0.0, 1.0) })
    }

    pub fn exp(&mut self, a: Id) -> Id {
        self.map(a, |x| (x.exp(), x.exp()))
    }

    pub fn scale(&mut self, a: Id, by: f64) -> Id {
        self.map(a, |x| (by * x, by))
    }

    /// 1 - a.
    pub fn complement(&mut self, a: Id) -> Id {
        self.map(a, |x| (1.0 - x, -1.0))
    }

    /// Into [-bound, bound]; beyond it the derivative is 0.
    pub fn clip(&mut self, a: Id, bound: f64) -> Id {
        self.map(a, |x| (x.clamp(-bound, bound), if x.abs() < bound { 1.0 } else { 0.0 }))
    }

    /// weight * a + (1 - weight) * b with constant weights.
    pub fn blend(&mut self, weight: &[f64], a: Id, b: Id) -> Id {
        let weight = self.leaf(weight);
        let rest = self.complement(weight);
        let (a, b) = (self.mul(weight, a), self.mul(rest, b));
        self.add(a, b)
    }

    /// The gradients of every vector, by `pull` on some of them.
    pub fn gradients(&self, pull: &[(Id, &[f64])]) -> Gradients<'_> {
        let mut all = vec![0.0; self.values.len()];
        for (id, numbers) in pull {
            let range = self.nodes[id.0].value.clone();
            assert_eq!(range.len(), numbers.len(), "a pull of another length");
            all[range].iter_mut().zip(*numbers).for_each(|(g, x)| *g += x);
        }
        for node in self.nodes.iter().rev() {
            let d = all[node.value.clone()].to_vec();
            if d.iter().all(|&x| x == 0.0) {
                continue;
            }
            let mut give = |to: Id, start: usize, numbers: &mut dyn Iterator<Item = f64>| {
                let at = self.nodes[to.0].value.start + start;
                all[at..].iter_mut().zip(numbers).for_each(|(g, x)| *g += x);
            };
            match &node.origin {
                Origin::Leaf => {}
                Origin::Slice(from, start) => give(*from, *start, &mut d.iter().copied()),
                Origin::Join(parts) => {
                    let mut rest = &d[..];
                    for &part in parts {
                        let (own, others) = rest.split_at(self.len(part));
                        give(part, 0, &mut own.iter().copied());
                        rest = others;
                    }
                }
                Origin::Product(matrix, vector) => {
                    let (m, v) = (self.value(*matrix), self.value(*vector));
                    for (row, &x) in d.iter().enumerate() {
                        give(*matrix, row * v.len(), &mut v.iter().map(|y| x * y));
                        give(*vector, 0, &mut m[row * v.len()..][..v.len()].iter().map(|y| x * y));
                    }
                }
                Origin::Map(a, slopes) => give(*a, 0, &mut d.iter().zip(&self.partials[slopes.clone()]).map(|(x, s)| x * s)),
                Origin::Zip(both, slopes) => {
                    for (a, slopes) in both.iter().zip(slopes) {
                        give(*a, 0, &mut d.iter().zip(&self.partials[slopes.clone()]).map(|(x, s)| x * s));
                    }
                }
                Origin::Sum(a) => give(*a, 0, &mut std::iter::repeat_n(d[0], self.len(*a))),
                Origin::Spread(a) => give(*a, 0, &mut std::iter::once(d.iter().sum())),
            }
        }
        Gradients { tape: self, all }
    }
}

/// One number for each number on the tape.
pub struct Gradients<'a> {
    tape: &'a Tape,
    all: Vec<f64>,
}

impl Gradients<'_> {
    pub fn of(&self, id: Id) -> &[f64] {
        &self.all[self.tape.nodes[id.0].value.clone()]
    }
}
