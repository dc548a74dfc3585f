//! The SMSC of the benchmark: one thread a connection, answers and receipts written together.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::Duration;

use meari::carriers::smpp::pdu::{self, Cut, Frame, Message, Pdu, Tlvs};

/// Listens, says where, and serves until it is killed.
pub fn main(delay: Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream, delay));
    }
}

/// The port that a server has said.
pub fn port_of(server: &mut Child) -> u16 {
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().parse().unwrap()
}

/// Processor time of a process so far, in seconds.
pub fn cpu_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| after.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / 100.0
}

fn serve(mut stream: TcpStream, delay: Duration) {
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut chunk, mut out) = (Vec::new(), vec![0; 64 * 1024], Vec::new());
    let (mut next_id, mut sequence) = (0u64, 0u32);
    loop {
        let mut at = 0;
        while let Ok(Cut::Whole(length)) = pdu::split(&buffer[at..]) {
            let frame = pdu::decode(&buffer[at..at + length]).unwrap();
            at += length;
            react(frame, &mut out, &mut next_id, &mut sequence);
        }
        buffer.drain(..at);
        if !out.is_empty() {
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
            if stream.write_all(&out).is_err() {
                return;
            }
            out.clear();
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => buffer.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
}

fn react(frame: Frame, out: &mut Vec<u8>, next_id: &mut u64, next_sequence: &mut u32) {
    let sequence = frame.sequence;
    let mut say = |pdu| pdu::encode(&Frame { status: 0, sequence, pdu }, out);
    match frame.pdu {
        Pdu::Bind(direction, bind) => say(Pdu::BindResponse(direction, bind.system_id, Tlvs::default())),
        Pdu::EnquireLink => say(Pdu::EnquireLinkResponse),
        Pdu::Unbind => say(Pdu::UnbindResponse),
        Pdu::Submit(message) => {
            *next_id += 1;
            let id = format!("{next_id:x}");
            say(Pdu::SubmitResponse(id.clone()));
            if message.registered_delivery == 1 {
                *next_sequence += 1;
                let receipt = receipt(*message, &id);
                pdu::encode(
                    &Frame { status: 0, sequence: *next_sequence, pdu: Pdu::Deliver(Box::new(receipt)) },
                    out,
                );
            }
        }
        _ => {}
    }
}

fn receipt(message: Message, id: &str) -> Message {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2601151200 done date:2601151200 stat:DELIVRD err:000 text:benchmark"
    );
    Message {
        source: message.destination,
        destination: message.source,
        esm_class: 4,
        body: text.into_bytes(),
        ..Message::default()
    }
}
