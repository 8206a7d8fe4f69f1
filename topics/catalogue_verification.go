package topics

// Names of the verification worker's group and topics.
const (
	VerificationGroup = "verification"

	VerificationRequests    = "verification.requests"
	FlowRepliesVerification = "flow.replies.verification"
)

// verificationTopics are the verification worker's own. It keeps nothing: they are what the engine needs to run a record
// again, or to put it aside.
func verificationTopics() []Topic {
	own := group{name: VerificationGroup, data: Tenant}
	return append(own.always(), own.loop("", Tenant))
}
