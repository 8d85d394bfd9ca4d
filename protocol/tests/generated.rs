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

#[test]
fn the_description_has_the_schemas_and_the_version() {
    let text = include_str!("../../docs/protocol.md").replace("\r\n", "\n");
    let after = |mark: &str| {
        let at = text.find(mark);
        &text[at.unwrap_or_else(|| panic!("{mark} is not in docs/protocol.md")) + mark.len()..]
    };
    let version = after("wire version in decimal, which is `")
        .split('`')
        .next();
    let mut hashed = format!("{}\n", version.expect("digits"));
    for schema in ["commands", "events", "field_table", "handshake"] {
        let shown = after(&format!("`{schema}.fbs`:\n\n```text\n"));
        hashed += &shown[..shown.find("```").expect("a fence")];
    }
    assert_eq!(
        xxhash_rust::xxh3::xxh3_64(hashed.as_bytes()),
        tessera_protocol::session::protocol_hash(),
        "docs/protocol.md has other schemas, or another version, than the code"
    );
}
