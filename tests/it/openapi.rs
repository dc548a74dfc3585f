//! The document that clients are written against.

use std::path::Path;

fn generated() -> String {
    let mut text = meari::router::openapi().to_pretty_json().unwrap();
    text.push('\n');
    text
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated(),
        "openapi/openapi.json is not what the code says: run `cargo run -- openapi > openapi/openapi.json` and look at the difference"
    );
}

#[test]
fn every_operation_is_named_tagged_and_explained() {
    let document = serde_json::to_value(meari::router::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let name = format!("{method} {path}");
            assert!(operation["operationId"].is_string(), "{name} has no name");
            assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{name} has no tag");
            assert!(operation["summary"].is_string(), "{name} is not explained");
            assert!(
                operation["responses"].as_object().is_some_and(|r| !r.is_empty()),
                "{name} promises nothing"
            );
        }
    }
}
