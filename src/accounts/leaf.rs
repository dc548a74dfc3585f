//! The frame of the few pages that stand alone: what a link in a letter or a scanned code opens. Pure.

use crate::texts::Locale;

/// What such a page may load: our own style and icon, and nothing that runs.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A whole page. `title` is text; `body` is markup whose texts are escaped already.
pub fn page(locale: Locale, name: &str, title: &str, body: &str) -> String {
    let (name, title) = (escape(name), escape(title));
    format!(
        r#"<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">
<title>{title} – {name}</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style/base.css"><link rel="stylesheet" href="/style/leaf.css"></head>
<body class="leaf"><main>
<p class="leaf-brand"><img src="/icon.svg" alt="" width="40" height="40">{name}</p>
<h1>{title}</h1>
{body}
</main></body></html>
"#,
        lang = locale.as_str(),
    )
}

/// A text as it may stand in a page.
pub fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_never_markup() {
        let page = page(Locale::En, "A & <b>", "<script>", "<p>ours</p>");
        assert!(page.contains("<h1>&lt;script&gt;</h1>") && page.contains("A &amp; &lt;b&gt;"));
        assert!(page.contains("<p>ours</p>"));
    }
}
