//! What operators see: SMS on their way and how they travelled, carriers, traffic, jobs, how long the pool will do.

use meari::messaging::outbox::{self, NewSms, Purpose};
use meari::messaging::routes::SmsLine;
use meari::phone::E164;
use meari::simulator::{AfterAccept, Behaviour};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::ADMIN_TOKEN;
use crate::support::client::Client;

fn operator(app: &TestApp) -> Client {
    app.stranger().with_token(ADMIN_TOKEN)
}

fn steps(trace: &Value) -> Vec<&str> {
    trace["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
}

story! {
    async fn one_sms_is_followed_through_every_step_without_its_text(app) {
        let operator = operator(app);
        let pair = app.alice_and_bob().await;
        pair.bob_writes("Nobody else reads this").await;
        app.settle().await;
        let list = operator.get("/v1/admin/messages?purpose=message&state=delivered").await.expect(200);
        let sms = &list["items"][0];
        assert_eq!((&sms["state"], &sms["purpose"], &sms["attempts"]), (&json!("delivered"), &json!("message"), &json!(1)));
        assert!(!list.text.contains("Nobody else") && !list.text.contains("+12025550101"), "{}", list.text);
        let trace = operator.get(&format!("/v1/admin/messages/{}", sms["id"].as_str().unwrap())).await.expect(200);
        let steps = steps(&trace.body);
        assert_eq!((steps[0], steps[1], steps[2], *steps.last().unwrap()), ("written", "queued", "accepted", "delivered"));
        assert!(trace["carrier_message_id"].is_string() && !trace.text.contains("Nobody else"));
        operator.get("/v1/admin/messages?error=opted_out").await.expect(200);
        operator.get("/v1/admin/messages/sms_01970000000070008000000000000000").await.refused(404, "not_found");
    }

    async fn an_undecided_sms_is_decided_once_by_an_operator(app) {
        let operator = operator(app);
        let pair = app.alice_and_bob().await;
        let lost = Behaviour { drop_answer: true, after_accept: AfterAccept::LoseReceipts, ..Behaviour::default() };
        app.carrier.set_behaviour(crate::sms_outbound::next(lost)).unwrap();
        let said = pair.bob_writes("Did it go?").await;
        meari::worker::drain(&app.app).await;
        let list = operator.get("/v1/admin/messages?state=unknown,sending").await.expect(200);
        let path = format!("/v1/admin/messages/{}/decide", list["items"][0]["id"].as_str().unwrap());
        let carriers = operator.get("/v1/admin/carriers").await.expect(200);
        assert_eq!(carriers["items"][0]["in_flight"], json!([{ "state": "unknown", "count": 1 }]));
        operator.post(&path, json!({ "state": "lost" })).await.refused(422, "not_a_decision");
        operator.post(&path, json!({ "state": "failed" })).await.expect(200);
        let seen = pair.as_bob_sees(&said).await;
        assert_eq!((&seen["state"], &seen["error"]["code"]), (&json!("failed"), &json!("decided_by_operator")));
        operator.post(&path, json!({ "state": "sent" })).await.refused(409, "not_undecided");
        app.settle().await;
    }

    async fn a_carriers_bad_hour_is_decided_at_once(app) {
        let operator = operator(app);
        let pair = app.alice_and_bob().await;
        let lost = Behaviour { drop_answer: true, after_accept: AfterAccept::LoseReceipts, ..Behaviour::default() };
        app.carrier.set_behaviour(lost).unwrap();
        let mut said = Vec::new();
        for text in ["one", "two", "three"] {
            said.push(pair.bob_writes(text).await);
            meari::worker::drain(&app.app).await;
        }
        let path = "/v1/admin/messages/decide";
        let decide = async |body: serde_json::Value| operator.post(path, body).await;
        decide(json!({ "state": "lost" })).await.refused(422, "not_a_decision");
        decide(json!({ "state": "sent", "limit": 501 })).await.refused(422, "out_of_range");
        pair.bob.post(path, json!({ "state": "sent" })).await.expect(403);
        let none = json!({ "count": 0, "more": false });
        for other in [json!({ "carrier": "other" }), json!({ "until": "2026-01-15T12:00:00Z" }), json!({ "since": "2026-01-16T12:00:00Z" })] {
            let mut body = other;
            body["state"] = json!("failed");
            assert_eq!(decide(body).await.expect(200).body, none);
        }
        let some = json!({ "state": "failed", "carrier": crate::support::app::CARRIER, "since": "2026-01-15T11:00:00Z", "until": "2026-01-15T13:00:00Z", "limit": 2 });
        assert_eq!(decide(some.clone()).await.expect(200).body, json!({ "count": 2, "more": true }));
        assert_eq!(decide(some).await.expect(200).body, json!({ "count": 1, "more": false }));
        for one in &said {
            assert_eq!(pair.as_bob_sees(one).await["state"], "failed");
        }
        app.settle().await;
    }

    async fn what_an_operator_has_decided_is_done_though_his_connection_breaks(app) {
        let now = app.app.now();
        let sms = |n: usize| NewSms {
            account: None,
            by: None,
            message: None,
            purpose: Purpose::Notice,
            order_key: format!("lost:{n}"),
            line: SmsLine {
                carrier_id: crate::support::app::CARRIER.to_owned(),
                from: E164::parse("+12025550199").unwrap(),
                to: E164::parse(&format!("+1303555{n:04}")).unwrap(),
            },
            text: "Hello".to_owned(),
        };
        let lose = move |db: &mut meari::db::Db| {
            for n in 0..80 {
                let id = outbox::enqueue(db, now, &sms(n))?;
                outbox::begin_sending(db, now, id)?;
                outbox::unknown(db, now, id, "timed_out")?;
            }
            Ok(())
        };
        app.app.db.write(meari::db::Lane::Any, lose).await.unwrap();
        let count = async |state: &str| {
            let list = operator(app).get(&format!("/v1/admin/messages?state={state}&limit=100")).await.expect(200);
            list["items"].as_array().unwrap().len()
        };
        assert_eq!(count("unknown").await, 80);
        let body = json!({ "state": "failed" }).to_string();
        let request = format!(
            "POST /v1/admin/messages/decide HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            crate::support::app::ADMIN_TOKEN,
            body.len()
        );
        let mut socket = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
        crate::support::eventually("the first is decided", async || count("failed").await > 0).await;
        drop(socket);
        crate::support::eventually("all are", async || count("failed").await == 80).await;
        app.settle().await;
    }

    async fn traffic_jobs_and_the_pools_future_are_told(app) {
        let operator = operator(app);
        let pair = app.alice_and_bob().await;
        pair.bob_writes("One").await;
        app.settle().await;
        let traffic = operator.get("/v1/admin/traffic?hours=2").await.expect(200);
        let left: i64 = traffic["items"].as_array().unwrap().iter().filter(|i| i["carrier"].is_string()).map(|i| i["count"].as_i64().unwrap()).sum();
        assert!(left >= 1, "{}", traffic.text);
        operator.get("/v1/admin/traffic?hours=0").await.refused(422, "out_of_range");
        let forecast = operator.get("/v1/admin/numbers/forecast").await.expect(200);
        let region = &forecast["items"][0];
        assert_eq!(region["days"].as_array().unwrap().len(), 30);
        assert_eq!((&region["days"][29]["held"], &region["days"][0]["held"]), (&json!(1), &json!(0)));
        assert!(region["numbers"].as_i64().unwrap() > 1 && region["full_in_days"].is_null());
        operator.get("/v1/admin/jobs?state=ready").await.expect(200);
        let all = operator.get("/v1/admin/jobs?limit=1").await.expect(200);
        assert!(all["items"].as_array().unwrap().len() <= 1);
    }
}
