-- The stock at opening time: 8 categories, 5 things in each, 3 makes of each thing; and the 24 orders of the day before.
CREATE TEMP TABLE thing (category text, noun text, use text, price numeric, grams int, tag text);
INSERT INTO thing VALUES
  ('kitchen', 'chef''s knife', 'A 20 cm blade that holds its edge through a winter of root vegetables.', 64, 210, 'knives'),
  ('kitchen', 'mixing bowl', 'Deep enough to whisk in and shallow enough to knead in.', 28, 640, 'baking'),
  ('kitchen', 'pepper mill', 'Grinds from dust to gravel and shows how much is left.', 36, 320, 'table'),
  ('kitchen', 'cutting board', 'A juice groove on one side, a flat face on the other.', 42, 1450, 'prep'),
  ('kitchen', 'kettle', 'Pours in a thin, steady line; whistles politely.', 79, 980, 'tea'),
  ('lighting', 'desk lamp', 'Throws a warm pool of light on the page and none in your eyes.', 96, 1800, 'office'),
  ('lighting', 'pendant lamp', 'Hangs low over a table and fills the room above it gently.', 148, 2300, 'dining'),
  ('lighting', 'bedside light', 'Dims to a glow with one finger, without waking anyone.', 54, 700, 'bedroom'),
  ('lighting', 'lantern', 'Runs for forty hours on a charge, indoors or in the rain.', 68, 890, 'outdoor'),
  ('lighting', 'floor lamp', 'Leans over the armchair like a friend reading along.', 189, 5200, 'living room'),
  ('textiles', 'throw', 'Long enough for two people and a cat.', 88, 1100, 'sofa'),
  ('textiles', 'bath towel', 'Drinks water quickly and dries by the next morning.', 29, 520, 'bathroom'),
  ('textiles', 'duvet cover', 'Closes with hidden buttons and gets softer with every wash.', 119, 1600, 'bedroom'),
  ('textiles', 'tea towel', 'Dries a whole dinner''s dishes without leaving lint.', 12, 110, 'kitchen'),
  ('textiles', 'cushion', 'Keeps its shape for years of Sunday afternoons.', 39, 460, 'sofa'),
  ('garden', 'hand trowel', 'Cuts through roots and fits in the back pocket.', 19, 240, 'digging'),
  ('garden', 'watering can', 'Nine litres, balanced full or empty, with a rose for seedlings.', 45, 1300, 'watering'),
  ('garden', 'pruning shears', 'Cut a finger-thick branch cleanly, for left and right hands.', 38, 230, 'pruning'),
  ('garden', 'planter', 'Has a drain hole, a saucer and room for a small olive tree.', 52, 4100, 'pots'),
  ('garden', 'bird feeder', 'Fills from the top; squirrels slide off.', 33, 900, 'wildlife'),
  ('stationery', 'notebook', '192 numbered pages that lie flat and take ink without feathering.', 18, 340, 'paper'),
  ('stationery', 'fountain pen', 'Starts on the first stroke, even after a month in the drawer.', 58, 24, 'writing'),
  ('stationery', 'desk tray', 'Keeps the week''s letters in sight and off the table.', 34, 760, 'office'),
  ('stationery', 'letter opener', 'Opens envelopes with a clean edge, and does little else.', 22, 60, 'office'),
  ('stationery', 'wall calendar', 'Thirteen months, big squares, and the moon.', 24, 280, 'paper'),
  ('outdoors', 'camping stove', 'Boils a litre in four minutes, in wind too.', 84, 410, 'cooking'),
  ('outdoors', 'hiking flask', 'Hot for twelve hours, cold for twenty-four.', 35, 390, 'drinking'),
  ('outdoors', 'hammock', 'Packs to the size of a loaf and holds 180 kg.', 72, 820, 'resting'),
  ('outdoors', 'folding stool', 'Unfolds in one move and stands on uneven ground.', 49, 1250, 'resting'),
  ('outdoors', 'dry bag', 'Rolls shut and floats, with everything in it dry.', 31, 180, 'paddling'),
  ('audio', 'bookshelf speaker', 'Clear voices at low volume; a deep, short bass.', 229, 4700, 'hi-fi'),
  ('audio', 'headphones', 'Closed, light, and comfortable for a night train.', 159, 265, 'travel'),
  ('audio', 'kitchen radio', 'One knob for the station, one for the volume, nothing else.', 99, 1400, 'radio'),
  ('audio', 'record player', 'Lifts its arm at the end of the side so that you may stay seated.', 289, 5600, 'vinyl'),
  ('audio', 'microphone', 'Hears you and not the room.', 129, 380, 'recording'),
  ('workshop', 'claw hammer', 'Well balanced; drives a nail in three blows.', 32, 690, 'hand tools'),
  ('workshop', 'block plane', 'Takes a shaving that you can read through.', 74, 620, 'woodwork'),
  ('workshop', 'screwdriver set', 'Twelve bits in the handle, none of them rattling.', 41, 450, 'hand tools'),
  ('workshop', 'spirit level', 'Right to half a millimetre in a metre, and magnetic.', 27, 380, 'measuring'),
  ('workshop', 'tool roll', 'Fourteen pockets and a strap that outlives the tools.', 56, 540, 'storage');
CREATE TEMP TABLE make (category text, make text, fact text, factor numeric, colour text, tag text);
INSERT INTO make VALUES
  ('kitchen', 'Olive wood', 'Turned from prunings of old Ligurian trees, so no two look alike.', 1.15, 'honey', 'wood'),
  ('kitchen', 'Carbon steel', 'Darkens with use; wipe it dry and oil it now and then.', 1.30, 'grey', 'steel'),
  ('kitchen', 'Stoneware', 'Fired twice, safe in the dishwasher and the oven.', 0.90, 'oatmeal', 'ceramic'),
  ('lighting', 'Brushed brass', 'The metal is left bare and ages to a soft brown.', 1.25, 'brass', 'metal'),
  ('lighting', 'Smoked glass', 'Blown by mouth, with small bubbles that catch the light.', 1.10, 'smoke', 'glass'),
  ('lighting', 'Rice paper', 'Folds flat and weighs next to nothing.', 0.75, 'white', 'paper'),
  ('textiles', 'Merino', 'Spun from the wool of one flock in the Drakensberg.', 1.40, 'moss', 'wool'),
  ('textiles', 'Washed linen', 'Flax from Normandy, woven in Portugal.', 1.15, 'flax', 'linen'),
  ('textiles', 'Organic cotton', 'Undyed on the inside, coloured with plants on the outside.', 0.85, 'indigo', 'cotton'),
  ('garden', 'Forged', 'Made by two smiths who sign what they make.', 1.35, 'black', 'steel'),
  ('garden', 'Galvanised', 'Stays out all winter and does not mind.', 1.00, 'zinc', 'metal'),
  ('garden', 'Terracotta', 'Breathes, so roots stay cool in August.', 0.80, 'rust', 'ceramic'),
  ('stationery', 'Walnut', 'Cut from offcuts of a furniture maker next door.', 1.45, 'brown', 'wood'),
  ('stationery', 'Letterpress', 'Printed by hand on a press of 1953.', 1.20, 'ivory', 'paper'),
  ('stationery', 'Recycled', 'Made of coffee cups that had one morning of use.', 0.80, 'kraft', 'recycled'),
  ('outdoors', 'Titanium', 'Half the weight of steel and nearly its strength.', 1.70, 'grey', 'lightweight'),
  ('outdoors', 'Waxed canvas', 'Rewax it every other autumn and it will be inherited.', 1.10, 'olive', 'canvas'),
  ('outdoors', 'Recycled nylon', 'Fishing nets, cleaned and spun again.', 0.90, 'orange', 'recycled'),
  ('audio', 'Birch', 'Fifteen layers of plywood, with the edges left to be seen.', 1.20, 'birch', 'wood'),
  ('audio', 'Matt black', 'Disappears on a shelf.', 1.00, 'black', 'metal'),
  ('audio', 'Refurbished', 'Checked, cleaned and given two more years of guarantee.', 0.60, 'silver', 'second life'),
  ('workshop', 'Ash-handled', 'The grain runs true along the handle.', 1.15, 'ash', 'wood'),
  ('workshop', 'Cast iron', 'Heavy where weight helps.', 1.30, 'black', 'metal'),
  ('workshop', 'Apprentice', 'A little smaller and lighter, for young hands; it is no toy.', 0.70, 'red', 'beginners');

CREATE TEMP TABLE shelf (category text, path text);
INSERT INTO shelf VALUES ('kitchen', 'Home/Kitchen'), ('lighting', 'Home/Lighting'), ('textiles', 'Home/Textiles'), ('audio', 'Home/Audio'),
  ('garden', 'Outdoors/Garden'), ('outdoors', 'Outdoors/Camping'), ('stationery', 'Work/Stationery'), ('workshop', 'Work/Tools');

INSERT INTO products
SELECT n, upper(substr(category, 1, 3)) || '-' || lpad((n * 7919 % 10000)::text, 4, '0'), make || ' ' || noun, use || ' ' || fact,
  path, round(price * factor, 0) - (ARRAY[0.05, 0.10, 0.50, 0.00])[1 + n % 4], 5 + pick(n, 2, 60), ARRAY[thing.tag, make.tag],
  jsonb_build_object('colour', colour, 'weight_g', grams + pick(n, 3, 40), 'rating', round(3.5 + pick(n, 4, 15) / 10.0, 1), 'dimensions',
    jsonb_build_object('w', 5 + pick(n, 5, 40), 'h', 3 + pick(n, 6, 60))),
  shop_time(-2000 + n), shop_time(-90000 + n * 500)
FROM (SELECT row_number() OVER (ORDER BY pick(grams, length(make), 10000), category, noun, make)::int AS n, noun, category, make FROM thing JOIN make USING (category)) AS numbered
JOIN thing USING (category, noun) JOIN make USING (category, make) JOIN shelf USING (category)
ORDER BY n;
-- The one with a story: too long to lie in the row.
UPDATE products SET description = description || E'\n\n' || (SELECT string_agg(use || ' ' || fact, ' ' ORDER BY grams, make) FROM thing JOIN make USING (category) WHERE category IN ('outdoors', 'garden'))
WHERE name = 'Waxed canvas hammock';

INSERT INTO orders
SELECT n, 1 + pick(n, 7, 120), customer(n), 1 + pick(n, 8, 3), 0, (ARRAY['shipped','shipped','paid','placed'])[1 + n % 4], shop_time(-1500 + n * 50)
FROM generate_series(1, 24) AS n;
UPDATE orders SET total = quantity * price FROM products WHERE products.id = product_id;
