//! The tables, as diesel sees them. Neutral column types only, the same on SQLite and PostgreSQL; `migrations/` has
//! the DDL and the reasons.
#![allow(missing_docs, reason = "the columns are documented where the entities are")]

mod call_tables;
mod texts;

pub use call_tables::{
    call_legs, call_quality, call_settings, call_sound_pieces, call_sounds, calls, voicemails,
};
pub use texts::{
    early_receipts, group_conversations, group_participants, group_senders, handset_guards, held_texts,
    message_notes,
};

diesel::table! {
    accounts (id) {
        id -> Binary,
        handle -> Text,
        display_name -> Text,
        password_hash -> Text,
        locale -> Text,
        time_zone -> Text,
        quiet_from -> Nullable<SmallInt>,
        quiet_to -> Nullable<SmallInt>,
        admin -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    account_counters (account_id) {
        account_id -> Binary,
        seq -> BigInt,
        floor_seq -> BigInt,
        number_turn -> BigInt,
    }
}

diesel::table! {
    account_events (account_id, seq) {
        account_id -> Binary,
        seq -> BigInt,
        kind -> SmallInt,
        #[sql_name = "ref"]
        ref_id -> Nullable<Binary>,
        data -> Nullable<Text>,
        at -> BigInt,
    }
}

diesel::table! {
    account_photos (account_id) {
        account_id -> Binary,
        content_type -> Text,
        body -> Binary,
        updated_at -> BigInt,
    }
}

diesel::table! {
    handsets (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        number -> Text,
        region -> Text,
        state -> Text,
        code_hash -> Nullable<Binary>,
        text_hash -> Nullable<Binary>,
        code_expires_at -> Nullable<BigInt>,
        code_attempts -> Integer,
        created_at -> BigInt,
        verified_at -> Nullable<BigInt>,
        last_heard_at -> Nullable<BigInt>,
        absent_since -> Nullable<BigInt>,
    }
}

diesel::table! {
    emails (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        address -> Text,
        state -> Text,
        code_hash -> Nullable<Binary>,
        link_hash -> Nullable<Binary>,
        code_expires_at -> Nullable<BigInt>,
        code_attempts -> Integer,
        created_at -> BigInt,
        verified_at -> Nullable<BigInt>,
        is_findable -> Bool,
    }
}

diesel::table! {
    sessions (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        generation -> Integer,
        secret_hash -> Binary,
        label -> Text,
        created_at -> BigInt,
        last_used_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    app_passwords (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        label -> Text,
        secret_hash -> Binary,
        user_agent -> Nullable<Text>,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    rate_limits (bucket) {
        bucket -> Text,
        window_at -> BigInt,
        count -> BigInt,
        previous_count -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (account_id, idempotency_key) {
        account_id -> Binary,
        idempotency_key -> Text,
        request_hash -> Binary,
        status -> SmallInt,
        body -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    setup_tickets (ticket_hash) {
        ticket_hash -> Binary,
        account_id -> Binary,
        app_password_id -> Binary,
        veiled -> Binary,
        use_count -> Integer,
        expires_at -> BigInt,
    }
}

diesel::table! {
    spent_tickets (nonce) {
        nonce -> Binary,
        expires_at -> BigInt,
    }
}

diesel::table! {
    numbers (id) {
        id -> Binary,
        number -> Text,
        region -> Text,
        area -> Text,
        carrier_id -> Text,
        capabilities -> Integer,
        state -> Text,
        created_at -> BigInt,
        retired_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    number_orders (reference) {
        reference -> Text,
        carrier_id -> Text,
        region -> Text,
        number -> Text,
        state -> Text,
        cost_micros -> BigInt,
        currency -> Text,
        created_at -> BigInt,
        capabilities -> Integer,
    }
}

diesel::table! {
    assignments (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        number_id -> Binary,
        contact_id -> Binary,
        state -> Text,
        assigned_at -> BigInt,
        released_at -> Nullable<BigInt>,
        rests_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    contacts (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        network -> Text,
        address -> Text,
        peer_account_id -> Nullable<Binary>,
        peer_contact_id -> Nullable<Binary>,
        display_name -> Text,
        custom_name -> Nullable<Text>,
        state -> Text,
        direction -> Nullable<Text>,
        number_state -> Text,
        hidden_on_phone -> Bool,
        conversation_id -> Nullable<Binary>,
        created_at -> BigInt,
        updated_at -> BigInt,
        texts_stopped -> Bool,
    }
}

diesel::table! {
    address_books (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        slug -> Text,
        kind -> Text,
        display_name -> Text,
        description -> Text,
        seq -> BigInt,
        floor_seq -> BigInt,
        object_count -> BigInt,
        size_bytes -> BigInt,
        created_at -> BigInt,
        watched -> Bool,
    }
}

diesel::table! {
    push_registrations (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        kind -> Text,
        owner_id -> Binary,
        subject -> Binary,
        credential -> Nullable<Binary>,
        endpoint -> Text,
        endpoint_hash -> Binary,
        subscriber_keys -> Binary,
        wants -> SmallInt,
        pending -> SmallInt,
        sending -> SmallInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        last_sent_at -> Nullable<BigInt>,
        failing_since -> Nullable<BigInt>,
    }
}

diesel::table! {
    address_objects (account_id, book_id, name) {
        account_id -> Binary,
        book_id -> Binary,
        name -> Text,
        uid -> Text,
        etag -> Text,
        contact_id -> Nullable<Binary>,
        size_bytes -> Integer,
        seq -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        body -> Binary,
        base -> Nullable<Binary>,
    }
}

diesel::table! {
    address_tombstones (account_id, book_id, seq, name) {
        account_id -> Binary,
        book_id -> Binary,
        seq -> BigInt,
        name -> Text,
    }
}

diesel::table! {
    dav_properties (account_id, book_id, name, property) {
        account_id -> Binary,
        book_id -> Binary,
        name -> Text,
        property -> Text,
        value -> Text,
    }
}

diesel::table! {
    card_fetches (account_id, app_password_id, book_id, name) {
        account_id -> Binary,
        app_password_id -> Binary,
        book_id -> Binary,
        name -> Text,
        seq -> BigInt,
        at -> BigInt,
    }
}

diesel::table! {
    hidden_cards (account_id, contact_id) {
        account_id -> Binary,
        contact_id -> Binary,
        size_bytes -> BigInt,
        base -> Binary,
        body -> Binary,
    }
}

diesel::table! {
    book_members (account_id, book_id, id) {
        account_id -> Binary,
        book_id -> Binary,
        id -> Binary,
        member_id -> Binary,
        access -> Text,
        state -> Text,
        slug -> Text,
        invited_at -> BigInt,
        answered_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    card_imports (account_id, id) {
        account_id -> Binary,
        id -> Binary,
        owner_id -> Binary,
        book_id -> Binary,
        format -> Text,
        charset -> Text,
        region -> Text,
        state -> Text,
        fallback -> Nullable<Text>,
        row_count -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    card_import_rows (account_id, import_id, place) {
        account_id -> Binary,
        import_id -> Binary,
        place -> Integer,
        line -> Integer,
        name -> Text,
        fault_code -> Nullable<Text>,
        fault_detail -> Nullable<Text>,
        duplicate_of -> Nullable<Text>,
        duplicate_place -> Nullable<Integer>,
        reasons -> Text,
        choice -> Nullable<Text>,
        outcome -> Nullable<Text>,
        result_name -> Nullable<Text>,
        body -> Nullable<Binary>,
    }
}

diesel::table! {
    presence (account_id) {
        account_id -> Binary,
        state -> Text,
        note -> Nullable<Text>,
        updated_at -> BigInt,
        connected_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    conversations (id) {
        id -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    conversation_members (account_id, conversation_id) {
        account_id -> Binary,
        conversation_id -> Binary,
        contact_id -> Binary,
        unread_count -> BigInt,
        read_up_to -> Nullable<Binary>,
        last_message_id -> Nullable<Binary>,
        last_message_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    messages (id) {
        id -> Binary,
        conversation_id -> Binary,
        sender_account_id -> Binary,
        recipient_account_id -> Binary,
        source -> Text,
        via -> Text,
        text -> Text,
        state -> Text,
        error_code -> Nullable<Text>,
        segment_count -> Nullable<SmallInt>,
        client_id -> Nullable<Text>,
        sent_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    outbound_sms (id) {
        id -> Binary,
        account_id -> Nullable<Binary>,
        message_id -> Nullable<Binary>,
        purpose -> Text,
        order_key -> Text,
        carrier_id -> Text,
        from_number -> Text,
        to_number -> Text,
        text -> Text,
        state -> Text,
        segment_count -> SmallInt,
        attempts -> Integer,
        carrier_message_id -> Nullable<Text>,
        error_code -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    sms_refused (sms_id) {
        sms_id -> Binary,
        since -> BigInt,
    }
}

diesel::table! {
    sms_gates (carrier_id, gate) {
        carrier_id -> Text,
        gate -> Text,
        full_at -> BigInt,
        turn -> BigInt,
        waiting -> BigInt,
    }
}

diesel::table! {
    sms_waiting (job_id) {
        job_id -> Binary,
        carrier_id -> Text,
        number -> Text,
        in_campaign -> Bool,
        rank -> SmallInt,
        share -> Text,
        segments -> SmallInt,
        turn -> BigInt,
        carrier_turn -> BigInt,
        at -> BigInt,
    }
}

diesel::table! {
    carrier_tallies (carrier_id, minute) {
        carrier_id -> Text,
        minute -> BigInt,
        accepted -> BigInt,
        refused -> BigInt,
        busy -> BigInt,
        broken -> BigInt,
        ours -> BigInt,
        delivered -> BigInt,
        undelivered -> BigInt,
        inbound -> BigInt,
        answer_ms -> BigInt,
    }
}

diesel::table! {
    carrier_health (carrier_id) {
        carrier_id -> Text,
        state -> Text,
        since -> BigInt,
        why -> Text,
        dead_since -> Nullable<BigInt>,
    }
}

diesel::table! {
    carrier_loops (word) {
        word -> Text,
        carrier_id -> Text,
        sent_at -> BigInt,
        arrived_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    alarms (id) {
        id -> Binary,
        kind -> Text,
        subject -> Text,
        detail -> Text,
        count -> BigInt,
        first_at -> BigInt,
        last_at -> BigInt,
        acknowledged_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    code_ranges (range, hour) {
        range -> Text,
        hour -> BigInt,
        asked -> BigInt,
        proved -> BigInt,
    }
}

diesel::table! {
    carrier_callbacks (carrier_id, sid, kind, status) {
        carrier_id -> Text,
        kind -> SmallInt,
        sid -> Text,
        status -> Text,
        #[sql_name = "ref"]
        ref_id -> Nullable<Binary>,
        at -> BigInt,
    }
}

diesel::table! {
    attachments (id) {
        id -> Binary,
        account_id -> Binary,
        peer_account_id -> Nullable<Binary>,
        message_id -> Nullable<Binary>,
        position -> SmallInt,
        state -> Text,
        name -> Nullable<Text>,
        media_type -> Nullable<Text>,
        size_bytes -> BigInt,
        width -> Nullable<Integer>,
        height -> Nullable<Integer>,
        body_hash -> Nullable<Binary>,
        error_code -> Nullable<Text>,
        carrier_id -> Nullable<Text>,
        source_url -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    attachment_bodies (hash) {
        hash -> Binary,
        media_type -> Text,
        size_bytes -> BigInt,
        used_at -> BigInt,
        body -> Binary,
    }
}

diesel::table! {
    attachment_copies (attachment_id, bytes_max) {
        attachment_id -> Binary,
        bytes_max -> BigInt,
        body_hash -> Binary,
        width -> Integer,
        height -> Integer,
    }
}

diesel::table! {
    jobs (id) {
        id -> Binary,
        kind -> Text,
        order_key -> Nullable<Text>,
        payload -> Text,
        state -> Text,
        run_at -> BigInt,
        attempts -> Integer,
        locked_until -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    inbound_sms_parts (carrier_id, sender, to_number, reference, total, number) {
        carrier_id -> Text,
        sender -> Text,
        to_number -> Text,
        reference -> Integer,
        total -> SmallInt,
        number -> SmallInt,
        coding -> Integer,
        octets -> Binary,
        digest -> Binary,
        first_at -> BigInt,
        is_done -> Bool,
    }
}

diesel::table! {
    consents (handset, number) {
        handset -> Text,
        number -> Text,
        carrier_id -> Text,
        state -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    consent_log (id) {
        id -> Binary,
        at -> BigInt,
        handset -> Text,
        number -> Text,
        carrier_id -> Text,
        word -> Text,
        source -> Text,
        keyword -> Nullable<Text>,
    }
}

diesel::table! {
    message_replies (message_id) {
        message_id -> Binary,
        reply_to_id -> Binary,
    }
}

diesel::table! {
    message_reactions (message_id, account_id) {
        message_id -> Binary,
        account_id -> Binary,
        emoji -> Text,
        at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    account_counters,
    account_events,
    account_photos,
    handsets,
    emails,
    sessions,
    app_passwords,
    rate_limits,
    idempotency_keys,
    setup_tickets,
    spent_tickets,
    numbers,
    assignments,
    contacts,
    address_books,
    address_objects,
    address_tombstones,
    dav_properties,
    card_fetches,
    hidden_cards,
    book_members,
    card_imports,
    card_import_rows,
    presence,
    conversations,
    conversation_members,
    messages,
    message_replies,
    outbound_sms,
    carrier_callbacks,
    early_receipts,
    attachments,
    attachment_bodies,
    attachment_copies,
    jobs,
    push_registrations,
    calls,
    call_legs,
    call_quality,
    call_sounds,
    call_sound_pieces,
    voicemails,
    call_settings,
    message_notes,
    group_conversations,
    group_participants,
    group_senders,
    handset_guards,
    held_texts,
    consents,
);
