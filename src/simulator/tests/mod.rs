//! Stories of the simulated carrier over real HTTP, step by step and without a sleep.

mod address_book;
mod bad_days;
mod browser;
mod wire;

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use reqwest::Client;
use serde_json::Value;

use super::*;

pub const ALICE: &str = "+12025550101";
pub const DAVE: &str = "+12025550102";
pub const OURS: &str = "+12025550150";

pub fn number(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

/// A request that reached the customer.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    /// Path and query.
    pub uri: String,
    pub signature: String,
    pub token: String,
    pub form: Vec<(String, String)>,
}

impl Call {
    pub fn field(&self, name: &str) -> &str {
        self.form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Status, content type and body.
type Reply = (u16, &'static str, String);

/// The customer's side: answers what it is told, 204 by default, and remembers everything.
#[derive(Clone, Default)]
pub struct Customer {
    pub url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    answers: Arc<Mutex<VecDeque<Reply>>>,
}

impl Customer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let customer = Customer { url, ..Customer::default() };
        let data = customer.clone();
        let app = move || {
            App::new().app_data(web::Data::new(data.clone())).default_service(web::to(Customer::answer))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
        actix_web::rt::spawn(server);
        customer
    }

    async fn answer(customer: web::Data<Customer>, request: HttpRequest, body: Bytes) -> HttpResponse {
        let header = |name: &str| {
            request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        customer.calls.lock().unwrap().push(Call {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            signature: header("X-Twilio-Signature"),
            token: header("I-Twilio-Idempotency-Token"),
            form: serde_urlencoded::from_bytes(&body).unwrap(),
        });
        let answer = customer.answers.lock().unwrap().pop_front();
        let (status, kind, body) = answer.unwrap_or((204, "text/plain", String::new()));
        HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
            .content_type(kind)
            .body(body)
    }

    /// What the next requests are answered.
    pub fn will_answer(&self, status: u16, kind: &'static str, body: &str) {
        self.answers.lock().unwrap().push_back((status, kind, body.to_owned()));
    }

    /// The requests so far; forgets them.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// The statuses that the receipts so far report; forgets them.
    pub fn take_statuses(&self) -> Vec<String> {
        self.take().iter().map(|call| call.field("MessageStatus").to_owned()).collect()
    }
}

/// A simulator with two phones and one rented number, its server, and a customer.
pub struct World {
    pub simulator: Simulator,
    pub base: String,
    pub http: Client,
    pub customer: Customer,
}

impl World {
    pub fn start() -> Self {
        let customer = Customer::start();
        let simulator = Simulator::new(Settings {
            callback_base: Some(format!("{}/carriers/sim", customer.url)),
            numbers: vec![number(OURS)],
            manual: true,
            ..Settings::default()
        });
        for (phone, name) in [(ALICE, "Alice"), (DAVE, "Dave")] {
            let new = NewPhone { number: number(phone), name: Some(name.to_owned()), carddav: None };
            simulator.add_phone(new).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        actix_web::rt::spawn(server(simulator.clone(), listener).unwrap());
        World { simulator, base, http: Client::builder().no_proxy().build().unwrap(), customer }
    }

    /// An address of the carrier's API.
    pub fn api(&self, path: &str) -> String {
        format!("{}/2010-04-01/Accounts/{}{path}", self.base, self.simulator.settings().account_sid)
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let settings = self.simulator.settings();
        self.http
            .request(method.parse().unwrap(), self.api(path))
            .basic_auth(&settings.account_sid, Some(&settings.auth_token))
    }

    pub async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.request(method, path).form(form).send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Sends `text` from our number to a phone, with receipts to the customer.
    pub async fn send(&self, to: &str, text: &str) -> (u16, Value) {
        let callback = format!("{}/status?id=msg_1", self.customer.url);
        let form = [("To", to), ("From", OURS), ("Body", text), ("StatusCallback", callback.as_str())];
        self.call("POST", "/Messages.json", &form).await
    }

    /// The texts on a phone, over all threads.
    pub fn texts(&self, phone: &str) -> Vec<String> {
        let view = self.simulator.phone(&number(phone)).unwrap();
        view.threads
            .iter()
            .flat_map(|thread| thread.messages.iter().map(|message| message.text.clone()))
            .collect()
    }
}
