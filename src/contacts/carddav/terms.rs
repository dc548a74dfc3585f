//! On which terms a request changes something: what must be true (`If`, `If-Unmodified-Since`, and for what is no card
//! `If-Match` and `If-None-Match`), checked in the transaction of the change, and who is not told of it (`Push-Dont-Notify`).

use super::objects::stored_tag;
use super::place::Place;
use super::push::hush;
use super::{Call, sync_token, with_own_handle};
use crate::clock::Timestamp;
use crate::contacts::books;
use crate::dav::if_header::{self, IfCondition, IfState};
use crate::dav::{EntityCondition, Fault, href};
use crate::db::{Db, Hush};
use crate::error::Result;
use crate::events;
use crate::ids::{AccountId, AddressBookId};

/// What a condition speaks of, with the account that owns it.
#[derive(Debug, Clone)]
enum Subject {
    Book(AccountId, AddressBookId),
    Object(AccountId, AddressBookId, String),
    Nothing,
}

/// The terms of one request.
#[derive(Debug, Clone)]
pub struct Terms {
    account: AccountId,
    hush: Hush,
    lists: Vec<(Subject, Vec<IfCondition>)>,
    unmodified_since: Option<(Subject, Timestamp)>,
    entity: Option<(Subject, EntityCondition)>,
}

/// RFC 9110 15.5.13.
pub const NOT_SO: Fault = Fault::new(412, "It is not as the request says it must be.");

impl Terms {
    /// Reads the headers.
    pub fn of(call: &Call) -> Result<Terms, Fault> {
        let lists = match call.header("if") {
            None => Vec::new(),
            Some(text) => if_header::parse(text)?
                .into_iter()
                .map(|list| (subject(call, list.resource.as_deref()), list.conditions))
                .collect(),
        };
        // If-Match says it better (RFC 9110 13.1.4).
        let since = call.header("if-unmodified-since").filter(|_| call.condition.if_match.is_none());
        let unmodified_since =
            since.and_then(super::push::parse_http_date).map(|since| (subject(call, None), since));
        Ok(Terms { account: call.account(), hush: hush(call), lists, unmodified_since, entity: None })
    }

    /// With `If-Match` and `If-None-Match`: for changes that do not check them themselves, as those of cards do with
    /// what they read anyway.
    pub fn with_entity_tags(mut self, call: &Call) -> Terms {
        self.entity = (!call.condition.is_empty()).then(|| (subject(call, None), call.condition.clone()));
        self
    }

    /// Whether anything must be true.
    pub fn ask(&self) -> bool {
        !self.lists.is_empty() || self.unmodified_since.is_some() || self.entity.is_some()
    }

    /// Does it when everything is as it must be; `None` when not.
    pub fn keep<T>(&self, db: &mut Db, body: impl FnOnce(&mut Db) -> Result<T>) -> Result<Option<T>> {
        if self.ask() {
            let subjects = self.lists.iter().map(|(s, _)| s);
            let subjects = subjects.chain(self.unmodified_since.iter().map(|(s, _)| s));
            let subjects = subjects.chain(self.entity.iter().map(|(s, _)| s));
            let owners = subjects.filter_map(|subject| match subject {
                Subject::Book(owner, _) | Subject::Object(owner, ..) => Some(*owner),
                Subject::Nothing => None,
            });
            let locked: Vec<AccountId> = owners.chain([self.account]).collect();
            events::lock(db, &locked)?;
            if !self.hold(db)? {
                return Ok(None);
            }
        }
        db.hushed(&self.hush, body).map(Some)
    }

    /// Whether everything is as it must be.
    pub fn hold(&self, db: &mut Db) -> Result<bool> {
        if let Some((Subject::Object(owner, book, name), since)) = &self.unmodified_since
            && let Some(object) = books::find(db, *owner, *book, name)?
            && object.updated_at.unix_secs() > since.unix_secs()
        {
            return Ok(false);
        }
        if let Some((subject, condition)) = &self.entity {
            let (etag, token) = self.state_of(db, subject)?;
            // A book is there and has no entity tag.
            let current = etag.or(token.map(|_| String::new()));
            if condition.check(current.as_deref()).is_err() {
                return Ok(false);
            }
        }
        for (subject, conditions) in &self.lists {
            let (etag, token) = self.state_of(db, subject)?;
            let is_so = |condition: &IfCondition| {
                let has = match &condition.state {
                    IfState::Token(wanted) => token.as_ref() == Some(wanted),
                    IfState::Etag(wanted) => etag.as_ref() == Some(&stored_tag(wanted)),
                };
                has != condition.negated
            };
            if conditions.iter().all(is_so) {
                return Ok(true);
            }
        }
        Ok(self.lists.is_empty())
    }

    /// The entity tag and the state token of a resource.
    fn state_of(&self, db: &mut Db, subject: &Subject) -> Result<(Option<String>, Option<String>)> {
        Ok(match subject {
            Subject::Book(owner, id) => {
                let book = books::list(db, *owner)?.into_iter().find(|b| b.id == *id);
                (None, book.map(|b| sync_token(b.id, b.state())))
            }
            Subject::Object(owner, book, name) => {
                (books::find(db, *owner, *book, name)?.map(|o| o.etag), None)
            }
            Subject::Nothing => (None, None),
        })
    }
}

/// The resource of a list: the request's own when it names none. Others' resources are none.
fn subject(call: &Call, resource: Option<&str>) -> Subject {
    let place = match resource {
        None => Some(call.place.clone()),
        Some(text) => href::parse(text)
            .and_then(Place::parse)
            .filter(|p| p.handle().is_none_or(|h| h.eq_ignore_ascii_case(&call.login.handle)))
            .map(|p| with_own_handle(p, &call.login)),
    };
    let book = |slug: &str| call.shelf.book(slug).map(|b| (b.account_id, b.id));
    match place {
        Some(Place::Book(_, slug)) => {
            book(&slug).map_or(Subject::Nothing, |(owner, id)| Subject::Book(owner, id))
        }
        Some(Place::Object(_, slug, name)) => {
            book(&slug).map_or(Subject::Nothing, |(owner, id)| Subject::Object(owner, id, name))
        }
        _ => Subject::Nothing,
    }
}
