-- The change feed. Each change takes the next number; the row of the counter is locked until the commit, so numbers
-- are the order of commits and have no gaps.
CREATE TABLE fl_counter (
  one  boolean PRIMARY KEY DEFAULT true CHECK (one),
  last bigint NOT NULL
);
INSERT INTO fl_counter (last) VALUES (0);

-- Changes that have not been told yet. shape says what the texts of key and columns are.
CREATE TABLE fl_outbox (
  number       bigint PRIMARY KEY,
  committed_at timestamptz NOT NULL,
  flow_id      text,
  shape        text NOT NULL,
  operation    smallint NOT NULL,
  row_key      text[] NOT NULL,
  row_columns  text[]
);

-- The trigger of tables whose changes are told. Its arguments are the shape, and two lists of expressions: the primary
-- key and the columns, each as text. It runs as whoever changed the rows.
CREATE FUNCTION fl_capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changes text;
  amount bigint;
  before bigint;
  now_there text := format('SELECT ARRAY[%s] AS k, ARRAY[%s] AS c FROM fl_new', TG_ARGV[1], TG_ARGV[2]);
  was_there text := format('SELECT ARRAY[%s] AS k FROM fl_old', TG_ARGV[1]);
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      changes := format('SELECT 1 AS o, k, c FROM (%s) n', now_there);
    WHEN 'DELETE' THEN
      changes := format('SELECT 3 AS o, k, NULL::text[] AS c FROM (%s) b', was_there);
    ELSE
      -- A changed primary key is one row that went and another that came.
      changes := format('SELECT 3 AS o, k, NULL::text[] AS c FROM (%1$s EXCEPT SELECT k FROM (%2$s) n) gone UNION ALL '
        'SELECT CASE WHEN k IN (%1$s) THEN 2 ELSE 1 END, k, c FROM (%2$s) n', was_there, now_there);
  END CASE;
  EXECUTE format('SELECT count(*) FROM (%s) changes', changes) INTO amount;
  IF amount = 0 THEN
    RETURN NULL;
  END IF;
  EXECUTE format('UPDATE %I.fl_counter SET last = last + $1 RETURNING last - $1', TG_TABLE_SCHEMA) INTO before USING amount;
  EXECUTE format('INSERT INTO %I.fl_outbox (number, committed_at, flow_id, shape, operation, row_key, row_columns) '
    'SELECT $1 + row_number() OVER (), $2, nullif(current_setting(''fairlead.flow'', true), ''''), $3, o, k, c FROM (%s) changes', TG_TABLE_SCHEMA, changes)
    USING before, clock_timestamp(), TG_ARGV[0];
  RETURN NULL;
END
$$;
