//! An account as its owner sees it: the body of `/v1/me` and the data of `account.updated`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::emails::{self, Email};
use super::mobiles::{self, Mobile};
use super::proofs::ProofState;
use super::{Account, QuietHours};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::ids::{AccountId, EmailId, HandsetId};
use crate::texts::Locale;

/// When not to disturb, on the wall of the account's time zone; may go past midnight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuietHoursView {
    /// `HH:MM`.
    #[schema(example = "22:00")]
    pub from: String,
    /// `HH:MM`.
    #[schema(example = "07:00")]
    pub to: String,
}

impl From<QuietHours> for QuietHoursView {
    fn from(hours: QuietHours) -> Self {
        let (from, to) = hours.to_texts();
        QuietHoursView { from, to }
    }
}

/// A mobile number of an account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MobileView {
    /// `mob_…`
    #[schema(value_type = String)]
    pub id: HandsetId,
    /// E.164.
    pub number: String,
    /// Whether it has been proved.
    pub state: ProofState,
}

impl From<Mobile> for MobileView {
    fn from(mobile: Mobile) -> Self {
        MobileView { id: mobile.id, number: mobile.number.as_str().to_owned(), state: mobile.state }
    }
}

/// An e-mail address of an account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EmailView {
    /// `eml_…`
    #[schema(value_type = String)]
    pub id: EmailId,
    /// The address, in small letters.
    pub address: String,
    /// Whether it has been proved.
    pub state: ProofState,
    /// Whether people who have this address on a card in their phone may find the account by it.
    pub findable: bool,
}

impl From<Email> for EmailView {
    fn from(email: Email) -> Self {
        EmailView { id: email.id, address: email.address, state: email.state, findable: email.findable }
    }
}

/// An account as its owner sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccountView {
    /// `acc_…`
    #[schema(value_type = String, example = "acc_0197a3f2c1d47c3e8a5b1f2e3d4c5b6a")]
    pub id: AccountId,
    /// The name for good.
    pub handle: String,
    /// The name friends see.
    pub display_name: String,
    /// The language of our letters and SMS.
    pub locale: Locale,
    /// An IANA time zone.
    pub time_zone: String,
    /// When not to disturb.
    #[schema(required)]
    pub quiet_hours: Option<QuietHoursView>,
    /// May use `/v1/admin`.
    pub admin: bool,
    /// The account's own mobile numbers.
    pub mobiles: Vec<MobileView>,
    /// The account's e-mail addresses.
    pub emails: Vec<EmailView>,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The whole view of an account.
pub fn load(db: &mut Db, id: AccountId) -> Result<AccountView> {
    let Account { id, handle, display_name, locale, time_zone, quiet_hours, admin, created_at } =
        super::load(db, id)?;
    Ok(AccountView {
        id,
        handle,
        display_name,
        locale,
        time_zone,
        quiet_hours: quiet_hours.map(QuietHoursView::from),
        admin,
        mobiles: mobiles::list(db, id)?.into_iter().map(MobileView::from).collect(),
        emails: emails::list(db, id)?.into_iter().map(EmailView::from).collect(),
        created_at,
    })
}
