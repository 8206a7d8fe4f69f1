-- The cluster's own id: made once, kept for ever.
CREATE TABLE cluster (
  one        boolean PRIMARY KEY DEFAULT true CHECK (one),
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO cluster DEFAULT VALUES;

CREATE TABLE config (
  section       text PRIMARY KEY,
  version       bigint NOT NULL CHECK (version > 0),
  schema_major  int NOT NULL,
  schema_minor  int NOT NULL,
  source        text NOT NULL,  -- as submitted, secrets masked
  value         text NOT NULL,  -- with defaults, secrets masked
  sealed        bytea,          -- as submitted, sealed; only where it holds secrets
  updated_at    bigint NOT NULL, -- microseconds UTC, as in the records
  updated_by    text NOT NULL
);

CREATE TABLE rbac_user (
  login_name          text PRIMARY KEY CHECK (login_name = lower(login_name)),
  full_name           text NOT NULL,
  enabled             boolean NOT NULL,
  parent_group        text NOT NULL,
  password_hash       text NOT NULL,
  password_expires_at bigint NOT NULL,
  version             bigint NOT NULL,
  credential_version  bigint NOT NULL,
  updated_at          bigint NOT NULL
);
CREATE TABLE rbac_role (
  id               text PRIMARY KEY,
  name             text NOT NULL,
  group_visibility text NOT NULL,
  version          bigint NOT NULL,
  updated_at       bigint NOT NULL,
  CONSTRAINT rbac_role_name UNIQUE (name, group_visibility)
);
CREATE TABLE rbac_permission (
  id               text PRIMARY KEY,
  effect           int NOT NULL,
  pattern          text NOT NULL,
  vnode            text NOT NULL,
  group_visibility text NOT NULL,
  version          bigint NOT NULL,
  updated_at       bigint NOT NULL
);
CREATE TABLE rbac_user_role (
  login_name text NOT NULL REFERENCES rbac_user,
  role_id    text NOT NULL REFERENCES rbac_role,
  place      int NOT NULL,
  since      bigint NOT NULL,
  PRIMARY KEY (login_name, role_id)
);
CREATE TABLE rbac_role_permission (
  role_id       text NOT NULL REFERENCES rbac_role,
  permission_id text NOT NULL REFERENCES rbac_permission,
  place         int NOT NULL,
  since         bigint NOT NULL,
  PRIMARY KEY (role_id, permission_id)
);

-- Parts of files on their way in.
CREATE TABLE cpi_upload (
  request_id text NOT NULL,
  part       int NOT NULL,
  data       bytea NOT NULL,
  at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (request_id, part)
);
CREATE TABLE cpi (
  checksum            text PRIMARY KEY,
  name                text NOT NULL,
  package_version     text NOT NULL,
  signer_summary_hash text NOT NULL,
  group_id            text NOT NULL,
  info                bytea NOT NULL,  -- fairlead.cpi.v1.Cpi, whole
  version             bigint NOT NULL,
  uploaded_at         bigint NOT NULL,
  uploaded_by         text NOT NULL,
  replaced_by         text NOT NULL DEFAULT ''
);
CREATE INDEX cpi_name ON cpi (name, package_version, signer_summary_hash);
-- The modules of packages, in the parts that are published.
CREATE TABLE cpi_chunk (
  key  text PRIMARY KEY,
  data bytea NOT NULL  -- fairlead.cpi.v1.Chunk
);
CREATE TABLE cpi_migration (
  checksum text NOT NULL REFERENCES cpi,
  cpk      text NOT NULL,
  place    int NOT NULL,
  name     text NOT NULL,
  sql      text NOT NULL,
  PRIMARY KEY (checksum, cpk, place)
);

CREATE TABLE virtual_node (
  short_hash   text PRIMARY KEY,
  x500_name    text NOT NULL,
  group_id     text NOT NULL,
  cpi_checksum text NOT NULL REFERENCES cpi,
  info         bytea NOT NULL,  -- fairlead.vnode.v1.VirtualNode, whole
  version      bigint NOT NULL,
  created_at   bigint NOT NULL,
  CONSTRAINT virtual_node_identity UNIQUE (x500_name, group_id)
);
CREATE TABLE vnode_connection (
  short_hash text NOT NULL,
  role       text NOT NULL CHECK (role IN ('ddl', 'dml')),
  login_name text NOT NULL,
  address    text NOT NULL,   -- postgres:// without credentials; empty: the cluster's own database of virtual nodes
  schema     text NOT NULL,
  password   bytea NOT NULL,  -- sealed; associated data: short hash, role
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (short_hash, role)
);

CREATE TABLE certificate (
  usage      text NOT NULL,
  vnode      text NOT NULL,
  alias      text NOT NULL,
  chain      text NOT NULL,
  version    bigint NOT NULL,
  updated_at bigint NOT NULL,
  PRIMARY KEY (usage, vnode, alias)
);

-- What takes a while: its status as it is published, and what its next step needs.
CREATE TABLE operation (
  request_id text PRIMARY KEY,
  entity     text NOT NULL,   -- key of the loop
  status     bytea NOT NULL,  -- fairlead.operation.v1.OperationStatus
  final      boolean NOT NULL,
  work       jsonb NOT NULL,
  last       jsonb NOT NULL,  -- what the last change told
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operation_open ON operation (updated_at) WHERE NOT final;

-- Requests and their answers: one that comes again gets its first answer.
CREATE TABLE request (
  id     text PRIMARY KEY,
  entity text NOT NULL,
  reply  bytea NOT NULL,  -- fairlead.rpc.v1.Reply
  at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX request_at ON request (at);
CREATE TABLE outbox (
  request_id text NOT NULL REFERENCES request ON DELETE CASCADE,
  place      int NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('fact', 'republish', 'continue')),
  topic      text NOT NULL,
  key        text NOT NULL,
  PRIMARY KEY (request_id, place)
);

CREATE TABLE audit (
  number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT now(),
  actor      text NOT NULL,
  action     text NOT NULL,
  entity     text NOT NULL,
  request_id text NOT NULL,
  before     jsonb,
  after      jsonb
);
CREATE INDEX audit_entity ON audit (entity, number);
-- Nobody rewrites what was done.
CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of table audit are only added';
END $$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_kept();
