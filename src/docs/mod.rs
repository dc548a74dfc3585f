//! The API's document as a page for people: plain HTML without scripts, made from the OpenAPI document itself.

pub mod api;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// Renders an OpenAPI document as one page, the operations grouped by their tags.
pub fn render(document: &Value) -> String {
    let text = |value: &Value, key: &str| escape(value.get(key).and_then(Value::as_str).unwrap_or_default());
    let info = document.get("info").cloned().unwrap_or_default();
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or("other");
            groups.entry(tag.to_owned()).or_default().push(render_operation(path, method, operation));
        }
    }
    let mut page = String::with_capacity(64 * 1024);
    let (title, version) = (text(&info, "title"), text(&info, "version"));
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title} API</title><style>{STYLE}</style><main><h1>{title} API <small>{version}</small></h1><p>{}</p>\
         <p>For programs: <a href=/openapi.json>/openapi.json</a>. Errors are problem+json (RFC 9457); lists answer \
         <code>{{items, next}}</code>.</p>",
        text(&info, "description")
    );
    for (tag, operations) in &groups {
        let _ = write!(page, "<h2>{}</h2>{}", escape(tag), operations.concat());
    }
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
    page.push_str("<h2>Shapes</h2>");
    for (name, schema) in schemas.into_iter().flatten() {
        let name = escape(name);
        let _ = write!(
            page,
            "<details id='{name}'><summary><code>{name}</code> {}</summary>{}</details>",
            text(schema, "description"),
            render_properties(schema)
        );
    }
    page.push_str("</main></html>");
    page
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1c2430;background:#fff}\
main{max-width:56rem;margin:0 auto;padding:1rem}h2{margin-top:2rem;border-bottom:1px solid #d5dbe3}\
details{border:1px solid #d5dbe3;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}summary{cursor:pointer}\
code{font-size:.95em}table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}\
@media(prefers-color-scheme:dark){body{color:#e4e8ee;background:#14181f}a{color:#8ab4ff}\
h2,details{border-color:#39424f}}";

fn render_operation(path: &str, method: &str, operation: &Value) -> String {
    let text = |key: &str| escape(operation.get(key).and_then(Value::as_str).unwrap_or_default());
    let mut html = format!(
        "<details><summary><code><b>{}</b> {}</code> {}</summary><p>{}</p><table>",
        escape(&method.to_uppercase()),
        escape(path),
        text("summary"),
        text("description")
    );
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let field = |key: &str| escape(parameter.get(key).and_then(Value::as_str).unwrap_or_default());
        let _ = write!(
            html,
            "<tr><td>{} <code>{}</code><td>{}",
            field("in"),
            field("name"),
            field("description")
        );
    }
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        let _ = write!(html, "<tr><td>body<td>{}", shape(schema));
    }
    for (status, response) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
        let content = response.get("content").and_then(Value::as_object);
        let schema = content.and_then(|c| c.values().next()).and_then(|media| media.get("schema"));
        let description = escape(response.get("description").and_then(Value::as_str).unwrap_or_default());
        let shape = schema.map(shape).unwrap_or_default();
        let _ = write!(html, "<tr><td>{}<td>{shape} {description}", escape(status));
    }
    html.push_str("</table></details>");
    html
}

fn render_properties(schema: &Value) -> String {
    let mut html = "<table>".to_owned();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let description = escape(property.get("description").and_then(Value::as_str).unwrap_or_default());
        let _ = write!(html, "<tr><td><code>{}</code><td>{}<td>{description}", escape(name), shape(property));
    }
    html + "</table>"
}

/// A type in a few words, with links to the named ones.
fn shape(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href='#{name}'>{name}</a>");
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(options) = schema.get(key).and_then(Value::as_array) {
            return options.iter().map(shape).collect::<Vec<_>>().join(" or ");
        }
    }
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "array" => {
            format!("list of {}", schema.get("items").map(shape).unwrap_or_default())
        }
        Some(Value::String(kind)) => escape(kind),
        Some(Value::Array(kinds)) => {
            escape(&kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "))
        }
        _ => String::new(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn operations_stand_under_their_tag_and_nothing_is_markup_by_accident() {
        let page = super::render(&json!({
            "info": {"title": "Meari", "version": "1"},
            "paths": {"/v1/x/{id}": {"post": {"tags": ["things"], "summary": "Makes <b>", "responses":
                {"201": {"description": "made", "content": {"application/json":
                    {"schema": {"$ref": "#/components/schemas/Thing"}}}}}}}},
            "components": {"schemas": {"Thing": {"properties": {"id": {"type": ["string", "null"]}}}}}
        }));
        assert!(page.contains("<h2>things</h2>"));
        assert!(page.contains("<b>POST</b> /v1/x/{id}</code> Makes &lt;b&gt;"));
        assert!(page.contains("<a href='#Thing'>Thing</a> made"));
        assert!(page.contains("string or null"));
    }
}
