//! The result of a run: `report.json` for machines, `index.html` for people.
//!
//! Both are made of one [`Report`]. The page is a single file without scripts and without anything from elsewhere; it
//! reads in light and dark.

pub mod charts;
pub mod detail;
pub mod draw;
pub mod format;
pub mod judgement;
pub mod page;
pub mod schema;
pub(crate) mod sections;
pub mod targets;

use std::io;
use std::path::{Path, PathBuf};

use detail::Detail;
use schema::ReportJson;

/// All that is known about a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The published part.
    pub json: ReportJson,
    /// What only the page shows.
    pub detail: Detail,
}

/// Where a report was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub html: PathBuf,
    /// The numbers.
    pub json: PathBuf,
    /// The log of the server, if this run started one: script errors have their tracebacks there.
    pub log: Option<PathBuf>,
}

impl Report {
    /// Writes `index.html` and `report.json` into `dir`, which is made if it isn't there.
    ///
    /// # Errors
    /// When a file can't be written; the error names it.
    pub fn write(&self, dir: &Path) -> io::Result<Written> {
        let named = |path: &Path, e: io::Error| {
            io::Error::new(e.kind(), format!("can't write {}: {e}", path.display()))
        };
        std::fs::create_dir_all(dir).map_err(|e| named(dir, e))?;
        let (html, json) = (dir.join("index.html"), dir.join("report.json"));
        let mut text =
            serde_json::to_string_pretty(&self.json.rounded()).map_err(io::Error::other)?;
        text.push('\n');
        std::fs::write(&json, text).map_err(|e| named(&json, e))?;
        std::fs::write(&html, page::render(self)).map_err(|e| named(&html, e))?;
        Ok(Written {
            html,
            json,
            log: None,
        })
    }
}
