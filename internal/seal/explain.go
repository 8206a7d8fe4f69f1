package seal

// Explanations tells for each stable id what happened and what to do.
func Explanations() map[string]string {
	return map[string]string{
		"FL-SEAL-001": "A secret in the cluster's database does not open: postgres.seal_key_file names another key than the one it was sealed under, the row was moved or changed by hand, or it is damaged. " +
			"Give the worker the former key, or give the virtual node new credentials (PUT /virtualnode/…/db).",
		"FL-SEAL-002": "The file that postgres.seal_key_file names holds no key of 32 bytes. The message says how to make one. Database and persistence workers, and rest workers that take connections, need the same.",
	}
}
