CREATE TABLE messages (
    id          uuid PRIMARY KEY,
    sender      text NOT NULL,
    text        text NOT NULL,
    sent_at     timestamptz NOT NULL,
    received_at timestamptz NOT NULL
);

CREATE INDEX messages_by_sender ON messages (sender, received_at, id);
