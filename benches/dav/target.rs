//! The servers that are measured: `meari serve`, a bare server, and the peers (see `peers`), each in processes of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use meari::accounts::{self, Handle, NewAccount, app_passwords};
use meari::clock::Clock;
use meari::db::{Database, Lane, Options};
use meari::keys::Keys;
use meari::texts::Locale;

use crate::Result;
use crate::cards::{self, VCARD};
use crate::database::Place;
use crate::http::{Connection, request};

/// A process that ends with its owner.
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts a program and waits until somebody listens.
    pub async fn start(mut command: Command, address: SocketAddr, log: &Path) -> Result<Server> {
        let file = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut server = Server { child: command.spawn()? };
        let patience = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if server.child.try_wait()?.is_some() || Instant::now() > patience {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(format!("the server does not start: {said}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // As an operator would, so that children go too; by force when that does not help.
        let _ = Command::new("kill").arg(self.pid().to_string()).status();
        let patience = Instant::now() + Duration::from_secs(20);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Somebody with an address book.
#[derive(Debug, Clone)]
pub struct Person {
    /// The whole header line, with its end; empty where nobody asks.
    pub auth: String,
    /// The address of the book.
    pub book: String,
}

/// A running server with people in it: first those with large books, then the many.
pub struct Target {
    pub name: String,
    pub address: SocketAddr,
    /// Whose processor time counts.
    pub pids: Vec<u32>,
    pub people: Vec<Person>,
    /// How many large books there are.
    pub large: usize,
    pub server: Server,
}

impl Target {
    pub fn many(&self) -> &[Person] {
        &self.people[self.large..]
    }
}

/// The user name and password of the n-th person, on every server.
pub fn name_of(n: usize) -> String {
    format!("person{n}")
}

pub fn basic(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {text}\r\n")
}

pub async fn start_meari(place: &Place, folder: &Path) -> Result<(Server, SocketAddr)> {
    let address = free_address()?;
    let settings = format!(
        "listen = \"{address}\"\npublic_url = \"http://{address}\"\ndatabase_url = \"{}\"\nsecret_file = \"{}\"\n\
         media_dir = \"{}\"\nlog_level = \"warn\"\n",
        place.url,
        folder.join("secret.key").display(),
        folder.join("media").display(),
    );
    let path = folder.join("meari.toml");
    std::fs::write(&path, settings)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_meari"));
    command.arg("serve").arg("--config").arg(&path);
    Ok((Server::start(command, address, &folder.join("meari.log")).await?, address))
}

/// Accounts with an app password each.
pub async fn make_people(place: &Place, folder: &Path, count: usize) -> Result<Vec<Person>> {
    meari::db::migrate_up(&place.url)?;
    let keys = Keys::load_or_create(&folder.join("secret.key"))?;
    let db = Database::open(&place.url, &Options { readers: 1, lanes: 1 })?;
    let now = Clock::system().now();
    let people = db.write(Lane::Any, move |db| {
        let mut people = Vec::with_capacity(count);
        for n in 0..count {
            let name = name_of(n);
            let new = NewAccount {
                handle: Handle::parse(&name)?,
                display_name: name.clone(),
                password_hash: "-".to_owned(),
                locale: Locale::En,
                time_zone: "UTC".to_owned(),
                admin: false,
            };
            let account = accounts::create(db, now, &new)?;
            let (_, word) = app_passwords::create(db, now, &keys, account.id, "phone")?;
            let book = format!("/dav/addressbooks/{name}/personal/");
            people.push(Person { auth: basic(&name, &word), book });
        }
        Ok(people)
    });
    Ok(people.await?)
}

/// Puts `count` cards into a book over several connections.
pub async fn fill(address: SocketAddr, person: &Person, count: usize) -> Result<()> {
    const CONNECTIONS: usize = 32;
    let mut tasks = Vec::new();
    for first in 0..CONNECTIONS.min(count) {
        let person = person.clone();
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            for n in (first..count).step_by(CONNECTIONS) {
                connection.call(&put(&person, n, "Seeded")).await.and_then(|answer| match answer.status {
                    201 | 204 => Ok(()),
                    status => Err(format!("a card was not taken: {status}").into()),
                })?;
            }
            Ok::<_, crate::Failure>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// The n-th card of a book as a request.
pub fn put(person: &Person, n: usize, name: &str) -> Vec<u8> {
    let uid = format!("card-{n}");
    let path = format!("{}{uid}.vcf", person.book);
    request("PUT", &path, &person.auth, VCARD, cards::card(&uid, n, name).as_bytes())
}

/// The bare server: the same workers, the whole body read, an answer of a poll's size, nothing done.
pub async fn start_bare(folder: &Path) -> Result<Target> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("nothing").arg(address.port().to_string());
    let server = Server::start(command, address, &folder.join("bare.log")).await?;
    let person = Person { auth: basic("person0", "password"), book: "/book/".to_owned() };
    Ok(Target {
        name: "bare server".to_owned(),
        address,
        pids: vec![server.pid()],
        people: vec![person; 100],
        large: 0,
        server,
    })
}

/// Serves nothing on this port.
pub fn serve_nothing(port: u16) -> Result<()> {
    use actix_web::{App, HttpResponse, HttpServer, web};
    const ANSWER: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<multistatus xmlns=\"DAV:\"><response><href>/book/</href>\
        <propstat><prop><sync-token>data:,019a00000000000000000000000000-12345</sync-token><CS:getctag \
        xmlns:CS=\"http://calendarserver.org/ns/\">019a00000000000000000000000000-12345</CS:getctag></prop>\
        <status>HTTP/1.1 200 OK</status></propstat></response></multistatus>";
    async fn answer(body: web::Bytes) -> HttpResponse {
        std::hint::black_box(body.len());
        HttpResponse::MultiStatus()
            .insert_header(("content-type", "application/xml; charset=utf-8"))
            .body(ANSWER)
    }
    let server = || {
        HttpServer::new(|| App::new().default_service(web::to(answer))).workers(2).bind(("127.0.0.1", port))
    };
    Ok(actix_web::rt::System::new().block_on(async move { server()?.run().await })?)
}
