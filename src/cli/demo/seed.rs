//! The people, friendships and numbers of the demo. May run again on the same folder: what is there stays.

use std::collections::HashMap;

use crate::accounts::{self, Handle, NewAccount, app_passwords, passwords};
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::{self, Asked, Person};
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::numbers::{self, Capabilities, Import};
use crate::phone::E164;

/// Everybody's password in the demo.
pub const PASSWORD: &str = "demo-password";
/// What Alice's phone calls its app password.
const PHONE_LABEL: &str = "Alice's simulated phone";
/// The last digits of the pool: +1 202 555 0110 to 0169. The handsets are below.
const POOL: std::ops::Range<u32> = 110..170;
const PEOPLE: [(&str, &str); 4] =
    [("alice", "Alice"), ("bob", "Bob"), ("carol", "Carol"), (OPERATOR, "The operator")];
/// May open the console.
pub const OPERATOR: &str = "oscar";

/// What the demo starts with.
pub struct Seeded {
    /// Alice's own mobile, verified.
    pub alice_mobile: E164,
    /// A stranger's.
    pub dave_mobile: E164,
    /// Our numbers.
    pub pool: Vec<E164>,
    /// What Alice's phone signs in with.
    pub phone_password: String,
    /// The number under which Alice's phone knows Bob.
    pub bobs_number: Option<E164>,
}

fn fictional(last: u32) -> Result<E164> {
    E164::parse(&format!("+12025550{last:03}")).map_err(|_| Error::internal("a fictional number is not one"))
}

/// Puts everything there.
pub async fn seed(app: &App) -> Result<Seeded> {
    let (alice_mobile, dave_mobile) = (fictional(101)?, fictional(102)?);
    let pool = POOL.map(fictional).collect::<Result<Vec<E164>>>()?;
    let now = app.now();
    let imports = imports(&pool)?;
    app.db.write(Lane::Any, move |db| numbers::import(db, now, &imports)).await?;

    // One hash for all: they have one password, and hashing is slow on purpose.
    let hash = tokio::task::spawn_blocking(|| passwords::hash_now(PASSWORD))
        .await
        .map_err(|e| Error::caused("hashing the demo's password", e))??;
    let (keys, mobile) = (app.keys.clone(), alice_mobile.clone());
    let everything = move |db: &mut Db| {
        let mut people: HashMap<&str, Person> = HashMap::new();
        for (handle, name) in PEOPLE {
            people.insert(handle, person(db, now, handle, name, &hash)?);
        }
        let of = |handle: &str| people.get(handle).ok_or_else(|| Error::internal("somebody is missing"));
        let alice = of("alice")?.id;
        befriend(db, now, of("alice")?, of("bob")?)?;
        befriend(db, now, of("alice")?, of("carol")?)?;
        befriend(db, now, of("bob")?, of("carol")?)?;
        // Nobody is there who could read a code.
        accounts::mobiles::add_verified(db, now, alice, &mobile)?;
        contacts::give_numbers(db, now, alice)?;
        for old in app_passwords::list(db, alice)?.iter().filter(|p| p.label == PHONE_LABEL) {
            app_passwords::delete(db, alice, old.id)?;
        }
        let (_, phone_password) = app_passwords::create(db, now, &keys, alice, PHONE_LABEL)?;
        Ok((alice, phone_password))
    };
    let (alice, phone_password) = app.db.write(Lane::Any, everything).await?;
    let bobs_number = app.db.read(move |db| bobs_number(db, alice)).await?;
    Ok(Seeded { alice_mobile, dave_mobile, pool, phone_password, bobs_number })
}

fn imports(pool: &[E164]) -> Result<Vec<Import>> {
    let capabilities = Capabilities::parse("sms+voice")?;
    let import = |number: &E164| Import {
        number: number.clone(),
        carrier_id: super::CARRIER.to_owned(),
        capabilities,
    };
    Ok(pool.iter().map(import).collect())
}

fn person(db: &mut Db, now: Timestamp, handle: &str, name: &str, hash: &str) -> Result<Person> {
    let account = match accounts::find_by_handle(db, handle)? {
        Some(account) => account,
        None => {
            let new = NewAccount {
                handle: Handle::parse(handle)?,
                display_name: name.to_owned(),
                password_hash: hash.to_owned(),
                locale: accounts::locale("en")?,
                time_zone: "UTC".to_owned(),
                admin: handle == OPERATOR,
            };
            accounts::create(db, now, &new)?
        }
    };
    Ok(Person { id: account.id, handle: account.handle, display_name: account.display_name })
}

/// Each asks the other, which makes them friends; nothing changes when they are.
fn befriend(db: &mut Db, now: Timestamp, one: &Person, other: &Person) -> Result<()> {
    for (me, person) in [(one, other), (other, one)] {
        contacts::request(db, now, me.id, Asked { person: person.clone(), custom_name: None })?;
    }
    Ok(())
}

fn bobs_number(db: &mut Db, alice: AccountId) -> Result<Option<E164>> {
    let all = contacts::list(db, alice, &contacts::Filter::default(), None, 10)?;
    let bob = all.into_iter().find(|contact| contact.address == "meari:bob");
    Ok(bob.and_then(|contact| contact.number))
}
