package kafkatest

import (
	"fmt"
	"os"
)

// SummaryVariable names the file to which [Note] appends; `make test` sets it and prints the file at the end.
const SummaryVariable = "FAIRLEAD_TEST_SUMMARY"

// Note adds a line such as "real Kafka: yes (…)" to the summary of the run. Lines may repeat; who prints the summary
// prints each once. Without a summary file it does nothing.
func Note(format string, args ...any) error {
	path := os.Getenv(SummaryVariable)
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the summary of the run: %w", err)
	}
	// One write, so that lines of several processes do not mix.
	_, err = f.WriteString(fmt.Sprintf(format, args...) + "\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write the summary of the run: %w", err)
	}
	return nil
}
