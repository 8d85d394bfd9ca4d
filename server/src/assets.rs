//! Where maps, modes and the default configuration are.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// The folder that holds `maps/`, `modes/` and `tessera.toml`.
#[derive(Clone, Debug)]
pub struct Assets {
    root: PathBuf,
}

/// A file or folder that the server needs is not there.
#[derive(Debug, Error)]
pub enum AssetError {
    /// No `assets` folder in any of the places looked at.
    #[error(
        "no `assets` folder found: looked in {}. Start the server from the checkout, or put `assets` beside the binary",
        list(searched)
    )]
    NoFolder {
        /// The folders that were looked at, in order.
        searched: Vec<PathBuf>,
    },
    /// A mode or map of that name does not exist.
    #[error("there is no {what} `{name}`: {} does not exist. Present: {}", path.display(), present.join(", "))]
    NotThere {
        /// `mode` or `map`.
        what: &'static str,
        /// The name as it was given.
        name: String,
        /// Where it should be.
        path: PathBuf,
        /// The names that do exist.
        present: Vec<String>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}

impl Assets {
    /// The assets seen from the current folder, else beside the executable, else in the folders above
    /// it (a binary in `target/release` finds its checkout).
    ///
    /// # Errors
    /// None of these has an `assets` folder.
    pub fn find() -> Result<Assets, AssetError> {
        let mut searched = vec![PathBuf::from("assets")];
        if let Ok(executable) = std::env::current_exe() {
            let above = executable.ancestors().skip(1);
            searched.extend(above.map(|folder| folder.join("assets")));
        }
        match searched.iter().find(|folder| folder.join("modes").is_dir()) {
            Some(root) => Ok(Assets { root: root.clone() }),
            None => Err(AssetError::NoFolder { searched }),
        }
    }

    /// The default configuration file, if there is one.
    pub fn configuration(&self) -> Option<PathBuf> {
        Some(self.root.join("tessera.toml")).filter(|path| path.is_file())
    }

    /// The folder of a mode: `name` is the name of one in `assets/modes`, or a path to a folder.
    ///
    /// # Errors
    /// There is no such folder with an `__init__.py`.
    pub fn mode(&self, name: &str) -> Result<PathBuf, AssetError> {
        let folder = self.root.join("modes");
        let path = resolve(name, || folder.join(name));
        if path.join("__init__.py").is_file() {
            return Ok(path);
        }
        Err(AssetError::NotThere {
            what: "mode",
            name: name.to_owned(),
            path: path.join("__init__.py"),
            present: names_in(&folder, |path| path.join("__init__.py").is_file()),
        })
    }

    /// The file of a map: `name` is the name of one in `assets/maps`, or a path to a `.toml` file.
    ///
    /// # Errors
    /// There is no such file.
    pub fn map(&self, name: &str) -> Result<PathBuf, AssetError> {
        let folder = self.root.join("maps");
        let path = resolve(name, || folder.join(format!("{name}.toml")));
        if path.is_file() {
            return Ok(path);
        }
        Err(AssetError::NotThere {
            what: "map",
            name: name.to_owned(),
            path,
            present: names_in(&folder, |path| {
                path.extension().is_some_and(|e| e == "toml")
            }),
        })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// A bare name is looked up among the assets; anything with a separator is a path.
fn resolve(name: &str, asset: impl FnOnce() -> PathBuf) -> PathBuf {
    if name.contains(std::path::is_separator) {
        PathBuf::from(name)
    } else {
        asset()
    }
}

fn names_in(folder: &Path, is_asset: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| is_asset(path))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_mode_names_where_it_should_be_and_what_there_is() {
        let root = std::env::temp_dir().join(format!("tessera-assets-{}", std::process::id()));
        std::fs::create_dir_all(root.join("modes/royale")).unwrap();
        std::fs::write(root.join("modes/royale/__init__.py"), "").unwrap();
        let assets = Assets { root: root.clone() };
        assert_eq!(assets.mode("royale").unwrap(), root.join("modes/royale"));
        let error = assets.mode("roiale").unwrap_err().to_string();
        assert!(error.contains("mode `roiale`"), "{error}");
        assert!(error.contains("Present: royale"), "{error}");
        let path = root.join("modes/royale").display().to_string();
        assert_eq!(assets.mode(&path).unwrap(), root.join("modes/royale"));
        std::fs::remove_dir_all(root).unwrap();
    }
}
