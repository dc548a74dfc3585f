//! Tables of calls: calls and their ends, how they sounded, what is kept of them.

diesel::table! {
    calls (id) {
        id -> Binary,
        caller_account_id -> Binary,
        callee_account_id -> Binary,
        conversation_id -> Nullable<Binary>,
        state -> Text,
        end_reason -> Nullable<Text>,
        version -> BigInt,
        node -> Text,
        ring_until -> Nullable<BigInt>,
        created_at -> BigInt,
        answered_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        alive_until -> BigInt,
        message_id -> Nullable<Binary>,
        facts -> Text,
    }
}

diesel::table! {
    call_legs (id) {
        id -> Binary,
        call_id -> Binary,
        side -> Text,
        kind -> Text,
        carrier_id -> Nullable<Text>,
        carrier_call_id -> Nullable<Text>,
        from_number -> Nullable<Text>,
        to_number -> Nullable<Text>,
        state -> Text,
        cause -> Nullable<Text>,
        sequence -> Integer,
        token_hash -> Nullable<Binary>,
        token_until -> Nullable<BigInt>,
        created_at -> BigInt,
        answered_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    call_quality (leg_id) {
        leg_id -> Binary,
        call_id -> Binary,
        at -> BigInt,
        codec -> Text,
        network -> Text,
        region -> Text,
        mos_hundredths -> Integer,
        loss_ppm -> Integer,
        jitter_ms -> Integer,
        rtt_ms -> Nullable<Integer>,
        account_id -> Nullable<Binary>,
    }
}

diesel::table! {
    call_sounds (id) {
        id -> Binary,
        account_id -> Binary,
        call_id -> Nullable<Binary>,
        purpose -> Text,
        millis -> Integer,
        created_at -> BigInt,
        bytes -> Integer,
    }
}

diesel::table! {
    call_sound_pieces (sound_id, place) {
        sound_id -> Binary,
        place -> Integer,
        body -> Binary,
    }
}

diesel::table! {
    voicemails (id) {
        id -> Binary,
        account_id -> Binary,
        call_id -> Binary,
        contact_id -> Binary,
        sound_id -> Binary,
        message_id -> Nullable<Binary>,
        seconds -> Integer,
        listened_at -> Nullable<BigInt>,
        created_at -> BigInt,
    }
}

diesel::table! {
    call_settings (account_id) {
        account_id -> Binary,
        do_not_disturb -> Bool,
        ring -> Text,
        also_ring -> Nullable<Text>,
        forward_to -> Nullable<Text>,
        forward_when -> Text,
        screening -> Bool,
        voicemail_enabled -> Bool,
        greeting_text -> Text,
        greeting_sound_id -> Nullable<Binary>,
        voicemail_seconds_max -> SmallInt,
        voicemail_by_mail -> Bool,
        voicemail_by_sms -> Bool,
        pin_hash -> Nullable<Binary>,
        ring_seconds -> SmallInt,
        updated_at -> BigInt,
    }
}
