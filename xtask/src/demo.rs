//! `cargo xtask demo`: the page, built and served from this machine.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::browser::{need_chromium, npm};
use crate::command::{Cmd, Running};
use crate::failure::{Failure, Result};
use crate::files::create;
use crate::material::Material;
use crate::{npm as package, paths, setup};

const PORT: u16 = 4173;
const SERVER_LIMIT: Duration = Duration::from_secs(60);
const SCREENSHOT_LIMIT: Duration = Duration::from_secs(600);

pub fn run(args: &[String]) -> Result {
    match args {
        [] => serve(),
        [flag, file] if flag == "--screenshot" => screenshot(Path::new(file)),
        _ => Err(Failure::new(
            format!("demo does not understand `{}`", args.join(" ")),
            "cargo xtask demo, or cargo xtask demo --screenshot FILE.png",
        )),
    }
}

fn page() -> PathBuf {
    paths::root().join("web-demo")
}

fn serve() -> Result {
    build()?;
    let port = free_port(PORT)?;
    println!("\n  http://127.0.0.1:{port}/   (Ctrl-C ends it)\n");
    preview(port).run()
}

/// Builds the page, drives it in headless Chromium and writes a picture of it.
pub fn screenshot(file: &Path) -> Result {
    let chromium = need_chromium()?;
    build()?;
    let port = free_port(0)?;
    let mut server = preview(port).background()?;
    wait_for(port, &mut server)?;
    let file = std::path::absolute(file).map_err(|e| Failure::io("find", file, &e))?;
    Cmd::new("node")
        .arg("e2e/screenshot.mjs")
        .arg(format!("http://127.0.0.1:{port}/"))
        .arg(&file)
        .env("WEFT_CHROMIUM", chromium)
        .dir(page())
        .limit(SCREENSHOT_LIMIT)
        .way_out("`cargo xtask demo` serves the same page: look at it and at its console")
        .run()?;
    match file.metadata() {
        Ok(found) if found.len() > 0 => {
            println!("  {}", paths::short(&file));
            Ok(())
        }
        _ => Err(Failure::new(format!("the script ended well but wrote no {}", file.display()), "look at web-demo/e2e/screenshot.mjs")),
    }
}

fn build() -> Result {
    package::build()?;
    let page = page();
    setup::node_packages(&page)?;
    assets(&page.join("public"))?;
    npm().args(["run", "build"]).dir(page).run()
}

/// Under the names by which the page asks for them.
fn assets(public: &Path) -> Result {
    let Material { weights, sample } = Material::fetch()?;
    create(public)?;
    for (from, name) in [(weights, "vad.safetensors"), (sample, "sample.wav")] {
        fs::copy(&from, public.join(name)).map_err(|e| Failure::io("copy", &from, &e))?;
        println!("  {} -> {}", from.display(), paths::short(&public.join(name)));
    }
    Ok(())
}

/// Vite itself rather than `npm run preview`: stopping npm would leave its child running.
fn preview(port: u16) -> Cmd {
    Cmd::new("node")
        .args(["node_modules/vite/bin/vite.js", "preview"])
        .args(["--host", "127.0.0.1", "--strictPort", "--port"])
        .arg(port.to_string())
        .dir(page())
}

/// The wanted port, or any other if that one is taken (or is 0).
fn free_port(wanted: u16) -> Result<u16> {
    TcpListener::bind(("127.0.0.1", wanted))
        .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| Failure::new(format!("no free port on 127.0.0.1: {e}"), "stop another server"))
}

fn wait_for(port: u16, server: &mut Running) -> Result {
    let end = Instant::now() + SERVER_LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.ended();
        if ended.is_some() || Instant::now() > end {
            return Err(Failure::new(
                format!("the page's server does not answer on port {port}"),
                "run `npx vite preview` in web-demo to see why",
            ));
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let other = free_port(port).unwrap();
        assert_ne!(port, other);
    }
}
