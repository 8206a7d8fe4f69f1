package crypto

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		"FL-CRYPTO-001": "A request to the crypto worker does not say who waits for its answer: header fl-request or fl-reply is missing, or fl-reply names a " +
			"topic to which answers of that input may not go. It is in crypto.dlq; its writer is newer, or wrong.",
		"FL-CRYPTO-002": "A request to the crypto worker holds no operation that this version knows: its writer is newer, or wrong. " +
			"It is in crypto.dlq; upgrade the worker and redrive it.",
		"FL-CRYPTO-003": "A worker asked the crypto worker for something that its class may never ask for; docs/security/crypto.md has the table. Nothing was " +
			"signed, and the refusal is in fairlead.audit. It is a mistake in that worker, or somebody who has taken it over.",
		"FL-CRYPTO-004": "What was to be signed is not of the form that its purpose has, so a signature could have been taken for something else. Nothing was " +
			"signed, and the refusal is in fairlead.audit. The message says what form is wanted.",
		"FL-CRYPTO-005": "The tenant has no key of this id. `fairlead key list` shows what it has; a key that was just made is known everywhere within two seconds.",
		"FL-CRYPTO-006": "Vault has no keys of this scheme, or the category does not take it; the message lists what can be asked for.",
		"FL-CRYPTO-007": "A field of the request is missing or wrong; the message names it and says what it may be.",
		"FL-CRYPTO-008": "The alias has a key already, of another category or scheme. An alias has one key for ever: choose another.",
		"FL-CRYPTO-009": "The signature scheme does not fit the key, or TLS 1.3 does not have it; the message lists those that fit.",
		"FL-CRYPTO-010": "Vault answered this one request with an error that asking again will not change, while it serves others. Its words are in the message: " +
			"a key that was deleted in Vault, a policy that forbids one key, or an envelope that was sealed to another key.",
		"FL-CRYPTO-011": "The key that Vault has under the new name is not what was asked for, or could leave Vault. Somebody else writes to the mount: look at " +
			"Vault's audit log, and see that only the crypto worker's policy reaches it (docs/operate/keys.md).",
		"FL-CRYPTO-012": "Two keys of a tenant would have the same 48-bit id. It happens once in millions of keys; ask again under another alias.",
		"FL-CRYPTO-013": "The crypto worker could not work the request off and put it into crypto.dlq, with the reason. `fairlead tail crypto.dlq --from start` shows it.",
		"FL-CRYPTO-014": "Vault cannot serve: it is sealed, cannot be reached, takes no token, or its policy forbids what the crypto worker needs; the reason says " +
			"which. The worker has stopped fetching requests, which wait in Kafka, and goes on by itself when Vault is back. Unseal it, or see docs/operate/keys.md.",
	}
}
