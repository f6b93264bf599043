-- A second till, at work while day.sql runs: its first change has an LSN below changes that are delivered before it.
BEGIN;
UPDATE products SET stock = 40, updated_at = shop_time(0) WHERE id = 41;
SELECT pg_sleep(0.3);
UPDATE products SET stock = 39, updated_at = shop_time(2) WHERE id = 41;
UPDATE products SET stock = 12, updated_at = shop_time(2) WHERE id = 42;
COMMIT;
