//! The rules of the house that a text scan can see. Each test lists everything that breaks its rule.

use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Vendors' names stay in the vendor's folder.
const VENDORS: [&str; 6] = ["twilio", "telnyx", "vonage", "bandwidth", "plivo", "nexmo"];

struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found.sort();
    let read = |path: PathBuf| Source {
        path: path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"),
        text: std::fs::read_to_string(path).unwrap(),
    };
    found.into_iter().map(read).collect()
}

impl Source {
    /// The part of the program this file belongs to: `src/db/lanes.rs` to `db`.
    fn module(&self) -> &str {
        let rest = self.path.strip_prefix("src/").unwrap();
        rest.split('/').next().unwrap().trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    fn is_edge(&self) -> bool {
        self.path.ends_with("/api.rs") || self.path.contains("/api/")
    }

    /// The program without its tests (which stand at the end of a file) and without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let body =
            if self.is_test() { "" } else { self.text.split("#[cfg(test)]\nmod tests {").next().unwrap() };
        body.lines().enumerate().filter_map(|(index, line)| {
            let line = line.split("//").next().unwrap();
            (!line.trim().is_empty()).then_some((index + 1, line))
        })
    }
}

#[track_caller]
fn none(broken: Vec<String>, rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

/// The names after `crate::` in a line of code, also those in braces.
fn crate_names(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for after in line.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            names.push(word(after));
            continue;
        };
        let mut depth = 0;
        let mut expects_name = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                c if expects_name && depth == 0 && c.is_alphabetic() => {
                    names.push(word(&group[at..]));
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Joins `use crate::{ … };` that is spread over lines.
fn statements(source: &Source) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in source.code() {
        match joined.last_mut().filter(|_| open) {
            Some((_, statement)) => statement.push_str(line),
            None => joined.push((number, line.to_owned())),
        }
        let statement = &joined.last().unwrap().1;
        open =
            statement.trim_start().trim_start_matches("pub ").starts_with("use ") && !statement.contains(';');
    }
    joined
}

#[test]
fn a_module_uses_only_those_above_it() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let order: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let place = |name: &str| order.iter().position(|module| *module == name);
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_edge() && !source.is_test()) {
        let Some(own) = place(source.module()) else { continue };
        for (number, statement) in statements(source) {
            for name in crate_names(&statement) {
                if place(&name).is_some_and(|other| other > own) {
                    broken.push(format!(
                        "{}:{number}: {} uses {name}, which stands below it",
                        source.path,
                        source.module()
                    ));
                }
            }
        }
    }
    none(broken, "lib.rs lists the modules in the order in which they may use each other");
}

#[test]
fn every_module_is_in_the_list() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let missing = sources("src").into_iter().filter(|source| {
        !matches!(source.module(), "lib" | "main") && !lib.contains(&format!("mod {};", source.module()))
    });
    none(missing.map(|source| source.path).collect(), "lib.rs names every module");
}

#[test]
fn edges_are_imported_by_the_router_alone() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let allowed = matches!(source.module(), "router" | "simulator" | "cli") || source.is_edge();
        for (number, line) in source.code().filter(|_| !allowed) {
            if crate_names(line).is_empty() {
                continue;
            }
            if line
                .split("crate::")
                .skip(1)
                .any(|after| after.split(&[' ', ';', '(', ','][..]).next().unwrap().contains("::api"))
            {
                broken.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    none(broken, "only router.rs imports api.rs files");
}

#[test]
fn queries_are_private_to_their_slice() {
    let public = |source: &Source| -> Vec<String> {
        let broken =
            source.code().filter(|(_, line)| line.trim().starts_with("pub") && line.contains("mod store;"));
        broken.map(|(number, _)| format!("{}:{number}", source.path)).collect()
    };
    none(sources("src").iter().flat_map(public).collect(), "store.rs is private");
}

/// Starting a task is no HTTP.
fn is_http(line: &str) -> bool {
    line.replace("actix_web::rt::", "").contains("actix_web") || line.contains("actix_ws")
}

#[test]
fn http_stays_at_the_edges() {
    let edge = |source: &Source| {
        let file = source.path.rsplit('/').next().unwrap();
        source.is_edge()
            || matches!(file, "auth.rs" | "http.rs" | "router.rs" | "web.rs" | "live.rs" | "idempotency.rs")
            || source.path.contains("/carddav/")
            || matches!(source.module(), "simulator" | "cli")
    };
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|source| !edge(source)) {
        for (number, line) in source.code().filter(|(_, line)| is_http(line)) {
            broken.push(format!("{}:{number}: {}", source.path, line.trim()));
        }
    }
    none(broken, "HTTP is for api.rs and a few files beside it");
}

#[test]
fn vendors_words_stay_in_their_folders() {
    let mut broken = Vec::new();
    for source in sources("src") {
        // The list of carriers must name them; the simulator is one.
        let lists = ["src/carriers/mod.rs", "src/carriers/registry.rs"];
        let allowed = lists.contains(&source.path.as_str()) || source.path.starts_with("src/simulator/");
        for (number, line) in source.code().filter(|_| !allowed) {
            let line = line.to_lowercase();
            for vendor in VENDORS.iter().filter(|vendor| line.contains(**vendor)) {
                // One of them still answers at the addresses of its old name.
                let folder = if *vendor == "nexmo" { "vonage" } else { vendor };
                if !source.path.starts_with(&format!("src/carriers/{folder}")) {
                    broken.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    none(broken, "a vendor's name stays in the vendor's folder");
}

#[test]
fn the_environment_and_the_clock_have_one_place_each() {
    let mut broken = Vec::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            let environment = line.contains("env::var") || line.contains("env::set_var");
            let clock = line.contains("SystemTime::now") || line.contains("jiff::Timestamp::now");
            if (environment && source.path != "src/config.rs") || (clock && source.path != "src/clock.rs") {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none(broken, "only config.rs reads the environment, only clock.rs the clock");
}

#[test]
fn who_holds_a_connection_cannot_reach_the_outside() {
    let mut broken = Vec::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            if line.contains("async fn") && line.contains("&mut Db") {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none(broken, "an operation over &mut Db is not async");
}

#[test]
fn every_file_says_what_it_is() {
    let all = sources("src").into_iter().chain(sources("tests/it")).chain(sources("benches"));
    let silent = all.filter(|source| !source.text.starts_with("//! "));
    none(silent.map(|source| source.path).collect(), "the first line of a file is its documentation");
}

#[test]
fn files_and_functions_have_an_end() {
    let mut broken = Vec::new();
    let all = sources("src").into_iter().chain(sources("tests/it")).chain(sources("benches"));
    for source in all {
        // The tables of tests at the end of a file may be as long as they need to be.
        let body = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines: Vec<&str> = body.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            broken.push(format!("{}: {} lines", source.path, lines.len()));
        }
        for (index, line) in lines.iter().enumerate() {
            let Some(length) = function_lines(line, &lines[index..]) else { continue };
            if length > FUNCTION_LINES_MAX {
                broken.push(format!("{}:{}: {length} lines", source.path, index + 1));
            }
        }
    }
    none(broken, "a file has at most 800 lines, a function 70");
}

/// The lines of the function that begins here. Formatted code closes it at the column where it began.
fn function_lines(line: &str, rest: &[&str]) -> Option<usize> {
    let words = line.trim_start();
    let indent = line.len() - words.len();
    let before = words.split("fn ").next()?;
    let is_start = words.contains("fn ")
        && before.split_whitespace().all(|w| matches!(w, "pub" | "async" | "const") || w.starts_with("pub("));
    if !is_start || line.trim_end().ends_with(';') {
        return None;
    }
    let end = format!("{}}}", " ".repeat(indent));
    rest.iter().position(|line| *line == end).map(|last| last + 1)
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TODO", "FIXME", "XXX", "todo!", "unimplemented!", "dbg!"];
    let mut broken = Vec::new();
    for source in
        sources("src").into_iter().chain(sources("tests/it")).filter(|s| s.path != "tests/it/tidy.rs")
    {
        for (index, line) in source.text.lines().enumerate() {
            if words
                .iter()
                .any(|word| line.split(|c: char| !c.is_alphanumeric() && c != '!').any(|w| w == *word))
            {
                broken.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    none(broken, "what is not done is an issue, not a comment");
}

#[test]
fn names_after_crate_are_found() {
    assert_eq!(crate_names("use crate::db::Db;"), ["db"]);
    assert_eq!(crate_names("use crate::{accounts::{self, Handle}, db, each};"), ["accounts", "db", "each"]);
    assert_eq!(crate_names("crate::a::b(crate::c::D)"), ["a", "c"]);
}
