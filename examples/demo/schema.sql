-- A shop for house and garden. Everything in it is invented; its clock stands at 2 March 2026, 08:00.
CREATE TABLE products (
  id          bigint PRIMARY KEY,
  sku         text NOT NULL,
  name        text NOT NULL,
  description text,
  category    text NOT NULL,
  price       numeric(10,2),
  stock       int NOT NULL,
  tags        text[],
  attrs       jsonb,
  updated_at  timestamptz NOT NULL,
  created_at  timestamptz NOT NULL
);
-- Long descriptions lie out of line, as they do in real tables: an update that leaves one alone does not carry it.
ALTER TABLE products ALTER COLUMN description SET STORAGE EXTERNAL;

CREATE TABLE orders (
  id         bigint PRIMARY KEY,
  product_id bigint NOT NULL,
  customer   text NOT NULL,
  quantity   int NOT NULL,
  total      numeric NOT NULL,
  status     text NOT NULL,
  placed_at  timestamptz NOT NULL
);

-- The shop's time at a step of its day.
CREATE FUNCTION shop_time(step int) RETURNS timestamptz IMMUTABLE LANGUAGE sql
  RETURN timestamptz '2026-03-02 08:00:00+00' + step * interval '37 seconds';

-- The same pick for the same step, everywhere: 0 <= pick < below.
CREATE FUNCTION pick(step int, salt int, below int) RETURNS int IMMUTABLE LANGUAGE sql
  RETURN (('x' || substr(md5(step || ':' || salt), 1, 7))::bit(28)::int % below);

CREATE FUNCTION customer(step int) RETURNS text IMMUTABLE LANGUAGE sql
  RETURN (ARRAY['Ada Lindqvist','Bruno Keller','Chiara Conti','Daan Visser','Elif Aydin','Farah Haddad','Goran Petrov','Hana Sato','Ines Carvalho','Jonas Berg',
    'Klara Novak','Liam Byrne','Maya Iyer','Nils Holm','Oluchi Eze','Pavel Dvorak','Quinn Avery','Rosa Jimenez','Sami Laine','Tuva Moen'])[1 + pick(step, 1, 20)];
