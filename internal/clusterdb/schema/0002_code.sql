-- Packages of code whose contracts verify transactions, by their files. They stay when a CPI is replaced, and some came from
-- other parties.
CREATE TABLE code (
  sha256      text PRIMARY KEY CHECK (sha256 = upper(sha256)),
  info        bytea NOT NULL,           -- fairlead.cpi.v1.Code
  size_bytes  bigint NOT NULL,
  received_by text NOT NULL,            -- virtual node whose flow took it from another party; empty: an operator uploaded it
  at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX code_received_by ON code (received_by) WHERE received_by <> '';
-- Their files, in the parts that flows read. They are there before the row of code is.
CREATE TABLE code_part (
  sha256 text NOT NULL,
  part   int NOT NULL,
  data   bytea NOT NULL,
  PRIMARY KEY (sha256, part)
);
-- Whose flow an upload is of; empty for operators'.
ALTER TABLE cpi_upload ADD COLUMN vnode text NOT NULL DEFAULT '';
CREATE INDEX cpi_upload_vnode ON cpi_upload (vnode) WHERE vnode <> '';
