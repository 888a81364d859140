//! Why a chore stopped, and what to do about it.

use std::fmt;

pub type Result<T = ()> = std::result::Result<T, Failure>;

#[derive(Debug, Clone)]
pub struct Failure {
    cause: String,
    command: Option<String>,
    way_out: String,
}

impl Failure {
    pub fn new(cause: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { cause: cause.into(), command: None, way_out: way_out.into() }
    }

    /// Names the command that failed, in a form that can be pasted into a shell.
    pub fn of_command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// A file or folder could not be read or written.
    pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(format!("cannot {what} {}: {error}", path.display()), "check that the path exists and that this user may write there")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error:   {}", self.cause)?;
        if let Some(command) = &self.command {
            writeln!(f, "command: {command}")?;
        }
        write!(f, "way out: {}", self.way_out)
    }
}
