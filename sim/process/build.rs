//! Binaries and tests of this package link libpython; this tells them where it is.

fn main() {
    for name in ["DEP_TESSERA_PYTHON_LIBDIR", "DEP_TESSERA_PYTHON_FRAMEWORK"] {
        if let Ok(directory) = std::env::var(name) {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{directory}");
        }
    }
}
