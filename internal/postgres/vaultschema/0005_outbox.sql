-- What the change feed can tell. Whoever runs SQL here as the application's data role can also write to fl_outbox, and a
-- row that nobody can read would stop the virtual node's feed; so it is refused to the statement that brings it. Sizes
-- are of text, which JSON makes up to six times as long, and the reader takes 16 MiB. Rows that are there already stay.
ALTER TABLE fl_outbox
  ADD CONSTRAINT fl_outbox_number CHECK (number > 0) NOT VALID,
  ADD CONSTRAINT fl_outbox_committed_at CHECK (committed_at >= '2000-01-01 00:00:00+00' AND committed_at < '9999-01-01 00:00:00+00') NOT VALID,
  ADD CONSTRAINT fl_outbox_operation CHECK (operation BETWEEN 0 AND 3) NOT VALID,
  ADD CONSTRAINT fl_outbox_flow_id CHECK (octet_length(flow_id) <= 100) NOT VALID,
  ADD CONSTRAINT fl_outbox_shape CHECK (octet_length(shape) <= 262144) NOT VALID,
  ADD CONSTRAINT fl_outbox_key CHECK (cardinality(row_key) <= 2000 AND octet_length(array_to_string(row_key, '')) <= 131072) NOT VALID,
  ADD CONSTRAINT fl_outbox_columns CHECK (cardinality(row_columns) <= 2000 AND octet_length(array_to_string(row_columns, '')) <= 2097152) NOT VALID;
