-- An application that knows SQL and nothing else: its events commit with its rows, or not at all.

CREATE TABLE IF NOT EXISTS sql_orders (id serial PRIMARY KEY, customer text NOT NULL, total numeric(12, 2) NOT NULL);

BEGIN;
WITH placed AS (INSERT INTO sql_orders (customer, total) VALUES ('Ada', 12.50) RETURNING *)
SELECT millrace.emit('order.placed', id::text, to_jsonb(placed), '{"tenant": "example"}') AS placed FROM placed;
COMMIT;

BEGIN;
WITH placed AS (INSERT INTO sql_orders (customer, total) VALUES ('Bob', 99.99) RETURNING *)
SELECT millrace.emit('order.placed', id::text, to_jsonb(placed)) AS never_seen FROM placed;
ROLLBACK;
