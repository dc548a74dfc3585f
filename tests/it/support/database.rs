//! A database for each test: a fresh SQLite file, or a copy of a migrated template in a throw-away PostgreSQL cluster.
//!
//! The cluster is made once for the test process with Debian's own programs and ends with it. Its server refuses to
//! run as root, so it runs as the user `postgres` that the package makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// Where a test's data lies, and what to do when it ends.
pub struct TestDatabase {
    pub url: String,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    pub fn sqlite() -> TestDatabase {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("meari.db").display());
        meari::db::migrate_up(&url).unwrap();
        TestDatabase { url, _folder: Some(folder) }
    }

    pub fn postgres() -> TestDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster();
        let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster.sql(&format!("CREATE DATABASE {name} TEMPLATE template_meari"));
        TestDatabase { url: cluster.url(&name), _folder: None }
    }

    /// A database without a schema.
    pub fn empty_postgres() -> TestDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster();
        let name = format!("e{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster.sql(&format!("CREATE DATABASE {name}"));
        TestDatabase { url: cluster.url(&name), _folder: None }
    }
}

struct Cluster {
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries.flatten().map(|e| e.path().join("bin")).filter(|p| p.join("initdb").exists()).collect()
        })
        .unwrap_or_default();
    found.sort();
    found.pop().expect("PostgreSQL's server is not installed: run scripts/setup")
}

/// Runs a program as a user that the server accepts.
fn as_postgres(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n"));
    if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn must(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("a program of PostgreSQL could not be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Cluster {
    fn start() -> Cluster {
        let programs = programs();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Made by the user that runs the server; a folder of root's would not do.
        let folder = PathBuf::from(format!("/tmp/meari-test-pg-{}-{port}", std::process::id()));
        must(
            as_postgres(&programs.join("initdb"))
                .args(["-A", "trust", "-U", "meari", "-E", "UTF8", "--no-sync", "-D"])
                .arg(&folder),
        );
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={0} -c fsync=off \
             -c synchronous_commit=off -c full_page_writes=off -c max_connections=400 -c shared_buffers=64MB",
            folder.display()
        );
        must(
            as_postgres(&programs.join("pg_ctl"))
                .args(["-s", "-w", "-l"])
                .arg(folder.join("log"))
                .arg("-D")
                .arg(&folder)
                .args(["-o", &options, "start"]),
        );
        let cluster = Cluster { folder, port, programs };
        cluster.stop_with_the_process();
        cluster.sql("CREATE DATABASE template_meari");
        meari::db::migrate_up(&cluster.url("template_meari")).unwrap();
        cluster
    }

    /// Tests have no last one: a shell waits for this process and then ends the server and removes its folder.
    #[expect(clippy::zombie_processes, reason = "it outlives us on purpose")]
    fn stop_with_the_process(&self) {
        let folder = self.folder.display();
        let script = format!(
            "while [ -d /proc/{} ]; do sleep 0.5; done; {} -D {folder} -m immediate -s stop; rm -rf {folder}",
            std::process::id(),
            self.programs.join("pg_ctl").display()
        );
        as_postgres(Path::new("sh"))
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://meari@127.0.0.1:{}/{database}", self.port)
    }

    fn sql(&self, sql: &str) {
        must(Command::new("psql").args([
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &self.url("postgres"),
            "-c",
            sql,
        ]));
    }
}
