//! Sound that is kept: messages, greetings, names, recordings. Bare µ-law in pieces: whoever plays the end of two hours
//! loads that end, and no more than a piece of it lies in memory. What is answered is a WAV file, whose header is made
//! when it is read, so that the parts of a recording are one file.

use std::collections::HashMap;
use std::time::Duration;

use diesel::dsl::sum;
use diesel::prelude::*;

use super::Sound;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::{Error, Result};
use crate::ids::{AccountId, CallId, SoundId};
use crate::media;
use crate::schema::{call_sound_pieces, call_sounds, voicemails};

/// Half a minute of sound: what is read at once.
pub const PIECE_BYTES: usize = 256 * 1024;
/// Recordings of one account, in milliseconds: ten hours, some 290 MB. Who has more deletes some before the next.
const RECORDINGS_MILLIS_MAX: i64 = 10 * 3_600_000;
/// The name that a caller has said is of use while it rings.
const NAMES_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Keeps a sound.
pub fn insert(db: &mut Db, sound: &Sound) -> Result<()> {
    let bytes = i32::try_from(sound.mulaw.len()).map_err(|_| Error::internal("a sound of two gigabytes"))?;
    each!(db, |c| diesel::insert_into(call_sounds::table)
        .values((
            call_sounds::id.eq(sound.id),
            call_sounds::account_id.eq(sound.account),
            call_sounds::call_id.eq(sound.call),
            call_sounds::purpose.eq(&sound.purpose),
            call_sounds::millis.eq(sound.millis),
            call_sounds::bytes.eq(bytes),
            call_sounds::created_at.eq(sound.created_at),
        ))
        .execute(c))?;
    for (place, piece) in (0_i32..).zip(sound.mulaw.chunks(PIECE_BYTES)) {
        each!(db, |c| diesel::insert_into(call_sound_pieces::table)
            .values((
                call_sound_pieces::sound_id.eq(sound.id),
                call_sound_pieces::place.eq(place),
                call_sound_pieces::body.eq(piece),
            ))
            .execute(c))?;
    }
    Ok(())
}

/// One or more sounds, one after the other, as one WAV file.
#[derive(Debug, Clone)]
pub struct Clip {
    sounds: Vec<(SoundId, usize)>,
    header: Vec<u8>,
    sound_bytes: usize,
}

impl Clip {
    fn new(rows: Vec<(SoundId, i32)>) -> Option<Clip> {
        let sounds: Vec<(SoundId, usize)> =
            rows.into_iter().map(|(id, bytes)| (id, usize::try_from(bytes).unwrap_or(0))).collect();
        let sound_bytes = sounds.iter().map(|(_, bytes)| bytes).sum();
        let header = media::wav_header(sound_bytes);
        (!sounds.is_empty()).then_some(Clip { sounds, header, sound_bytes })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.header.len() + self.sound_bytes + self.sound_bytes % 2
    }

    /// What stands in the file from a byte on: at least one byte and at most a piece, unless it is its end.
    ///
    /// # Errors
    /// `NotFound` when it was deleted meanwhile.
    pub fn read(&self, db: &mut Db, from: usize) -> Result<Vec<u8>> {
        if let Some(rest) = self.header.get(from..).filter(|rest| !rest.is_empty()) {
            return Ok(rest.to_vec());
        }
        let mut at = from.saturating_sub(self.header.len());
        for (id, bytes) in &self.sounds {
            if at < *bytes {
                return read_piece(db, *id, at);
            }
            at -= bytes;
        }
        // A WAV file has an even number of bytes.
        Ok(vec![0; self.bytes().saturating_sub(from).min(1)])
    }
}

/// The rest of the piece in which a byte of a sound stands.
fn read_piece(db: &mut Db, id: SoundId, at: usize) -> Result<Vec<u8>> {
    let place = i32::try_from(at / PIECE_BYTES).unwrap_or(i32::MAX);
    let piece: Option<Vec<u8>> = each!(db, |c| call_sound_pieces::table
        .filter(call_sound_pieces::sound_id.eq(id))
        .filter(call_sound_pieces::place.eq(place))
        .select(call_sound_pieces::body)
        .first(c)
        .optional())?;
    let rest = piece.and_then(|piece| piece.get(at % PIECE_BYTES..).map(<[u8]>::to_vec));
    rest.filter(|rest| !rest.is_empty()).ok_or_else(|| Error::not_found("sound"))
}

/// One sound of an account, to be played.
pub fn clip(db: &mut Db, account: AccountId, id: SoundId) -> Result<Option<Clip>> {
    let rows = each!(db, |c| call_sounds::table
        .filter(call_sounds::account_id.eq(account))
        .filter(call_sounds::id.eq(id))
        .select((call_sounds::id, call_sounds::bytes))
        .load(c))?;
    Ok(Clip::new(rows))
}

/// Everything that an account has recorded of a call: each time the recording was turned on is a part of it.
pub fn recording(db: &mut Db, account: AccountId, call: CallId) -> Result<Option<Clip>> {
    let rows = each!(db, |c| call_sounds::table
        .filter(call_sounds::account_id.eq(account))
        .filter(call_sounds::call_id.eq(call))
        .filter(call_sounds::purpose.eq("recording"))
        .order(call_sounds::id.asc())
        .select((call_sounds::id, call_sounds::bytes))
        .load(c))?;
    Ok(Clip::new(rows))
}

/// A sound of an account as µ-law, whole: for short ones.
pub fn find(db: &mut Db, account: AccountId, id: SoundId) -> Result<Option<Vec<u8>>> {
    if clip(db, account, id)?.is_none() {
        return Ok(None);
    }
    let pieces: Vec<Vec<u8>> = each!(db, |c| call_sound_pieces::table
        .filter(call_sound_pieces::sound_id.eq(id))
        .order(call_sound_pieces::place.asc())
        .select(call_sound_pieces::body)
        .load(c))?;
    Ok(Some(pieces.concat()))
}

/// How long what was recorded of these calls is, in milliseconds; of one account, or of whoever has most of it.
pub fn recorded_millis(
    db: &mut Db,
    account: Option<AccountId>,
    calls: &[CallId],
) -> Result<HashMap<CallId, i32>> {
    let rows: Vec<(Option<CallId>, AccountId, i32)> = each!(db, |c| {
        let mut query = call_sounds::table
            .filter(call_sounds::call_id.eq_any(calls))
            .filter(call_sounds::call_id.is_not_null())
            .filter(call_sounds::purpose.eq("recording"))
            .select((call_sounds::call_id, call_sounds::account_id, call_sounds::millis))
            .into_boxed();
        if let Some(account) = account {
            query = query.filter(call_sounds::account_id.eq(account));
        }
        query.load(c)
    })?;
    let mut sums: HashMap<(CallId, AccountId), i32> = HashMap::new();
    for (call, account, millis) in rows {
        if let Some(call) = call {
            let sum = sums.entry((call, account)).or_default();
            *sum = sum.saturating_add(millis);
        }
    }
    let mut longest: HashMap<CallId, i32> = HashMap::new();
    for ((call, _), millis) in sums {
        let known = longest.entry(call).or_default();
        *known = millis.max(*known);
    }
    Ok(longest)
}

/// Whether an account has room for another recording.
pub fn has_room(db: &mut Db, account: AccountId) -> Result<bool> {
    let millis: Option<i64> = each!(db, |c| call_sounds::table
        .filter(call_sounds::account_id.eq(account))
        .filter(call_sounds::purpose.eq("recording"))
        .select(sum(call_sounds::millis))
        .first(c))?;
    Ok(millis.unwrap_or(0) < RECORDINGS_MILLIS_MAX)
}

/// Deletes these sounds, and what was left as a message with them.
fn delete_all(db: &mut Db, sounds: &[(AccountId, SoundId)]) -> Result<()> {
    for chunk in sounds.chunks(500) {
        let (owners, ids): (Vec<AccountId>, Vec<SoundId>) = chunk.iter().copied().unzip();
        each!(db, |c| diesel::delete(voicemails::table)
            .filter(voicemails::account_id.eq_any(&owners))
            .filter(voicemails::sound_id.eq_any(&ids))
            .execute(c))?;
        each!(db, |c| diesel::delete(call_sound_pieces::table)
            .filter(call_sound_pieces::sound_id.eq_any(&ids))
            .execute(c))?;
        each!(db, |c| diesel::delete(call_sounds::table).filter(call_sounds::id.eq_any(&ids)).execute(c))?;
    }
    Ok(())
}

fn delete_clip(db: &mut Db, account: AccountId, clip: Option<Clip>) -> Result<bool> {
    let sounds = clip.map_or(Vec::new(), |clip| clip.sounds);
    let mine: Vec<(AccountId, SoundId)> = sounds.into_iter().map(|(id, _)| (account, id)).collect();
    delete_all(db, &mine).map(|()| !mine.is_empty())
}

/// Deletes a sound of an account, and the message that it is; false when there is none.
pub fn delete(db: &mut Db, account: AccountId, id: SoundId) -> Result<bool> {
    let found = clip(db, account, id)?;
    delete_clip(db, account, found)
}

/// Deletes what an account has recorded of a call; the other side keeps what it has. False when there is nothing.
pub fn delete_recording(db: &mut Db, account: AccountId, call: CallId) -> Result<bool> {
    let found = recording(db, account, call)?;
    delete_clip(db, account, found)
}

/// All sounds of an account go.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    let sounds: Vec<(AccountId, SoundId)> = each!(db, |c| call_sounds::table
        .filter(call_sounds::account_id.eq(account))
        .select((call_sounds::account_id, call_sounds::id))
        .load(c))?;
    delete_all(db, &sounds)
}

/// Forgets names that callers have said, and messages and recordings older than `kept` (none: they stay until they are
/// deleted), at most `rows` of each; answers how many went.
pub fn prune(db: &mut Db, now: Timestamp, kept: Option<Duration>, rows: i64) -> Result<usize> {
    let mut count = 0;
    for (purpose, kept) in [("name", Some(NAMES_KEPT)), ("voicemail", kept), ("recording", kept)] {
        let Some(kept) = kept else { continue };
        let sounds: Vec<(AccountId, SoundId)> = each!(db, |c| call_sounds::table
            .filter(call_sounds::purpose.eq(purpose))
            .filter(call_sounds::created_at.lt(now.minus(kept)))
            .select((call_sounds::account_id, call_sounds::id))
            .limit(rows)
            .load(c))?;
        delete_all(db, &sounds)?;
        count += sounds.len();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_one_file_with_one_header() {
        let id = || SoundId::new(Timestamp(0));
        let clip = Clip::new(vec![(id(), 16_000), (id(), 161)]).unwrap();
        assert_eq!(clip.bytes(), 58 + 16_161 + 1);
        assert_eq!(clip.header, media::wav_header(16_161));
        assert!(Clip::new(Vec::new()).is_none());
    }
}
