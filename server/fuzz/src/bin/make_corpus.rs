//! Writes the corpus anew: for each target its valid inputs, and each of them spoiled twice. What libFuzzer found and
//! somebody put beside them stays.
//!
//! ```sh
//! cargo run -p tessera-fuzz --bin make_corpus
//! ```

use std::path::Path;
use std::{fs, io};

use tessera_fuzz::TARGETS;
use tessera_fuzz::corpus::{Dice, FILE_LEN_MAX, spoiled, valid};

/// Spoiled inputs for each valid one.
const SPOILED: usize = 2;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut dice = Dice(1);
    for target in TARGETS {
        let folder = root.join(target.name);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in valid(target.name) {
            assert!(
                bytes.len() < FILE_LEN_MAX,
                "{}/{name} is too long",
                target.name
            );
            fs::write(folder.join(name), &bytes)?;
            for number in 1..=SPOILED {
                let file = folder.join(format!("{name}-spoiled-{number}"));
                fs::write(file, spoiled(&bytes, &mut dice))?;
            }
        }
    }
    Ok(())
}
