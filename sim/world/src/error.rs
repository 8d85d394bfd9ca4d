//! What can be wrong with a map.

use std::path::PathBuf;

/// Why a map could not be loaded. Each message names the file, the place in it and what is
/// permitted there.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The map's file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key that is missing, unknown or of the wrong type.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// The map's file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected and what was found.
        problem: String,
    },
    /// A value is outside its permitted range.
    #[error("{}:{line}: {key} must be {permitted}, but is {found}", path.display())]
    Value {
        /// The map's file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, with the index of the entry for lists.
        key: String,
        /// The permitted range, with its unit.
        permitted: String,
        /// What stands there.
        found: String,
    },
    /// The file of heights that a map names could not be read.
    #[error(
        "{}:{line}: terrain.heights names {}, which cannot be read: {source}; put it there, or name a file \
         of heights that is in the same folder",
        path.display(),
        heights.display()
    )]
    HeightsRead {
        /// The map's file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The file of heights.
        heights: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file of heights does not fit the map.
    #[error("{}: {problem}", path.display())]
    Heights {
        /// The file of heights.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
}
