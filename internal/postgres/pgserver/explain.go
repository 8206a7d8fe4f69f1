package pgserver

// Explanations tells for each stable id what happened and what to do.
func Explanations() map[string]string {
	return map[string]string{
		"FL-PG-001": "A private Postgres was asked for and this machine has none that is recent enough. The message lists the places that were looked at and the commands that install it.",
		"FL-PG-002": "The data directory was made by another major version of Postgres. Name the programs of that version in FAIRLEAD_PG_BIN, or take another data directory.",
		"FL-PG-003": "Another Postgres server still runs on the data directory and does not stop. Stop the process that the message names.",
		"FL-PG-004": "Postgres refuses to run as root, and no ordinary user can enter the folder of the data directory. Choose a folder that all may enter, or start fairlead as another user.",
	}
}
