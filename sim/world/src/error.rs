//! What can be wrong with a map.

use std::path::PathBuf;

/// Why a map could not be loaded. Each message names the file, the place in it and what is permitted there.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The map's file or its heights could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}
