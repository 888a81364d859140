//! Named, timed steps and the table of them.

use std::time::{Duration, Instant};

use crate::failure::Result;

/// How a step that did not fail ended.
pub enum Done {
    Passed,
    /// The machine cannot run it; the reason says what would make it run.
    NotHere(String),
}

enum Outcome {
    Passed,
    NotHere(String),
    Failed,
}

#[derive(Default)]
pub struct Steps {
    rows: Vec<(String, Duration, Outcome)>,
}

impl Steps {
    /// Runs one step between two lines that name it.
    pub fn run(&mut self, name: &str, step: impl FnOnce() -> Result<Done>) -> Result {
        println!("\n== {name}");
        let start = Instant::now();
        let done = step();
        let took = start.elapsed();
        let (outcome, word) = match &done {
            Ok(Done::Passed) => (Outcome::Passed, "ok"),
            Ok(Done::NotHere(reason)) => (Outcome::NotHere(reason.clone()), "not here"),
            Err(_) => (Outcome::Failed, "FAILED"),
        };
        println!("== {name}: {word}, {:.1} s", took.as_secs_f64());
        self.rows.push((name.into(), took, outcome));
        done.map(|_| ())
    }

    /// Runs a step that passes or fails, nothing else.
    pub fn must(&mut self, name: &str, step: impl FnOnce() -> Result) -> Result {
        self.run(name, || step().map(|()| Done::Passed))
    }

    pub fn passed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Passed))
    }

    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed))
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.rows.iter().filter(|(_, _, o)| which(o)).count()
    }

    /// One line a step; `never` are the names of those that were not reached.
    pub fn table(&self, never: &[&str]) -> String {
        let width = self.rows.iter().map(|(name, ..)| name.len());
        let width = width.chain(never.iter().map(|n| n.len())).max().unwrap_or(0);
        let mut text = String::new();
        let mut sum = Duration::ZERO;
        for (name, took, outcome) in &self.rows {
            sum += *took;
            let word = match outcome {
                Outcome::Passed => "passed".into(),
                Outcome::NotHere(reason) => format!("not here: {reason}"),
                Outcome::Failed => "FAILED".to_owned(),
            };
            text += &format!("{name:width$}  {:>7.1} s  {word}\n", took.as_secs_f64());
        }
        for name in never {
            text += &format!("{name:width$}        - s  not reached\n");
        }
        text + &format!("{:width$}  {:>7.1} s\n", "", sum.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn every_step_is_in_the_table_and_in_one_count() {
        let mut steps = Steps::default();
        assert!(steps.must("a", || Ok(())).is_ok());
        assert!(steps.run("b", || Ok(Done::NotHere("no x".into()))).is_ok());
        assert!(steps.must("c", || Err(Failure::new("c", "d"))).is_err());
        assert_eq!((steps.passed(), steps.failed()), (1, 1));
        let table = steps.table(&["later"]);
        for word in ["a ", "not here: no x", "FAILED", "not reached"] {
            assert!(table.contains(word), "{word} in\n{table}");
        }
    }
}
