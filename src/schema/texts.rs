//! More tables of messages: groups of phones, texts that wait for their owner, words that came early, notes.

diesel::table! {
    handset_guards (account_id, handset_id) {
        account_id -> Binary,
        handset_id -> Binary,
        always -> Bool,
        network -> Nullable<Text>,
        trusted_until -> Nullable<BigInt>,
        asked_at -> Nullable<BigInt>,
        attempts -> Integer,
    }
}

diesel::table! {
    group_conversations (conversation_id) {
        conversation_id -> Binary,
        account_id -> Binary,
        number -> Text,
        opener_id -> Binary,
        key -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    group_participants (conversation_id, number) {
        conversation_id -> Binary,
        number -> Text,
        account_id -> Nullable<Binary>,
    }
}

diesel::table! {
    group_senders (message_id) {
        message_id -> Binary,
        number -> Text,
    }
}

diesel::table! {
    held_texts (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        handset_id -> Binary,
        carrier_id -> Text,
        sid -> Text,
        to_number -> Text,
        others -> Text,
        text -> Text,
        segment_count -> SmallInt,
        media -> Text,
        network -> Nullable<Text>,
        at -> BigInt,
    }
}

diesel::table! {
    message_notes (message_id) {
        message_id -> Binary,
        kind -> Text,
        data -> Text,
    }
}

diesel::table! {
    early_receipts (carrier_id, sid, state) {
        carrier_id -> Text,
        sid -> Text,
        state -> Text,
        error_code -> Nullable<Text>,
        is_absent -> Bool,
        is_opted_out -> Bool,
        at -> BigInt,
    }
}
