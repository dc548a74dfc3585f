//! What happens on a phone, live: server-sent events that resume where they broke off.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::phones::number_of;
use super::world::Problem;
use crate::error::Error;
use crate::phone::E164;
use crate::simulator::Simulator;

/// A sign of life, so that dead connections are noticed and proxies keep live ones.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub fn routes(config: &mut ServiceConfig) {
    config.route("/phones/{number}/events", web::get().to(listen));
}

#[derive(Deserialize)]
struct Listen {
    after: Option<u64>,
}

struct Listener {
    simulator: Simulator,
    number: E164,
    cursor: u64,
    newest: watch::Receiver<u64>,
    /// Said before anything else.
    greeting: Option<Bytes>,
    _permit: OwnedSemaphorePermit,
}

/// Begins after `Last-Event-ID`, else after `?after=`, else now. When those events are forgotten, or are of another
/// life of the phone, an event `reset` tells the page to read the phone anew.
async fn listen(
    simulator: Data<Simulator>,
    request: HttpRequest,
    number: Path<String>,
    query: Query<Listen>,
) -> Result<HttpResponse, Problem> {
    let number = number_of(&number)?;
    let full = || Error::unavailable("too_many_streams", "Too many pages listen already.");
    let permit = simulator.inner.streams.clone().try_acquire_owned().map_err(|_| full())?;
    let newest = {
        let state = simulator.state();
        let phone = state.phones.get(&number).ok_or_else(|| Error::not_found("phone"))?;
        phone.newest.subscribe()
    };
    let last = request.headers().get("Last-Event-ID").and_then(|value| value.to_str().ok());
    let asked = last.and_then(|text| text.parse().ok()).or(query.after);
    let now = *newest.borrow();
    let listener = Listener {
        simulator: simulator.get_ref().clone(),
        number,
        cursor: asked.unwrap_or(now),
        newest,
        greeting: Some(Bytes::from_static(b"retry: 1000\n\n")),
        _permit: permit,
    };
    Ok(HttpResponse::Ok()
        .insert_header(ContentType(mime()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream::unfold(listener, |mut listener| async move {
            let frame = listener.next().await?;
            Some((Ok::<_, std::io::Error>(frame), listener))
        })))
}

fn mime() -> mime_guess::mime::Mime {
    mime_guess::mime::TEXT_EVENT_STREAM
}

impl Listener {
    /// The next frame; none when the phone is gone.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            self.newest.borrow_and_update();
            if let Some(frames) = self.take()? {
                return Some(frames);
            }
            match tokio::time::timeout(HEARTBEAT, self.newest.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }

    fn take(&mut self) -> Option<Option<Bytes>> {
        let state = self.simulator.state();
        let phone = state.phones.get(&self.number)?;
        let newest = *phone.newest.borrow();
        let Some(events) = phone.events_after(self.cursor) else {
            self.cursor = newest;
            return Some(Some(Bytes::from(format!("id: {newest}\nevent: reset\ndata: {{}}\n\n"))));
        };
        let frames: String = events
            .iter()
            .map(|event| format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.data))
            .collect();
        self.cursor = newest;
        Some((!frames.is_empty()).then(|| Bytes::from(frames)))
    }
}
