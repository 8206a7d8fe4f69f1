-- What changed something here, and what was answered: a request that comes again gets its first answer. The row
-- commits with the effect. Ids of requests begin with "r:", those that applications give with "d:".
CREATE TABLE fl_request (
  id         text PRIMARY KEY,
  answer     bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX fl_request_created_at ON fl_request (created_at);
