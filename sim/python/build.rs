//! Says where libpython is, to this crate's binaries and to the crates that link it; bakes in the
//! home of the standard library; embeds the Python package.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
}
