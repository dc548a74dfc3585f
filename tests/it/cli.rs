//! The command line: what it prints, what it answers, and what it says when it cannot.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Place {
    folder: tempfile::TempDir,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    /// An empty folder with settings of its own.
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        place.write(
            "meari.toml",
            "listen = \"127.0.0.1:0\"\n[[carriers]]\nid = \"main\"\nkind = \"simulator\"\n\
             api_base = \"http://127.0.0.1:9\"\naccount_sid = \"AC1\"\nauth_token = \"t\"\n",
        );
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meari"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MEARI_")) {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().unwrap())
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = self.command(arguments);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        said(child.wait_with_output().unwrap())
    }
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    #[track_caller]
    fn well(self) -> Said {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn badly(self, code: i32, with: &str) -> Said {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        assert!(self.err.contains(with), "{with:?} is missing from:\n{}", self.err);
        self
    }
}

#[test]
fn help_names_every_command_and_fits_a_terminal() {
    let place = Place::new();
    let help = place.run(&["--help"]).well().out;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"migrate") && names.contains(&"numbers"), "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let help = place.run(&[name, "--help"]).well().out;
        assert!(help.contains("Usage: meari"), "{name}");
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{name} --help is too wide:\n{help}");
    }
}

#[test]
fn what_is_not_understood_ends_with_two_and_a_hint() {
    let place = Place::new();
    place.run(&["serv"]).badly(2, "subcommand");
    place.run(&["numbers", "plan", "--contacts-max", "many"]).badly(2, "--contacts-max");
    place.run(&[]).badly(2, "Usage");
}

#[test]
fn wrong_settings_are_told_all_at_once() {
    let place = Place::new();
    place.write("meari.toml", "listn = \"x\"\nlog = \"xml\"");
    let said = place.run(&["migrate"]).badly(1, "Did you mean listen?");
    assert!(said.err.contains("pretty or json"), "{}", said.err);
    place.run(&["migrate", "--config", "nowhere.toml"]).badly(1, "nowhere.toml");
}

#[test]
fn the_schema_is_asked_for_before_anything_else() {
    let place = Place::new();
    place.run(&["accounts", "list"]).badly(1, "meari migrate");
    assert!(place.run(&["migrate"]).well().out.contains("ran "));
    assert!(place.run(&["migrate"]).well().out.contains("up to date"));
    assert!(place.run(&["accounts", "list"]).well().out.contains("no accounts"));
}

#[test]
fn accounts_are_made_listed_and_given_passwords_for_phones() {
    let place = Place::new();
    place.run(&["migrate"]).well();
    let made = place.run(&["accounts", "create", "alice"]).well().out;
    assert!(made.contains("created alice (acc_") && made.contains("password: "), "{made}");
    let boss = ["accounts", "create", "boss", "--admin", "--password-stdin", "--display-name", "The Boss"];
    let made = place.run_with_input(&boss, "correct horse battery\n").well().out;
    assert!(!made.contains("password"), "{made}");

    let list = place.run(&["accounts", "list"]).well().out;
    assert!(
        list.lines().any(|l| l.starts_with("boss ") && l.contains("The Boss") && l.ends_with("admin")),
        "{list}"
    );

    let made = place.run(&["accounts", "app-password", "alice"]).well().out;
    assert!(made.contains("/dav/") && made.contains("user name:       alice"), "{made}");

    place.run(&["accounts", "create", "alice"]).badly(1, "taken");
    place.run(&["accounts", "create", "Not A Handle"]).badly(1, "handle");
    place
        .run_with_input(&["accounts", "create", "carol", "--password-stdin"], "short\n")
        .badly(1, "10 characters");
    place.run(&["accounts", "app-password", "nobody"]).badly(1, "meari accounts list");
}

#[test]
fn numbers_come_from_a_file() {
    let place = Place::new();
    place.run(&["migrate"]).well();
    assert!(place.run(&["numbers", "list"]).well().out.contains("meari numbers import"));
    place
        .write("pool.csv", "e164,carrier,capabilities\n+12025550150,main,sms+voice\n+12025550151,main,sms\n");
    assert!(
        place.run(&["numbers", "import", "pool.csv"]).well().out.contains("2 numbers are new, 0 were there")
    );
    assert!(
        place.run(&["numbers", "import", "pool.csv"]).well().out.contains("0 numbers are new, 2 were there")
    );
    let list = place.run(&["numbers", "list"]).well().out;
    assert!(list.lines().any(|l| l.starts_with("+12025550150  US") && l.contains("sms+voice")), "{list}");

    place.write("bad.csv", "e164,carrier,capabilities\n+12025550152,main,sms\n+12025550153,other,sms\n");
    place.run(&["numbers", "import", "bad.csv"]).badly(1, "line 3");
    assert_eq!(place.run(&["numbers", "list"]).well().out.lines().count(), 3, "nothing of it was imported");
    place.run(&["numbers", "import", "nowhere.csv"]).badly(1, "nowhere.csv");
    place.run(&["numbers", "search", "--carrier", "nobody"]).badly(1, "Name one of");
    place.run(&["numbers", "order", "--carrier", "main", "12"]).badly(1, "E.164");
}

#[test]
fn the_plan_says_how_many_numbers_and_why() {
    let place = Place::new();
    let options = ["numbers", "plan", "--contacts-max", "500", "--resting", "20", "--handsets", "10000"];
    let plan = place.run(&options).well().out;
    assert!(plan.lines().any(|l| l.starts_with("numbers for one region") && l.contains(" 598 ")), "{plan}");
    assert!(plan.contains("5000000"), "{plan}");
    let busy =
        ["numbers", "plan", "--contacts-max", "10", "--sms-per-second", "70", "--sms-per-number", "0.5"];
    assert!(
        place.run(&busy).well().out.lines().any(|l| l.starts_with("numbers for one") && l.contains(" 140 "))
    );
    place.run(&["migrate"]).well();
    assert!(place.run(&["numbers", "plan"]).well().out.contains("the largest account now"));
}

/// A service that was started from the command line.
struct Service {
    child: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStderr>>,
}

impl Service {
    fn start(place: &Place, arguments: &[&str]) -> Service {
        let mut command = place.command(arguments);
        let mut child = command
            .env("MEARI_LOG", "json")
            .env("MEARI_LOG_LEVEL", "debug,hyper=info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
        Service { child, lines }
    }

    /// The next log line whose sentence has `part`.
    fn line(&mut self, part: &str) -> serde_json::Value {
        for line in self.lines.by_ref() {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).expect("a log line is JSON");
            if line["message"].as_str().is_some_and(|message| message.contains(part)) {
                return line;
            }
        }
        panic!("the service ended without saying {part:?}");
    }

    fn terminate(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.line("stopped");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

async fn get(url: &str) -> (u16, String) {
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[actix_web::test]
async fn serve_migrates_answers_and_stops_when_asked() {
    let place = Place::new();
    let mut service = Service::start(&place, &["serve"]);
    let line = service.line("serves");
    let url = format!("http://{}", line["listen"].as_str().unwrap());
    assert_eq!(get(&format!("{url}/healthz")).await, (200, "alive\n".to_owned()));
    assert_eq!(get(&format!("{url}/readyz")).await, (200, "ready\n".to_owned()));
    assert_eq!(get(&format!("{url}/v1/me")).await.0, 401);
    let problem = get(&format!("{url}/nowhere")).await;
    assert!(problem.0 == 404 && problem.1.contains("request_id"), "{problem:?}");
    let document = get(&format!("{url}/openapi.json")).await.1;
    assert!(serde_json::from_str::<serde_json::Value>(&document).unwrap()["paths"]["/v1/me"].is_object());
    assert!(get(&format!("{url}/docs")).await.1.contains("/v1/me"));
    let metrics = get(&format!("{url}/metrics")).await.1;
    let counted = "meari_http_requests_total{method=\"GET\",route=\"/v1/me\",status=\"401\"} 1";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert!(metrics.contains("meari_build{version="), "{metrics}");
    service.terminate();
}

#[test]
fn a_worker_runs_alone_and_stops_when_asked() {
    let place = Place::new();
    place.run(&["migrate"]).well();
    let mut worker = Service::start(&place, &["worker"]);
    worker.line("works");
    worker.terminate();
}

#[test]
fn serve_says_why_it_does_not_start() {
    let place = Place::new();
    place.write("meari.toml", "listen = \"192.0.2.1:1\"");
    place.run(&["serve"]).badly(1, "`listen`");
    place.write("meari.toml", "database_url = \"postgres://nobody@127.0.0.1:1/none\"");
    place.run(&["serve"]).badly(1, "database_url");
    place.write("meari.toml", "[[carriers]]\nid = \"main\"\nkind = \"pigeon\"");
    place.run(&["serve"]).badly(1, "pigeon");
    place.write("file", "");
    place.write("meari.toml", "media_dir = \"file/media\"");
    place.run(&["serve"]).badly(1, "media_dir");
}

#[test]
fn the_document_is_printed() {
    let document = Place::new().run(&["openapi"]).well().out;
    assert!(serde_json::from_str::<serde_json::Value>(&document).unwrap()["openapi"].is_string());
}

#[actix_web::test]
async fn the_demo_is_up_at_once_and_leaves_nothing_behind() {
    let place = Place::new();
    let mut command = place.command(&["demo", "--listen", "127.0.0.1:0"]);
    command.env("TMPDIR", place.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut demo = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(demo.stdout.take().unwrap()));
    let tour = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let url = line.trim().strip_prefix("The tour")?.trim().strip_suffix("/demo")?;
        Some(url.to_owned())
    });
    let url = tour.expect("the demo says where it is");
    assert_eq!(get(&format!("{url}/demo")).await.0, 200);
    let sheet: serde_json::Value = serde_json::from_str(&get(&format!("{url}/demo.json")).await.1).unwrap();
    let phone = format!("{url}{}/phones/{}", sheet["simulator"].as_str().unwrap(), "%2B12025550101");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(format!("{phone}/sync")).send().await.unwrap().error_for_status().unwrap();
    let shown: serde_json::Value = serde_json::from_str(&get(&phone).await.1).unwrap();
    let bob = shown["contacts"].as_array().unwrap().iter().find(|c| c["name"] == "Bob").unwrap();
    assert_eq!(bob["numbers"][0], sheet["alice"]["bobs_number"]);
    let login = serde_json::json!({"login": "bob", "password": sheet["people"][0]["password"]});
    let sign_in = client.post(format!("{url}/v1/sessions")).header("content-type", "application/json");
    let session = sign_in.body(login.to_string()).send().await.unwrap();
    assert!(session.status().is_success());

    assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
    assert_eq!(demo.wait().unwrap().code(), Some(0));
    let left =
        std::fs::read_dir(place.path()).unwrap().flatten().filter(|e| e.file_name() != "meari.toml").count();
    assert_eq!(left, 0, "the temporary folder is gone");
}

#[actix_web::test]
async fn a_demo_in_a_folder_goes_on_where_it_was() {
    let place = Place::new();
    for _ in 0..2 {
        let mut command = place.command(&["demo", "--listen", "127.0.0.1:0", "--data", "kept"]);
        let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(demo.stdout.take().unwrap()));
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ctrl-C stops it")));
        assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
        assert_eq!(demo.wait().unwrap().code(), Some(0));
    }
    assert!(place.path().join("kept/meari.db").exists());
}

#[test]
fn the_doctor_says_what_is_bad_and_what_to_do() {
    let place = Place::new();
    let said = place.run(&["doctor"]).badly(1, "must be put right");
    let verdict = |subject: &str| {
        let line = said.out.lines().find(|line| line.split_whitespace().nth(1) == Some(subject));
        line.unwrap_or_else(|| panic!("{subject} is missing from:\n{}", said.out)).split(' ').next().unwrap()
    };
    assert_eq!(verdict("settings"), "good");
    assert_eq!(verdict("secret_file"), "good");
    assert_eq!(verdict("database"), "look");
    assert_eq!(verdict("public_url"), "look");
    assert_eq!(verdict("smtp_url"), "-");
    assert_eq!(verdict("carrier"), "BAD", "nobody listens where the carrier should be");

    place.write("meari.toml", "database_url = \"postgres://nobody@127.0.0.1:1/none\"");
    assert!(place.run(&["doctor"]).badly(1, "put right").out.contains("check database_url"));
    place.write("meari.toml", "");
    place.run(&["migrate"]).well();
    let healthy = place.run(&["doctor"]).well().out;
    assert!(healthy.contains("meari numbers import"), "{healthy}");
    let smsc = "[[carriers]]\nid = \"smsc\"\nkind = \"smpp\"\nhost = \"127.0.0.1\"\nport = 1\nsystem_id = \"meari\"\npassword = \"secret\"\n";
    place.write("meari.toml", smsc);
    let said = place.run(&["doctor"]).badly(1, "put right").out;
    assert!(
        said.contains("carrier smsc") && !said.contains("calls us"),
        "nothing is entered at an SMSC: {said}"
    );
}

#[actix_web::test]
async fn serve_does_the_same_on_postgres() {
    let (place, database) = (Place::new(), crate::support::database::TestDatabase::empty_postgres());
    place.write("meari.toml", &format!("listen = \"127.0.0.1:0\"\ndatabase_url = \"{}\"", database.url));
    let mut service = Service::start(&place, &["serve"]);
    let line = service.line("serves");
    assert_eq!(line["database"], "postgres");
    let url = format!("http://{}", line["listen"].as_str().unwrap());
    assert_eq!(get(&format!("{url}/readyz")).await, (200, "ready\n".to_owned()));
    service.terminate();
}

/// Makes a certificate for 127.0.0.1.
fn certificate(place: &Place) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .current_dir(place.folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn serve_speaks_tls_and_http_2() {
    let place = Place::new();
    certificate(&place);
    place.write("meari.toml", "listen = \"127.0.0.1:0\"\ntls_certificate = \"cert.pem\"");
    place.run(&["serve"]).badly(1, "tls_key");
    let settings = "listen = \"127.0.0.1:0\"\ntls_certificate = \"cert.pem\"\ntls_key = \"KEY\"";
    place.write("meari.toml", &settings.replace("KEY", "nowhere.pem"));
    place.run(&["serve"]).badly(1, "nowhere.pem");
    place.write("meari.toml", &settings.replace("KEY", "key.pem"));
    let mut service = Service::start(&place, &["serve", "--config", "meari.toml"]);
    let line = service.line("serves");
    assert!(line["public_url"].as_str().unwrap().starts_with("https://"), "{line}");
    let url = format!("https://{}/dav/", line["listen"].as_str().unwrap());
    for (version, want) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let curl = Command::new("curl")
            .args([
                "-s",
                "-S",
                "--noproxy",
                "*",
                "--cacert",
                "cert.pem",
                version,
                "-X",
                "OPTIONS",
                "-o",
                "/dev/null",
            ])
            .args(["-w", "%{http_version} %{http_code}", &url])
            .current_dir(place.folder.path())
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&curl.stdout).into_owned() + &String::from_utf8_lossy(&curl.stderr);
        assert_eq!(said, format!("{want} 200"));
    }
    service.terminate();
}
