//! Everything this slice holds of an account, for its owner. Hashes of credentials are of no use to him and stay here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{app_passwords, session, view};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::ids::AccountId;
use crate::push;

/// The account's own part of the archive.
pub fn export(db: &mut Db, now: Timestamp, account: AccountId) -> Result<Value> {
    let sessions: Vec<Value> = session::list(db, now, account)?
        .into_iter()
        .map(|s| {
            json!({
                "id": s.id, "label": s.label, "created_at": s.created_at,
                "last_used_at": s.last_used_at, "expires_at": s.expires_at,
            })
        })
        .collect();
    let app_passwords: Vec<Value> = app_passwords::list(db, account)?
        .into_iter()
        .map(|p| {
            json!({
                "id": p.id, "label": p.label, "user_agent": p.user_agent,
                "created_at": p.created_at, "last_used_at": p.last_used_at,
            })
        })
        .collect();
    let photo = super::find_photo(db, account)?.map(|photo| {
        json!({
            "content_type": photo.content_type, "updated_at": photo.updated_at,
            "data": STANDARD.encode(&photo.body),
        })
    });
    let pushes: Vec<Value> = push::list_all(db, account)?
        .into_iter()
        .map(|r| json!({ "id": r.id, "kind": r.kind, "endpoint": r.subscription().endpoint, "expires_at": r.expires_at }))
        .collect();
    Ok(json!({
        "account": view::load(db, account)?,
        "photo": photo,
        "sessions": sessions,
        "app_passwords": app_passwords,
        "push_registrations": pushes,
    }))
}
