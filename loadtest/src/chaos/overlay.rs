//! The mode with saboteurs in it: a copy of its folder with one more module, and a `start` that puts them in.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tessera_server::assets::Assets;

use super::plan::Plan;

/// The module that is laid over the mode, below the assets' folder.
const SABOTEUR: &str = "chaos/saboteur.py";
/// The mode's own entry.
const ENTRY: &str = "__init__.py";
/// What the server is told beside its defaults: a storm takes more restarts than any match should, and some of them
/// at once.
const SUPERVISION: &str = "\
[supervision]
spares = 3
restart_intensity = 100000
";

/// What the server is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The folder of the mode with saboteurs.
    pub mode: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// Where the code of the saboteurs is, whose lines tell which fault was which.
    pub saboteur: PathBuf,
}

impl Overlay {
    /// Writes it below `folder`. `mode` is named as the server is told it.
    ///
    /// # Errors
    /// A mode that isn't there, a folder that can't be written.
    pub fn write(folder: &Path, mode: &str, plan: &Plan) -> Result<Overlay> {
        let assets = Assets::find()?;
        let from = assets.mode(mode)?;
        let name = from.file_name().context("a mode's folder has a name")?;
        let into = folder.join(name);
        let failed = || format!("can't write the mode with saboteurs, {}", into.display());
        if into.exists() {
            fs::remove_dir_all(&into).with_context(failed)?;
        }
        copy_code(&from, &into).with_context(failed)?;
        let overlay = Overlay {
            saboteur: into.join("saboteur.py"),
            config: folder.join("tessera.toml"),
            mode: into.clone(),
        };
        fs::copy(assets.root().join(SABOTEUR), &overlay.saboteur).with_context(failed)?;
        let mut entry = fs::read_to_string(into.join(ENTRY)).with_context(failed)?;
        entry.push_str(&entry_with(plan));
        fs::write(into.join(ENTRY), entry).with_context(failed)?;
        fs::write(&overlay.config, SUPERVISION).with_context(failed)?;
        Ok(overlay)
    }
}

/// What follows the mode's own code.
fn entry_with(plan: &Plan) -> String {
    let mut text = String::from("\nfrom .saboteur import beside\n\nFAULTS = (\n");
    for fault in &plan.faults {
        let _ = writeln!(text, "    ({}, \"{}\"),", fault.tick, fault.kind);
    }
    text.push_str(")\nstart = beside(start, FAULTS)\n");
    text
}

/// Copies the Python files of a package, and of those in it.
fn copy_code(from: &Path, into: &Path) -> std::io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let copy = into.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_code(&path, &copy)?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            fs::copy(&path, &copy)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::Fault;

    #[test]
    fn the_plan_becomes_code() {
        let faults = vec![
            Fault {
                tick: 960,
                kind: "endless_loop",
            },
            Fault {
                tick: 963,
                kind: "huge_regex",
            },
        ];
        let code = entry_with(&Plan { faults });
        assert!(
            code.contains(
                "FAULTS = (\n    (960, \"endless_loop\"),\n    (963, \"huge_regex\"),\n)\n"
            )
        );
        assert!(code.ends_with("start = beside(start, FAULTS)\n"));
    }
}
