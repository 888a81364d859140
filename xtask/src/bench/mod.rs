//! `cargo xtask bench`: the benchmark program, optimised; and the page and the plots made of what it wrote.

mod figures;
mod merge;
mod page;
mod plot;
mod recurrent;
mod table;

use std::path::{Path, PathBuf};

use crate::command::Cmd;
use crate::failure::{Failure, Result};
use crate::{files, paths};
use figures::Kept;

pub fn run(args: &[String]) -> Result {
    // `cargo xtask bench -- ARGS` is as good as without the dashes.
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    match args {
        [flag] if flag == "--page" => write_page(),
        [flag, dir, sources @ ..] if flag == "--plot" => write_plots(Path::new(dir), sources),
        [flag, out, sources @ ..] if flag == "--merge" && !sources.is_empty() => merge::run(Path::new(out), sources),
        [flag, sources @ ..] if flag == "--print" => {
            println!("{}", page::of(&kept(sources)?));
            Ok(())
        }
        [flag, ..] if ["--page", "--plot", "--merge"].contains(&flag.as_str()) => Err(Failure::new(
            format!("`{}` is not understood", args.join(" ")),
            "cargo xtask bench --page\n         cargo xtask bench --plot DIR [FILE…]\n         cargo xtask bench --merge OUT PART…\n         \
             cargo xtask bench --print [FILE…]",
        )),
        _ => Cmd::cargo()
            .args(["run", "--release", "--example", "bench", "--"])
            .args(args)
            .way_out("`cargo run --release --example device_info` shows which adapters there are")
            .run(),
    }
}

/// The folder of the kept figures, of the page and of its plots.
fn folder() -> PathBuf {
    paths::root().join("docs").join("bench")
}

/// Writes the page and its plots from the JSON files beside it.
fn write_page() -> Result {
    let kept = Kept::of_folder(&folder())?;
    let page = folder().join("README.md");
    let text = files::read(&page)?;
    files::write(&page, &page::renewed(&text, &kept)?)?;
    println!("written: {}", paths::short(&page));
    // What an earlier page showed and this one does not.
    for old in files::with_extension(&folder(), "svg")? {
        files::remove_file(&old)?;
    }
    write_all(&folder(), &kept)
}

/// Writes the plots of the given files, or of the kept ones, into a folder.
fn write_plots(dir: &Path, sources: &[String]) -> Result {
    files::create(dir)?;
    write_all(dir, &kept(sources)?)
}

/// The given files, or those that are kept.
fn kept(sources: &[String]) -> Result<Kept> {
    match sources {
        [] => Kept::of_folder(&folder()),
        _ => Kept::of_files(sources.iter().map(PathBuf::from)),
    }
}

fn write_all(dir: &Path, kept: &Kept) -> Result {
    for plot in plot::plots(kept) {
        let path = dir.join(&plot.file);
        files::write(&path, &plot.svg())?;
        println!("written: {}", paths::short(&path));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No number on the page is typed by hand, and none is of yesterday.
    #[test]
    fn page_and_plots_are_what_the_kept_files_say() {
        let kept = Kept::of_folder(&folder()).unwrap();
        let text = files::read(&folder().join("README.md")).unwrap();
        assert!(page::renewed(&text, &kept).unwrap() == text, "run `cargo xtask bench --page`");
        let plots = plot::plots(&kept);
        assert_eq!(files::with_extension(&folder(), "svg").unwrap().len(), plots.len(), "run `cargo xtask bench --page`");
        for plot in plots {
            let svg = files::read(&folder().join(&plot.file)).unwrap();
            assert!(svg == plot.svg(), "{}: run `cargo xtask bench --page`", plot.file);
        }
    }
}
