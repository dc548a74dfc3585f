DROP TABLE code_ranges;
DROP TABLE alarms;
DROP TABLE carrier_loops;
DROP TABLE carrier_health;
DROP TABLE carrier_tallies;
