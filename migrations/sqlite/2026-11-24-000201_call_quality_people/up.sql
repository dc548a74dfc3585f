-- Whose end it was: what is shown to everybody is of many people, and not only of many calls.
ALTER TABLE call_quality ADD COLUMN account_id BLOB;
UPDATE call_quality SET account_id = (
    SELECT CASE WHEN call_legs.side = 'caller' THEN calls.caller_account_id ELSE calls.callee_account_id END
    FROM call_legs JOIN calls ON calls.id = call_legs.call_id WHERE call_legs.id = call_quality.leg_id);
