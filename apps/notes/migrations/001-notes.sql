CREATE TABLE notes (
    id        uuid PRIMARY KEY,
    text      text NOT NULL,
    taken_at  timestamptz NOT NULL,
    key_id    text NOT NULL,
    scheme    text NOT NULL,
    signature bytea NOT NULL
);
