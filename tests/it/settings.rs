//! What operators write into `meari.toml` and `MEARI_…`, and what they are told when it is wrong.

use std::path::Path;

use meari::config::{Fault, LogFormat, Registration, Settings};
use secrecy::ExposeSecret;

fn load(toml: &str, env: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("meari.toml");
    std::fs::write(&file, toml).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(&file), env)
}

fn faults(toml: &str, env: &[(&str, &str)]) -> Vec<String> {
    load(toml, env).expect_err("the settings are wrong").iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_file_is_right_and_says_the_defaults() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("meari.example.toml");
    let settings = Settings::load(Some(&example), std::iter::empty()).expect("the example is right");
    let expected = Settings::default();
    assert_eq!(format!("{settings:?}"), format!("{expected:?}"));
}

#[test]
fn the_example_file_is_right_with_every_comment_taken_away_too() {
    let text = include_str!("../../meari.example.toml");
    let uncommented = text.lines().map(|line| {
        let bare = line.trim_start_matches("# ");
        let is_setting = bare.contains(" = ") || bare.starts_with("[[");
        if is_setting { bare } else { "" }
    });
    let settings = load(&uncommented.collect::<Vec<_>>().join("\n"), &[]).expect("the example is right");
    assert_eq!(settings.carriers.len(), 1);
    assert!(settings.nats_url.is_some() && settings.smtp_url.is_some() && settings.admin_token.is_some());
}

#[test]
fn nothing_said_means_defaults() {
    let settings = load("", &[]).unwrap();
    assert_eq!(settings.database_url, "sqlite://data/meari.db");
    assert_eq!(settings.public_url, "http://127.0.0.1:8080");
    assert!(settings.run_worker);
}

#[test]
fn the_public_address_follows_the_listening_one_unless_it_is_said() {
    assert_eq!(load("listen = \"0.0.0.0:9000\"", &[]).unwrap().public_url, "http://127.0.0.1:9000");
    let said = "listen = \"0.0.0.0:9000\"\npublic_url = \"https://meari.example.org\"";
    assert_eq!(load(said, &[]).unwrap().public_url, "https://meari.example.org");
}

#[test]
fn a_variable_wins_over_the_file() {
    let settings = load(
        "registration = \"closed\"\nrun_worker = true",
        &[("MEARI_REGISTRATION", "invite"), ("MEARI_RUN_WORKER", "false")],
    )
    .unwrap();
    assert_eq!(settings.registration, Registration::Invite);
    assert!(!settings.run_worker);
}

#[test]
fn variables_of_others_are_none_of_our_business() {
    assert!(load("", &[("PATH", "/bin"), ("MEARI_TEST_POSTGRES", "off")]).is_ok());
}

#[test]
fn carriers_keep_the_vendors_own_names() {
    let toml = "[[carriers]]\nid = \"main\"\nkind = \"twilio\"\napi_base = \"http://127.0.0.1:1/\"\n\
                account_sid = \"AC1\"\nauth_token = 12345\n[[carriers]]\nid = \"second-one\"\nkind = \"simulator\"";
    let env = [("MEARI_CARRIERS_SECOND_ONE_AUTH_TOKEN", "s3cret"), ("MEARI_CARRIERS_THIRD_KIND", "telnyx")];
    let settings = load(toml, &env).unwrap();
    let [main, second, third] = settings.carriers.as_slice() else { panic!("three carriers") };
    assert_eq!((main.id.as_str(), main.kind.as_str()), ("main", "twilio"));
    assert_eq!(main.api_base.as_deref(), Some("http://127.0.0.1:1"));
    assert_eq!(main.options["account_sid"].expose_secret(), "AC1");
    assert_eq!(main.options["auth_token"].expose_secret(), "12345");
    assert_eq!(second.options["auth_token"].expose_secret(), "s3cret");
    assert_eq!((third.id.as_str(), third.kind.as_str()), ("third", "telnyx"));
    assert!(!format!("{settings:?}").contains("s3cret"), "secrets are not shown");
}

#[test]
fn all_faults_are_told_at_once_with_what_would_be_right() {
    let told = faults(
        "listn = \"127.0.0.1:1\"\npublic_url = \"https://meari.example.org/\"\nregistration = \"everybody\"\n\
         run_worker = \"perhaps\"\ndatabase_url = \"mysql://db\"",
        &[("MEARI_SMTP_ULR", "smtp://mail.example.org"), ("MEARI_LOG", "xml")],
    );
    let all = told.join("\n");
    for part in [
        "listn: is not a setting. Did you mean listen?",
        "public_url: expected http:// or https:// and a host, with no path and no slash at the end",
        "Example: https://meari.example.org",
        "registration: expected open, invite or closed, not \"everybody\"",
        "run_worker: expected true or false, not \"perhaps\". Example: true",
        "database_url: expected sqlite:// and a path, or postgres://",
        "MEARI_SMTP_ULR: is not a setting. Did you mean MEARI_SMTP_URL?",
        "MEARI_LOG: expected pretty or json, not \"xml\"",
    ] {
        assert!(all.contains(part), "{part:?} is missing from:\n{all}");
    }
    assert_eq!(told.len(), 7);
}

#[test]
fn every_wrong_value_is_refused() {
    let wrong = [
        ("listen", "8080"),
        ("listen", "127.0.0.1"),
        ("listen", "127.0.0.1:99999"),
        ("public_url", "meari.example.org"),
        ("public_url", "ftp://meari.example.org"),
        ("public_url", "https://meari.example.org/app"),
        ("public_url", "https://me:pass@meari.example.org"),
        ("database_url", "sqlite://"),
        ("database_url", "postgres://user@host:port/db"),
        ("nats_url", "http://127.0.0.1"),
        ("mail_from", "nobody"),
        ("admin_token", "short"),
        ("media_dir", " "),
        ("calls_listen", "localhost:3478"),
        ("calls_addresses", "203.0.113.7,meari.example.org"),
        ("calls_legs_max", "1"),
        ("log_level", "loud=yes=no"),
        ("service_name", "two\\nlines"),
    ];
    for (key, value) in wrong {
        let told = faults(&format!("{key} = \"{value}\""), &[]);
        assert!(told.iter().any(|fault| fault.starts_with(key)), "{key} = {value}: {told:?}");
    }
    for good in ["127.0.0.1:0", "[::1]:8080", "localhost:8080", "0.0.0.0:80"] {
        assert_eq!(load(&format!("listen = \"{good}\""), &[]).unwrap().listen, good);
    }
}

#[test]
fn mail_needs_a_server_and_a_sender() {
    assert!(faults("smtp_url = \"smtps://mail.example.org\"", &[]).join("").contains("mail_from: is needed"));
    assert!(faults("mail_from = \"a@example.org\"", &[]).join("").contains("smtp_url: is needed"));
    assert!(load("smtp_url = \"smtp://127.0.0.1:25\"\nmail_from = \"Meari <a@example.org>\"", &[]).is_ok());
}

#[test]
fn carriers_need_an_id_of_their_own_and_a_kind() {
    let told = faults(
        "[[carriers]]\nid = \"A B\"\n[[carriers]]\nid = \"x\"\nkind = \"smpp\"\n[[carriers]]\nid = \"x\"\nkind = \"smpp\"",
        &[],
    );
    let all = told.join("\n");
    assert!(all.contains("carriers[0].id: expected 1 to 32 small letters"), "{all}");
    assert!(all.contains("carriers[0].kind: is missing"), "{all}");
    assert!(all.contains("carriers[2].id: \"x\" is used twice"), "{all}");
    assert!(faults("carriers = 3", &[]).join("").contains("expected a list"));
    assert!(faults("", &[("MEARI_CARRIERS_MAIN", "x")]).join("").contains("MEARI_CARRIERS_<ID>_<KEY>"));
}

#[test]
fn a_broken_file_is_told_by_line_and_without_its_secrets() {
    let told = faults("listen = \"127.0.0.1:1\"\nadmin_token = \"hunter2hunter2hunter2\nlog = \"json\"", &[]);
    assert!(told[0].starts_with("line 2: is not TOML"), "{told:?}");
    let secret = faults("admin_token = \"hunter2\"\ndatabase_url = \"mysql://me:hunter2@db\"", &[]);
    assert!(!format!("{told:?}{secret:?}").contains("hunter2"));
}

#[test]
fn a_file_that_is_asked_for_must_exist() {
    let told = Settings::load(Some(Path::new("/nowhere/meari.toml")), std::iter::empty()).unwrap_err();
    assert!(told[0].to_string().contains("--config"), "{told:?}");
    let env = [("MEARI_CONFIG".to_owned(), "/nowhere/else.toml".to_owned())];
    assert!(Settings::load(None, env.into_iter()).unwrap_err()[0].key.contains("else.toml"));
}

#[test]
fn logs_can_be_json() {
    assert_eq!(load("log = \"json\"", &[]).unwrap().log, LogFormat::Json);
}
