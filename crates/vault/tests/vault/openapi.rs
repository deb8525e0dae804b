//! The document of the API.

use std::path::Path;

#[test]
fn the_document_that_is_checked_in_describes_what_is_mounted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/holdfast.json");
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    let written = vault::document();
    if checked_in != written {
        let different = checked_in.lines().zip(written.lines()).position(|(left, right)| left != right);
        panic!(
            "openapi/holdfast.json differs from line {different:?}: write it with 'holdfast-vault openapi > openapi/holdfast.json'"
        );
    }
}

#[test]
fn the_document_has_every_endpoint_and_every_schema_that_it_refers_to() {
    let document: serde_json::Value = serde_json::from_str(&vault::document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for endpoint in vault::endpoints() {
        let operation = &document["paths"][endpoint.path][endpoint.method_name().to_lowercase()];
        assert!(
            operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
            "{} {}",
            endpoint.method_name(),
            endpoint.path
        );
        assert!(operation["operationId"].is_string());
    }
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = &reference[..reference.find('"').unwrap()];
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
