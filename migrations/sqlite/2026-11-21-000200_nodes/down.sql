DROP TABLE spent_tickets;
DROP TABLE setup_tickets;
