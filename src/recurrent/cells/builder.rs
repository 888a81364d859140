//! How a cell is made, and what is refused.

use super::cell::{Cell, Definition, Pair};
use super::norm::{BatchNorm, InputNorm, Norms};
use crate::error::{Error, Result, number, within};
use crate::expr::{Draft, Value, check_constants, check_names};
use std::sync::Arc;

/// What the expressions of a cell are made of; see [`Cell`]. An expression may use the lanes that its cell declares.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'g> {
    /// Input projections.
    pub x: [Value<'g>; 4],
    /// Recurrent products.
    pub r: [Value<'g>; 4],
    /// States; `s[0]` is h.
    pub s: [Value<'g>; 4],
    /// Parameters of the unit.
    pub p: [Value<'g>; 4],
    /// Masks.
    pub m: [Value<'g>; 4],
}

/// A cell in the making, begun by [`Cell::builder`].
#[derive(Clone, Debug, Default)]
pub struct CellBuilder {
    name: String,
    gates: Vec<String>,
    recurrent: Vec<String>,
    second: usize,
    states: Vec<String>,
    params: Vec<String>,
    masks: Vec<String>,
    norms: Norms,
    update: Option<Draft>,
    mid: Option<Draft>,
    output: Option<Draft>,
}

/// The number of `n` among the inputs of a draft, behind four of each group.
const N: usize = 5 * Cell::MOST;

impl Cell {
    /// Begins a cell of this name. It needs [gates](CellBuilder::gates), [states](CellBuilder::states) and an
    /// [update](CellBuilder::update).
    pub fn builder(name: &str) -> CellBuilder {
        CellBuilder { name: name.to_owned(), ..CellBuilder::default() }
    }
}

impl CellBuilder {
    /// Names of the gates of the input projection, 1 to 4.
    #[must_use]
    pub fn gates(mut self, names: &[&str]) -> Self {
        self.gates = owned(names);
        self
    }

    /// Names of the gates of the recurrent product, up to 4.
    #[must_use]
    pub fn recurrent(mut self, names: &[&str]) -> Self {
        self.recurrent = owned(names);
        self
    }

    /// Names of the states, 1 to 4, h first.
    #[must_use]
    pub fn states(mut self, names: &[&str]) -> Self {
        self.states = owned(names);
        self
    }

    /// Names of what each unit learns besides, up to 4.
    #[must_use]
    pub fn params(mut self, names: &[&str]) -> Self {
        self.params = owned(names);
        self
    }

    /// Names of the masks, up to 4.
    #[must_use]
    pub fn masks(mut self, names: &[&str]) -> Self {
        self.masks = owned(names);
        self
    }

    /// Layer normalisations.
    #[must_use]
    pub fn norms(mut self, norms: Norms) -> Self {
        self.norms = norms;
        self
    }

    /// The new states, one for each, in their order.
    #[must_use]
    pub fn update(mut self, define: impl for<'g> FnOnce(Unit<'g>) -> Vec<Value<'g>>) -> Self {
        self.update = Some(Draft::new(|lanes: [Value<'_>; N + 1]| define(unit(&lanes))));
        self
    }

    /// What the last `rows` of the recurrent rows multiply, instead of h. It may not use their products.
    #[must_use]
    pub fn mid(mut self, rows: usize, define: impl for<'g> FnOnce(Unit<'g>) -> Value<'g>) -> Self {
        self.second = rows;
        self.mid = Some(Draft::new(|lanes: [Value<'_>; N + 1]| vec![define(unit(&lanes))]));
        self
    }

    /// h, in cells with a [normalised state](Norms::state): of the unit, with its new states, and of the normalised state. Their
    /// update gives 0 for h.
    #[must_use]
    pub fn output(mut self, define: impl for<'g> FnOnce(Unit<'g>, Value<'g>) -> Value<'g>) -> Self {
        self.output = Some(Draft::new(|lanes: [Value<'_>; N + 1]| vec![define(unit(&lanes), lanes[N])]));
        self
    }

    /// The cell.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] if there are more than 4 gates, recurrent rows, states, params or masks.
    /// [`Error::Value`] if there are no gates, no states or no update; if a name is empty or stands twice in its list; if an
    /// expression uses what the cell does not declare, or a number that is not finite; if mid is of no rows, or of more than
    /// there are; if an output has no normalised state or the other way round; if a norm's eps is not positive.
    /// [`Error::Shape`] if the update gives more or fewer values than there are states.
    pub fn build(self) -> Result<Cell> {
        self.check()?;
        Ok(self.assemble())
    }

    fn check(&self) -> Result<()> {
        let lists: [(_, _, &Vec<String>, _); 5] = [
            ("gates", "gates of a cell", &self.gates, 1),
            ("recurrent", "recurrent rows of a cell", &self.recurrent, 0),
            ("states", "states of a cell", &self.states, 1),
            ("params", "parameters of a cell", &self.params, 0),
            ("masks", "masks of a cell", &self.masks, 0),
        ];
        for (argument, what, names, least) in lists {
            within(what, names.len() as u64, Cell::MOST as u64, "a cell has four of each at most")?;
            check_names(argument, names)?;
            if names.len() < least {
                return refused(argument, "[]", "a cell needs one at least");
            }
        }
        if self.mid.is_some() && !(1..=self.recurrent.len()).contains(&self.second) {
            return refused("mid", &self.second.to_string(), "a second product has one recurrent row at least, and at most all");
        }
        match (self.norms.state, &self.output) {
            (Some((state, _)), Some(_)) if (1..self.states.len()).contains(&state) => {}
            (Some((state, _)), Some(_)) => return refused("norms.state", &state.to_string(), "it is the index of a state other than h"),
            (None, None) => {}
            _ => return refused("output", "alone", "a normalised state and an output need each other"),
        }
        if let Some(eps) = self.norms.all_eps().find(|eps| !(*eps > 0.0 && eps.is_finite())) {
            return refused("eps", &number(eps), "it must be positive");
        }
        if let Some(InputNorm::Batch(BatchNorm { momentum, .. })) = self.norms.input
            && !(0.0..=1.0).contains(&momentum)
        {
            return refused("momentum", &number(momentum), "it is a share: at least 0, at most 1");
        }
        if self.mid.is_some() && (self.norms.recurrent.is_some() || self.norms.state.is_some()) {
            return refused("norms", "with mid", "a product or state is normalised where there is one product only");
        }
        if self.recurrent.is_empty() && self.norms.recurrent.is_some() {
            return refused("norms.recurrent", "without recurrent rows", "there is no product to normalise");
        }
        let Some(update) = &self.update else {
            return refused("update", "none", "a cell needs one");
        };
        if update.outputs() != self.states.len() {
            let expected = format!("{} values, one for each state", self.states.len());
            return Err(Error::Shape { argument: "update", expected, got: format!("{} values", update.outputs()) });
        }
        let declared = self.declared();
        let first = self.recurrent.len().saturating_sub(self.second);
        for (argument, draft) in [("update", Some(update)), ("mid", self.mid.as_ref()), ("output", self.output.as_ref())] {
            let Some(draft) = draft else { continue };
            check_constants(draft.bad_constant())?;
            for lane in draft.reads() {
                let group = lane / Cell::MOST;
                let is_second = argument == "mid" && group == 1 && lane % Cell::MOST >= first;
                if is_second || lane < N && !declared.iter().any(|&(known, _)| known == lane) {
                    return refused(
                        argument,
                        &lane_name(lane),
                        "an expression may use what its cell declares, and mid no product with itself",
                    );
                }
            }
        }
        Ok(())
    }

    /// The cell, of parts that are right: what is wrong in them counts as 0.
    pub(super) fn assemble(self) -> Cell {
        let declared = self.declared();
        let outputs = (0..self.states.len()).map(|state| lane_name(2 * Cell::MOST + state)).collect();
        let pair = |draft: &Draft, inputs: &[(usize, String)], outputs: Vec<String>| {
            let function = draft.named(inputs, outputs);
            let is_mask = |&place: &usize| (4 * Cell::MOST..N).contains(&inputs[place].0);
            let wrt: Vec<usize> = (0..inputs.len()).filter(|place| !is_mask(place)).collect();
            let gradient = function.gradient_of(&wrt);
            Pair { function, gradient }
        };
        let mut with_n = declared.clone();
        with_n.push((N, "n".to_owned()));
        let update = self.update.unwrap_or_else(|| Draft::new(|_: [Value<'_>; N + 1]| Vec::new()));
        Cell(Arc::new(Definition {
            update: pair(&update, &declared, outputs),
            mid: self.mid.map(|mid| pair(&mid, &declared, vec!["mid".to_owned()])),
            output: self.output.map(|output| pair(&output, &with_n, vec![lane_name(2 * Cell::MOST)])),
            name: self.name,
            gates: self.gates,
            recurrent: self.recurrent,
            second: self.second,
            states: self.states,
            params: self.params,
            masks: self.masks,
            norms: self.norms,
        }))
    }

    /// Numbers and names of the inputs that the cell's functions have.
    fn declared(&self) -> Vec<(usize, String)> {
        let counts = [&self.gates, &self.recurrent, &self.states, &self.params, &self.masks].map(|names| names.len().min(Cell::MOST));
        let lanes = counts.into_iter().enumerate().flat_map(|(group, count)| (0..count).map(move |lane| group * Cell::MOST + lane));
        lanes.map(|lane| (lane, lane_name(lane))).collect()
    }
}

fn unit<'g>(lanes: &[Value<'g>; N + 1]) -> Unit<'g> {
    let group = |group: usize| std::array::from_fn(|lane| lanes[group * Cell::MOST + lane]);
    Unit { x: group(0), r: group(1), s: group(2), p: group(3), m: group(4) }
}

/// `x0` of 0, and so on.
fn lane_name(lane: usize) -> String {
    let group = ["x", "r", "s", "p", "m"].get(lane / Cell::MOST).copied().unwrap_or("n");
    format!("{group}{}", lane % Cell::MOST)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn refused(argument: &'static str, value: &str, help: &'static str) -> Result<()> {
    Err(Error::Value { argument, value: value.to_owned(), help })
}

/// Fails where a clip is no bound.
pub(super) fn check_clip(argument: &'static str, clip: Option<f32>) -> Result<()> {
    match clip {
        Some(clip) if !(clip > 0.0 && clip.is_finite()) => refused(argument, &number(clip), "a bound must be positive; None is no bound"),
        _ => Ok(()),
    }
}

/// x within [-clip, clip].
pub(super) fn clipped(x: Value<'_>, clip: Option<f32>) -> Value<'_> {
    clip.map_or(x, |clip| x.clamp(-clip, clip))
}
