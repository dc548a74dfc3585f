//! The peers: Radicale, Xandikos and Cyrus as `scripts/bench-peers` has made them ready, each on a fresh folder of data.
//!
//! Cards come over the wire where that takes minutes, and straight into the store where it would take hours.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::Result;
use crate::cards::{self, XML};
use crate::http::{Connection, request};
use crate::target::{Person, Server, Target, basic, free_address, name_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    Radicale,
    Xandikos,
    Cyrus,
}

const PASSWORD: &str = "correct-horse";
/// Where Debian puts Cyrus.
const CYRUS: &str = "/usr/lib/cyrus/bin";

/// Starts a peer with books of `sizes`, and `users` books of `each` cards.
pub async fn start(
    peer: Peer,
    ready: &Path,
    folder: &Path,
    sizes: &[usize],
    users: usize,
    each: usize,
) -> Result<Target> {
    let data = folder.join(format!("{peer:?}").to_lowercase());
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data)?;
    let counts: Vec<usize> = sizes.iter().copied().chain(std::iter::repeat_n(each, users)).collect();
    let (address, server, people) = match peer {
        Peer::Radicale => radicale(&ready.canonicalize()?, &data, &counts).await?,
        Peer::Xandikos => xandikos(&ready.canonicalize()?, &data, &counts).await?,
        Peer::Cyrus => cyrus(&data, &counts).await?,
    };
    let large = sizes.len();
    Ok(Target { name: format!("{peer:?}"), address, pids: vec![server.pid()], people, large, server })
}

type Started = (SocketAddr, Server, Vec<Person>);

/// Writes the cards of a book as files.
fn write_cards(folder: &Path, count: usize) -> Result<()> {
    for n in 0..count {
        let uid = format!("card-{n}");
        std::fs::write(folder.join(format!("{uid}.vcf")), cards::card(&uid, n, "Seeded"))?;
    }
    Ok(())
}

fn must(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Radicale behind gunicorn: its own server takes one process only.
async fn radicale(ready: &Path, data: &Path, counts: &[usize]) -> Result<Started> {
    let (mut passwords, mut people) = (String::new(), Vec::new());
    for (n, count) in counts.iter().enumerate() {
        let name = name_of(n);
        writeln!(passwords, "{name}:{PASSWORD}")?;
        let book = data.join("store/collection-root").join(&name).join("book");
        std::fs::create_dir_all(&book)?;
        std::fs::write(book.join(".Radicale.props"), "{\"tag\": \"VADDRESSBOOK\"}")?;
        write_cards(&book, *count)?;
        people.push(Person { auth: basic(&name, PASSWORD), book: format!("/{name}/book/") });
    }
    std::fs::write(data.join("passwords"), passwords)?;
    let config = format!(
        "[auth]\ntype = htpasswd\nhtpasswd_filename = {0}/passwords\nhtpasswd_encryption = plain\ndelay = 0\n\
         cache_logins = True\n[storage]\nfilesystem_folder = {0}/store\n[logging]\nlevel = error\n",
        data.display()
    );
    std::fs::write(data.join("config"), config)?;
    let address = free_address()?;
    let mut command = Command::new(ready.join("venv/bin/gunicorn"));
    command
        .env("RADICALE_CONFIG", data.join("config"))
        .args(["--bind", &address.to_string(), "--workers", "2", "--worker-class", "gthread"])
        .args(["--threads", "32", "--keep-alive", "60", "--timeout", "300", "radicale"]);
    let server = Server::start(command, address, &data.join("log")).await?;
    Ok((address, server, people))
}

/// Xandikos has one user; each person is a book of his. It asks for no password over plain HTTP.
async fn xandikos(ready: &Path, data: &Path, counts: &[usize]) -> Result<Started> {
    let store = data.join("store");
    std::fs::create_dir_all(&store)?;
    let address = free_address()?;
    let start = async || {
        let mut command = Command::new(ready.join("venv/bin/xandikos"));
        command
            .env("XDG_DATA_HOME", data)
            .args(["serve", "--defaults", "--current-user-principal", "/user/", "-l", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .arg("-d")
            .arg(&store);
        Server::start(command, address, &data.join("log")).await
    };
    let making = start().await?;
    let mut connection = Connection::open(address).await?;
    let mut people = Vec::new();
    for n in 0..counts.len() {
        let person = Person { auth: String::new(), book: format!("/user/contacts/{}/", name_of(n)) };
        let body = "<mkcol xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\"><set><prop><resourcetype>\
                    <collection/><C:addressbook/></resourcetype></prop></set></mkcol>";
        let status = connection.call(&request("MKCOL", &person.book, "", XML, body.as_bytes())).await?.status;
        if status != 201 {
            return Err(format!("a book was not made: {status}").into());
        }
        people.push(person);
    }
    drop(making);
    // A book is a git repository.
    let git = |book: &Path, arguments: &[&str]| {
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0"];
        must(Command::new("git").arg("-C").arg(book).args(identity).args(arguments))
    };
    for (person, count) in people.iter().zip(counts).filter(|(_, count)| **count > 0) {
        let book: PathBuf = store.join(person.book.trim_start_matches('/'));
        write_cards(&book, *count)?;
        git(&book, &["add", "-A"])?;
        git(&book, &["commit", "-q", "-m", "seed"])?;
    }
    Ok((address, start().await?, people))
}

/// Cyrus as Debian has it, with a folder, users and ports of its own.
async fn cyrus(data: &Path, counts: &[usize]) -> Result<Started> {
    if !Path::new(CYRUS).join("httpd").exists() {
        return Err("it is not installed".into());
    }
    let (http, imap) = (free_address()?, free_address()?);
    let at = data.display();
    let settings = format!(
        "configdirectory: {at}/config\ndefaultpartition: default\npartition-default: {at}/spool\nservername: localhost\n\
         admins: cyrus\nallowplaintext: yes\nunixhierarchysep: yes\nsasl_pwcheck_method: auxprop\n\
         sasl_auxprop_plugin: sasldb\nsasl_sasldb_path: {at}/sasldb2\nsasl_mech_list: PLAIN LOGIN\nhttpmodules: carddav\n\
         httpkeepalive: 20\nautocreate_quota: 0\nhttpallowcompress: no\n"
    );
    std::fs::write(data.join("imapd.conf"), settings)?;
    let services = format!(
        "START {{\n recover cmd=\"{CYRUS}/ctl_cyrusdb -C {at}/imapd.conf -r\"\n}}\nSERVICES {{\n\
         http cmd=\"{CYRUS}/httpd -C {at}/imapd.conf\" listen=\"{http}\" prefork=8 maxchild=200\n\
         imap cmd=\"{CYRUS}/imapd -C {at}/imapd.conf\" listen=\"{imap}\" prefork=0 maxchild=4\n}}\nEVENTS {{\n}}\n"
    );
    std::fs::write(data.join("cyrus.conf"), services)?;
    for folder in ["config", "config/db", "config/socket", "config/proc", "config/lock", "spool"] {
        std::fs::create_dir_all(data.join(folder))?;
    }
    let names: Vec<String> = (0..counts.len()).map(name_of).collect();
    for name in names.iter().map(String::as_str).chain(["cyrus"]) {
        let mut command = Command::new("/usr/sbin/saslpasswd2");
        command.arg("-f").arg(data.join("sasldb2")).args(["-c", "-p", "-u", "localhost", name]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn()?;
        child.stdin.take().ok_or("no way to say a password")?.write_all(PASSWORD.as_bytes())?;
        if !child.wait()?.success() {
            return Err("a user could not be made".into());
        }
    }
    must(Command::new("chown").arg("-R").arg("cyrus:mail").arg(data))?;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "cyrus", "--regid", "mail", "--clear-groups", "--"])
        .arg(format!("{CYRUS}/master"))
        .arg("-C")
        .arg(data.join("imapd.conf"))
        .arg("-M")
        .arg(data.join("cyrus.conf"))
        .arg("-p")
        .arg(data.join("master.pid"));
    let server = Server::start(command, http, &data.join("log")).await?;
    make_mailboxes(imap, &names)?;
    let mut people = Vec::new();
    for (name, count) in names.iter().zip(counts) {
        let book = format!("/dav/addressbooks/user/{name}/Default/");
        let person = Person { auth: basic(name, PASSWORD), book };
        // The first look makes the book.
        let home = format!("/dav/addressbooks/user/{name}/");
        let look = request("PROPFIND", &home, &person.auth, "Depth: 1\r\n", b"");
        Connection::open(http).await?.call(&look).await?;
        crate::target::fill(http, &person, *count).await?;
        people.push(person);
    }
    Ok((http, server, people))
}

/// An account of Cyrus is a mailbox, which only an administrator makes, over IMAP.
fn make_mailboxes(imap: SocketAddr, names: &[String]) -> Result<()> {
    let mut stream = TcpStream::connect(imap)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut say = |text: String| -> Result<()> {
        stream.write_all(format!("a {text}\r\n").as_bytes())?;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Err("the IMAP server hung up".into());
            }
            if let Some(said) = line.strip_prefix("a ") {
                return if said.starts_with("OK") { Ok(()) } else { Err(format!("{text}: {said}").into()) };
            }
        }
    };
    say(format!("LOGIN cyrus {PASSWORD}"))?;
    for name in names {
        say(format!("CREATE user/{name}"))?;
    }
    Ok(())
}
