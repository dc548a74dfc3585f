//! The signature against vectors made with the vendor's own library, and against everything that is nearly right.

use super::*;
use crate::clock::Timestamp;

const TOKEN: &str = "12345";
const URL: &str = "https://example.com/myapp.php?foo=1&bar=2";
const FORM: &str =
    "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212";
const PLAIN: &str = "L/OH5YylLD5NRKLltdqwSvS0BnU=";
const WITH_PORT: &str = "nbjTKFXyL7SOTAXZi6MWqyIuq40=";
const SHA256: &str = "qMztBq0IANMH/q0K9sCfKQJLylezvRdRzRS647SAVow=";
const KEY_ID: &str = "webhooks_sharedkey_01abcdefghijklmnopqrstuvwx";
const FORM_TYPE: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");

fn check(
    keys: &Keys,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(), BadSignature> {
    let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let request = CallbackRequest { method, url, headers: &headers, body, now: Timestamp(0) };
    let form = Form::parse(body).unwrap();
    keys.verify(&request, &form)
}

fn post(url: &str, signature: &str, body: &str) -> bool {
    let keys = Keys::from_tokens([TOKEN]).unwrap();
    check(&keys, "POST", url, &[FORM_TYPE, ("x-twilio-signature", signature)], body.as_bytes()).is_ok()
}

#[test]
fn forms_are_covered_with_and_without_port() {
    assert!(post(URL, PLAIN, FORM));
    assert!(post(URL, WITH_PORT, FORM));
    assert!(post("https://example.com:443/myapp.php?foo=1&bar=2", PLAIN, FORM));
    assert!(post("https://example.com:443/myapp.php?foo=1&bar=2", WITH_PORT, FORM));
    assert!(post("https://example.com:8443/myapp.php?foo=1&bar=2", PLAIN, FORM));
    assert!(post("https://user:p@example.com/myapp.php?foo=1&bar=2#rc=3", PLAIN, FORM));
    let mut fields: Vec<_> = FORM.split('&').collect();
    fields.reverse();
    assert!(post(URL, PLAIN, &fields.join("&")), "the order on the wire does not matter");
}

#[test]
fn odd_fields_are_covered() {
    let url = "https://example.com/sms";
    let signature = "lxHozWCAltktnobB8dHPjdlPVvk=";
    let text = "Body=Gr%C3%BC%C3%9Fe+%26+50%25+%2B+1+%3D+%E2%9C%93";
    assert!(post(url, signature, &format!("{text}&MediaUrl=b&MediaUrl=a&MediaUrl=a&Empty=")));
    assert!(
        post(url, signature, &format!("Empty=&MediaUrl=a&{text}&MediaUrl=b")),
        "repetition does not count"
    );
    assert!(!post(url, signature, &format!("{text}&MediaUrl=b&MediaUrl=a")), "an empty field counts");
    assert!(!post(url, signature, &format!("{text}&MediaUrl=a&Empty=")), "every value counts");
}

#[test]
fn everything_that_was_changed_is_noticed() {
    assert!(!post("https://example.com/myapp.php?foo=1&bar=3", PLAIN, FORM));
    assert!(!post("http://example.com/myapp.php?foo=1&bar=2", PLAIN, FORM));
    assert!(!post("https://example.org/myapp.php?foo=1&bar=2", PLAIN, FORM));
    assert!(!post(URL, PLAIN, &FORM.replace("1234&", "1235&")));
    assert!(!post(URL, PLAIN, &format!("{FORM}&X=")));
    assert!(!post(URL, PLAIN, &format!("{FORM}&Digits=1")));
    assert!(!post(URL, "", FORM));
    assert!(!post(URL, "????", FORM));
    assert!(!post(URL, "L/OH5YylLD5NRKLltdqwSvS0", FORM), "a shorter one");
    assert!(!post(URL, &"A".repeat(400), FORM), "a longer one");
    let keys = Keys::from_tokens([TOKEN]).unwrap();
    assert_eq!(check(&keys, "POST", URL, &[FORM_TYPE], FORM.as_bytes()), Err(BadSignature("no signature")));
    // Fields cannot hide behind another content type or method.
    let other = ("content-type", "text/plain");
    let signature = ("x-twilio-signature", "7PR3qMkpDyEJtMrVOY/LDyNq8J8=");
    assert!(check(&keys, "POST", "wss://example.com/media", &[other, signature], FORM.as_bytes()).is_err());
}

#[test]
fn a_get_is_covered_by_its_address() {
    let keys = Keys::from_tokens([TOKEN]).unwrap();
    let signature = ("X-Twilio-Signature", "7PR3qMkpDyEJtMrVOY/LDyNq8J8=");
    assert_eq!(check(&keys, "GET", "wss://example.com/media", &[signature], b""), Ok(()));
    assert!(check(&keys, "GET", "wss://example.com/media?x=1", &[signature], b"").is_err());
}

#[test]
fn json_is_covered_by_its_hash() {
    let keys = Keys::from_tokens([TOKEN]).unwrap();
    let hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    let url = format!("https://example.com/myapp.php?bodySHA256={hash}");
    let body = br#"{"property": "value", "boolean": true}"#;
    let headers =
        [("content-type", "application/json"), ("x-twilio-signature", "6RHpvr0Bgg5tOv7XwQAKSA53KeA=")];
    assert_eq!(check(&keys, "POST", &url, &headers, body), Ok(()));
    assert!(check(&keys, "POST", &url, &headers, b"{}").is_err());
    assert!(check(&keys, "POST", "https://example.com/myapp.php", &headers, body).is_err());
    // A good hash with a signature over something else.
    let headers = [("content-type", "application/json; charset=utf-8"), ("x-twilio-signature", PLAIN)];
    assert!(check(&keys, "POST", &url, &headers, body).is_err());
}

#[test]
fn both_tokens_are_good_while_one_replaces_the_other() {
    let headers = [FORM_TYPE, ("x-twilio-signature", PLAIN)];
    let rotating = Keys::from_tokens(["new token", TOKEN]).unwrap();
    assert_eq!(check(&rotating, "POST", URL, &headers, FORM.as_bytes()), Ok(()));
    let rotated = Keys::from_tokens(["new token"]).unwrap();
    assert!(check(&rotated, "POST", URL, &headers, FORM.as_bytes()).is_err());
}

#[test]
fn a_shared_key_cannot_be_talked_down() {
    let shared = Keys::from_shared([(KEY_ID, TOKEN)]).unwrap();
    let tokens = Keys::from_tokens([TOKEN]).unwrap();
    let good = format!("key={KEY_ID},algorithm=HMAC_SHA256");
    let another = "key=webhooks_sharedkey_other,algorithm=HMAC_SHA256".to_owned();
    let sha1 = format!("key={KEY_ID},algorithm=HMAC_SHA1");
    let odd = format!("key={KEY_ID},algorithm=NONE");
    // signature, settings header, good with the shared key, good with the auth token
    let table = [
        (SHA256, good.as_str(), true, false),
        (PLAIN, &good, false, false),
        (SHA256, &another, false, false),
        (PLAIN, &sha1, false, true),
        (PLAIN, "", false, true),
        (SHA256, "", false, false),
        (SHA256, &odd, false, false),
        (PLAIN, &odd, false, false),
        (PLAIN, "nonsense", false, false),
    ];
    for (signature, settings, with_shared, with_token) in table {
        let headers = [FORM_TYPE, ("x-twilio-signature", signature), (SETTINGS, settings)];
        for (keys, wanted) in [(&shared, with_shared), (&tokens, with_token)] {
            let found = check(keys, "POST", URL, &headers, FORM.as_bytes());
            assert_eq!(found.is_ok(), wanted, "{signature} {settings:?}: {found:?}");
        }
    }
}

#[test]
fn addresses_are_cut_at_the_right_places() {
    let table = [
        ("https://h/x?y#z", ("https://", "h", "", "/x?y")),
        ("https://h:1/x", ("https://", "h", ":1", "/x")),
        ("https://[::1]:8443/x", ("https://", "[::1]", ":8443", "/x")),
        ("https://[::1]/x", ("https://", "[::1]", "", "/x")),
        ("https://u:p@h?x=a@b:c", ("https://", "h", "", "?x=a@b:c")),
        ("", ("", "", "", "")),
    ];
    for (url, wanted) in table {
        let cut = Address::of(url);
        assert_eq!((cut.scheme, cut.host, cut.port, cut.rest), wanted, "{url}");
    }
}
