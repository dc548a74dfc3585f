//! Forms (`application/x-www-form-urlencoded`), decoded once into one buffer.

use std::borrow::Cow;

/// Callbacks of the carriers hold about twenty fields, with media forty.
const FIELDS_MAX: usize = 256;

/// The fields of a form or query as decoded bytes, in the order they came.
pub(super) struct Form {
    buffer: Vec<u8>,
    fields: Vec<Field>,
}

/// Where name and value lie in the buffer: name from `start` to `middle`, value from `middle` to `end`.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    middle: usize,
    end: usize,
}

impl Form {
    /// Decodes: `+` is a space, `%XX` a byte, a stray `%` itself. `None` when there are too many fields.
    pub(super) fn parse(raw: &[u8]) -> Option<Form> {
        let mut form = Form { buffer: Vec::with_capacity(raw.len()), fields: Vec::with_capacity(32) };
        for part in raw.split(|b| *b == b'&').filter(|part| !part.is_empty()) {
            if form.fields.len() == FIELDS_MAX {
                return None;
            }
            let mut halves = part.splitn(2, |b| *b == b'=');
            let start = form.buffer.len();
            decode(halves.next().unwrap_or_default(), &mut form.buffer);
            let middle = form.buffer.len();
            decode(halves.next().unwrap_or_default(), &mut form.buffer);
            form.fields.push(Field { start, middle, end: form.buffer.len() });
        }
        Some(form)
    }

    /// No fields.
    pub(super) fn empty() -> Form {
        Form { buffer: Vec::new(), fields: Vec::new() }
    }

    /// The first value of a field; what is not UTF-8 is replaced.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.iter().find(|(other, _)| *other == name.as_bytes())?;
        Some(String::from_utf8_lossy(value))
    }

    /// The first value of a field, when it is there and not empty.
    pub(super) fn filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).filter(|value| !value.is_empty())
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| {
            let name = self.buffer.get(field.start..field.middle).unwrap_or_default();
            (name, self.buffer.get(field.middle..field.end).unwrap_or_default())
        })
    }

    /// Names and values as they are signed: by name, then by value (byte order is code point order in UTF-8).
    pub(super) fn sorted(&self) -> Vec<(&[u8], &[u8])> {
        let mut pairs: Vec<_> = self.iter().collect();
        pairs.sort_unstable();
        pairs
    }
}

fn decode(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => out.push(b' '),
            b'%' => match (after.first().and_then(hex), after.get(1).and_then(hex)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after.get(2..).unwrap_or_default();
                }
                _ => out.push(b'%'),
            },
            other => out.push(other),
        }
    }
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_decoded() {
        let form =
            Form::parse(b"Body=Hi+%E2%9C%93+1%2b1&Empty=&Flag&&a%26b=c%3Dd=e&x=50%&y=%zz&Body=2").unwrap();
        let table = [
            ("Body", Some("Hi ✓ 1+1")),
            ("Empty", Some("")),
            ("Flag", Some("")),
            ("a&b", Some("c=d=e")),
            ("x", Some("50%")),
            ("y", Some("%zz")),
            ("body", None),
        ];
        for (name, wanted) in table {
            assert_eq!(form.get(name).as_deref(), wanted, "{name}");
        }
        assert_eq!(form.filled("Empty"), None);
    }

    #[test]
    fn bytes_that_are_no_text_stay_for_the_signature() {
        let form = Form::parse(b"a=%FF").unwrap();
        assert_eq!(form.sorted(), [(b"a".as_slice(), [0xff].as_slice())]);
        assert_eq!(form.get("a").as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn too_many_fields_are_refused() {
        assert!(Form::parse("a=1&".repeat(256).as_bytes()).is_some());
        assert!(Form::parse("a=1&".repeat(257).as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn reads_what_others_write(fields in proptest::collection::vec(("\\PC{1,8}", "\\PC{0,20}"), 0..20)) {
            let text = serde_urlencoded::to_string(&fields).unwrap();
            let form = Form::parse(text.as_bytes()).unwrap();
            let read: Vec<_> = form.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            let wanted: Vec<_> = fields.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().into_bytes())).collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn any_bytes_are_readable(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(form) = Form::parse(&raw) {
                prop_assert!(form.sorted().len() <= form.fields.len());
            }
        }
    }
}
