package persistence

// Ids of errors beside those of declarations and rows ([rows.Explanations]).
const (
	IDVnode     = "FL-PERSISTENCE-008"
	IDTimeout   = "FL-PERSISTENCE-009"
	IDRequest   = "FL-PERSISTENCE-010"
	IDGivenUp   = "FL-PERSISTENCE-011"
	IDAway      = "FL-PERSISTENCE-012"
	IDGap       = "FL-PERSISTENCE-013"
	IDBehind    = "FL-PERSISTENCE-014"
	IDFeedTopic = "FL-PERSISTENCE-015"
	// 016 to 019 are those of the ledger's tables, in ledgerstore.
	IDNoLedger  = "FL-PERSISTENCE-020"
	IDParked    = "FL-PERSISTENCE-030"
	IDStripped  = "FL-PERSISTENCE-031"
	IDElsewhere = "FL-PERSISTENCE-032"
)
