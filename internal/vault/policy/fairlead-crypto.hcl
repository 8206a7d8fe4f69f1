# What the crypto worker may do in Vault, and no more. The mount is fairlead-transit; docs/operate/keys.md says how to
# use another one. internal/vault tests on a real server that the rest is denied.

# Make keys of the four kinds that are used, and read their public halves. No other parameter is allowed: exportable,
# allow_plaintext_backup, derived and auto_rotate_period stay off.
path "fairlead-transit/keys/+" {
  capabilities = ["create", "update", "read"]
  allowed_parameters = {
    "type" = ["ecdsa-p256", "ed25519", "rsa-3072", "aes256-gcm96"]
  }
}

# Sign, open what was sealed to an RSA key, and make data keys.
path "fairlead-transit/sign/+" {
  capabilities = ["create", "update"]
}
path "fairlead-transit/decrypt/+" {
  capabilities = ["create", "update"]
}
path "fairlead-transit/datakey/plaintext/+" {
  capabilities = ["create", "update"]
}

# What no other policy of the same token shall add by a wildcard of its own: getting keys out, weakening, rotating or
# deleting them.
path "fairlead-transit/export/*" {
  capabilities = ["deny"]
}
path "fairlead-transit/byok-export/*" {
  capabilities = ["deny"]
}
path "fairlead-transit/backup/*" {
  capabilities = ["deny"]
}
path "fairlead-transit/restore" {
  capabilities = ["deny"]
}
path "fairlead-transit/restore/*" {
  capabilities = ["deny"]
}
path "fairlead-transit/keys/+/config" {
  capabilities = ["deny"]
}
path "fairlead-transit/keys/+/rotate" {
  capabilities = ["deny"]
}
path "fairlead-transit/keys/+/trim" {
  capabilities = ["deny"]
}
path "fairlead-transit/keys/+/import" {
  capabilities = ["deny"]
}
path "fairlead-transit/keys/+/import_version" {
  capabilities = ["deny"]
}
path "fairlead-transit/config/*" {
  capabilities = ["deny"]
}

# The token's own life, and what it may do: the worker checks at the start that this policy is in force.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}
