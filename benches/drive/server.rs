//! The processes that are measured: `meari serve` with settings of its own, and a server that does nothing.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::callbacks::{ACCOUNT_SID, AUTH_TOKEN, CARRIER, PUBLIC_URL};
use crate::database::Place;

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// `meari serve` on a database.
    pub async fn meari(place: &Place, folder: &Path) -> Result<Server> {
        let address = free_address()?;
        let settings = format!(
            "listen = \"{address}\"\npublic_url = \"{PUBLIC_URL}\"\ndatabase_url = \"{}\"\nsecret_file = \"{}\"\n\
             media_dir = \"{}\"\nlog_level = \"warn\"\n\n[[carriers]]\nid = \"{CARRIER}\"\nkind = \"twilio\"\n\
             api_base = \"http://127.0.0.1:9\"\naccount_sid = \"{ACCOUNT_SID}\"\nauth_token = \"{AUTH_TOKEN}\"\n",
            place.url,
            secret_file(folder).display(),
            folder.join("media").display(),
        );
        let path = folder.join("meari.toml");
        std::fs::write(&path, settings)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_meari"));
        command.arg("serve").arg("--config").arg(&path);
        Server::start(command, address, folder).await
    }

    /// The ceiling: the same workers, the same body, no work.
    pub async fn nothing(folder: &Path) -> Result<Server> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("nothing").arg(address.port().to_string());
        Server::start(command, address, folder).await
    }

    async fn start(mut command: Command, address: SocketAddr, folder: &Path) -> Result<Server> {
        let log = std::fs::File::create(folder.join("server.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut server = Server { child: command.spawn()?, address };
        let patience = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if server.child.try_wait()?.is_some() || Instant::now() > patience {
                let said = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
                return Err(format!("the server does not start: {said}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as an operator would, and waits.
    pub fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        let patience = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > patience {
                return Err("the server does not stop".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn secret_file(folder: &Path) -> std::path::PathBuf {
    folder.join("secret.key")
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Reads the body and answers what the service would.
pub fn nothing(port: u16) -> Result<()> {
    use actix_web::{App, HttpResponse, HttpServer, web};
    const ANSWER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";
    async fn answer(body: web::Bytes) -> HttpResponse {
        std::hint::black_box(body.len());
        HttpResponse::Ok().insert_header(("content-type", "text/xml")).body(ANSWER)
    }
    let server = || {
        HttpServer::new(|| App::new().route("/carriers/{carrier_id}/{door}", web::post().to(answer)))
            .workers(2)
            .bind(("127.0.0.1", port))
    };
    Ok(actix_web::rt::System::new().block_on(async move { server()?.run().await })?)
}
