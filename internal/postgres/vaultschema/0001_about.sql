-- What this schema is, for people who find it.
CREATE TABLE fairlead_about (
  name  text PRIMARY KEY,
  value text NOT NULL
);
INSERT INTO fairlead_about (name, value) VALUES ('made_by', 'fairlead'), ('layout', '1');
