//! The simulator's own doors: phones by REST, live events, the page.

use serde_json::json;

use super::*;

impl World {
    async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Reads events until `count` of them have come; answers with their ids and kinds.
    async fn listen(&self, path: &str, last: Option<&str>, count: usize) -> Vec<(u64, String)> {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["Content-Type"], "text/event-stream");
        let mut text = String::new();
        let read = |text: &str| -> Vec<(u64, String)> {
            let frames = text.split("\n\n").filter(|frame| frame.starts_with("id: "));
            let part = |frame: &str, nth| {
                frame.lines().nth(nth).unwrap_or("").split_once(": ").unwrap_or_default().1.to_owned()
            };
            frames.map(|frame| (part(frame, 0).parse().unwrap(), part(frame, 1))).collect()
        };
        while read(&text).len() < count {
            text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
        }
        read(&text)
    }
}

#[actix_web::test]
async fn a_phone_is_added_looked_at_used_and_taken_away() {
    let world = World::start();
    let phone = json!({ "number": "+12025550103", "name": "Erin" });
    let (status, view) = world.json("POST", "/phones", phone.clone()).await;
    assert_eq!((status, &view["name"], &view["power"]), (201, &"Erin".into(), &"on".into()));
    assert_eq!(world.json("POST", "/phones", phone).await.0, 409);
    assert_eq!(world.json("POST", "/phones", json!({ "number": "12" })).await.0, 422);
    let (_, list) = world.json("GET", "/phones", Value::Null).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);

    let (status, sent) = world
        .json("POST", "/phones/%2B12025550103/messages", json!({ "to": "(202) 555-0150", "text": "hi" }))
        .await;
    assert_eq!((status, &sent["to"]), (201, &OURS.into()));
    world.simulator.drain().await;
    assert_eq!(world.customer.take()[0].field("Body"), "hi");
    let (_, view) = world.json("GET", "/phones/12025550103", Value::Null).await;
    assert_eq!(view["threads"][0]["messages"][0]["state"], "sent");
    assert_eq!(view["threads"][0]["messages"][0]["mine"], true);

    for (to, text, status) in [("x", "hi", 422), (OURS, "", 422)] {
        assert_eq!(
            world.json("POST", "/phones/12025550103/messages", json!({ "to": to, "text": text })).await.0,
            status
        );
    }
    assert_eq!(
        world.json("PUT", "/phones/12025550103/power", json!({ "on": false })).await.1["power"],
        "off"
    );
    assert_eq!(
        world.json("POST", "/phones/12025550103/messages", json!({ "to": OURS, "text": "x" })).await.0,
        409
    );
    assert_eq!(world.json("POST", "/phones/12025550103/sync", Value::Null).await.0, 409);
    assert_eq!(world.json("DELETE", "/phones/12025550103", Value::Null).await.0, 204);
    assert_eq!(world.json("GET", "/phones/12025550103", Value::Null).await.0, 404);
}

#[actix_web::test]
async fn a_page_of_another_origin_cannot_post() {
    let world = World::start();
    let body = json!({ "to": OURS, "text": "hi" }).to_string();
    let request = world.http.post(format!("{}/phones/12025550101/messages", world.base));
    let answer = request.header("Content-Type", "text/plain").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    assert_eq!(world.simulator.messages().len(), 0);
}

#[actix_web::test]
async fn events_are_live_and_resume() {
    let world = World::start();
    let path = "/phones/%2B12025550101/events";
    world.send(ALICE, "one").await;
    world.simulator.drain().await;
    world.send(ALICE, "two").await;
    world.simulator.drain().await;
    let all = world.listen(&format!("{path}?after=0"), None, 2).await;
    assert_eq!(all, [(1, "message".to_owned()), (2, "message".to_owned())]);
    assert_eq!(world.listen(path, Some("1"), 1).await, [(2, "message".to_owned())]);
    assert_eq!(world.listen(path, Some("99"), 1).await, [(2, "reset".to_owned())]);
    let after = format!("{path}?after=2");
    let (live, ()) = tokio::join!(world.listen(&after, None, 1), async {
        world.simulator.set_power(&number(ALICE), Power::Off).unwrap();
    });
    assert_eq!(live, [(3, "power".to_owned())]);
}

#[actix_web::test]
async fn the_page_is_served_with_a_strict_policy() {
    let world = World::start();
    for (path, kind) in [
        ("/", "text/html"),
        ("/phone.js", "text/javascript"),
        ("/phone.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let answer = world.http.get(format!("{}{path}", world.base)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["Content-Security-Policy"], "default-src 'self'", "{path}");
        assert!(answer.headers()["Content-Type"].to_str().unwrap().starts_with(kind), "{path}");
    }
    let answer = world.http.get(format!("{}/..%2f..%2fCargo.toml", world.base)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[actix_web::test]
async fn everything_can_live_below_another_server() {
    let world = World::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/simulator", listener.local_addr().unwrap());
    let simulator = world.simulator.clone();
    let app = move || App::new().service(web::scope("/simulator").configure(routes(simulator.clone())));
    actix_web::rt::spawn(HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run());
    let world = World { base: base.clone(), ..world };
    assert_eq!(world.send(ALICE, "x").await.0, 201);
    for path in ["", "/", "/phone.js", "/phones", "/phones/12025550101", "/behaviour", "/callbacks"] {
        let answer = world.http.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}

#[actix_web::test]
async fn by_itself_it_follows_the_clock() {
    let world = World::start();
    let nothing = Duration::ZERO;
    let delays = Delays { sent: nothing, delivered: nothing, inbound: nothing, ..Delays::default() };
    let settings = Settings { manual: false, delays, ..world.simulator.settings().clone() };
    let simulator = Simulator::new(settings);
    simulator.add_phone(NewPhone { number: number(ALICE), name: None, carddav: None }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    actix_web::rt::spawn(server(simulator.clone(), listener).unwrap());
    let world = World { base, simulator, ..world };
    let path = "/phones/12025550101/events?after=0";
    let (seen, _) = tokio::join!(world.listen(path, None, 1), world.send(ALICE, "x"));
    assert_eq!(seen, [(1, "message".to_owned())]);
    assert_eq!(world.texts(ALICE), ["x"]);
}
