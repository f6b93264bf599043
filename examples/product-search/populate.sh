#!/usr/bin/env bash
# Makes N products (100 if not said), then changes the prices of a tenth and deletes a twentieth of all. Again for more.
#   populate.sh [N]      uses psql with PGHOST, PGPORT, PGUSER, PGDATABASE; without psql, the one in the container
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
count=${1:-100}
if command -v psql >/dev/null; then
  export PGHOST=${PGHOST:-127.0.0.1} PGPORT=${PGPORT:-5432} PGUSER=${PGUSER:-postgres} PGPASSWORD=${PGPASSWORD:-postgres} PGDATABASE=${PGDATABASE:-shop}
  sql() { psql "$@"; }
else
  sql() { docker compose exec -T postgres psql -U postgres -d shop "$@"; }
fi

sql -XqAt -v ON_ERROR_STOP=1 -v count="$count" <<'SQL'
INSERT INTO products (sku, name, description, category, price, stock, tags, attrs)
SELECT 'SKU-' || upper(to_hex(100000 + n * 7919)),
  (ARRAY['Oak','Brass','Linen','Glass','Cork','Wool','Steel'])[1 + n % 7] || ' ' || (ARRAY['lamp','kettle','throw','planter','notebook','radio','stool','bowl'])[1 + n % 8],
  (ARRAY['Made to be repaired.','Gets better with use.','Light enough to carry home.'])[1 + n % 3] || ' ' || (ARRAY['Ships tomorrow.','Made to order.'])[1 + n % 2],
  (ARRAY['Home/Lighting','Home/Kitchen','Home/Textiles','Outdoors/Garden','Work/Stationery','Home/Audio','Outdoors/Camping','Home/Kitchen'])[1 + n % 8],
  round((5 + n * 37 % 190)::numeric + 0.90, 2), n * 13 % 50, ARRAY[(ARRAY['new','classic','gift'])[1 + n % 3]], jsonb_build_object('weight_g', 100 + n * 53 % 4000)
FROM generate_series(1, :count) AS n;
UPDATE products SET price = round(price * 0.9, 2), tags = array_append(tags, 'sale'), updated_at = now() WHERE id % 10 = 3;
DELETE FROM products WHERE id % 20 = 7;
SELECT count(*) || ' products' FROM products;
SQL
