//! Every decoder keeps its promise for every file of the corpus, and for many spoiled forms of each.

use std::path::{Path, PathBuf};

use tessera_fuzz::corpus::{Dice, FILE_LEN_MAX, spoiled, valid};
use tessera_fuzz::{TARGETS, Target};

/// Spoiled forms of each file. libFuzzer tries millions; these are a few seconds of it, the same in every run.
const SPOILED: usize = 1_000;
/// Things wrong at once with the most spoiled of them.
const FAULTS_MAX: usize = 4;

fn files(target: Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folder = folder.join(target.name);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; make_corpus writes it", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).expect("readable")))
        .collect()
}

#[test]
fn the_corpus_is_small_and_no_target_lacks_one() {
    for target in TARGETS {
        let files = files(target);
        assert!(files.len() >= valid(target.name).len(), "{}", target.name);
        for (path, bytes) in files {
            assert!(
                bytes.len() <= FILE_LEN_MAX,
                "{} is too long",
                path.display()
            );
        }
    }
}

#[test]
fn each_target_bears_its_corpus() {
    for target in TARGETS {
        for (path, bytes) in files(target) {
            // A panic says which file by the test's output.
            println!("{}", path.display());
            (target.run)(&bytes);
        }
    }
}

#[test]
fn each_target_bears_its_corpus_spoiled() {
    for target in TARGETS {
        let mut dice = Dice(target.name.len() as u64);
        for (path, bytes) in files(target) {
            for round in 0..SPOILED {
                let faults = 1 + round % FAULTS_MAX;
                let bytes = (0..faults).fold(bytes.clone(), |b, _| spoiled(&b, &mut dice));
                println!("{} in round {round}: {bytes:02x?}", path.display());
                (target.run)(&bytes);
            }
        }
    }
}

#[test]
fn what_should_be_valid_is() {
    // A corpus of nothing but garbage would test little: these are read to their end.
    use tessera_protocol::Snapshot;
    let (_, bytes) = valid("snapshot").remove(0);
    assert!(Snapshot::from_bytes(bytes).is_ok());
    let (_, bytes) = valid("map").remove(0);
    let mut pieces = tessera_fuzz::targets::pieces(&bytes);
    let text = String::from_utf8_lossy(pieces.next().expect("a text"));
    let map = tessera_world::World::parse(&text, pieces.next().expect("heights"));
    assert!(map.is_ok(), "{:?}", map.err());
    for (name, bytes) in valid("config") {
        let text = String::from_utf8_lossy(&bytes);
        let config = tessera_server::config::Config::parse(Path::new(name), &text);
        assert!(config.is_ok(), "{:?}", config.err());
    }
}
