package tokens

// Stable ids of errors; see [Explanations].
const (
	idNoWayBack = "FL-TOKENS-001"
	idRequest   = "FL-TOKENS-002"
	idBusy      = "FL-TOKENS-003"
	idQuery     = "FL-TOKENS-004"
	idDead      = "FL-TOKENS-005"
	idRow       = "FL-TOKENS-006"
)
