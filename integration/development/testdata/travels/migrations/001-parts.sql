CREATE TABLE parts (
    file text   NOT NULL,
    part bigint NOT NULL,
    data bytea  NOT NULL,
    PRIMARY KEY (file, part)
);
