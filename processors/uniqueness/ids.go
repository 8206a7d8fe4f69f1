package uniqueness

// Stable ids of errors; see [Explanations].
const (
	idNoWayBack = "FL-UNIQUENESS-001"
	idDecode    = "FL-UNIQUENESS-002"
	idRequest   = "FL-UNIQUENESS-003"
	idTooLarge  = "FL-UNIQUENESS-004"
	idGivenUp   = "FL-UNIQUENESS-005"
	idRow       = "FL-UNIQUENESS-006"
)
