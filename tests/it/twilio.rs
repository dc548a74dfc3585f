//! The Twilio adapter against the simulated carrier: two readings of the same documents, in one conversation.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use meari::carriers::{
    CallbackError, CallbackRequest, Carrier, CarrierEvent, CarrierSettings, DeliveryReceipt, Door, Features,
    Found, InboundSms, NumberKind, NumberOrder, NumberQuery, OrderState, ReceiptState, Registry, Retry,
    SendError, SentQuery, SmsToSend,
};
use meari::clock::Clock;
use meari::ids::OutboundSmsId;
use meari::net::{Net, Policy};
use meari::phone::{E164, RemoteParty};
use meari::simulator::{self, Behaviour, Handset, NewPhone, Refuse, Requests, Simulator};

const PHONE: &str = "+12025550101";
const OURS: &str = "+12025550150";

fn number(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// What the adapter made of one callback.
type Heard = Result<Vec<CarrierEvent>, CallbackError>;

/// Our side of the wire: receives with the adapter and keeps what it understood.
#[derive(Clone)]
struct Doors {
    url: String,
    carrier: Arc<dyn Carrier>,
    received: Arc<Mutex<Vec<Heard>>>,
}

async fn receive(doors: web::Data<Doors>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers = request.headers().iter();
    let headers: Vec<_> = headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
    let url = format!("{}{}", doors.url, request.uri());
    let door = if request.path().ends_with("/status") { Door::Status } else { Door::Messages };
    let (method, now) = (request.method().as_str(), Clock::system().now());
    let callback = CallbackRequest { method, url: &url, headers: &headers, body: &body, now };
    let event = doors.carrier.receive(door, &callback);
    let good = event.is_ok();
    doors.received.lock().unwrap().push(event);
    let (kind, answer) = doors.carrier.acknowledgement(door);
    if good { HttpResponse::Ok().content_type(kind).body(answer) } else { HttpResponse::Forbidden().finish() }
}

struct Wire {
    simulator: Simulator,
    base: String,
    doors: Doors,
}

fn carrier(base: &str, sid: &str, token: &str) -> Arc<dyn Carrier> {
    let options = [("account_sid", sid), ("auth_token", token)];
    let options = options.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let api_base = Some(base.to_owned());
    let settings = CarrierSettings { id: "sim".into(), kind: "simulator".into(), api_base, options };
    let registry = Registry::build(&[settings], &Net::new(Policy::Operator).unwrap()).unwrap();
    registry.get("sim").unwrap().clone()
}

impl Wire {
    /// Everything up, on free ports. The simulator moves only by [`Wire::settle`].
    fn up() -> Wire {
        let ((sim_listener, base), (our_listener, url)) = (listener(), listener());
        let simulator = Simulator::new(simulator::Settings {
            callback_base: Some(format!("{url}/carriers/sim")),
            numbers: vec![number(OURS)],
            manual: true,
            ..simulator::Settings::default()
        });
        simulator.add_phone(NewPhone { number: number(PHONE), name: None, carddav: None }).unwrap();
        let settings = simulator.settings();
        let carrier = carrier(&base, &settings.account_sid, &settings.auth_token);
        let doors = Doors { url, carrier, received: Arc::default() };
        actix_web::rt::spawn(simulator::server(simulator.clone(), sim_listener).unwrap());
        let data = doors.clone();
        let app = move || App::new().app_data(web::Data::new(data.clone())).default_service(web::to(receive));
        let server = HttpServer::new(app).workers(1).disable_signals().listen(our_listener).unwrap().run();
        actix_web::rt::spawn(server);
        Wire { simulator, base, doors }
    }

    fn sms(&self, text: &str) -> SmsToSend {
        SmsToSend {
            id: OutboundSmsId::new(Clock::system().now()),
            from: number(OURS),
            to: number(PHONE),
            text: text.to_owned(),
            media_urls: Vec::new(),
            status_callback: format!("{}/carriers/sim/status", self.doors.url),
        }
    }

    fn behave(&self, behaviour: Behaviour) {
        self.simulator.set_behaviour(behaviour).unwrap();
    }

    /// Lets the carrier do all it has to do; what reached us since the last time.
    async fn settle(&self) -> Vec<CarrierEvent> {
        self.simulator.drain().await;
        let received = std::mem::take(&mut *self.doors.received.lock().unwrap());
        received.into_iter().flat_map(Result::unwrap).collect()
    }

    async fn receipts(&self) -> Vec<DeliveryReceipt> {
        let events = self.settle().await.into_iter();
        let receipts = events.map(|event| match event {
            CarrierEvent::DeliveryReceipt(receipt) => receipt,
            other => panic!("{other:?}"),
        });
        receipts.collect()
    }
}

fn merged(receipts: &[DeliveryReceipt]) -> ReceiptState {
    receipts.iter().map(|receipt| receipt.state).reduce(ReceiptState::merge).unwrap()
}

fn query(sms: &SmsToSend, sent_after: meari::clock::Timestamp) -> SentQuery {
    let (from, to, text) = (sms.from.clone(), sms.to.clone(), sms.text.clone());
    SentQuery { id: sms.id, from, to, text, not_before: sent_after }
}

fn inbound(events: Vec<CarrierEvent>) -> InboundSms {
    match <[CarrierEvent; 1]>::try_from(events) {
        Ok([CarrierEvent::Sms(sms)]) => sms,
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn a_phone_is_heard() {
    let wire = Wire::up();
    let text = "Grüße & 50% + 1 = ✓ 한글 😀\n";
    let sid = wire.simulator.phone_texts(&number(PHONE), &number(OURS), text).unwrap().unwrap();
    let sms = inbound(wire.settle().await);
    assert_eq!((sms.carrier_message_id, sms.text.as_str()), (sid, text));
    assert_eq!((sms.from, sms.to), (RemoteParty::Phone(number(PHONE)), number(OURS)));
    assert_eq!(sms.segment_count, 1);
    assert_eq!(wire.simulator.phone(&number(PHONE)).unwrap().threads.len(), 1, "our answer says nothing");
}

#[actix_web::test]
async fn a_message_arrives_and_its_receipts_name_it() {
    let wire = Wire::up();
    wire.behave(Behaviour { repeat_callbacks: 1, reorder_callbacks: true, ..Behaviour::default() });
    let sms = wire.sms("Fünf € ✓");
    let accepted = wire.doors.carrier.send(&sms).await.unwrap();
    assert_eq!((accepted.state, accepted.segment_count), (ReceiptState::Queued, Some(1)));
    let receipts = wire.receipts().await;
    assert!(receipts.len() >= 2, "{receipts:?}");
    assert!(receipts.iter().all(|r| r.reference == Some(sms.id)));
    assert!(receipts.iter().all(|r| r.carrier_message_id == accepted.carrier_message_id));
    assert_eq!(merged(&receipts), ReceiptState::Delivered);
    assert_eq!(wire.simulator.messages_sent()[0].body, sms.text);
}

#[actix_web::test]
async fn a_lost_answer_is_settled_by_asking() {
    let wire = Wire::up();
    let before = Clock::system().now();
    wire.doors.carrier.send(&wire.sms("another")).await.unwrap();
    wire.behave(Behaviour { times: Some(1), drop_answer: true, ..Behaviour::default() });
    let sms = wire.sms("once");
    let error = wire.doors.carrier.send(&sms).await.unwrap_err();
    assert!(!error.certain, "{error}");
    let found = wire.doors.carrier.find(&query(&sms, before)).await.unwrap();
    let sent = wire.simulator.messages_sent();
    assert_eq!(sent.len(), 2);
    let sid = sent[1].sid.clone();
    assert_eq!(found, Found::Sent { carrier_message_id: sid.clone(), state: ReceiptState::Queued });
    let receipts = wire.receipts().await;
    assert!(receipts.iter().any(|r| r.reference == Some(sms.id) && r.carrier_message_id == sid));
    let found = wire.doors.carrier.find(&query(&sms, before)).await.unwrap();
    assert_eq!(found, Found::Sent { carrier_message_id: sid, state: ReceiptState::Delivered });
    let never = wire.doors.carrier.find(&query(&wire.sms("never sent"), before)).await.unwrap();
    assert_eq!(never, Found::No);
}

#[actix_web::test]
async fn refusals_are_certain_and_breakdowns_are_not() {
    let wire = Wire::up();
    let refuse = |status, code, retry_after_secs| Behaviour {
        times: Some(1),
        refuse: Some(Refuse { status, code, retry_after_secs }),
        ..Behaviour::default()
    };
    let three_seconds = Retry::After(std::time::Duration::from_secs(3));
    let table = [
        (refuse(429, 20429, None), "carrier_busy", Retry::Backoff, true),
        (refuse(429, 20429, Some(3)), "carrier_busy", three_seconds, true),
        (refuse(503, 20503, None), "carrier_broken", Retry::Backoff, false),
        (refuse(400, 21610, None), "opted_out", Retry::Never, true),
    ];
    for (behaviour, code, retry, certain) in table {
        wire.behave(behaviour);
        let error: SendError = wire.doors.carrier.send(&wire.sms("hello")).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retry, error.certain), (code, retry, certain), "{error}");
        assert!(!error.whole_carrier);
    }
    let elsewhere = SmsToSend { from: number("+12025550199"), ..wire.sms("hello") };
    let error = wire.doors.carrier.send(&elsewhere).await.unwrap_err();
    assert_eq!((error.retry, error.certain), (Retry::Never, true), "{error}");
    assert!(wire.simulator.messages_sent().is_empty());
}

#[actix_web::test]
async fn absent_handsets_are_told_apart() {
    let wire = Wire::up();
    for (handset, code, absent, permanent) in [
        (Handset::Absent, "handset_absent", true, false),
        (Handset::Unknown, "handset_unknown", true, true),
        (Handset::Filtered, "filtered", false, true),
    ] {
        wire.behave(Behaviour { times: Some(1), handset, ..Behaviour::default() });
        wire.doors.carrier.send(&wire.sms("hello")).await.unwrap();
        let receipts = wire.receipts().await;
        assert!(matches!(merged(&receipts), ReceiptState::Undelivered | ReceiptState::Failed));
        let error = receipts.into_iter().find_map(|receipt| receipt.error).unwrap();
        assert_eq!((error.code.as_str(), error.handset_absent, error.permanent), (code, absent, permanent));
    }
}

#[actix_web::test]
async fn the_doctor_learns_whether_the_account_works() {
    let wire = Wire::up();
    assert!(wire.doors.carrier.check().await.unwrap().contains("active"));
    let sid = &wire.simulator.settings().account_sid;
    let error = carrier(&wire.base, sid, "wrong token").check().await.unwrap_err();
    assert_eq!((error.code.as_str(), error.whole_carrier), ("carrier_refuses_credentials", true));
    let refuse = Refuse { status: 429, code: 20429, retry_after_secs: None };
    wire.behave(Behaviour { requests: Requests::All, refuse: Some(refuse), ..Behaviour::default() });
    assert_eq!(wire.doors.carrier.check().await.unwrap_err().code, "carrier_busy");
}

#[actix_web::test]
async fn numbers_are_searched_ordered_listed_and_given_back() {
    let wire = Wire::up();
    let carrier = &wire.doors.carrier;
    let features = Features { sms: true, mms: false, voice: true };
    let (region, area) = ("US".to_owned(), Some("202".to_owned()));
    let query = NumberQuery { region, kind: NumberKind::Local, area, features, limit: 3 };
    let offers = carrier.search_numbers(&query).await.unwrap();
    assert!(!offers.is_empty() && offers.len() <= 3);
    assert!(offers.iter().all(|offer| offer.number.as_str().starts_with("+1202")));
    let base = format!("{}/carriers/sim", wire.doors.url);
    let order = NumberOrder {
        number: offers[0].number.clone(),
        reference: "reserve-1".to_owned(),
        callback_base: base.clone(),
    };
    let before = carrier.list_numbers(None).await.unwrap().items.len();
    let first = carrier.order_number(&order).await.unwrap();
    let again = carrier.order_number(&order).await.unwrap();
    assert_eq!((first.state, &first), (OrderState::Done, &again), "the same order twice is one");
    let ours = carrier.list_numbers(None).await.unwrap().items;
    assert_eq!(ours.len(), before + 1);
    assert!(ours.iter().any(|owned| owned.number == order.number && owned.carrier_ref == first.carrier_ref));
    // Ours calls the address that came with the order; the doctor counts those that do not.
    let elsewhere = carrier.check_addresses("https://elsewhere.example.org").await.unwrap().unwrap();
    assert_eq!(elsewhere.len(), 2, "for messages and for calls: {elsewhere:?}");
    carrier.release_number(&order.number).await.unwrap();
    carrier.release_number(&order.number).await.unwrap();
    assert_eq!(carrier.list_numbers(None).await.unwrap().items.len(), before);
}
