-- The ledger. Whoever changes anything here locks the row of fl_counter first: then what it reads stays true until its
-- commit. Rows refer to transactions without foreign keys: one writer makes both in one commit, and checks for each of
-- thousands of components would cost more than the insert.
CREATE TABLE fl_metadata (
  hash             bytea PRIMARY KEY,
  content          bytea NOT NULL,
  group_parameters bytea NOT NULL
);

-- U unverified, V verified, I invalid, D draft. is_filtered: nothing but proofs is known, of a transaction that its notary
-- signed; then salt is null.
CREATE TABLE fl_transaction (
  id              bytea PRIMARY KEY CHECK (length(id) = 32),
  status          text NOT NULL CHECK (status IN ('U', 'V', 'I', 'D')),
  is_filtered     boolean NOT NULL DEFAULT false CHECK (NOT is_filtered OR status = 'V'),
  salt            bytea CHECK (is_filtered = (salt IS NULL)),
  metadata_hash   bytea NOT NULL REFERENCES fl_metadata (hash),
  visible         integer[] NOT NULL DEFAULT '{}',
  created         timestamptz NOT NULL,
  updated         timestamptz NOT NULL,
  number          bigint NOT NULL,
  repair_attempts integer NOT NULL DEFAULT 0
);
CREATE INDEX fl_transaction_status ON fl_transaction (status, repair_attempts, created) WHERE NOT is_filtered;

-- All groups but the metadata, by their numbers in the ledger's format: 5 inputs, 6 references, 3 output infos, 7 outputs.
-- Of a filtered transaction what its proofs show.
CREATE TABLE fl_component (
  transaction_id bytea NOT NULL,
  group_index    smallint NOT NULL,
  leaf_index     integer NOT NULL,
  content        bytea NOT NULL,
  PRIMARY KEY (transaction_id, group_index, leaf_index)
);

-- What transactions consume and look at.
CREATE TABLE fl_source (
  transaction_id bytea NOT NULL,
  group_index    smallint NOT NULL CHECK (group_index IN (5, 6)),
  leaf_index     integer NOT NULL,
  source_id      bytea NOT NULL,
  source_index   bigint NOT NULL,
  PRIMARY KEY (transaction_id, group_index, leaf_index)
);
CREATE INDEX fl_source_state ON fl_source (source_id, source_index) WHERE group_index = 5;

-- The outputs of verified transactions that the virtual node keeps: what its queries call visible_states. number is that
-- of the change that made it: numbers are in the order of commits, so that a page ends where the next begins. payload is
-- null where jsonb cannot hold what the application wrote; the component has it. token_pool is a hash of type, issuer,
-- notary and symbol, which together are too long for an index.
CREATE TABLE fl_state (
  transaction_id bytea NOT NULL,
  leaf_index     integer NOT NULL,
  number         bigint NOT NULL UNIQUE,
  type           text NOT NULL,
  type_version   bigint NOT NULL,
  contract       text NOT NULL,
  encumbrance    text,
  notary         text NOT NULL,
  payload        jsonb,
  token_pool     bytea,
  token_type     text,
  token_symbol   text,
  token_issuer   bytea,
  token_amount   numeric,
  token_owner    bytea,
  token_tag      text,
  token_priority numeric,
  created        timestamptz NOT NULL,
  consumed       timestamptz,
  consumed_by    bytea,
  CHECK ((consumed IS NULL) = (consumed_by IS NULL)),
  CHECK ((token_pool IS NULL) = (token_amount IS NULL)),
  PRIMARY KEY (transaction_id, leaf_index)
);
CREATE INDEX fl_state_type ON fl_state (type, number) WHERE consumed IS NULL;
CREATE INDEX fl_state_unconsumed ON fl_state (number) WHERE consumed IS NULL;
CREATE INDEX fl_state_token ON fl_state (token_pool, token_priority, transaction_id, leaf_index) WHERE consumed IS NULL AND token_pool IS NOT NULL;
CREATE INDEX fl_state_payload ON fl_state USING gin (payload jsonb_path_ops) WHERE consumed IS NULL;

-- One for each key, in the order in which they came.
CREATE TABLE fl_signature (
  transaction_id bytea NOT NULL,
  key_id         bytea NOT NULL,
  position       integer NOT NULL,
  content        bytea NOT NULL,
  created        timestamptz NOT NULL,
  PRIMARY KEY (transaction_id, key_id)
);

-- Proofs of parts of transactions, and which outputs they show; each is of use for at least one output.
CREATE TABLE fl_filtered (
  transaction_id bytea NOT NULL,
  hash           bytea NOT NULL,
  content        bytea NOT NULL,
  created        timestamptz NOT NULL,
  PRIMARY KEY (transaction_id, hash)
);
CREATE TABLE fl_filtered_output (
  transaction_id bytea NOT NULL,
  leaf_index     integer NOT NULL,
  hash           bytea NOT NULL,
  PRIMARY KEY (transaction_id, leaf_index)
);

CREATE TABLE fl_group_parameters (
  hash      bytea PRIMARY KEY,
  content   bytea NOT NULL,
  signed_by bytea NOT NULL,
  signature bytea NOT NULL,
  scheme    text NOT NULL,
  created   timestamptz NOT NULL DEFAULT now()
);

-- Changes of the ledger wait with those of tables: change is a fairlead.feed.v1.Change without what the other columns say,
-- operation is 0, and shape, row_key and row_columns are empty. What a transaction may have is less than the limit, and a
-- change says of it no part twice, so no transaction is refused for it. Rows that are there already stay.
ALTER TABLE fl_outbox
  ADD COLUMN change bytea,
  ADD CONSTRAINT fl_outbox_change CHECK ((operation = 0) = (change IS NOT NULL) AND octet_length(change) <= 524288) NOT VALID;

-- Functions of the application run as the role that the worker has, which must be able to write here. What tells them
-- apart is the transaction: the worker makes those in which it changes the ledger DEFERRABLE, and runs nothing of the
-- application in them. The property means nothing to a transaction that writes, and no statement can set it once the
-- first query has run: so no function can.
CREATE FUNCTION fl_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_catalog.current_setting('transaction_deferrable') OPERATOR(pg_catalog.<>) 'on' THEN
    RAISE insufficient_privilege USING MESSAGE = pg_catalog.format('table %I is the ledger''s: only the platform changes it', TG_TABLE_NAME);
  END IF;
  IF TG_LEVEL OPERATOR(pg_catalog.=) 'ROW' THEN
    RETURN NEW;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_metadata EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_transaction EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_component EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_source EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_state EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_signature EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_filtered EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_filtered_output EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE OR DELETE ON fl_group_parameters EXECUTE FUNCTION fl_guard();
CREATE TRIGGER fl_guard BEFORE INSERT OR UPDATE ON fl_outbox FOR EACH ROW WHEN (NEW.change IS NOT NULL) EXECUTE FUNCTION fl_guard();
