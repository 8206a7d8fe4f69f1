package verification

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		idNoWayBack: "A request to the verification worker does not say who waits for its answer: header fl-request, fl-reply or fl-deadline is missing or malformed, or " +
			"fl-reply names a topic to which answers to verification.requests may not go. It is in verification.dlq; its writer is newer, or wrong.",
		idRequest: "A record on verification.requests cannot be right: its transaction or what proves the states cannot be decoded, its key is not the transaction's " +
			"id, or the packages are not those that the transaction names. It is in verification.dlq and nothing was verified. Flow workers never write such; look for " +
			"another writer of the topic.",
		idUnresolved: "A transaction could not be looked at, because a state that it consumes or looks at was not shown, or is not what its reference names. For each " +
			"transaction that made such states, the flow must give what ledger.Transaction.Source shows of it. It says nothing of whether the transaction is valid.",
		idMissing: "A transaction names a package, by the checksum of its file, that no installed CPI has, so nobody here can say whether its contracts hold; or a transaction does that " +
			"made a state which is consumed under a later version, and which of its several packages had the state's contract only its files tell. Upload a CPI " +
			"with that package, of exactly this version and build (`fairlead app package inspect` shows the checksums), then let the flow ask again. `fairlead cpi list` " +
			"shows what is there.",
		idUntrusted: "A transaction has a contract judged by a package whose signers are not those of the virtual node's own package with a contract of that name. The flow would read " +
			"such states as those of its own contract, so it is not told that they are right; of the transaction as such that says nothing. Who made the transaction uses another " +
			"application whose contract has the same name, or means to deceive. `fairlead cpi list -o json` shows the signers of the packages that are here.",
		idDead: "The verification worker could not work a request off and put it into verification.dlq, with the reason. It says nothing of whether the transaction is " +
			"valid. `fairlead tail verification.dlq --from start` shows it.",
	}
}
