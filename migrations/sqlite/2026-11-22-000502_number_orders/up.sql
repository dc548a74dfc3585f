-- Numbers that were ordered for the reserve, or would have been. The row stands before the request.
CREATE TABLE number_orders (
    reference TEXT NOT NULL PRIMARY KEY,
    carrier_id TEXT NOT NULL,
    region TEXT NOT NULL,
    number TEXT NOT NULL,
    state TEXT NOT NULL,
    cost_micros BIGINT NOT NULL,
    currency TEXT NOT NULL,
    created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX number_orders_pending ON number_orders (created_at) WHERE state = 'pending';
