//! Where the data lies: a SQLite file, or a throw-away PostgreSQL cluster, both durable (fsync on).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A database server, or the folder for files.
pub enum Provided {
    Files(PathBuf),
    Cluster(Cluster),
}

/// One empty database.
pub struct Place {
    pub url: String,
    pub kind: Kind,
    /// The process that stores, when it is not the service itself.
    pub server: Option<u32>,
    file: Option<PathBuf>,
}

impl Place {
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgres",
        }
    }

    /// Frees the disk.
    pub fn remove(self) -> Result<()> {
        if let Some(file) = self.file {
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{end}", file.display()));
            }
        }
        Ok(())
    }
}

impl Provided {
    pub fn make(kind: Kind, folder: &Path) -> Result<Provided> {
        match kind {
            Kind::Sqlite => Ok(Provided::Files(folder.to_owned())),
            Kind::Postgres => Ok(Provided::Cluster(Cluster::start(folder)?)),
        }
    }

    /// A database without a schema.
    pub fn fresh(&self, name: &str) -> Result<Place> {
        match self {
            Provided::Files(folder) => {
                let file = folder.join(format!("{name}.db"));
                let place = |file| Place {
                    url: format!("sqlite://{}", folder.join(format!("{name}.db")).display()),
                    kind: Kind::Sqlite,
                    server: None,
                    file: Some(file),
                };
                place(file.clone()).remove()?;
                Ok(place(file))
            }
            Provided::Cluster(cluster) => {
                cluster.sql(&format!("CREATE DATABASE {name}"))?;
                let url = format!("postgres://meari@127.0.0.1:{}/{name}", cluster.port);
                Ok(Place { url, kind: Kind::Postgres, server: Some(cluster.pid), file: None })
            }
        }
    }
}

pub struct Cluster {
    folder: PathBuf,
    port: u16,
    pid: u32,
    programs: PathBuf,
}

/// Runs a program as a user that the server accepts: it refuses root.
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

fn must(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn programs() -> Result<PathBuf> {
    let entries =
        std::fs::read_dir("/usr/lib/postgresql").map_err(|_| "PostgreSQL's server is not installed")?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|e| e.path().join("bin")).filter(|p| p.join("initdb").exists()).collect();
    found.sort();
    found.pop().ok_or_else(|| "PostgreSQL's server is not installed".into())
}

impl Cluster {
    fn start(data: &Path) -> Result<Cluster> {
        let programs = programs()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = data.join(format!("cluster-{port}"));
        std::fs::create_dir_all(&folder)?;
        // The server runs as somebody else, who must be able to come here and owns what he finds.
        must(Command::new("chmod").arg("a+x").arg(data))?;
        let _ = Command::new("chown").arg("postgres").arg(&folder).output();
        must(
            as_postgres(&programs.join("initdb"))
                .args(["-A", "trust", "-U", "meari", "-E", "UTF8", "-D"])
                .arg(&folder),
        )?;
        // As Debian installs it, but for the page cache, the size of the log between checkpoints, and the address.
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c shared_buffers=512MB \
             -c max_wal_size=4GB -c fsync=on -c synchronous_commit=on -c full_page_writes=on",
            folder.display()
        );
        must(
            as_postgres(&programs.join("pg_ctl"))
                .args(["-s", "-w", "-l"])
                .arg(folder.join("log"))
                .arg("-D")
                .arg(&folder)
                .args(["-o", &options, "start"]),
        )?;
        let pid = std::fs::read_to_string(folder.join("postmaster.pid"))?;
        let pid = pid.lines().next().and_then(|line| line.parse().ok()).ok_or("no process id")?;
        Ok(Cluster { folder, port, pid, programs })
    }

    fn sql(&self, sql: &str) -> Result<()> {
        let url = format!("postgres://meari@127.0.0.1:{}/postgres", self.port);
        must(Command::new(self.programs.join("psql")).args([
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &url,
            "-c",
            sql,
        ]))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = as_postgres(&self.programs.join("pg_ctl"));
        stop.arg("-D").arg(&self.folder).args(["-m", "immediate", "-s", "stop"]);
        if must(&mut stop).is_ok() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
