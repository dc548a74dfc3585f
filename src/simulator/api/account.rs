//! Who calls the carrier's API, and how it answers.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::simulator::Simulator;
use crate::simulator::behaviour::Behaviour;
use crate::simulator::message::{API_VERSION, new_sid};
use crate::simulator::refusal::Refusal;
use crate::simulator::send::Form;

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = builder(self.status_code());
        if let Some(secs) = self.retry_after_secs {
            response.insert_header((header::RETRY_AFTER, secs.to_string()));
        }
        if self.status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"Twilio API\""));
        }
        response.json(self.body())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

fn builder(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header(("Twilio-Request-Id", new_sid("RQ")));
    response.insert_header(("Twilio-Concurrent-Requests", "1"));
    response
}

/// An answer with a resource.
pub fn resource(status: StatusCode, body: &Value) -> HttpResponse {
    builder(status).json(body)
}

/// An answer without a body.
pub fn no_content() -> HttpResponse {
    builder(StatusCode::NO_CONTENT).finish()
}

/// Checks name and password, and that the path speaks of the same account.
pub fn authenticate(simulator: &Simulator, request: &HttpRequest, account: &str) -> Result<(), Refusal> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(header) = header else {
        return Err(Refusal::unauthenticated("Authentication Error - No credentials provided"));
    };
    let settings = simulator.settings();
    let wanted = format!("{}:{}", settings.account_sid, settings.auth_token);
    let given = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok());
    let good = given.is_some_and(|given| bool::from(given.ct_eq(wanted.as_bytes())));
    if good && account == settings.account_sid {
        Ok(())
    } else {
        Err(Refusal::unauthenticated("Authenticate"))
    }
}

/// What every request but sending begins with: credentials, and a bad day if it is one for all requests.
pub async fn enter(simulator: &Simulator, request: &HttpRequest, account: &str) -> Result<(), Refusal> {
    authenticate(simulator, request, account)?;
    let behaviour = simulator.state().behaviours.take_other();
    be_slow(&behaviour).await;
    refusal(&behaviour).map_or(Ok(()), Err)
}

/// Holds an answer back.
pub async fn be_slow(behaviour: &Behaviour) {
    if behaviour.slow_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behaviour.slow_ms)).await;
    }
}

/// The refusal that the behaviour wants.
pub fn refusal(behaviour: &Behaviour) -> Option<Refusal> {
    let refuse = behaviour.refuse.as_ref()?;
    Some(Refusal::on_demand(refuse.status, refuse.code, refuse.retry_after_secs))
}

/// Reads a form.
pub fn form(body: &Bytes) -> Form {
    serde_urlencoded::from_bytes(body).unwrap_or_default()
}

/// Reads the query.
pub fn query(request: &HttpRequest) -> Form {
    serde_urlencoded::from_str(request.query_string()).unwrap_or_default()
}

/// `GET /2010-04-01/Accounts/{sid}.json`
pub async fn find_account(
    simulator: Data<Simulator>,
    request: HttpRequest,
    account: Path<String>,
) -> Result<HttpResponse, Refusal> {
    enter(&simulator, &request, &account).await?;
    let uri = format!("/{API_VERSION}/Accounts/{account}");
    let epoch = crate::simulator::message::rfc2822(crate::clock::Timestamp(0));
    Ok(resource(
        StatusCode::OK,
        &json!({
            "sid": account.as_str(),
            "friendly_name": "Simulated account",
            "status": "active",
            "type": "Full",
            "owner_account_sid": account.as_str(),
            "auth_token": simulator.settings().auth_token,
            "date_created": epoch,
            "date_updated": epoch,
            "uri": format!("{uri}.json"),
            "subresource_uris": {
                "available_phone_numbers": format!("{uri}/AvailablePhoneNumbers.json"),
                "incoming_phone_numbers": format!("{uri}/IncomingPhoneNumbers.json"),
                "messages": format!("{uri}/Messages.json"),
            },
        }),
    ))
}

/// What the carrier has and the simulator has not.
pub async fn not_found(
    simulator: Data<Simulator>,
    request: HttpRequest,
    account: Path<String>,
) -> Result<HttpResponse, Refusal> {
    authenticate(&simulator, &request, &account)?;
    Err(Refusal::not_found(request.path()))
}
