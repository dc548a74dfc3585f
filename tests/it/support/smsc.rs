//! A fake SMSC: a server that speaks SMPP and misbehaves on demand. It keeps what was submitted, sends receipts, and
//! repeats what was not acknowledged, as real ones do.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meari::carriers::smpp::pdu::{self, Address, Cut, Frame, Message, Pdu, QueryResponse, Tlvs, tag};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// A certificate for smsc.example.org, and its key.
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smpp");

/// How receipts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Receipts {
    #[default]
    Text,
    Parameters,
    None,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Binds are answered with this status.
    pub bind_status: u32,
    /// So many submits are answered with this status; nothing of them goes out.
    pub refuse: VecDeque<u32>,
    /// The part of long texts with this number is answered with this status, so many times.
    pub refuse_part: Option<(u8, u32, usize)>,
    /// Every submit is answered with this status.
    pub refuse_all: Option<u32>,
    /// The link is dropped when so many more submits were taken; the last one is not answered.
    pub drop_after: Option<usize>,
    /// Submits are taken and not answered.
    pub silent: bool,
    /// The receipt comes before the answer to the submit.
    pub receipt_first: bool,
    /// Every receipt comes twice.
    pub twice: bool,
    /// What receipts say: `DELIVRD`.
    pub stat: Option<&'static str>,
    /// How they say it.
    pub receipts: Receipts,
    /// Receipts have decimal ids, answers hexadecimal ones.
    pub decimal: bool,
    /// Our next so many answers to deliver_sm are lost, and the link with them.
    pub lose_answers: usize,
}

/// A submit that was taken.
#[derive(Debug, Clone)]
pub struct Submitted {
    pub from: String,
    pub to: String,
    pub text: String,
    pub id: String,
    pub message: Message,
}

#[derive(Default)]
struct World {
    faults: Faults,
    submitted: Vec<Submitted>,
    next_id: u64,
    /// What is to be delivered; it stays here until it is acknowledged.
    outgoing: VecDeque<Message>,
    sequence: u32,
    under_way: HashMap<u32, Message>,
    /// Answers to deliver_sm, in order.
    answers: Vec<u32>,
    links: HashMap<u64, mpsc::UnboundedSender<Order>>,
    link_count: u64,
    /// Links that only take submits.
    transmitters: std::collections::HashSet<u64>,
}

enum Order {
    Deliver,
    Drop,
}

/// The server.
#[derive(Clone)]
pub struct Smsc {
    pub port: u16,
    world: Arc<Mutex<World>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Smsc {
    pub async fn start() -> Smsc {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smsc = Smsc {
            port: listener.local_addr().unwrap().port(),
            world: Arc::default(),
            changed: Arc::new(watch::channel(0).0),
        };
        let server = smsc.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        smsc
    }

    /// The same behind TLS, with the certificate of `tests/fixtures/smpp`.
    pub async fn start_tls() -> Smsc {
        use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
        let certificate = CertificateDer::from_pem_file(format!("{FIXTURES}/cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(format!("{FIXTURES}/key.pem")).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smsc = Smsc {
            port: listener.local_addr().unwrap().port(),
            world: Arc::default(),
            changed: Arc::new(watch::channel(0).0),
        };
        let server = smsc.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, acceptor) = (server.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        server.serve(stream).await;
                    }
                });
            }
        });
        smsc
    }

    fn with<T>(&self, body: impl FnOnce(&mut World) -> T) -> T {
        let value = body(&mut self.world.lock().unwrap());
        self.changed.send_modify(|n| *n += 1);
        value
    }

    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        self.with(|world| change(&mut world.faults));
    }

    pub fn submitted(&self) -> Vec<Submitted> {
        self.with(|world| world.submitted.clone())
    }

    /// The answers to what was delivered.
    pub fn answers(&self) -> Vec<u32> {
        self.with(|world| world.answers.clone())
    }

    /// Waits until something holds, and fails the story after ten seconds.
    async fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                if holds(&self.world.lock().unwrap()) {
                    return;
                }
                changed.changed().await.unwrap();
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "{what}");
    }

    pub async fn bound(&self, count: usize) {
        self.until("sessions are bound", |world| world.links.len() == count).await;
    }

    /// Everything that was to be delivered is acknowledged.
    pub async fn settled(&self) {
        self.until("deliveries are acknowledged", |world| {
            world.outgoing.is_empty() && world.under_way.is_empty()
        })
        .await;
    }

    /// So many submits were taken.
    pub async fn took(&self, count: usize) {
        self.until("submits arrive", |world| world.submitted.len() >= count).await;
    }

    pub fn drop_links(&self) {
        self.with(|world| world.links.values().for_each(|link| drop(link.send(Order::Drop))));
    }

    /// A telephone's message, as it travels.
    pub fn deliver(&self, message: Message) {
        self.with(|world| {
            world.outgoing.push_back(message);
            world.links.values().for_each(|link| drop(link.send(Order::Deliver)));
        });
    }

    pub fn phone_says(&self, from: &str, to: &str, text: &str) {
        self.deliver(mobile_originated(from, to, text.as_bytes(), 0, 0));
    }

    /// A receipt for what was submitted.
    pub fn receipt(&self, about: &Submitted, stat: &str) {
        let message = self.with(|world| receipt(&world.faults, about, stat));
        self.deliver(message);
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (orders_in, mut orders) = mpsc::unbounded_channel();
        let (mut buffer, mut chunk) = (Vec::new(), vec![0; 16 * 1024]);
        let mut link = None;
        loop {
            while let Ok(Cut::Whole(length)) = pdu::split(&buffer) {
                let octets: Vec<u8> = buffer.drain(..length).collect();
                let frame = pdu::decode(&octets).unwrap();
                let Some(answers) = self.react(frame, &mut link, &orders_in) else {
                    return self.leave(link);
                };
                if stream.write_all(&answers).await.is_err() {
                    return self.leave(link);
                }
            }
            tokio::select! {
                read = stream.read(&mut chunk) => match read {
                    Ok(count) if count > 0 => buffer.extend_from_slice(&chunk[..count]),
                    _ => return self.leave(link),
                },
                Some(order) = orders.recv() => match order {
                    Order::Drop => return self.leave(link),
                    Order::Deliver => {
                        let octets = self.with(|world| deliver_all(world, link));
                        if stream.write_all(&octets).await.is_err() {
                            return self.leave(link);
                        }
                    }
                }
            }
        }
    }

    /// The link is gone: what was not acknowledged goes out again.
    fn leave(&self, link: Option<u64>) {
        let Some(link) = link else { return };
        self.with(|world| {
            world.links.remove(&link);
            let mut again: Vec<(u32, Message)> = world.under_way.drain().collect();
            again.sort_by_key(|(sequence, _)| *sequence);
            for (_, message) in again.into_iter().rev() {
                world.outgoing.push_front(message);
            }
        });
    }

    /// What to write, or `None` to hang up.
    fn react(
        &self,
        frame: Frame,
        link: &mut Option<u64>,
        orders: &mpsc::UnboundedSender<Order>,
    ) -> Option<Vec<u8>> {
        let sequence = frame.sequence;
        self.with(|world| {
            let mut out = Vec::new();
            let mut say = |status, pdu| pdu::encode(&Frame { status, sequence, pdu }, &mut out);
            match frame.pdu {
                Pdu::Bind(direction, bind) => {
                    let status = world.faults.bind_status;
                    say(status, Pdu::BindResponse(direction, bind.system_id, Tlvs::default()));
                    if status == 0 {
                        world.link_count += 1;
                        *link = Some(world.link_count);
                        world.links.insert(world.link_count, orders.clone());
                        if direction == pdu::Direction::Transmitter {
                            world.transmitters.insert(world.link_count);
                        }
                        out.extend(deliver_all(world, *link));
                    }
                }
                Pdu::Submit(message) => return take_submit(world, *link, sequence, *message),
                Pdu::DeliverResponse => {
                    if world.faults.lose_answers > 0 {
                        world.faults.lose_answers -= 1;
                        return None;
                    }
                    world.answers.push(frame.status);
                    if let Some(message) = world.under_way.remove(&sequence)
                        && frame.status == 0x64
                    {
                        world.outgoing.push_back(message);
                    }
                }
                Pdu::EnquireLink => say(0, Pdu::EnquireLinkResponse),
                Pdu::Unbind => say(0, Pdu::UnbindResponse),
                Pdu::Query(query) => {
                    let answer = QueryResponse {
                        message_id: query.message_id,
                        message_state: 2,
                        ..Default::default()
                    };
                    say(0, Pdu::QueryResponse(answer));
                }
                other => panic!("an SMSC does not expect {other:?}"),
            }
            Some(out)
        })
    }
}

/// Everything that waits, for a link that may receive.
fn deliver_all(world: &mut World, link: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    if link.is_none_or(|link| world.transmitters.contains(&link)) {
        return out;
    }
    while let Some(message) = world.outgoing.pop_front() {
        world.sequence += 1;
        let pdu = Pdu::Deliver(Box::new(message.clone()));
        pdu::encode(&Frame { status: 0, sequence: world.sequence, pdu }, &mut out);
        world.under_way.insert(world.sequence, message);
    }
    out
}

fn take_submit(world: &mut World, link: Option<u64>, sequence: u32, message: Message) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let of_part = match &mut world.faults.refuse_part {
        Some((number, status, left)) if *left > 0 && *number == part_number(&message) => {
            *left -= 1;
            Some(*status)
        }
        _ => None,
    };
    let refused = world.faults.refuse.pop_front();
    if let Some(status) = refused.or(of_part).or(world.faults.refuse_all) {
        pdu::encode(&Frame { status, sequence, pdu: Pdu::SubmitResponse(String::new()) }, &mut out);
        return Some(out);
    }
    world.next_id += 1;
    let id = if world.faults.decimal {
        format!("{:X}", 0xa000 + world.next_id)
    } else {
        format!("m{}", world.next_id)
    };
    let submitted = Submitted {
        from: message.source.value.clone(),
        to: message.destination.value.clone(),
        text: text_of(&message),
        id: id.clone(),
        message,
    };
    world.submitted.push(submitted.clone());
    if let Some(left) = &mut world.faults.drop_after {
        *left = left.saturating_sub(1);
        if *left == 0 {
            world.faults.drop_after = None;
            return None;
        }
    }
    let mut answer = Vec::new();
    if !world.faults.silent {
        pdu::encode(&Frame { status: 0, sequence, pdu: Pdu::SubmitResponse(id) }, &mut answer);
    }
    let wanted = submitted.message.registered_delivery == 1 && world.faults.receipts != Receipts::None;
    if let Some(stat) = world.faults.stat.filter(|_| wanted) {
        let message = receipt(&world.faults, &submitted, stat);
        let times = if world.faults.twice { 2 } else { 1 };
        world.outgoing.extend(std::iter::repeat_n(message, times));
    }
    let deliveries = deliver_all(world, link);
    world.links.values().for_each(|link| drop(link.send(Order::Deliver)));
    let order = if world.faults.receipt_first { [deliveries, answer] } else { [answer, deliveries] };
    out.extend(order.concat());
    Some(out)
}

/// Which part of a long text it is; the header ends with it.
fn part_number(message: &Message) -> u8 {
    let has_header = message.esm_class & 0x40 != 0;
    if has_header { message.body[usize::from(message.body[0])] } else { 0 }
}

fn text_of(message: &Message) -> String {
    let body =
        message.tlvs.get(tag::MESSAGE_PAYLOAD).filter(|_| message.body.is_empty()).unwrap_or(&message.body);
    let skip = if message.esm_class & 0x40 != 0 { usize::from(body[0]) + 1 } else { 0 };
    let body = &body[skip..];
    if message.data_coding == 8 {
        let units: Vec<u16> = body.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        return String::from_utf16(&units).unwrap();
    }
    meari::gsm7::Shift::NONE.decode(body)
}

fn receipt(faults: &Faults, about: &Submitted, stat: &str) -> Message {
    let id = if faults.decimal {
        format!("{:010}", u64::from_str_radix(&about.id, 16).unwrap())
    } else {
        about.id.clone()
    };
    let start: String = about.text.chars().filter(char::is_ascii).take(20).collect();
    let mut message = mobile_originated(&about.to, &about.from, b"", 4, 0);
    match faults.receipts {
        Receipts::Parameters => {
            let state = match stat {
                "DELIVRD" => 2,
                "EXPIRED" => 3,
                "UNDELIV" => 5,
                "REJECTD" => 8,
                _ => 6,
            };
            let id = format!("{id}\0").into_bytes();
            message.tlvs = Tlvs(vec![(tag::RECEIPTED_MESSAGE_ID, id), (tag::MESSAGE_STATE, vec![state])]);
        }
        Receipts::Text | Receipts::None => {
            let text = format!(
                "id:{id} sub:001 dlvrd:001 submit date:2601151200 done date:2601151200 stat:{stat} err:000 text:{start}"
            );
            message.body = text.into_bytes();
        }
    }
    message
}

/// A message from a telephone.
pub fn mobile_originated(from: &str, to: &str, body: &[u8], esm_class: u8, data_coding: u8) -> Message {
    let address = |value: &str| Address { ton: 1, npi: 1, value: value.trim_start_matches('+').to_owned() };
    Message {
        source: address(from),
        destination: address(to),
        esm_class,
        data_coding,
        body: body.to_vec(),
        ..Message::default()
    }
}
