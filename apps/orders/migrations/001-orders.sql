CREATE TABLE orders (
    id       uuid PRIMARY KEY,
    customer text NOT NULL,
    item     text NOT NULL,
    quantity bigint NOT NULL
);
