// Package wait is a harness that sleeps.
package wait

import "time"

// Wait sleeps.
func Wait() {
	time.Sleep(1) // want: sleep
	<-time.After(1)
}
