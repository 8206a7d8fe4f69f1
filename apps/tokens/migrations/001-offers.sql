CREATE TABLE offers (
    id           uuid PRIMARY KEY,
    counterparty text NOT NULL,
    give_issuer  text NOT NULL,
    give_symbol  text NOT NULL,
    give_amount  text NOT NULL,
    take_issuer  text NOT NULL,
    take_symbol  text NOT NULL,
    take_amount  text NOT NULL
);

CREATE TABLE takings (
    offer   uuid PRIMARY KEY,
    session text NOT NULL
);
