//! A child process that can be shown, timed out and explained.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// How often a child with a time limit is looked at.
const POLL: Duration = Duration::from_millis(100);

pub struct Cmd {
    program: String,
    args: Vec<String>,
    env: Vec<(String, Option<String>)>,
    dir: PathBuf,
    way_out: String,
    limit: Option<Duration>,
}

impl Cmd {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_string_lossy().into_owned(),
            args: Vec::new(),
            env: Vec::new(),
            dir: crate::paths::root(),
            way_out: "run the command by hand to see more".into(),
            limit: None,
        }
    }

    /// The cargo that runs this program.
    pub fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_string_lossy().into_owned()));
        self
    }

    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref().to_string_lossy().into_owned();
        self.env.push((name.into(), Some(value)));
        self
    }

    pub fn without_env(mut self, name: &str) -> Self {
        if std::env::var_os(name).is_some() {
            self.env.push((name.into(), None));
        }
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = dir.as_ref().to_owned();
        self
    }

    /// What the reader can do if this command fails.
    pub fn way_out(mut self, text: impl Into<String>) -> Self {
        self.way_out = text.into();
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Runs to the end with this program's own stdout and stderr.
    pub fn run(self) -> Result {
        println!("  $ {}", self.shown());
        let child = self.start(self.command())?;
        self.finish(child)
    }

    /// Runs to the end and gives back stdout; stderr is passed through.
    pub fn output(self) -> Result<String> {
        let mut command = self.command();
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| self.not_started(&error))?;
        self.check(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether the command can be run and ends well; it says nothing itself.
    pub fn succeeds(self) -> bool {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Starts the command and leaves it running until the guard is dropped.
    pub fn background(self) -> Result<Running> {
        println!("  $ {} &", self.shown());
        let mut command = self.command();
        command.stdin(Stdio::null());
        self.start(command).map(Running)
    }

    /// Runs `self | into`, as a shell would.
    pub fn pipe(self, into: Cmd) -> Result {
        println!("  $ {} | {}", self.shown(), into.shown());
        let mut first = self.command();
        first.stdout(Stdio::piped());
        let mut first = self.start(first)?;
        let mut second = into.command();
        if let Some(stdout) = first.stdout.take() {
            second.stdin(stdout);
        }
        let second = into.start(second)?;
        into.finish(second)?;
        self.finish(first)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir);
        // `cargo xtask` describes this package to its children; a build script or a
        // nested cargo must not take that description for its own.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn start(&self, mut command: Command) -> Result<Child> {
        command.spawn().map_err(|error| self.not_started(&error))
    }

    fn finish(&self, mut child: Child) -> Result {
        let Some(limit) = self.limit else {
            let status = child.wait().map_err(|error| self.not_started(&error))?;
            return self.check(status);
        };
        let end = Instant::now() + limit;
        loop {
            match child.try_wait() {
                Err(error) => return Err(self.not_started(&error)),
                Ok(Some(status)) => return self.check(status),
                Ok(None) if Instant::now() < end => sleep(POLL),
                Ok(None) => {
                    drop(Running(child));
                    return Err(self.failure(format!("no end after {} s", limit.as_secs())));
                }
            }
        }
    }

    fn check(&self, status: ExitStatus) -> Result {
        if status.success() {
            return Ok(());
        }
        Err(self.failure(format!("{} ended with {status}", self.name())))
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        self.failure(format!("cannot run {}: {error}", self.name()))
    }

    fn failure(&self, cause: String) -> Failure {
        Failure::new(cause, self.way_out.as_str()).of_command(self.shown())
    }

    fn name(&self) -> String {
        crate::paths::program(&self.program)
    }

    /// The command as one would type it.
    fn shown(&self) -> String {
        let mut words = Vec::new();
        if self.dir != crate::paths::root() {
            words.push(format!("cd {} &&", crate::paths::short(&self.dir)));
        }
        for (name, value) in &self.env {
            words.push(match value {
                Some(value) => format!("{name}={}", quoted(value)),
                None => format!("env -u {name}"),
            });
        }
        words.push(quoted(&self.name()));
        words.extend(self.args.iter().map(|arg| quoted(arg)));
        words.join(" ")
    }
}

/// A background child; it is stopped when this is dropped.
pub struct Running(Child);

impl Running {
    /// The exit status, if the child has already ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the child has already ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let cmd = Cmd::new("echo").env("A", "b c").args(["it's", "-x", ""]);
        assert_eq!(cmd.shown(), r"A='b c' echo 'it'\''s' -x ''");
    }

    #[test]
    fn failures_name_the_command_and_the_way_out() {
        let failure = Cmd::new("false").way_out("try true").run().unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("command: false") && text.contains("way out: try true"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_not_a_panic() {
        let failure = Cmd::new("no-such-program-anywhere").run().unwrap_err();
        assert!(failure.to_string().contains("cannot run"), "{failure}");
    }

    #[test]
    fn a_child_over_its_limit_is_stopped() {
        let start = Instant::now();
        let failure = Cmd::new("sleep").arg("30").limit(Duration::from_millis(200)).run().unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10));
        assert!(failure.to_string().contains("no end after"), "{failure}");
    }
}
