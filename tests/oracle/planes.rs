//! The solver of large lattices against the edge by edge one.

use crate::assert_near;
use crate::common::Lcg;
use crate::samples::{lattice, random_kind};
use crate::truth::{Planes, Step, Sweep};

#[test]
fn planes_agree_with_edges() {
    let mut numbers = Lcg(11);
    let mut feasible = 0;
    for i in 0..60 {
        let kind = random_kind(&mut numbers);
        let (frames, labels) = (i % 7, i % 4);
        let sample = lattice(&kind, frames, &[1, 2, 0][..labels], &mut numbers);
        let graph = sample.graph();
        let sweep = Sweep::of(&graph);
        let at = |arc: usize, t: usize, u: usize| t * (labels + 1) + u + arc * frames * (labels + 1);
        let mut weights = vec![f64::NAN; kind.arcs.len() * frames * (labels + 1)];
        let mut occupied = vec![0.0; weights.len()];
        for (edge, occupancy) in graph.edges.iter().zip(sweep.occupancies()) {
            let place = at(edge.arc, edge.from / (labels + 1), edge.from % (labels + 1));
            (weights[place], occupied[place]) = (edge.weight, occupancy);
        }
        let steps: Vec<Step> = kind.arcs.iter().map(|arc| Step { frames: arc.frames, labels: arc.labels, ends: arc.ends }).collect();
        let planes = Planes { steps: &steps, frames, labels, weight: |arc, t, u| weights[at(arc, t, u)] };
        let (cost, occupancies) = planes.occupancies();
        assert_near("cost", &[planes.cost(), cost], &[sweep.cost; 2], 1e-12);
        assert_near("occupancies", &occupancies.concat(), &occupied, 1e-12);
        feasible += usize::from(cost.is_finite());
    }
    assert!((20..60).contains(&feasible), "{feasible} of both sorts");
}

/// A cost in closed form where no enumeration reaches: T 2000, U 300, uniform over 50 symbols.
#[test]
fn large_uniform() {
    let (frames, labels) = (2000, 300);
    let steps = [Step { frames: 1, labels: 0, ends: true }, Step { frames: 0, labels: 1, ends: false }];
    let planes = Planes { steps: &steps, frames, labels, weight: |_, _, _| -50f64.ln() };
    let paths: f64 = (1..=labels).map(|k| ((frames - 1 + k) as f64 / k as f64).ln()).sum();
    let expected = (frames + labels) as f64 * 50f64.ln() - paths;
    assert_near("cost", &[planes.cost()], &[expected], 1e-8);
    // Every path leaves every frame once.
    let (_, occupancies) = planes.occupancies();
    for row in occupancies[0].chunks(labels + 1) {
        assert_near("blanks of a frame", &[row.iter().sum()], &[1.0], 1e-8);
    }
}
