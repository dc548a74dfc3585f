//! What travels of a file: everything that a browser needs and nothing that only people read. Pure.
//!
//! Scripts and styles lose comments and the white space that separates nothing; names stay what they are. A script is
//! read token by token, so that what stands in strings, templates and regular expressions is left alone; where the end of
//! a line may mean the end of a statement (ECMA-262, section 12.10), the line ends. Private names (`#name`), and those
//! that a file keeps to itself, become short ones. Texts travel without their layout.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The file as it travels. `other` reads another file of `web/`.
pub fn lean<'a>(
    path: &str,
    data: Cow<'a, [u8]>,
    other: impl Fn(&str) -> Option<Cow<'static, [u8]>>,
) -> Cow<'a, [u8]> {
    let Ok(text) = std::str::from_utf8(&data) else { return data };
    let leaner = match path.rsplit('.').next() {
        Some("js") => Some(script(text)),
        Some("css") => Some(style(text)),
        Some("json") => texts(path, text, other),
        _ => None,
    };
    leaner.map_or(data, |text| Cow::Owned(text.into_bytes()))
}

/// Texts in the order of their keys; those of other languages than English as a list in the order of the English ones,
/// since a client has those anyhow and the keys are half of the file. First comes a mark of the keys, under an empty one:
/// a list and keys of different versions do not fit.
fn texts(path: &str, text: &str, other: impl Fn(&str) -> Option<Cow<'static, [u8]>>) -> Option<String> {
    let texts: BTreeMap<String, Value> = serde_json::from_str(text).ok()?;
    let Some(part) = path.strip_suffix("ko.json") else {
        let mark = (String::new(), mark(&texts));
        return serde_json::to_string(&texts.into_iter().chain([mark]).collect::<BTreeMap<_, _>>()).ok();
    };
    let english: BTreeMap<String, Value> = serde_json::from_slice(&other(&format!("{part}en.json"))?).ok()?;
    let words = english.iter().map(|(key, text)| texts.get(key).unwrap_or(text).clone());
    serde_json::to_string(&[mark(&english)].into_iter().chain(words).collect::<Vec<_>>()).ok()
}

fn mark(texts: &BTreeMap<String, Value>) -> Value {
    let mut hash = blake3::Hasher::new();
    texts.keys().for_each(|key| {
        hash.update(key.as_bytes()).update(&[0]);
    });
    Value::from(hash.finalize().to_hex().get(..6).unwrap_or_default())
}

fn style(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut gap = false;
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, after)| after);
        } else if first.is_whitespace() {
            (gap, rest) = (true, after);
        } else {
            let before = out.chars().next_back().unwrap_or('{');
            let ends = |c: char| matches!(c, '{' | '}' | ';' | ',' | '>');
            if gap && !ends(before) && !ends(first) && before != ':' {
                out.push(' ');
            }
            gap = false;
            if first == '}' && before == ';' {
                out.pop();
            }
            let token = if matches!(first, '"' | '\'') { quoted(rest, first) } else { first.len_utf8() };
            let (taken, after) = rest.split_at_checked(token).unwrap_or((rest, ""));
            out.push_str(taken);
            rest = after;
        }
    }
    out
}

/// How long a string is that begins here, with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// How long a template is that begins here, with what is put into it.
fn template(text: &str) -> usize {
    let mut at = 1;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with('`') {
            return at + 1;
        } else if rest.starts_with("${") {
            at += 2 + braced(rest.get(2..).unwrap_or_default());
        } else if rest.starts_with('\\') {
            at += 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// How long the rest of an expression in braces is, with the brace that ends it.
fn braced(text: &str) -> usize {
    let (mut at, mut depth) = (0, 1);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        at += match first {
            '\'' | '"' => quoted(rest, first),
            '`' => template(rest),
            _ => first.len_utf8(),
        };
        depth += match first {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            break;
        }
    }
    at
}

/// How long a regular expression is that begins here, with its flags.
fn regular(text: &str) -> usize {
    let (mut escaped, mut class) = (false, false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '/' if !class => {
                let flags = text.get(at + 1..).unwrap_or_default();
                return at + 1 + flags.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(flags.len());
            }
            _ => {}
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

/// Words after which a slash begins a regular expression.
const BEFORE_REGULAR: [&str; 12] =
    ["return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "await"];

/// What a script is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    /// What stood before it: nothing, white space, or the end of a line.
    gap: Gap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found: Vec<Token> = Vec::new();
    let (mut rest, mut gap) = (text, Gap::None);
    while let Some(first) = rest.chars().next() {
        let before = found.last().map_or("", |token| token.text);
        let ends_value = before.chars().next_back().is_some_and(|c| {
            (is_word(c) && !BEFORE_REGULAR.contains(&before)) || matches!(c, ')' | ']' | '\'' | '"' | '`')
        });
        let (length, seen) = if first.is_whitespace() {
            (first.len_utf8(), if first == '\n' { Gap::Line } else { Gap::Space })
        } else if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), Gap::Space)
        } else if rest.starts_with("/*") {
            let length = rest.find("*/").map_or(rest.len(), |at| at + 2);
            let over_lines = rest.get(..length).is_some_and(|comment| comment.contains('\n'));
            (length, if over_lines { Gap::Line } else { Gap::Space })
        } else {
            let length = match first {
                '\'' | '"' => quoted(rest, first),
                '`' => template(rest),
                '/' if !ends_value => regular(rest),
                _ if is_word(first) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            found.push(Token { text: rest.get(..length).unwrap_or(rest), gap });
            (length, Gap::None)
        };
        gap = if seen == Gap::None { Gap::None } else { gap.max(seen) };
        rest = rest.get(length..).unwrap_or_default();
    }
    found
}

fn script(text: &str) -> String {
    let all = tokens(text);
    let mut counts = BTreeMap::new();
    count(&all, &|name| name.starts_with('#') && name.len() > 1, &mut counts);
    let mut names = short_names('#', counts);
    let own = own_names(&all);
    let mut counts = BTreeMap::new();
    count(&all, &|name| own.contains(name), &mut counts);
    names.extend(short_names('$', counts));
    let mut out = String::with_capacity(text.len());
    write(&mut out, &all, &names);
    out.push('\n');
    out
}

fn write(out: &mut String, all: &[Token], names: &BTreeMap<&str, String>) {
    for (at, token) in all.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| all.get(at)).map_or("", |token| token.text);
        let earlier = at.checked_sub(2).and_then(|at| all.get(at)).map_or("", |token| token.text);
        match token.gap {
            Gap::Line if ends_line((earlier, before), token.text) => out.push('\n'),
            Gap::Line | Gap::Space if separates(before, token.text) => out.push(' '),
            _ => {}
        }
        if !token.text.starts_with('`') {
            out.push_str(names.get(token.text).map_or(token.text, String::as_str));
            continue;
        }
        for (said, put_in) in pieces(token.text) {
            out.push_str(said);
            write(out, &tokens(put_in), names);
        }
    }
}

/// What a template says, and what is put in after it, again and again.
fn pieces(template: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let (mut begun, mut at) = (0, 1);
    while let Some(rest) = template.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("${") {
            let length = braced(rest.get(2..).unwrap_or_default());
            let end = at + 2 + length.saturating_sub(1);
            let said = template.get(begun..at + 2).unwrap_or_default();
            found.push((said, template.get(at + 2..end).unwrap_or_default()));
            (begun, at) = (end, end);
        } else if rest.starts_with('\\') {
            at += 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found.push((template.get(begun..).unwrap_or_default(), ""));
    found
}

/// Whether the end of a line between two tokens may be the end of a statement.
fn ends_line((earlier, before): (&str, &str), next: &str) -> bool {
    let opens = matches!(before, "" | "{" | "(" | "[" | "," | ";" | ":" | "?" | "=" | "&" | "|")
        || (before == ">" && earlier == "=");
    let closes = matches!(next, ")" | "]" | "}" | "," | ";" | ":" | "?" | "." | "&" | "|");
    !opens && !closes
}

/// Whether two tokens must not touch.
fn separates(before: &str, next: &str) -> bool {
    let (Some(a), Some(b)) = (before.chars().next_back(), next.chars().next()) else { return false };
    // `a + +b`, `a / /b/`, `a ? .5 : b`, and a number before a point.
    (is_word(a) && is_word(b))
        || (a == b && matches!(a, '+' | '-' | '/'))
        || (b == '.' && (a == '?' || a.is_ascii_digit()))
}

/// Words that begin a declaration.
const DECLARES: [&str; 4] = ["const", "let", "function", "class"];

/// What a file itself has named, outside of everything and not for others. A name that also stands where it may be a
/// property's (`a.name`, `{ name }`, `name: 1`, a method) keeps it: nobody reads here what a name means.
fn own_names<'a>(all: &[Token<'a>]) -> BTreeSet<&'a str> {
    let (mut own, mut depth) = (BTreeSet::new(), 0usize);
    for (at, token) in all.iter().enumerate() {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            word if DECLARES.contains(&word) && depth == 0 && !is_exported(all, at) => {
                own.extend(text_at(all, at + 1).filter(|name| name.len() > 2 && name.chars().all(is_word)));
            }
            _ => {}
        }
    }
    forget_properties(all, &mut own);
    own
}

fn text_at<'a>(all: &[Token<'a>], at: usize) -> Option<&'a str> {
    all.get(at).map(|token| token.text)
}

fn is_exported(all: &[Token], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| text_at(all, at));
    before(1) == Some("export") || (before(1) == Some("async") && before(2) == Some("export"))
}

fn forget_properties<'a>(all: &[Token<'a>], own: &mut BTreeSet<&'a str>) {
    for (at, token) in all.iter().enumerate() {
        if token.text.starts_with('`') {
            for (_, put_in) in pieces(token.text) {
                forget_properties(&tokens(put_in), own);
            }
        }
        let before = at.checked_sub(1).and_then(|at| text_at(all, at)).unwrap_or_default();
        let next = text_at(all, at + 1).unwrap_or_default();
        let in_list = matches!(before, "{" | ",") && matches!(next, "," | "}" | "=");
        let is_method =
            next == "(" && before != "function" && text_at(all, closing(all, at + 1)) == Some("{");
        if before == "." || next == ":" || in_list || is_method {
            own.remove(token.text);
        }
    }
}

/// Where it goes on after the parenthesis that opens at `at`.
fn closing(all: &[Token], at: usize) -> usize {
    let mut depth = 0usize;
    for (past, token) in all.iter().enumerate().skip(at) {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return past + 1;
        }
    }
    all.len()
}

fn count<'a>(all: &[Token<'a>], is_counted: &impl Fn(&str) -> bool, counts: &mut BTreeMap<&'a str, usize>) {
    for token in all {
        if is_counted(token.text) {
            *counts.entry(token.text).or_default() += 1;
        } else if token.text.starts_with('`') {
            for (_, put_in) in pieces(token.text) {
                count(&tokens(put_in), is_counted, counts);
            }
        }
    }
}

/// Short names for these, the ones that are used most first.
fn short_names(sign: char, counts: BTreeMap<&str, usize>) -> BTreeMap<&str, String> {
    let mut names: Vec<(&str, usize)> = counts.into_iter().collect();
    names.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap_or(0));
    let mut short = BTreeMap::new();
    for (at, (name, _)) in names.into_iter().take(26 * 27).enumerate() {
        let first = at.checked_sub(26).map(|at| letter(at / 26));
        short.insert(name, std::iter::once(sign).chain(first).chain([letter(at)]).collect());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_keep_what_they_say() {
        let table = [
            (
                "/** What\n * it does. */\nfn(1, // one\n  'http://x');\n  // why\n/* a */ b();\n",
                "fn(1,'http://x');b();\n",
            ),
            (
                "const a = b + +c;\nreturn  /x y[/ ]/gu.test( a ) / 2;\n",
                "const a=b+ +c;return/x y[/ ]/gu.test(a)/2;\n",
            ),
            ("let a = () => {\n  x\n}\n(b)\n", "let a=()=>{x}\n(b)\n"),
            ("`a  ${ b ? `c  ${d}` : '}' }  // e`", "`a  ${b?`c  ${d}`:'}'}  // e`\n"),
            (
                "class A { #long; b() { return `/${this.#long}/`; } }",
                "class A{#a;b(){return`/${this.#a}/`;}}\n",
            ),
            ("x = a ? .5 : 1 .toFixed();", "x=a? .5:1 .toFixed();\n"),
            (
                "class A {\n  #long = 1;\n  get #other() { return this.#long; }\n}",
                "class A{#a=1;get #b(){return this.#a}}\n",
            ),
            (
                "const LONG_ONE = 1;\nexport const SEEN_OUTSIDE = 2;\nconst OPEN = `LONG_ONE ${LONG_ONE}`;\nif (socket.OPEN) go(LONG_ONE, 'LONG_ONE', SEEN_OUTSIDE);\n",
                "const $a=1;export const SEEN_OUTSIDE=2;const OPEN=`LONG_ONE ${$a}`;if(socket.OPEN)go($a,'LONG_ONE',SEEN_OUTSIDE);\n",
            ),
            (
                "const open = 1, part = 2;\nfunction draw(part) { return open + part; }\nconst kept = () => ({ kept, draw: draw(`${draw(open)}`) });\n",
                "const $a=1,part=2;function draw(part){return $a+part;}\nconst kept=()=>({kept,draw:draw(`${draw($a)}`)});\n",
            ),
            (
                "const once = a => a;\nclass Box { make() { once(1); } }\nconst make = 1;\nasync function load() { await once(load); }\nx.Box(new Box());\nexport async function given() {}\n",
                "const $a=a=>a;class Box{make(){$a(1);}}\nconst make=1;async function $b(){await $a($b);}\nx.Box(new Box());export async function given(){}\n",
            ),
            ("a\n++b\n", "a\n++b\n"),
            ("if (a) return\nb = '#long'\n", "if(a)return\nb='#long'\n"),
            ("x = a\n  .b()\n  && c\n", "x=a.b()&&c\n"),
        ];
        for (written, sent) in table {
            let sent = sent.replace("return this.#a}}", "return this.#a;}}");
            assert_eq!(script(written), sent, "{written}");
            assert_eq!(script(&sent), sent, "{written}, again");
        }
    }

    #[test]
    fn styles_keep_what_they_say() {
        let table = [
            ("/* A. */\na {\n  b: c;\n}\n", "a{b:c}"),
            (
                "a :hover, b > c {\n content: \"x  { y\"; margin: calc(1px + 2px) auto }",
                "a :hover,b>c{content:\"x  { y\";margin:calc(1px + 2px) auto}",
            ),
            (
                "@media (max-width: 719.9px) and (hover: none) { a { b: c } }",
                "@media (max-width:719.9px) and (hover:none){a{b:c}}",
            ),
        ];
        for (written, sent) in table {
            assert_eq!(style(written), sent);
        }
    }

    #[test]
    fn texts_of_other_languages_are_lists_in_the_order_of_the_english_ones() {
        let english = |name: &str| {
            assert_eq!(name, "i18n/en.json");
            Some(Cow::Borrowed(br#"{ "b": "Two", "a": "One", "c": "Three" }"#.as_slice()))
        };
        let sent =
            lean("i18n/ko.json", Cow::Borrowed("{ \"a\": \"하나\", \"b\": \"둘\" }".as_bytes()), english);
        let list: Vec<String> = serde_json::from_slice(&sent).unwrap();
        assert_eq!(list[1..], ["하나", "둘", "Three"]);
        let sent = lean("i18n/en.json", english("i18n/en.json").unwrap(), english);
        let words = format!(r#"{{"":"{}","a":"One","b":"Two","c":"Three"}}"#, list[0]);
        assert_eq!(std::str::from_utf8(&sent).unwrap(), words, "the mark first");
        let grown = |_: &str| Some(Cow::Borrowed(br#"{ "a": "One", "b": "Two", "d": "" }"#.as_slice()));
        let other = lean("i18n/ko.json", Cow::Borrowed("{}".as_bytes()), grown);
        assert_ne!(
            serde_json::from_slice::<Vec<String>>(&other).unwrap()[0],
            list[0],
            "other keys, another mark"
        );
    }
}
