CREATE TABLE payments (
    id     uuid PRIMARY KEY,
    payer  text NOT NULL,
    payee  text NOT NULL,
    amount numeric NOT NULL
);
