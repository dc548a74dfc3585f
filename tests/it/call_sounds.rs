//! What is said and kept: all parts of a recording, parts of a long one, a mailbox that is full, what is forgotten.

use std::time::Duration;

use diesel::prelude::*;
use meari::calls::{Sound, sounds};
use meari::clock::Timestamp;
use meari::db::{Db, Lane};
use meari::ids::{AccountId, CallId, SoundId, VoicemailId};
use meari::schema::voicemails;
use serde_json::{Value, json};

use crate::support::app::Pair;
use crate::support::calling::{BROWSER_HZ, OTHER_HZ};
use crate::support::{Person, TestApp, eventually};

/// A file behind a door, or a part of it.
async fn fetched(person: &Person, path: &str, range: Option<&str>) -> (u16, Vec<u8>) {
    let mut request =
        person.http().get(format!("{}{path}", person.base())).bearer_auth(person.token.as_deref().unwrap());
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

fn kept(
    now: Timestamp,
    account: AccountId,
    call: CallId,
    (purpose, mulaw): (&'static str, Vec<u8>),
) -> Sound {
    let millis = i32::try_from(mulaw.len() / 8).unwrap();
    Sound { id: SoundId::new(now), account, call: Some(call), purpose, millis, mulaw, created_at: now }
}

async fn keep(app: &TestApp, sound: Sound) {
    app.app.db.write(Lane::Any, move |db| sounds::insert(db, &sound)).await.unwrap();
}

/// As many messages as there are, each of a call of its own, of which one was listened to or none.
async fn fills(app: &TestApp, bob: AccountId, contact: &str, listened: bool) {
    let (now, contact) = (app.app.now(), contact.parse().unwrap());
    let write = move |db: &mut Db| {
        for n in 0..meari::calls::voicemail::MESSAGES_MAX {
            let sound = kept(now, bob, CallId::new(now), ("voicemail", vec![0xff; 800]));
            sounds::insert(db, &sound)?;
            let row = meari::calls::voicemail::Voicemail {
                id: VoicemailId::new(now),
                account_id: bob,
                call_id: sound.call.unwrap(),
                contact_id: contact,
                sound_id: sound.id,
                message_id: None,
                seconds: 1,
                listened_at: (listened && n == 1).then_some(now),
            };
            meari::each!(db, |c| diesel::insert_into(voicemails::table)
                .values((
                    voicemails::id.eq(row.id),
                    voicemails::account_id.eq(row.account_id),
                    voicemails::call_id.eq(row.call_id),
                    voicemails::contact_id.eq(row.contact_id),
                    voicemails::sound_id.eq(row.sound_id),
                    voicemails::seconds.eq(row.seconds),
                    voicemails::listened_at.eq(row.listened_at),
                    voicemails::created_at.eq(now),
                ))
                .execute(c))?;
        }
        Ok(())
    };
    app.app.db.write(Lane::Any, write).await.unwrap();
}

async fn messages(app: &TestApp, account: AccountId) -> i64 {
    let count = move |db: &mut Db| {
        Ok(meari::each!(db, |c| voicemails::table
            .filter(voicemails::account_id.eq(account))
            .count()
            .get_result(c))?)
    };
    app.app.db.read(count).await.unwrap()
}

story! {
    async fn what_is_recorded_in_parts_is_one_file(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, _) = alice.befriends(&bob).await;
        let (call, here) = alice.calls(&to_bob, BROWSER_HZ).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let there = bob.accepts(&ringing, OTHER_HZ).await;
        here.ear.hears(OTHER_HZ).await;
        let path = format!("/v1/calls/{}/recording", call["id"].as_str().unwrap());
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        for part in 1..=2 {
            alice.to_call(&call, "recording", json!({ "on": true })).await.expect(200);
            bob.to_call(&call, "recording/answer", json!({ "agree": true })).await.expect(200);
            there.ear.clear();
            there.ear.hears(BROWSER_HZ).await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            alice.to_call(&call, "recording", json!({ "on": false })).await.expect(200);
            eventually(&format!("part {part} is kept"), async || {
                all = fetched(&bob, &path, None).await.1;
                all.len() > sizes.last().copied().unwrap_or(1_000)
            })
            .await;
            sizes.push(all.len());
        }
        assert!(sizes[1] > sizes[0] + 3_000, "both parts are in it: {sizes:?}");
        let sound = meari::media::from_wav(&all).unwrap();
        assert_eq!(meari::media::wav(&sound), all, "one header says how long all of it is");
        let half = format!("bytes={}-", sizes[0] - 10);
        assert_eq!(fetched(&bob, &path, Some(&half)).await, (206, all[sizes[0] - 10..].to_vec()));
        alice.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;

        // Each throws away his own.
        let offered = async |person: &Person| {
            let chats = person.get("/v1/conversations").await.expect(200);
            chats["items"][0]["last_message"]["call"]["recording"].clone()
        };
        assert_eq!(offered(&bob).await["url"], path.as_str());
        let mut events = crate::live::open(app, &bob, None).await;
        app.stranger().delete(&path).await.expect(401);
        bob.delete(&path).await.expect(204);
        assert_eq!(crate::live::next_of(&mut events, "message.updated").await["data"]["call"]["recording"], Value::Null);
        assert_eq!(offered(&bob).await, Value::Null, "the conversation does not offer what is gone");
        assert_eq!(offered(&alice).await["url"], path.as_str());
        bob.delete(&path).await.refused(404, "not_found");
        assert_eq!(fetched(&bob, &path, None).await.0, 404);
        assert_eq!(bob.call_is(app, &["ended"]).await["recorded"], Value::Null);
        assert_eq!(fetched(&alice, &path, None).await, (200, all));
    }

    async fn a_part_of_a_long_recording_is_had_alone(app) {
        let (alice, bob) = (app.person("alice").await, app.person("bob").await);
        let (to_bob, _) = alice.befriends(&bob).await;
        let (call, _browser) = alice.calls(&to_bob, BROWSER_HZ).await;
        let (account, id): (AccountId, CallId) = (alice.id.parse().unwrap(), call["id"].as_str().unwrap().parse().unwrap());
        let sound: Vec<u8> = (0..700_001_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        keep(app, kept(app.app.now(), account, id, ("recording", sound.clone()))).await;
        let whole = meari::media::wav(&sound);
        let path = format!("/v1/calls/{}/recording", call["id"].as_str().unwrap());
        assert!(fetched(&alice, &path, None).await == (200, whole.clone()));
        let last = whole.len() - 1;
        for (from, to) in [(0, 3), (50, 70), (262_140 + 58, 262_150 + 58), (100, 600_000), (last - 3, last), (last, last)] {
            let part = fetched(&alice, &path, Some(&format!("bytes={from}-{to}"))).await;
            assert!(part == (206, whole[from..=to].to_vec()), "{from} to {to}: {} bytes", part.1.len());
        }
        assert!(fetched(&alice, &path, Some("bytes=-5")).await == (206, whole[last - 4..].to_vec()));
        assert_eq!(fetched(&alice, &path, Some("bytes=700060-")).await.0, 416);

        // Ten hours of it, and there is no room for more.
        let ten_hours = Sound { millis: 36_000_000, ..kept(app.app.now(), account, id, ("recording", vec![0xff; 8])) };
        keep(app, ten_hours).await;
        let ringing = bob.call_is(app, &["ringing"]).await;
        let _there = bob.accepts(&ringing, OTHER_HZ).await;
        bob.call_is(app, &["in_progress"]).await;
        bob.to_call(&call, "recording", json!({ "on": true })).await.refused(409, "recordings_full");
        alice.delete(&path).await.expect(204);
        bob.to_call(&call, "recording", json!({ "on": true })).await.expect(200);
        bob.to_call(&call, "hang-up", json!({})).await.expect(200);
        app.calls_are_over().await;
    }

    async fn a_mailbox_has_an_end(app) {
        let pair = app.alice_and_bob().await;
        let alice: AccountId = pair.alice.id.parse().unwrap();
        let Value::String(hers) = pair.alice.get("/v1/contacts").await["items"][0]["id"].clone() else { panic!("no contact") };
        fills(app, alice, &hers, true).await;
        crate::voicemails::left_by_bob(app, &pair).await;
        assert_eq!(messages(app, alice).await, 100, "the one that was listened to is gone");
        // All that is left is new: nothing more is taken.
        let (call, _browser) = pair.bob.calls(&pair.contact, BROWSER_HZ).await;
        let ringing = pair.alice.call_is(app, &["ringing"]).await;
        pair.alice.to_call(&ringing, "decline", json!({ "to_voicemail": true })).await.expect(200);
        let over = pair.bob.call_is(app, &["ended"]).await;
        assert_eq!((&over["id"], &over["end_reason"]), (&call["id"], &json!("declined")));
        app.calls_are_over().await;
        assert_eq!(messages(app, alice).await, 100);
    }

    async fn what_was_said_is_forgotten_in_time_and_with_the_account(app) {
        let pair = app.alice_and_bob().await;
        let Pair { alice, bob, .. } = &pair;
        let account: AccountId = alice.id.parse().unwrap();
        let (text, id) = crate::voicemails::left_by_bob(app, &pair).await;
        let call: CallId = text.parse().unwrap();
        let now = app.app.now();
        for purpose in ["name", "recording", "greeting"] {
            keep(app, kept(now, account, call, (purpose, vec![0xff; 8_000]))).await;
        }
        let left = async |purpose: &'static str| {
            let count = move |db: &mut Db| {
                use meari::schema::call_sounds::dsl;
                let of = dsl::call_sounds.filter(dsl::account_id.eq(account)).filter(dsl::purpose.eq(purpose));
                Ok(meari::each!(db, |c| of.count().get_result::<i64>(c))?)
            };
            app.app.db.read(count).await.unwrap()
        };
        app.advance(Duration::from_secs(25 * 3_600));
        meari::worker::sweep(&app.app).await.unwrap();
        let counts = [left("name").await, left("voicemail").await, left("recording").await, left("greeting").await];
        assert_eq!(counts, [0, 1, 1, 1], "a name is of use while it rings");
        let alice = alice.signs_in_again().await;
        assert_eq!(fetched(&alice, &format!("/v1/voicemails/{id}/audio"), None).await.0, 200);
        app.advance(Duration::from_secs(365 * 24 * 3_600));
        meari::worker::sweep(&app.app).await.unwrap();
        assert_eq!([left("voicemail").await, left("recording").await, left("greeting").await], [0, 0, 1]);
        assert_eq!(messages(app, account).await, 0);

        // The records of calls stay, without the number of whoever is gone.
        let with_numbers = async || app.call_records().await.iter().filter(|leg| leg["kind"] == "phone" && !leg["to"].is_null()).count();
        assert_eq!(with_numbers().await, 1);
        let alice = alice.signs_in_again().await;
        let body = json!({ "password": crate::support::client::PASSWORD });
        alice.call(reqwest::Method::DELETE, "/v1/me", Some(&body)).await.expect(204);
        app.settle().await;
        assert_eq!((with_numbers().await, app.call_records().await.len()), (0, 2));
        assert_eq!(left("greeting").await, 0);
        bob.signs_in_again().await;
    }
}
