//! What every leg has, whatever is behind it: a partner, a sound, a recording, a mute, and somebody who is told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::browser::Browser;
use super::quality::QualitySample;
use super::record::Recorder;
use super::socket::Socket;
use super::sound::{Player, Sound, Times};
use super::timeline::{Source, Timeline};
use super::{Codec, FRAME_TIME, Frame, LegEvent, LegId, g711};

/// How often a leg is looked after when nothing else happens.
pub const CARE_EVERY: Duration = Duration::from_millis(250);
/// A listener's clock begins here, so that a frame from before the beginning has a time too.
const CLOCK_FIRST: u64 = 60 * super::timeline::TICKS_PER_SEC;
/// Keys that may wait to be played.
const SOUNDS_WAITING_MAX: usize = 32;
/// An Opus packet of 20 ms of silence.
const OPUS_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// A frame on its way from one leg to another.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Whose clock `time` is.
    pub source: Source,
    /// How `data` is written.
    pub codec: Codec,
    /// In ticks of the source's clock.
    pub time: u64,
    /// 20 ms.
    pub data: Frame,
}

/// What an end tells the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Sound can flow.
    Up,
    /// A frame, at a time of this end's clock (in ticks).
    Sound {
        /// How `data` is written.
        codec: Codec,
        /// In ticks.
        time: u64,
        /// 20 ms.
        data: Frame,
    },
    /// A key, once for each press.
    Digit(char),
    /// A sound was heard to its end.
    Played,
    /// How it did lately.
    Quality(QualitySample),
    /// It said good-bye.
    HungUp,
    /// It cannot go on.
    Failed,
}

/// What is behind a leg.
pub enum End {
    /// A browser.
    Browser(Box<Browser>),
    /// Somebody else's socket.
    Socket(Box<Socket>),
}

/// A sound that is being played.
pub struct Playing {
    player: Player,
    next: Instant,
    frames: u64,
    source: Source,
    is_key: bool,
}

/// One end of a call.
pub struct Leg {
    /// Its name.
    pub id: LegId,
    /// What is behind it.
    pub end: End,
    /// Who hears it; whom it hears, too, unless that one only listens.
    pub partner: Option<LegId>,
    /// What is being recorded.
    pub recorder: Option<Recorder>,
    /// Whether others hear silence.
    pub muted: bool,
    /// Whether sound can flow.
    pub up: bool,
    /// When it was opened.
    pub born: Instant,
    /// When it last gave a frame.
    pub heard: Option<Instant>,
    /// Whether its owner was told that it is silent.
    pub silent: bool,
    /// When its quality was told.
    pub judged: Instant,
    /// When the worker looks at it next.
    pub scheduled: Option<Instant>,
    events: mpsc::Sender<LegEvent>,
    playing: Option<Playing>,
    waiting: VecDeque<Player>,
    timeline: Timeline,
    sounds: u64,
}

impl Leg {
    /// A leg with nobody at the other end.
    pub fn new(id: LegId, end: End, events: mpsc::Sender<LegEvent>, now: Instant) -> Leg {
        Leg {
            id,
            end,
            partner: None,
            recorder: None,
            muted: false,
            up: false,
            born: now,
            heard: None,
            silent: false,
            judged: now,
            scheduled: None,
            events,
            playing: None,
            waiting: VecDeque::new(),
            timeline: Timeline::new(CLOCK_FIRST, now),
            sounds: 0,
        }
    }

    /// Tells the owner. One that does not listen misses things rather than filling the memory.
    pub fn tell(&self, event: LegEvent) {
        let _ = self.events.try_send(event);
    }

    /// What others hear of a frame from here.
    pub fn spoken(&self, packet: Packet) -> Packet {
        if !self.muted {
            return packet;
        }
        let data = match packet.codec {
            Codec::Pcmu => Frame::from(vec![g711::SILENCE; packet.data.len()]),
            Codec::Opus => Frame::from(OPUS_SILENCE),
        };
        Packet { data, ..packet }
    }

    /// Begins a sound; keys wait for one another, anything else ends what was played before.
    pub fn play(&mut self, sound: Sound, times: Times, now: Instant) {
        let is_key = matches!(sound, Sound::Key(_));
        let player = Player::new(sound, times);
        if is_key && self.playing.as_ref().is_some_and(|playing| playing.is_key) {
            if self.waiting.len() < SOUNDS_WAITING_MAX {
                self.waiting.push_back(player);
            }
            return;
        }
        self.waiting.clear();
        self.begin(player, is_key, now);
    }

    fn begin(&mut self, player: Player, is_key: bool, now: Instant) {
        self.sounds += 1;
        // Legs speak under their own numbers; sounds have the upper half.
        let source = (1 << 63) | self.sounds;
        self.playing = Some(Playing { player, next: now, frames: 0, source, is_key });
    }

    /// Ends the sound; true when there was one.
    fn stop_playing(&mut self) -> bool {
        self.waiting.clear();
        self.playing.take().is_some()
    }

    /// Ends the sound, and what of it waits at a carrier: it must not stand before what comes next.
    pub fn cut_short(&mut self) {
        if self.stop_playing()
            && let End::Socket(socket) = &mut self.end
        {
            socket.clear();
        }
    }

    /// Whether a sound is heard instead of the partner.
    pub fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// Gives the frames of the sound that are due; the number that was given and dropped.
    pub fn play_on(&mut self, now: Instant) -> (u64, u64) {
        let (mut given, mut dropped) = (0, 0);
        while let Some(playing) = &mut self.playing {
            if playing.next > now {
                break;
            }
            let Some(data) = playing.player.next_frame() else {
                self.sound_ended(now);
                continue;
            };
            let time = playing.frames * super::timeline::ticks(FRAME_TIME);
            playing.frames += 1;
            playing.next += FRAME_TIME;
            // Whoever was asleep for long does not catch up with a burst.
            if now.saturating_duration_since(playing.next) > 10 * FRAME_TIME {
                playing.next = now;
            }
            let packet = Packet { source: playing.source, codec: Codec::Pcmu, time, data };
            if self.hear(&packet, now) {
                given += 1;
            } else {
                dropped += 1;
            }
        }
        (given, dropped)
    }

    fn sound_ended(&mut self, now: Instant) {
        let was_key = self.playing.take().is_some_and(|playing| playing.is_key);
        if let Some(next) = self.waiting.pop_front() {
            return self.begin(next, true, now);
        }
        if was_key {
            return;
        }
        match &mut self.end {
            End::Browser(_) => self.tell(LegEvent::Played),
            End::Socket(socket) => socket.sound_ends(now),
        }
    }

    /// Gives a frame to this end; false when it could not be given.
    pub fn hear(&mut self, packet: &Packet, now: Instant) -> bool {
        if let Some(recorder) = &mut self.recorder
            && recorder.limits().both
            && packet.codec == Codec::Pcmu
        {
            recorder.hear(packet.source, packet.time, &packet.data, now);
        }
        match &mut self.end {
            End::Browser(browser) => {
                let place = self.timeline.place(packet.source, packet.time, now);
                browser.write(packet, place, now)
            }
            End::Socket(socket) => packet.codec == Codec::Pcmu && socket.write(packet.data.clone(), now),
        }
    }

    /// When this leg must be looked at again.
    pub fn deadline(&self, now: Instant) -> Instant {
        let mut at = now + CARE_EVERY;
        if let Some(playing) = &self.playing {
            at = at.min(playing.next);
        }
        let end = match &self.end {
            End::Browser(browser) => browser.deadline(),
            End::Socket(socket) => socket.deadline(),
        };
        end.map_or(at, |end| at.min(end))
    }
}
