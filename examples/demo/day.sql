-- A day at the shop, about 600 changes, after Debezium's snapshot. COMMIT in a loop: every step is a transaction of its own.
CREATE PROCEDURE place_order(step int) LANGUAGE plpgsql AS $$
DECLARE item products; amount int := 1 + pick(step, 9, 4);
BEGIN
  -- A fifth of the orders go to the day's three favourites, so that there is something trending.
  SELECT * INTO item FROM products WHERE id >= CASE WHEN pick(step, 10, 5) = 0 THEN (ARRAY[12, 47, 88])[1 + pick(step, 11, 3)] ELSE 1 + pick(step, 12, 120) END
    AND price <> 'NaN' ORDER BY id LIMIT 1;
  INSERT INTO orders VALUES (100 + step, item.id, customer(step), amount, amount * item.price, 'placed', shop_time(step));
  UPDATE products SET stock = greatest(0, stock - amount), updated_at = shop_time(step) WHERE id = item.id;
END $$;

DO $$
BEGIN
  FOR step IN 1..150 LOOP
    CALL place_order(step);
    COMMIT;
    UPDATE orders SET status = 'paid' WHERE id = 100 + step - 3 AND status = 'placed';
    COMMIT;
    UPDATE orders SET status = CASE WHEN pick(step, 13, 12) = 0 THEN 'cancelled' ELSE 'shipped' END WHERE id = 100 + step - 9 AND status = 'paid';
    COMMIT;
    IF step % 4 = 0 THEN      -- a new price
      UPDATE products SET price = round(price * (0.85 + pick(step, 14, 30) / 100.0), 2), updated_at = shop_time(step) WHERE id = 1 + pick(step, 15, 120);
    ELSIF step % 10 = 5 THEN  -- a delivery
      UPDATE products SET stock = stock + 24, updated_at = shop_time(step) WHERE id = 1 + pick(step, 16, 120);
    END IF;
    COMMIT;
    CASE step
      WHEN 20 THEN            -- an import went wrong: not a number, put right 40 steps later
        UPDATE products SET price = 'NaN', updated_at = shop_time(step) WHERE id = 77;
      WHEN 60 THEN
        UPDATE products SET price = 15.90, updated_at = shop_time(step) WHERE id = 77;
      WHEN 35 THEN            -- a weight that is no number: an index that expects one refuses the document
        UPDATE products SET attrs = attrs || '{"weight_g": "about 2 kg"}', updated_at = shop_time(step) WHERE id = 91;
      WHEN 50 THEN            -- a key change: delete of 17, create of 1017
        UPDATE products SET id = 1017, sku = 'NEW-1017', updated_at = shop_time(step) WHERE id = 17;
      WHEN 70 THEN            -- the story stays out of line: its description arrives as unavailable
        UPDATE products SET stock = stock + 6, updated_at = shop_time(step) WHERE name = 'Waxed canvas hammock';
      WHEN 80 THEN            -- a sale: one transaction of 15 changes
        UPDATE products SET price = round(price * 0.8, 2), tags = array_append(tags, 'sale'), updated_at = shop_time(step) WHERE category = 'Home/Lighting';
      WHEN 95 THEN            -- out of the range
        DELETE FROM products WHERE id IN (9, 33, 64);
      WHEN 110 THEN           -- new in the range
        INSERT INTO products VALUES (1201, 'GAR-1201', 'Cork bee hotel', 'Ninety rooms for solitary bees, south-facing.', 'Outdoors/Garden', 26.00, 40, ARRAY['wildlife','new'],
          '{"colour": "cork", "weight_g": 610, "rating": 5.0}', shop_time(step), shop_time(step));
        INSERT INTO products VALUES (1202, 'KIT-1202', 'Crème brûlée dish – set of 4', NULL, 'Home/Kitchen', 31.50, 18, ARRAY['baking','new'], NULL, shop_time(step), shop_time(step));
      WHEN 125 THEN           -- deleted, and back again under the same key
        DELETE FROM products WHERE id = 58;
      WHEN 135 THEN
        INSERT INTO products VALUES (58, 'AUD-0058', 'Refurbished gramophone', 'It was gone for a while, and is back by demand.', 'Home/Audio', 410.00, 2, ARRAY['vinyl','second life'],
          '{"colour": "oak", "weight_g": 9100, "rating": 4.8}', shop_time(step), shop_time(step));
      WHEN 145 THEN
        DELETE FROM orders WHERE status = 'cancelled';
        DELETE FROM products WHERE id IN (71, 105);
      ELSE NULL;
    END CASE;
    COMMIT;
  END LOOP;
END $$;
