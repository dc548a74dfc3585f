DROP TABLE early_receipts;
DROP TABLE sms_waiting;
DROP TABLE sms_gates;
DROP TABLE sms_refused;
