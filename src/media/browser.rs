//! The browser end of a leg: one WebRTC connection, the only file that knows the library under it.
//!
//! The library does no input and no output: it is given datagrams and the time, and asked what it wants sent. Whatever
//! changes it must be followed by [`Browser::drain`], and a write leaves only at the next time it is told the time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer};
use str0m::config::DtlsCert;
use str0m::format::{Codec as RtcCodec, CodecExtra, FormatParams};
use str0m::media::{Frequency, MediaTime, Mid, Pt, TelephoneEvent};
use str0m::net::{DatagramRecv, Protocol, Receive, TcpType};
use str0m::rtp::Extension;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::demux::Wire;
use super::leg::{Heard, Packet};
use super::outlet::Outlet;
use super::quality::QualitySample;
use super::timeline::{Place, TICKS_PER_SEC};
use super::{Codec, FRAME_TIME};
use crate::error::{Error, Result};

/// A browser's offer with one audio section has 2 to 5 kB.
const OFFER_BYTES_MAX: usize = 32 * 1024;
/// What browsers call RFC 4733 events at 8 kHz; any free payload type would do.
const DIGITS_PT: u8 = 126;
/// The name of the section in each packet; the browser's own number for it is taken over.
const MID_EXTENSION: u8 = 4;
/// How long a key sounds, and from when to when the next waits.
const DIGIT_TIME: Duration = Duration::from_millis(160);
const DIGIT_EVERY: Duration = Duration::from_millis(260);
const DIGITS_WAITING_MAX: usize = 64;
/// Packets that are waited for before a gap is a gap, and how long.
const REORDERING_MAX: usize = 3;
const REORDERING_TIME: Duration = Duration::from_millis(60);
/// The library asks to be called again at once at most so often; more would be a loop without end.
const ROUNDS_MAX: usize = 64;
const KEYS: &str = "0123456789*#ABCD";

/// An offer that can be read.
pub type Offer = SdpOffer;

/// What all browsers of an engine share.
pub struct Ground {
    /// One certificate, so that no call costs a key pair.
    pub certificate: DtlsCert,
    /// What browsers are told to send to.
    pub addresses: Vec<SocketAddr>,
    /// The way out.
    pub outlet: Arc<Outlet>,
}

impl Ground {
    /// Where a datagram from `from` arrived, in the words of the answer: behind a router that translates addresses, or
    /// bound to all of them, the real one is not known and does not matter.
    fn destination(&self, from: SocketAddr) -> Option<SocketAddr> {
        let fits = |address: &&SocketAddr| address.is_ipv4() == from.is_ipv4();
        let same = |address: &&SocketAddr| address.ip().is_loopback() == from.ip().is_loopback();
        let mut fitting = self.addresses.iter().filter(fits);
        fitting.clone().find(same).or_else(|| fitting.next()).or(self.addresses.first()).copied()
    }
}

/// Reads an offer.
///
/// # Errors
/// `Invalid` with the code `offer_too_large`, `bad_offer` or `offer_not_audio`.
pub fn parse_offer(text: &str) -> Result<Offer> {
    if text.len() > OFFER_BYTES_MAX {
        return Err(Error::invalid("offer", "offer_too_large", "The offer is too large for a call."));
    }
    let mut sections = text.lines().filter_map(|line| line.strip_prefix("m="));
    let is_audio = sections.next().is_some_and(|section| section.starts_with("audio "));
    if !is_audio || sections.next().is_some() {
        let detail = "The offer must have one media section, and that must be audio.";
        return Err(Error::invalid("offer", "offer_not_audio", detail));
    }
    // The library's parser is guarded against malformed text; should it fail, the caller gets an error and not a panic.
    match std::panic::catch_unwind(|| SdpOffer::from_sdp_string(text)) {
        Ok(Ok(offer)) => Ok(offer),
        Ok(Err(error)) => Err(bad_offer().context(error.to_string())),
        Err(_) => Err(bad_offer().context("the parser panicked")),
    }
}

fn bad_offer() -> Error {
    Error::invalid("offer", "bad_offer", "The offer is not SDP that can be answered.")
}

/// What the library says about a leg's quality between two samples.
#[derive(Default)]
struct Told {
    sample: QualitySample,
}

/// One browser.
pub struct Browser {
    rtc: Rtc,
    ground: Arc<Ground>,
    mid: Mid,
    pcmu: Option<Pt>,
    opus: Option<Pt>,
    has_digits: bool,
    is_connected: bool,
    deadline: Instant,
    last_packet: Instant,
    pending: Vec<Heard>,
    digit: Option<(u8, MediaTime)>,
    digits: VecDeque<u8>,
    next_digit: Option<Instant>,
    clock: MediaTime,
    told: Told,
}

impl Browser {
    /// Answers an offer. `codecs` in order of liking.
    ///
    /// # Errors
    /// `Invalid` with the code `bad_offer`, or `no_common_codec` when the browser offers none of `codecs`.
    pub fn answer(
        offer: Offer,
        codecs: &[Codec],
        ground: Arc<Ground>,
        now: Instant,
    ) -> Result<(Browser, String)> {
        let mut rtc = configured(codecs, &ground, now);
        for address in &ground.addresses {
            let udp = Candidate::host(*address, "udp");
            let tcp = Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build();
            for candidate in [udp, tcp].into_iter().flatten() {
                rtc.add_local_candidate(candidate);
            }
        }
        let answer = rtc.sdp_api().accept_offer(offer).map_err(|e| bad_offer().context(e.to_string()))?;
        let answer = answer.to_sdp_string();
        let mid = audio_mid(&answer).ok_or_else(bad_offer)?;
        let mut browser = Browser {
            rtc,
            ground,
            mid,
            pcmu: None,
            opus: None,
            has_digits: false,
            is_connected: false,
            deadline: now,
            last_packet: now,
            pending: Vec::new(),
            digit: None,
            digits: VecDeque::new(),
            next_digit: None,
            clock: MediaTime::ZERO,
            told: Told::default(),
        };
        browser.learn_codecs();
        if browser.pcmu.is_none() && browser.opus.is_none() {
            let detail = "The browser offers no codec that this call can use.";
            return Err(Error::invalid("offer", "no_common_codec", detail));
        }
        Ok((browser, answer))
    }

    fn learn_codecs(&mut self) {
        let Some(writer) = self.rtc.writer(self.mid) else { return };
        (self.pcmu, self.opus, self.has_digits) = (None, None, false);
        for params in writer.payload_params() {
            match params.spec().codec {
                RtcCodec::PCMU => self.pcmu = Some(params.pt()),
                RtcCodec::Opus => self.opus = Some(params.pt()),
                RtcCodec::Tele => self.has_digits = true,
                _ => {}
            }
        }
    }

    /// Answers a further offer of the same browser: it changes its network (ICE restart).
    ///
    /// # Errors
    /// `Invalid` with the code `bad_offer`.
    pub fn renegotiate(&mut self, offer: Offer, now: Instant) -> Result<String> {
        let answer: SdpAnswer =
            self.rtc.sdp_api().accept_offer(offer).map_err(|e| bad_offer().context(e.to_string()))?;
        self.learn_codecs();
        self.flush(now);
        Ok(answer.to_sdp_string())
    }

    /// The name by which its packets find it.
    pub fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// When anything last came from there, sound or not.
    pub fn last_packet(&self) -> Instant {
        self.last_packet
    }

    /// Takes a datagram; false when it is not for this browser.
    pub fn receive(
        &mut self,
        wire: Wire,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        heard: &mut Vec<Heard>,
    ) -> bool {
        let Ok(contents) = DatagramRecv::try_from(datagram) else { return false };
        let Some(destination) = self.ground.destination(from) else { return false };
        let proto = match wire {
            Wire::Udp => Protocol::Udp,
            Wire::Tcp => Protocol::Tcp,
        };
        let input = Input::Receive(now, Receive { proto, source: from, destination, contents });
        if !self.rtc.accepts(&input) {
            return false;
        }
        self.last_packet = now;
        // A packet that cannot be used is no reason to end the call: whoever can send here can send rubbish.
        let _ = self.rtc.handle_input(input);
        self.drain(now);
        if self.deadline <= now {
            self.flush(now);
        }
        heard.append(&mut self.pending);
        true
    }

    /// Gives a frame to the browser; false when it did not go.
    pub fn write(&mut self, packet: &Packet, place: Place, now: Instant) -> bool {
        let (pt, time) = match packet.codec {
            Codec::Pcmu => {
                (self.pcmu, MediaTime::new(place.at / (TICKS_PER_SEC / 8_000), Frequency::EIGHT_KHZ))
            }
            Codec::Opus => (self.opus, MediaTime::new(place.at, Frequency::FORTY_EIGHT_KHZ)),
        };
        let Some(pt) = pt.filter(|_| self.is_connected) else { return false };
        self.clock = time;
        let Some(writer) = self.rtc.writer(self.mid) else { return false };
        let written = writer.start_of_talkspurt(place.begins).write(pt, now, time, packet.data.clone());
        self.flush(now);
        written.is_ok()
    }

    /// Presses a key towards the browser (RFC 4733); keys wait for one another.
    pub fn digit(&mut self, digit: char, now: Instant) {
        let code = KEYS.chars().position(|key| key == digit.to_ascii_uppercase());
        if let Some(code) = code.and_then(|code| u8::try_from(code).ok())
            && self.digits.len() < DIGITS_WAITING_MAX
            && self.has_digits
        {
            self.digits.push_back(code);
            self.next_digit.get_or_insert(now);
        }
    }

    fn press(&mut self, now: Instant) {
        if self.next_digit.is_none_or(|at| at > now) {
            return;
        }
        let Some(event) = self.digits.pop_front() else {
            self.next_digit = None;
            return;
        };
        self.next_digit = Some(now + DIGIT_EVERY);
        let event = TelephoneEvent { event, end: true, volume: 10, duration: DIGIT_TIME };
        let Some(pt) = self.pcmu.or(self.opus).filter(|_| self.is_connected) else { return };
        let clock = self.clock;
        if let Some(writer) = self.rtc.writer(self.mid) {
            // The library refuses one while another sounds; a key too few is better than a call too few.
            let _ = writer.telephone_event(event).write(pt, now, clock, Vec::new());
        }
    }

    /// Tells it the time.
    pub fn tick(&mut self, now: Instant, heard: &mut Vec<Heard>) {
        self.press(now);
        if self.deadline <= now || self.next_digit.is_some() {
            self.flush(now);
        }
        heard.append(&mut self.pending);
    }

    /// When it wants to be told the time.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.pending.is_empty() {
            // Somebody must come for it at once.
            return Some(self.last_packet);
        }
        Some(self.next_digit.map_or(self.deadline, |at| at.min(self.deadline)))
    }

    /// How it did since the last time.
    pub fn quality(&mut self) -> QualitySample {
        std::mem::take(&mut self.told).sample.judged()
    }

    /// Says good-bye.
    pub fn close(&mut self, now: Instant) {
        let _ = self.rtc.close();
        self.drain(now);
    }

    fn flush(&mut self, now: Instant) {
        for _ in 0..ROUNDS_MAX {
            if self.rtc.handle_input(Input::Timeout(now)).is_err() {
                self.pending.push(Heard::Failed);
                return;
            }
            self.drain(now);
            if self.deadline > now {
                return;
            }
        }
        self.deadline = now + FRAME_TIME / 4;
    }

    /// Sends what it wants sent and hears what it says, until it has nothing more.
    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.deadline = at;
                    break;
                }
                Ok(Output::Transmit(transmit)) => self.ground.outlet.send(&transmit),
                Ok(Output::Event(event)) => self.event(event),
                Err(_) => {
                    self.pending.push(Heard::Failed);
                    self.deadline = now + Duration::from_secs(1);
                    return;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.pending.push(Heard::HungUp);
            self.deadline = now + Duration::from_secs(1);
        }
    }

    fn event(&mut self, event: Event) {
        let sample = &mut self.told.sample;
        match event {
            Event::Connected => {
                self.is_connected = true;
                self.pending.push(Heard::Up);
            }
            Event::MediaAdded(added) => {
                self.mid = added.mid;
                self.learn_codecs();
            }
            Event::MediaChanged(_) => self.learn_codecs(),
            Event::MediaData(data) => {
                if let CodecExtra::Tele(event) = &data.codec_extra {
                    // One press comes in many packets, the last of them three times (RFC 4733 §2.5.1.4).
                    let press = (event.event, data.time);
                    let key = KEYS.chars().nth(usize::from(event.event));
                    if self.digit != Some(press)
                        && let Some(key) = key
                    {
                        self.digit = Some(press);
                        self.pending.push(Heard::Digit(key));
                    }
                    return;
                }
                let codec = match data.params.spec().codec {
                    RtcCodec::PCMU => Codec::Pcmu,
                    RtcCodec::Opus => Codec::Opus,
                    _ => return,
                };
                // Padding makes frames of nothing.
                if data.data.is_empty() {
                    return;
                }
                let rate = u64::from(data.time.frequency().get());
                let time = data.time.numer().wrapping_mul(TICKS_PER_SEC / rate.clamp(1, TICKS_PER_SEC));
                self.pending.push(Heard::Sound { codec, time, data: data.data });
            }
            Event::MediaIngressStats(stats) => {
                let rate = if self.opus.is_some() && self.pcmu.is_none() { 48.0 } else { 8.0 };
                sample.frames_in = stats.packets;
                sample.jitter_in_ms = Some(f64::from(stats.jitter) / rate);
                sample.loss_in = stats.loss.map(f64::from).or(sample.loss_in);
                sample.rtt_ms = stats.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0).or(sample.rtt_ms);
            }
            Event::MediaEgressStats(stats) => {
                let rate = if self.opus.is_some() && self.pcmu.is_none() { 48.0 } else { 8.0 };
                sample.frames_out = stats.packets;
                sample.loss_out = stats.loss.map(f64::from).or(sample.loss_out);
                sample.rtt_ms = stats.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0).or(sample.rtt_ms);
                if let Some(remote) = stats.remote {
                    sample.jitter_out_ms = Some(f64::from(remote.jitter) / rate);
                }
            }
            Event::Closed => self.pending.push(Heard::HungUp),
            _ => {}
        }
    }
}

fn configured(codecs: &[Codec], ground: &Ground, now: Instant) -> Rtc {
    let mut config = RtcConfig::new()
        .clear_codecs()
        // Nobody estimates bandwidth for 64 kbit/s: no counting of packets, no feedback about each of them.
        .clear_extension_map()
        .set_extension(MID_EXTENSION, Extension::RtpMid)
        .set_ice_lite(true)
        .set_dtls_cert(ground.certificate.clone())
        .set_reordering_size_audio(REORDERING_MAX)
        .set_reordering_timeout_audio(Some(REORDERING_TIME))
        .set_rtcp_report_interval_audio(Duration::from_secs(1))
        .set_stats_interval(Some(Duration::from_secs(2)));
    for codec in codecs {
        config = match codec {
            Codec::Pcmu => config.enable_pcmu(true, false),
            Codec::Opus => config.enable_opus(true, false),
        };
    }
    config.codec_config().add_config(
        DIGITS_PT.into(),
        None,
        RtcCodec::Tele,
        Frequency::EIGHT_KHZ,
        None,
        FormatParams::parse_line("0-16"),
    );
    config.build(now)
}

/// The name of the audio section that was taken.
fn audio_mid(answer: &str) -> Option<Mid> {
    let mut lines = answer.lines().skip_while(|line| !line.starts_with("m=audio "));
    let port = lines.next()?.split(' ').nth(1)?;
    if port == "0" {
        return None;
    }
    lines.find_map(|line| line.strip_prefix("a=mid:")).map(|mid| Mid::from(mid.trim()))
}
