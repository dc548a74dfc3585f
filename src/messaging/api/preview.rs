//! What a message will be on a phone, before it is sent.

use std::borrow::Cow;

use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{id, named_reply};
use crate::accounts::auth::SignedIn;
use crate::app::App;
use crate::attachments::sniff::FileType;
use crate::carriers::Capabilities;
use crate::db::Db;
use crate::error::Result;
use crate::http::Problem;
use crate::ids::{ContactId, ConversationId, MediaId};
use crate::messaging::lookalikes::{self, Replaced};
use crate::messaging::price::Price;
use crate::messaging::{Draft, bridge, groups, parcel, segments, submit};
use crate::texts::Locale;

/// A text to be measured.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePreview {
    /// The text.
    pub text: String,
    /// For whom, `con_…`: the price may differ from contact to contact.
    #[serde(default)]
    pub contact_id: Option<String>,
    /// Or for which group, `cnv_…`: then every phone of it counts.
    #[serde(default)]
    pub conversation_id: Option<String>,
    /// The message it answers, `msg_…`.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Your uploads that are to go with it (`med_…`), at most ten. Then there need be no text.
    #[serde(default)]
    pub media: Vec<String>,
}

/// How a picture or file reaches the phone.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PreviewMediaView {
    /// `med_…`
    pub id: String,
    /// `mms` (as it is), `smaller` (as a smaller copy by MMS, when one fits), or `link` (as a link in the text).
    pub goes_as: String,
}

/// What a text costs as an SMS.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PreviewView {
    /// `gsm7` or `ucs2`.
    pub encoding: String,
    /// Segments, those to all phones together.
    pub segments: u16,
    /// How many phones get it: more than one in a group.
    #[serde(default)]
    pub phones: u16,
    /// `sms`, to each phone one, or `group_mms`: one MMS in which all of a group see each other.
    #[serde(default)]
    pub goes_as: String,
    /// Units that are left in the last segment.
    pub units_left: u32,
    /// The character that makes it dear, if one does.
    pub culprit: Option<String>,
    /// The text as it is sent: introduced when the phone does not know the number yet, below a line of what it answers
    /// when that costs nothing, with cheap characters in place of dear ones that look the same, when that saves
    /// anything.
    pub text: String,
    /// What was replaced.
    pub replaced: Vec<ReplacedView>,
    /// How the pictures and files reach the phone; nothing when the contact is not reached by SMS.
    #[serde(default)]
    pub media: Vec<PreviewMediaView>,
    /// What all segments cost, when the operator has set a price.
    pub price: Option<PriceView>,
}

/// A character that is sent as another one.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ReplacedView {
    /// As it was written.
    pub from: String,
    /// As it is sent.
    pub to: String,
    /// How often.
    pub count: u32,
}

/// An amount of money.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PriceView {
    /// With a point: `0.0158`.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
}

/// Says what a text costs as an SMS, before it is sent.
#[utoipa::path(tag = "messages", security(("bearer" = [])), responses(
    (status = 200, body = PreviewView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/v1/messages/preview")]
pub(super) async fn create_preview(
    app: web::Data<App>,
    who: SignedIn,
    body: web::Json<CreatePreview>,
) -> Result<web::Json<PreviewView>> {
    let draft = match body.text.trim() {
        "" if !body.media.is_empty() => String::new(),
        _ => bridge::check_draft(&body.text)?,
    };
    let files: Vec<MediaId> = body.media.iter().map(|text| id(text, "media")).collect::<Result<_>>()?;
    let contact = body.contact_id.as_deref().map(|text| id::<ContactId>(text, "contact")).transpose()?;
    let reply_to = body.reply_to.as_deref().map(named_reply).transpose()?;
    if let Some(conversation) = &body.conversation_id {
        return for_group(&app, who, id(conversation, "conversation")?, &draft).await;
    }
    let (cheap, replaced) = lookalikes::economize(&draft);
    let (carrier, composed, sizes) = match contact {
        Some(contact) => {
            let (now, account) = (app.now(), who.account);
            let asked = Draft { text: draft.clone(), media: files, reply_to, client_id: None };
            let read = move |db: &mut Db| {
                let carrier = submit::carrier_to(db, account, contact)?;
                let sizes = submit::preview_media(db, account, &asked.media)?;
                Ok((carrier, submit::preview_sms(db, now, account, contact, &asked)?, sizes))
            };
            app.db.read(read).await?
        }
        None => (None, None, Vec::new()),
    };
    let able = carrier.as_deref().and_then(|id| app.carriers.get(id)).map(|carrier| carrier.capabilities());
    let media = able.map_or_else(Vec::new, |able| to_phone(&able, &sizes));
    let text = composed.map_or(cheap, Cow::Owned);
    let price = Price::of(&app.settings.carriers, carrier.as_deref());
    Ok(web::Json(PreviewView { media, ..measured(text.into_owned(), replaced, 1, price) }))
}

/// What a text to a group costs: it has no introduction and quotes nothing.
async fn for_group(
    app: &App,
    who: SignedIn,
    conversation: ConversationId,
    draft: &str,
) -> Result<web::Json<PreviewView>> {
    let able = app.carriers.group_max();
    let read = move |db: &mut Db| groups::preview(db, who.account, conversation, &able);
    let outlook = app.db.read(read).await?;
    let (_, replaced) = lookalikes::economize(draft);
    let price = Price::of(&app.settings.carriers, Some(&outlook.carrier_id));
    let phones = u16::try_from(outlook.phones).unwrap_or(u16::MAX);
    let each = measured(bridge::to_sms(draft, None, Locale::En), replaced, phones, price);
    Ok(web::Json(if outlook.together {
        // An MMS has no segments, and its price is not the one of a segment.
        PreviewView {
            goes_as: "group_mms".to_owned(),
            segments: phones,
            culprit: None,
            replaced: Vec::new(),
            price: None,
            ..each
        }
    } else {
        each
    }))
}

fn measured(text: String, replaced: Vec<Replaced>, phones: u16, price: Option<Price>) -> PreviewView {
    let cost = segments::Segments::count(&text);
    let segments = cost.segment_count.saturating_mul(phones);
    let encoding = match cost.encoding {
        segments::Encoding::Gsm7 => "gsm7",
        segments::Encoding::Ucs2 => "ucs2",
    };
    let replaced = replaced.into_iter().map(|r| ReplacedView { from: r.from, to: r.to, count: r.count });
    let price = price.map(|price| price.times(segments));
    PreviewView {
        encoding: encoding.to_owned(),
        segments,
        phones,
        goes_as: "sms".to_owned(),
        units_left: cost.units_left,
        culprit: cost.culprit.map(String::from),
        media: Vec::new(),
        replaced: replaced.collect(),
        price: price.map(|price| PriceView { amount: price.amount(), currency: price.currency }),
        text,
    }
}

/// How files would reach a phone.
fn to_phone(able: &Capabilities, files: &[(MediaId, FileType, i64)]) -> Vec<PreviewMediaView> {
    let sizes: Vec<(FileType, i64)> = files.iter().map(|(_, kind, size)| (*kind, *size)).collect();
    let (ways, _) = parcel::plan(able, &sizes);
    let view = |((id, ..), way): (&(MediaId, FileType, i64), parcel::Way)| PreviewMediaView {
        id: id.to_string(),
        goes_as: match way {
            parcel::Way::AsIs => "mms",
            parcel::Way::Fitted => "smaller",
            parcel::Way::Link => "link",
        }
        .to_owned(),
    };
    files.iter().zip(ways).map(view).collect()
}
