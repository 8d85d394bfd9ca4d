//! Lets the binary and the tests find the CPython library that they were linked against.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
