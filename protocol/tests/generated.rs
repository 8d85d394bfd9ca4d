//! The generated code is that of the schemas. CI also runs `tessera-codegen --check`, which needs
//! cmake.

use std::fs;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut schemas = 0;
    for entry in fs::read_dir(root.join("schemas")).expect("there are schemas") {
        let schema = entry.expect("readable").path();
        let text = fs::read_to_string(&schema)
            .expect("readable")
            .replace("\r\n", "\n");
        let name = schema.file_stem().expect("a file").to_string_lossy();
        let code = root.join(format!("src/generated/{name}_generated.rs"));
        let code = fs::read_to_string(code).unwrap_or_default();
        let expected = format!("// Hash of the schema: {:016x}", xxh3_64(text.as_bytes()));
        assert_eq!(
            code.lines().next(),
            Some(expected.as_str()),
            "{name}.fbs changed; run: cargo run -p tessera-codegen --features flatc"
        );
        schemas += 1;
    }
    assert_eq!(schemas, 5);
}
