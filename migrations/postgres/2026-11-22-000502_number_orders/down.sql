DROP TABLE number_orders;
