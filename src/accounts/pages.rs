//! The two pages behind the link in a verification letter. Pure.

use super::leaf::{self, escape};
use crate::texts::{Locale, Text};

/// Asks for a click: programs that look into letters follow links, and must not prove an address by it.
pub fn confirm(locale: Locale, service: &str) -> String {
    let button = escape(&Text::EmailConfirmButton.render(locale));
    page(locale, service, &format!(r#"<form method="post"><button>{button}</button></form>"#))
}

/// Says what came of it.
pub fn outcome(locale: Locale, service: &str, verified: bool) -> String {
    let text = if verified { Text::EmailVerifiedPage } else { Text::EmailLinkOverPage };
    page(locale, service, &format!("<p>{}</p>", escape(&text.render(locale))))
}

fn page(locale: Locale, service: &str, body: &str) -> String {
    leaf::page(locale, service, &Text::EmailVerificationSubject.render(locale), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_page_has_a_button() {
        for locale in Locale::ALL {
            assert!(confirm(locale, "Meari").contains(r#"method="post""#));
            assert!(
                !outcome(locale, "Meari", true).contains("<form")
                    && !outcome(locale, "Meari", false).contains("<form")
            );
            assert_ne!(outcome(locale, "Meari", true), outcome(locale, "Meari", false));
        }
    }
}
