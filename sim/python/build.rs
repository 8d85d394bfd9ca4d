//! Says where libpython is, to this crate's own binaries and to the crates that link it; bakes in the
//! home of the standard library; embeds the Python package.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    pyo3_build_config::add_python_framework_link_args();
    let config = pyo3_build_config::get();
    assert!(
        !config.is_free_threaded(),
        "a CPython with a GIL is needed, not the free-threaded build"
    );
    // Their build scripts read these as DEP_TESSERA_PYTHON_LIBDIR and DEP_TESSERA_PYTHON_FRAMEWORK.
    if let Some(directory) = config.lib_dir() {
        println!("cargo:libdir={directory}");
    }
    if let Some(directory) = config
        .python_framework_prefix()
        .filter(|prefix| !prefix.is_empty())
    {
        println!("cargo:framework={directory}");
    }
    bake_home();
    embed_package(Path::new("package"));
}

/// Asks the interpreter that pyo3-ffi was configured with where its standard library is.
fn bake_home() {
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    let config = pyo3_build_config::get();
    let python = config.executable().map_or("python3".into(), PathBuf::from);
    let script =
        "import sys, sysconfig; print(sys.base_prefix); print(sysconfig.get_path('stdlib'))";
    let output = Command::new(&python)
        .args(["-I", "-c", script])
        .output()
        .unwrap_or_else(|error| panic!("can't run {}: {error}", python.display()));
    let output = String::from_utf8(output.stdout).expect("paths of Python are UTF-8");
    let mut lines = output.lines();
    let home = lines.next().expect("Python prints its prefix");
    let stdlib = lines
        .next()
        .expect("Python prints the directory of its library");
    println!("cargo:rustc-env=TESSERA_PYTHON_HOME={home}");
    println!("cargo:rustc-env=TESSERA_PYTHON_STDLIB={stdlib}");
}

/// Writes a table of all modules in `root`: name, whether it is a package, path, source.
fn embed_package(root: &Path) {
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    let mut table = String::from("[\n");
    for file in files {
        let path = file.strip_prefix(root).expect("collected below the root");
        let mut parts: Vec<_> = path
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let is_package = parts.last().is_some_and(|part| part == "__init__");
        if is_package {
            parts.pop();
        }
        let absolute = fs::canonicalize(&file).expect("the file has just been listed");
        writeln!(
            table,
            "    Module {{ name: {:?}, is_package: {is_package}, path: {:?}, source: include_str!({:?}) }},",
            parts.join("."),
            path.to_string_lossy(),
            absolute.to_string_lossy(),
        )
        .expect("writing to a String");
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("package.rs");
    fs::write(out, table).expect("OUT_DIR is writable");
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the package's folder is there") {
        let path = entry.expect("the package's folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
    }
}
