//! What is known of a message that went out: a ladder that is only climbed.
//!
//! Receipts come late, twice and in any order, and most carriers number them not at all. Merging is taking the higher
//! rung, so the order of arrival does not matter.

/// What the telephone network says of a message, lowest rung first.
///
/// `Delivered` is the highest: carriers correct a failure when the handset turns up after all, never the reverse.
/// `Undelivered` stands above `Failed` because it knows more: the message had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptState {
    /// The carrier has it.
    Queued,
    /// It is on its way to the next network.
    Sending,
    /// The next network has it; often the last word.
    Sent,
    /// It never left the carrier.
    Failed,
    /// It left and did not arrive.
    Undelivered,
    /// The handset has it.
    Delivered,
}

impl ReceiptState {
    /// All rungs, lowest first.
    pub const ALL: [ReceiptState; 6] = [
        ReceiptState::Queued,
        ReceiptState::Sending,
        ReceiptState::Sent,
        ReceiptState::Failed,
        ReceiptState::Undelivered,
        ReceiptState::Delivered,
    ];

    /// What is known after this and `news`, whichever came first.
    pub fn merge(self, news: ReceiptState) -> ReceiptState {
        self.max(news)
    }

    /// Whether only a correction can follow.
    pub fn is_final(self) -> bool {
        matches!(self, ReceiptState::Failed | ReceiptState::Undelivered | ReceiptState::Delivered)
    }

    /// The word in tables and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ReceiptState::Queued => "queued",
            ReceiptState::Sending => "sending",
            ReceiptState::Sent => "sent",
            ReceiptState::Failed => "failed",
            ReceiptState::Undelivered => "undelivered",
            ReceiptState::Delivered => "delivered",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ladder() {
        use ReceiptState::*;
        let table = [
            (Queued, Sent, Sent),
            (Sent, Queued, Sent),
            (Sent, Delivered, Delivered),
            (Delivered, Sent, Delivered),
            (Delivered, Failed, Delivered),
            (Failed, Delivered, Delivered),
            (Undelivered, Delivered, Delivered),
            (Failed, Sent, Failed),
            (Failed, Undelivered, Undelivered),
            (Undelivered, Failed, Undelivered),
            (Queued, Queued, Queued),
        ];
        for (known, news, wanted) in table {
            assert_eq!(known.merge(news), wanted, "{known:?} then {news:?}");
        }
    }

    fn any_state() -> impl Strategy<Value = ReceiptState> {
        proptest::sample::select(&ReceiptState::ALL)
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(
            (news, shuffled) in proptest::collection::vec(any_state(), 1..12)
                .prop_flat_map(|news| (Just(news.clone()), Just(news).prop_shuffle()))
        ) {
            let all = |states: &[ReceiptState]| states.iter().copied().reduce(ReceiptState::merge);
            prop_assert_eq!(all(&news), all(&shuffled));
            let twice: Vec<_> = news.iter().chain(&shuffled).copied().collect();
            prop_assert_eq!(all(&news), all(&twice));
        }

        #[test]
        fn never_back(known in any_state(), news in any_state()) {
            let merged = known.merge(news);
            prop_assert!(merged >= known && merged >= news);
            prop_assert!(!known.is_final() || merged.is_final());
        }
    }
}
