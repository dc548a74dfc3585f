//! Every route on one screen, in the order of who calls: carriers, clients, phones, people.

use std::sync::Arc;

use actix_web::web;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::accounts::auth::Doors;
use crate::accounts::idempotency;
use crate::app::App;
use crate::calls::control::Switchboard;
use crate::contacts::carddav::{self, CardDav};
use crate::http;
use crate::live::{self, Live};
use crate::messaging::arrivals::Arrivals;
use crate::metrics::api::Readiness;
use crate::{
    accounts, alarms, attachments, calls, carriers, consent, contacts, docs, messaging, metrics, numbers,
    presence, web as client,
};

/// What the edges of one process share: the app and the caches in front of it.
#[derive(Clone)]
pub struct Edges {
    /// The running service.
    pub app: App,
    /// Credentials that were found good.
    pub doors: Arc<Doors>,
    /// The carriers' way in.
    pub arrivals: Arc<Arrivals>,
    /// The phones' way in.
    pub carddav: Arc<CardDav>,
    /// This node's calls.
    pub calls: Arc<Switchboard>,
    /// How calls sounded lately, as shown to everybody.
    pub call_map: Arc<calls::api::Map>,
    /// Live connections.
    pub live: Arc<Live>,
    /// Whether this process is on its way out.
    pub readiness: Arc<Readiness>,
}

impl Edges {
    /// Puts the caches in front of the app. Once for each process.
    pub fn open(app: &App) -> Edges {
        Edges {
            app: app.clone(),
            doors: Doors::open(app),
            arrivals: Arc::new(Arrivals::open(app)),
            carddav: CardDav::open(app),
            calls: Switchboard::open(app),
            call_map: Arc::default(),
            live: Arc::default(),
            readiness: Arc::default(),
        }
    }

    /// Hands everything to one actix worker.
    pub fn configure(&self, cfg: &mut web::ServiceConfig) {
        cfg.app_data(web::Data::new(self.app.clone()))
            .app_data(web::Data::from(self.doors.clone()))
            .app_data(web::Data::from(self.arrivals.clone()))
            .app_data(web::Data::from(self.carddav.clone()))
            .app_data(web::Data::from(self.calls.clone()))
            .app_data(web::Data::from(self.call_map.clone()))
            .app_data(web::Data::from(self.live.clone()))
            .app_data(web::Data::from(self.readiness.clone()))
            .app_data(http::json_config())
            .app_data(http::query_config())
            .app_data(http::path_config())
            .app_data(web::PayloadConfig::new(http::JSON_MAX));
        cfg.configure(carddav::routes);
        for routes in DOCUMENTED {
            // Each for itself: what a worker gathers for the document goes again at once, and the next one uses its
            // room. All together would be 13 MiB of each worker, for a document that nobody asks it for.
            routes(&mut ServiceConfig::new(cfg));
        }
        cfg.configure(attachments::api::links);
        cfg.configure(metrics::api::routes).configure(docs::api::routes).configure(client::routes);
        cfg.default_service(web::to(http::no_such_path));
    }
}

/// The parts that the OpenAPI document describes.
const DOCUMENTED: [fn(&mut ServiceConfig); 11] = [
    carriers::api::routes,
    accounts::api::routes,
    contacts::api::routes,
    presence::api::routes,
    messaging::api::routes,
    consent::api::routes,
    calls::api::routes,
    attachments::api::routes,
    alarms::api::routes,
    live::routes,
    numbers::api::routes,
];

fn documented(cfg: &mut ServiceConfig) {
    for routes in DOCUMENTED {
        cfg.configure(routes);
    }
}

/// The OpenAPI document, from the same routes.
pub fn openapi() -> OpenApi {
    let (_, paths) = actix_web::App::new().into_utoipa_app().configure(documented).split_for_parts();
    let bearer =
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
    let info = InfoBuilder::new()
        .title("Meari")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Messenger friends reachable from any phone: numbers, contacts, messages, calls."))
        .build();
    let mut document = OpenApiBuilder::new()
        .info(info)
        .components(Some(ComponentsBuilder::new().security_scheme("bearer", bearer).build()))
        .build();
    document.merge(paths);
    for (path, item) in &mut document.paths.paths {
        if let Some(post) = item.post.as_mut().filter(|_| idempotency::is_honoured(path)) {
            post.parameters.get_or_insert_default().push(idempotency_key().into());
        }
    }
    document
}

/// The header that every POST takes that makes something.
fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "Any text of yours (a UUID) that names this request: sent again with it within a day, the request is \
             answered like the first time (with `Idempotency-Replayed: true`) and does nothing again. Another request \
             with the same key is refused with 422, one that comes while the first still runs with 409.",
        ))
        .schema(Some(Object::with_type(Type::String)))
        .build()
}
