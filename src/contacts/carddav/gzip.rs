//! Multistatus answers as gzip, for clients that take it: an address book in XML is a tenth of its length then. Cards
//! themselves go as they are, since their tags are of exactly their bytes.

use std::future::poll_fn;
use std::io::{self, Write as _};

use actix_web::body::{BodyStream, BoxBody, MessageBody as _};
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::try_unfold;

/// What is shorter goes as it is: it fits into one packet either way.
const MIN_BYTES: usize = 1_200;
/// What is longer is packed on another thread than the one that answers others.
const ASIDE_BYTES: usize = 64 * 1024;

/// Whether a client takes gzip (RFC 9110 12.5.3) and does not like it less than plain text.
pub fn is_taken(accept_encoding: Option<&str>) -> bool {
    let Some(accept) = accept_encoding else { return false };
    let weight_of = |wanted: &str| {
        accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().filter(|coding| coding.eq_ignore_ascii_case(wanted))?;
            let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
            Some(q.map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0)))
        })
    };
    let gzip = weight_of("gzip").or_else(|| weight_of("*")).unwrap_or(0.0);
    gzip > 0.0 && gzip >= weight_of("identity").unwrap_or(0.0)
}

/// The same answer, packed. One that comes in parts is packed part by part, so that nothing waits for the next one.
pub async fn packed(response: HttpResponse) -> HttpResponse {
    let (mut head, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(plain) if plain.len() < MIN_BYTES => return head.set_body(BoxBody::new(plain)),
        Ok(plain) => match pack(encoder(), plain.clone(), true).await {
            Ok((_, packed)) => BoxBody::new(packed),
            // It cannot fail in memory; if it does, the answer is good as it is.
            Err(_) => return head.set_body(BoxBody::new(plain)),
        },
        Err(parts) => BoxBody::new(BodyStream::new(try_unfold(Some((parts, encoder())), next_part))),
    };
    head.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    head.set_body(body)
}

type Encoder = GzEncoder<Vec<u8>>;

fn encoder() -> Encoder {
    GzEncoder::new(Vec::new(), Compression::fast())
}

async fn next_part(
    state: Option<(BoxBody, Encoder)>,
) -> Result<Option<(Bytes, Option<(BoxBody, Encoder)>)>, io::Error> {
    let Some((mut parts, encoder)) = state else { return Ok(None) };
    match poll_fn(|cx| parts.as_pin_mut().poll_next(cx)).await {
        Some(part) => {
            let part = part.map_err(|e| io::Error::other(e.to_string()))?;
            let (encoder, packed) = pack(encoder, part, false).await?;
            Ok(Some((packed, Some((parts, encoder)))))
        }
        None => Ok(Some((pack(encoder, Bytes::new(), true).await?.1, None))),
    }
}

async fn pack(mut encoder: Encoder, plain: Bytes, is_last: bool) -> io::Result<(Encoder, Bytes)> {
    let length = plain.len();
    let work = move || {
        encoder.write_all(&plain)?;
        match is_last {
            true => encoder.try_finish()?,
            false => encoder.flush()?,
        }
        let packed = std::mem::take(encoder.get_mut());
        Ok((encoder, Bytes::from(packed)))
    };
    match length > ASIDE_BYTES {
        true => web::block(work).await.map_err(|_| io::Error::other("the thread is gone"))?,
        false => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_takes_it_gets_it() {
        for (accept, taken) in [
            (None, false),
            (Some(""), false),
            (Some("identity"), false),
            (Some("gzip"), true),
            (Some("deflate, GZIP;q=0.5"), true),
            (Some("gzip;q=0, *"), false),
            (Some("*"), true),
            (Some("br, identity;q=0.9, gzip; q=0.2"), false),
            (Some("gzip;q=none"), false),
        ] {
            assert_eq!(is_taken(accept), taken, "{accept:?}");
        }
    }
}
