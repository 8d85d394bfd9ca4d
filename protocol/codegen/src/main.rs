//! Regenerates `protocol/src/generated` from `protocol/schemas`.
//!
//! ```text
//! cargo run -p tessera-codegen --features flatc             # write
//! cargo run -p tessera-codegen --features flatc -- --check  # fail where a file is stale
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use xxhash_rust::xxh3::xxh3_64;

/// The crate whose schemas and generated code these are.
const PROTOCOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn main() -> ExitCode {
    let check = match env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("unknown argument `{other}`; the only one is --check");
            return ExitCode::FAILURE;
        }
    };
    match run(check) {
        Ok(stale) if stale.is_empty() => ExitCode::SUCCESS,
        Ok(stale) => {
            for path in stale {
                eprintln!("{} is stale", path.display());
            }
            eprintln!("run: cargo run -p tessera-codegen --features flatc");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Generates all code; writes it, or where `check` is set returns the files that differ.
fn run(check: bool) -> io::Result<Vec<PathBuf>> {
    let generated = Path::new(PROTOCOL).join("src/generated");
    let mut stale = Vec::new();
    for schema in schemas()? {
        let code = generate(&schema)?;
        let stem = schema.file_stem().unwrap_or_default().to_string_lossy();
        let path = generated.join(format!("{stem}_generated.rs"));
        if !check {
            fs::write(path, code)?;
        } else if fs::read_to_string(&path).ok() != Some(code) {
            stale.push(path);
        }
    }
    Ok(stale)
}

fn schemas() -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(Path::new(PROTOCOL).join("schemas"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "fbs") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The Rust code for one schema.
fn generate(schema: &Path) -> io::Result<String> {
    let out = env::temp_dir().join(format!("tessera-codegen-{}", std::process::id()));
    fs::create_dir_all(&out)?;
    let result = flatc(schema, &out);
    fs::remove_dir_all(&out)?;
    // flatc has generated code live at the root of its crate; here it is a module.
    let code = result?.replace("use crate::", "use crate::generated::");
    // With this line a test can tell stale code without flatc.
    let hash = xxh3_64(fs::read_to_string(schema)?.replace("\r\n", "\n").as_bytes());
    Ok(format!("// Hash of the schema: {hash:016x}\n{code}"))
}

fn flatc(schema: &Path, out: &Path) -> io::Result<String> {
    let output = Command::new(flatc_fork::flatc())
        .arg("--rust")
        .arg("-o")
        .arg(out)
        .arg(schema)
        .output()?;
    if !output.status.success() {
        // flatc writes its complaints to either stream.
        let complaint = [output.stdout, output.stderr].concat();
        return Err(io::Error::other(
            String::from_utf8_lossy(&complaint).into_owned(),
        ));
    }
    let stem = schema.file_stem().unwrap_or_default().to_string_lossy();
    fs::read_to_string(out.join(format!("{stem}_generated.rs")))
}
