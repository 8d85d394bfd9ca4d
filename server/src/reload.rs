//! New code for the running match: read from its folder when somebody asks, or whenever it changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tessera_python::{ModeSource, ScriptError};
use tessera_sim::{ReloadError, Reloaded};

use crate::tick::Asker;

/// How often the folder is looked at for changes.
const LOOK: Duration = Duration::from_millis(500);

/// Reads the folder and has the match change to what is there. `None` where the match has ended.
pub(crate) async fn reload(folder: PathBuf, asker: &Asker) -> Option<Result<Reloaded, String>> {
    let mode = match read(folder).await {
        Ok(mode) => mode,
        Err(error) => return Some(Err(error.to_string())),
    };
    let told = asker.reload(mode).await?;
    Some(match told.as_ref() {
        Ok(reloaded) => Ok(reloaded.clone()),
        Err(ReloadError::Script(error)) if !error.traceback.is_empty() => {
            Err(format!("{error}\n{}", error.traceback.trim_end()))
        }
        Err(error) => Err(error.to_string()),
    })
}

/// Reloads whenever the files have changed and then stayed as they are for a moment. The log tells how
/// it went. Ends with the match.
pub(crate) async fn watch(folder: PathBuf, asker: Asker) {
    let mut running = hash(&folder).await;
    let mut before = running;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = hash(&folder).await;
        let is_settled = now == before;
        before = now;
        if now == running || !is_settled {
            continue;
        }
        running = now;
        match reload(folder.clone(), &asker).await {
            // The tick thread has logged it.
            Some(Ok(_)) => {}
            Some(Err(error)) => tracing::debug!("the changed files were refused: {error}"),
            None => return,
        }
    }
}

/// Of the code in the folder; `None` while it can't be read.
async fn hash(folder: &Path) -> Option<u64> {
    read(folder.to_owned()).await.ok().map(|mode| mode.hash())
}

async fn read(folder: PathBuf) -> Result<ModeSource, ScriptError> {
    let read = tokio::task::spawn_blocking(move || ModeSource::read(&folder)).await;
    read.unwrap_or_else(|error| Err(ScriptError::host(error.to_string())))
}
