//! What every lattice kind must give, in f64 and without any cleverness.
//!
//! A [`Kind`] and one utterance make a [`Lattice`]; its arcs are laid out one by one as a [`Graph`]. All
//! results come from that list of edges twice: by walking every path ([`Paths`]), and by forward and
//! backward variables ([`Sweep`]) for lattices that have too many of them. [`Ctc`] makes a graph too.
//!
//! Nothing here knows the library: other test crates include this folder as a module of their own.
#![allow(dead_code, unused_imports, reason = "each test crate uses its part")]

mod arcs;
mod best;
mod ctc;
mod ctc_planes;
mod gradient;
mod graph;
mod inputs;
mod lattice;
mod paths;
mod planes;
mod restrict;
mod rows;
mod sweep;

pub use arcs::{Arc, Exit, Kind, Token, Wildcard};
pub use best::k_best;
pub use ctc::{Ctc, Span};
pub use gradient::{Pull, Reshape};
pub use graph::{Edge, Graph, log_add};
pub use inputs::{Padded, gather, gathered, sine, sines};
pub use lattice::{Eos, Lattice, Solution};
pub use paths::{Path, Paths};
pub use planes::{Planes, Step};
pub use restrict::{alignment_bands, end_windows};
pub use rows::{Head, Rows};
pub use sweep::Sweep;
