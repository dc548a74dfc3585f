//! WebDAV's words and their XML: headers, names, request bodies, multistatus answers, addresses. Pure: bytes in, values
//! out and back. What the words mean for address books is `contacts/carddav`'s business.
//!
//! RFC 4918 (WebDAV), 3744 (ACL), 5397, 5689 (extended MKCOL), 5995 (add-member), 6352 (CardDAV), 6578
//! (sync-collection), 8144 (Prefer).

pub mod names;
pub mod xml;
pub mod headers;
pub mod href;
pub mod if_header;
pub mod requests;
pub mod filter;
pub mod report;
pub mod multistatus;
pub mod push;

pub use headers::{Depth, EntityCondition, Preferences};
pub use multistatus::Multistatus;
pub use names::Name;
pub use requests::{PropertyChange, PropertyRequest};
pub use xml::{Element, Node};

/// Why a request is refused: a status and, where a specification names one, the precondition element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status.
    pub status: u16,
    /// The precondition or postcondition that does not hold.
    pub precondition: Option<Precondition>,
    /// A sentence for whoever reads the answer.
    pub detail: &'static str,
}

impl Fault {
    /// A refusal without a precondition element.
    pub const fn new(status: u16, detail: &'static str) -> Self {
        Fault { status, precondition: None, detail }
    }

    /// The body cannot be understood.
    pub const fn malformed(detail: &'static str) -> Self {
        Fault::new(400, detail)
    }

    /// A refusal that names its precondition.
    pub const fn violated(status: u16, precondition: Precondition, detail: &'static str) -> Self {
        Fault { status, precondition: Some(precondition), detail }
    }

    /// The XML that goes with it.
    pub fn render(&self) -> Vec<u8> {
        let mut out = multistatus::xml_head("error");
        if let Some(precondition) = &self.precondition {
            precondition.write(&mut out);
        }
        // A comment, for people: what counts the elements of a refusal finds preconditions only.
        out.extend_from_slice(b"<!-- ");
        multistatus::escape_into(&mut out, self.detail.as_bytes());
        out.extend_from_slice(b" --></error>");
        out
    }
}

/// A named precondition or postcondition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// An element without content.
    Named(Name),
    /// RFC 6352 6.3.2.1: who holds the UID.
    NoUidConflict {
        /// The address of the holder, encoded.
        holder: String,
    },
    /// RFC 3744 7.1.1: what is not allowed, where.
    NeedPrivileges {
        /// The address, encoded.
        href: String,
        /// The privilege that is missing.
        privilege: Name,
    },
}

impl Precondition {
    /// Appends the element.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Precondition::Named(name) => multistatus::empty_element(out, name),
            Precondition::NoUidConflict { holder } => {
                out.extend_from_slice(b"<C:no-uid-conflict><href>");
                multistatus::escape_into(out, holder.as_bytes());
                out.extend_from_slice(b"</href></C:no-uid-conflict>");
            }
            Precondition::NeedPrivileges { href, privilege } => {
                out.extend_from_slice(b"<need-privileges><resource><href>");
                multistatus::escape_into(out, href.as_bytes());
                out.extend_from_slice(b"</href><privilege>");
                multistatus::empty_element(out, privilege);
                out.extend_from_slice(b"</privilege></resource></need-privileges>");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_precondition() {
        let fault =
            Fault::violated(403, Precondition::Named(Name::dav("valid-sync-token")), "That token is old.");
        let text = String::from_utf8(fault.render()).unwrap();
        assert!(text.contains("<valid-sync-token/>"), "{text}");
        let holder = Precondition::NoUidConflict { holder: "/dav/a&b.vcf".into() };
        let text = String::from_utf8(Fault::violated(403, holder, "Taken.").render()).unwrap();
        assert!(
            text.contains("<C:no-uid-conflict><href>/dav/a&amp;b.vcf</href></C:no-uid-conflict>"),
            "{text}"
        );
        assert!(xml::parse(text.as_bytes()).is_ok());
    }
}
