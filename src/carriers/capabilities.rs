//! What a carrier and its adapter can do, as data: the rest of Meari asks here and never by name.

use crate::clock::Timestamp;

/// How texts travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// GSM 03.38 with its extension table.
    Gsm7,
    /// UCS-2.
    Ucs2,
}

/// Who is silenced when somebody says STOP and the carrier itself obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopScope {
    /// Nobody: the carrier only passes the word on.
    None,
    /// The one number that it was said to.
    Number,
    /// Every number of the sender pool (profile, campaign, application) that the number belongs to.
    Pool,
    /// Every number of the account.
    Account,
}

/// How fast it takes messages, counted in segments. The operator may have agreed on something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// From one of our numbers, each minute; `None`: no limit is known.
    pub number_per_minute: Option<u32>,
    /// From the whole account, each minute.
    pub account_per_minute: Option<u32>,
    /// Within the campaign (10DLC) that all numbers of the account belong to, from +1 to +1, each minute. What was agreed
    /// on, so no carrier has a usual one.
    pub campaign_per_minute: Option<u32>,
    /// Within the campaign on this day, as agreed on.
    pub campaign_day: Option<CampaignDay>,
}

/// What a campaign may send on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CampaignDay {
    /// Segments.
    pub segments: u32,
    /// When the day began, in the campaign's zone.
    pub from: Timestamp,
    /// When the next one does.
    pub until: Timestamp,
}

impl Rates {
    /// No limit is known.
    pub const NONE: Rates = Rates {
        number_per_minute: None,
        account_per_minute: None,
        campaign_per_minute: None,
        campaign_day: None,
    };
}

/// What can be done with numbers through its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberTrade {
    /// Shows numbers that can be had.
    pub search: bool,
    /// Orders them.
    pub order: bool,
    /// Gives them back.
    pub release: bool,
    /// Shows those that we have.
    pub list: bool,
    /// Two orders with one reference are one order, whatever happens in between. Otherwise the adapter looks whether
    /// we have the number before it orders, which leaves a gap.
    pub idempotent_order: bool,
}

impl NumberTrade {
    /// Numbers come from elsewhere.
    pub const NONE: NumberTrade =
        NumberTrade { search: false, order: false, release: false, list: false, idempotent_order: false };
}

/// What a carrier and its adapter can do. Adapters write what differs from [`Capabilities::TEXT_ONLY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Pictures and files reach us.
    pub inbound_media: bool,
    /// Pictures and files can be sent.
    pub outbound_media: bool,
    /// Pictures and files of one message at most.
    pub media_count_max: usize,
    /// Bytes of all of them together at most.
    pub media_bytes_max: u64,
    /// Media types that it carries; one that ends with `/` stands for all that begin so.
    pub media_types: &'static [&'static str],
    /// Messages of a group arrive as such ([`super::InboundSms::others`]).
    pub inbound_groups: bool,
    /// Phones that one group MMS reaches at most, all of them and our number in North America; 0: it sends none.
    pub outbound_group_max: usize,
    /// It tells what became of a message.
    pub delivery_receipts: bool,
    /// Of a text in several segments each is told of by itself, under an id of its own.
    pub receipts_by_segment: bool,
    /// [`super::Carrier::find`] can tell more than [`super::Found::CannotTell`].
    pub settles_unknown: bool,
    /// Calls.
    pub voice: bool,
    /// The longest text it takes, in characters.
    pub text_chars_max: usize,
    /// How texts travel.
    pub encodings: &'static [Encoding],
    /// Whether it obeys STOP by itself, and how widely.
    pub stop_scope: StopScope,
    /// How fast.
    pub rates: Rates,
    /// Numbers through its API.
    pub numbers: NumberTrade,
}

impl Capabilities {
    /// The least that a carrier does: sends a text and receives one.
    pub const TEXT_ONLY: Capabilities = Capabilities {
        inbound_media: false,
        outbound_media: false,
        media_count_max: 0,
        media_bytes_max: 0,
        media_types: &[],
        inbound_groups: false,
        outbound_group_max: 0,
        delivery_receipts: false,
        receipts_by_segment: false,
        settles_unknown: false,
        voice: false,
        text_chars_max: 1_600,
        encodings: &[Encoding::Gsm7, Encoding::Ucs2],
        stop_scope: StopScope::None,
        rates: Rates::NONE,
        numbers: NumberTrade::NONE,
    };

    /// Whether it carries media of this type.
    pub fn carries(&self, media_type: &str) -> bool {
        let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.media_types.iter().any(|known| match known.strip_suffix('/') {
            Some(family) => bare.split_once('/').is_some_and(|(first, _)| first == family),
            None => bare == *known,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_match_whole_or_by_family() {
        let able = Capabilities { media_types: &["image/", "application/pdf"], ..Capabilities::TEXT_ONLY };
        let table = [
            ("image/jpeg", true),
            ("IMAGE/PNG; q=1", true),
            ("application/pdf", true),
            ("application/zip", false),
            ("imagejpeg", false),
            ("", false),
        ];
        for (media_type, wanted) in table {
            assert_eq!(able.carries(media_type), wanted, "{media_type}");
        }
        assert!(!Capabilities::TEXT_ONLY.carries("image/jpeg"));
    }
}
