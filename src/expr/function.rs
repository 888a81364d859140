//! A finished function, and how one is made.

use super::graph::{Graph, Id, Node};
use super::lanes::Program;
use super::value::Value;
use crate::error::{Error, Result, number};
use std::array;
use std::cell::Cell;

/// Named inputs, arithmetic on them, and named outputs. See [the room](crate::expr).
#[derive(Clone, Debug)]
pub struct Function {
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// Each after what it reads; only what the outputs need.
    pub(super) nodes: Vec<Node>,
    pub(super) results: Vec<Id>,
    pub(super) program: Program,
}

impl Function {
    /// Builds a function of the named inputs. `define` takes a value for each and gives the outputs with their names.
    ///
    /// # Errors
    /// [`Error::Value`] if a name is empty or stands twice among the inputs or among the outputs, if there is no output, or
    /// if a constant is not finite, be it given or computed from constants.
    pub fn new<const N: usize>(
        inputs: [&str; N],
        define: impl for<'g> FnOnce([Value<'g>; N]) -> Vec<(&'static str, Value<'g>)>,
    ) -> Result<Self> {
        let graph = Cell::new(Graph::default());
        let (names, results): (Vec<&str>, Vec<Id>) =
            define(array::from_fn(|index| Value::input(&graph, index))).into_iter().map(|(name, value)| (name, value.id)).unzip();
        let graph = graph.into_inner();
        check_names("inputs", &inputs)?;
        check_names("outputs", &names)?;
        if names.is_empty() {
            return Err(Error::Value { argument: "outputs", value: "[]".to_owned(), help: "a function needs one output at least" });
        }
        check_constants(graph.bad_constant)?;
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Ok(Self::assemble(owned(&inputs), owned(&names), &graph, &results))
    }

    /// Places of the inputs that the outputs depend on, in no order.
    pub(crate) fn reads(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().filter_map(|node| if let Node::Input(place) = node { Some(*place as usize) } else { None })
    }

    pub(super) fn assemble(inputs: Vec<String>, outputs: Vec<String>, graph: &Graph, results: &[Id]) -> Self {
        let (nodes, results) = graph.without_waste(results);
        let program = Program::new(&nodes, &results);
        Self { inputs, outputs, nodes, results, program }
    }

    /// Names of the inputs, in their order.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// Names of the outputs, in their order.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Operations that one evaluation takes, selections and negations included.
    pub fn operations(&self) -> usize {
        self.nodes.iter().filter(|node| !matches!(node, Node::Input(_) | Node::Constant(_))).count()
    }
}

/// Fails if a name is empty, or stands twice.
pub(crate) fn check_names<S: AsRef<str>>(argument: &'static str, names: &[S]) -> Result<()> {
    for (place, name) in names.iter().map(AsRef::as_ref).enumerate() {
        let fault = |help| Err(Error::Value { argument, value: format!("[{place}] = {name:?}"), help });
        if name.is_empty() {
            return fault("each needs a name");
        }
        if names[..place].iter().any(|other| other.as_ref() == name) {
            return fault("each needs a name of its own");
        }
    }
    Ok(())
}

/// Fails if a constant was not finite.
pub(crate) fn check_constants(bad: Option<f32>) -> Result<()> {
    let help = "the numbers of a function, and what is computed from them alone, must be finite";
    bad.map_or(Ok(()), |bad| Err(Error::Value { argument: "constant", value: number(bad), help }))
}

/// A function of numbered inputs, whose names are given later, and some of which may turn out not to be there.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    graph: Graph,
    results: Vec<Id>,
}

impl Draft {
    /// `define` takes a value for each of `N` inputs and gives the outputs.
    pub fn new<const N: usize>(define: impl for<'g> FnOnce([Value<'g>; N]) -> Vec<Value<'g>>) -> Self {
        let graph = Cell::new(Graph::default());
        let results = define(array::from_fn(|index| Value::input(&graph, index))).iter().map(|value| value.id).collect();
        Self { graph: graph.into_inner(), results }
    }

    /// Outputs that were given.
    pub fn outputs(&self) -> usize {
        self.results.len()
    }

    /// A constant that is not finite.
    pub fn bad_constant(&self) -> Option<f32> {
        self.graph.bad_constant
    }

    /// Numbers of the inputs that the outputs depend on.
    pub fn reads(&self) -> Vec<usize> {
        Function::assemble(Vec::new(), Vec::new(), &self.graph, &self.results).reads().collect()
    }

    /// The function. `inputs` are numbers of its inputs, with their names; any other is 0.
    pub fn named(&self, inputs: &[(usize, String)], outputs: Vec<String>) -> Function {
        let mut graph = self.graph.clone();
        for node in &mut graph.nodes {
            if let Node::Input(number) = *node {
                let place = inputs.iter().position(|&(known, _)| known == number as usize);
                // An input behind the last is never given.
                *node = Node::Input(place.unwrap_or(inputs.len()) as u32);
            }
        }
        Function::assemble(inputs.iter().map(|(_, name)| name.clone()).collect(), outputs, &graph, &self.results)
    }
}
