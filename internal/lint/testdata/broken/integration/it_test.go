package integration

import (
	"testing"
	"time"
)

func TestNeedsServer(t *testing.T) {
	t.Skip("no server")
	time.Sleep(1) // want: sleep
}
