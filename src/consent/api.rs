//! The consent log, for operators: to be read, exported, and corrected by adding to it.

use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Entry, Said, Source, Word};
use crate::accounts::auth::Admin;
use crate::app::App;
use crate::carriers::StopScope;
use crate::db::Lane;
use crate::error::{Error, Result};
use crate::http::{Page, Paging, Problems};
use crate::ids::ConsentId;
use crate::phone::E164;

/// Lines read at once for an export.
const CHUNK: i64 = 1_000;
/// Lines in one export at most; whoever has more asks for the rest with `after`.
const EXPORT_MAX: usize = 200_000;

/// The operator's log.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_consents).service(export_consents).service(create_consent);
}

/// A word that somebody said about being written to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Consent)]
pub struct ConsentView {
    /// `cst_…`
    #[schema(value_type = String)]
    pub id: ConsentId,
    /// RFC 3339.
    pub at: String,
    /// Whose telephone.
    pub handset: String,
    /// To which number of ours.
    pub number: String,
    /// Through which carrier.
    pub carrier: String,
    /// `stop`, `start` or `help`.
    pub word: String,
    /// `handset`, `carrier`, `operator`, or `carried`: said before to a number that was replaced by this one, or to the
    /// carrier that had this number.
    pub source: String,
    /// As it was written.
    pub keyword: Option<String>,
}

impl From<Entry> for ConsentView {
    fn from(entry: Entry) -> Self {
        ConsentView {
            id: entry.id,
            at: entry.at.to_rfc3339(),
            handset: entry.handset.as_str().to_owned(),
            number: entry.number.as_str().to_owned(),
            carrier: entry.carrier_id,
            word: entry.word,
            source: entry.source,
            keyword: entry.keyword,
        }
    }
}

/// Which telephone.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfHandset {
    /// Only words of this telephone, like `+12025550123`.
    handset: Option<String>,
}

impl OfHandset {
    fn number(&self) -> Result<Option<E164>> {
        self.handset.as_deref().map(|text| phone("handset", text)).transpose()
    }
}

fn phone(field: &'static str, text: &str) -> Result<E164> {
    E164::parse(text)
        .map_err(|_| Error::invalid(field, "not_a_phone_number", "It must be like +12025550123."))
}

/// Lists what was said, oldest first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(Paging, OfHandset),
    responses((status = 200, body = Page<ConsentView>), Problems))]
#[get("/v1/admin/consents")]
async fn list_consents(
    app: web::Data<App>,
    _admin: Admin,
    paging: web::Query<Paging>,
    of: web::Query<OfHandset>,
) -> Result<web::Json<Page<ConsentView>>> {
    let (limit, after, handset) = (paging.limit()?, paging.after::<ConsentId>()?, of.number()?);
    let found = app.db.read(move |db| super::list(db, handset.as_ref(), after, limit + 1)).await?;
    let items = found.into_iter().map(ConsentView::from).collect();
    Ok(web::Json(Page::from_extra(items, limit, |c: &ConsentView| c.id.to_string())))
}

/// Exports what was said as CSV, oldest first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(Paging, OfHandset),
    responses((status = 200, description = "The log, `text/csv`."), Problems))]
#[get("/v1/admin/consents.csv")]
async fn export_consents(
    app: web::Data<App>,
    _admin: Admin,
    paging: web::Query<Paging>,
    of: web::Query<OfHandset>,
) -> Result<HttpResponse> {
    let (mut after, handset) = (paging.after::<ConsentId>()?, of.number()?);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["id", "at", "handset", "number", "carrier", "word", "source", "keyword"];
    writer.write_record(head).map_err(|error| Error::caused("a log cannot be written", error))?;
    let mut count = 0;
    while count < EXPORT_MAX {
        let (handset, from) = (handset.clone(), after);
        let chunk = app.db.read(move |db| super::list(db, handset.as_ref(), from, CHUNK)).await?;
        let Some(last) = chunk.last() else { break };
        after = Some(last.id);
        count += chunk.len();
        for entry in chunk {
            let (id, at) = (entry.id.to_string(), entry.at.to_rfc3339());
            let keyword = entry.keyword.unwrap_or_default();
            // What begins a formula in a spreadsheet is made a text; numbers of telephones are meant to be.
            let keyword = match keyword.chars().next() {
                Some('=' | '@' | '-' | '+') => format!("'{keyword}"),
                _ => keyword,
            };
            let (handset, number) = (entry.handset.as_str(), entry.number.as_str());
            let row = [&id, &at, handset, number, &entry.carrier_id, &entry.word, &entry.source, &keyword];
            writer.write_record(row).map_err(|error| Error::caused("a log cannot be written", error))?;
        }
    }
    let body = writer.into_inner().map_err(|error| Error::internal(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("content-disposition", "attachment; filename=\"consents.csv\""))
        .body(body))
}

/// What the operator was told by other means: by letter, by telephone.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConsent {
    /// Whose telephone.
    pub handset: String,
    /// Which number of ours.
    pub number: String,
    /// `stop` or `start`.
    pub word: String,
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct RecordedView {
    /// Whether it changed anything.
    pub changed: bool,
}

/// Writes down what somebody said by other means.
#[utoipa::path(tag = "admin", security(("bearer" = [])),
    responses((status = 201, body = RecordedView), Problems))]
#[post("/v1/admin/consents")]
async fn create_consent(
    app: web::Data<App>,
    _admin: Admin,
    body: web::Json<CreateConsent>,
) -> Result<HttpResponse> {
    let (handset, number) = (phone("handset", &body.handset)?, phone("number", &body.number)?);
    let word = match body.word.as_str() {
        "stop" => Word::Stop,
        "start" => Word::Start,
        _ => return Err(Error::invalid("word", "unknown_word", "It must be stop or start.")),
    };
    let now = app.now();
    let changed = app
        .db
        .write(Lane::Any, move |db| {
            let carrier_id = super::carrier_of(db, &number)?;
            let carrier_id = carrier_id.ok_or_else(|| Error::not_found("number"))?;
            let (scope, source) = (StopScope::Number, Source::Operator);
            let (handset, number) = (&handset, &number);
            let carrier_id = carrier_id.as_str();
            super::record(db, now, &Said { handset, number, carrier_id, scope, word, source, keyword: None })
        })
        .await?;
    Ok(HttpResponse::Created().json(RecordedView { changed }))
}
