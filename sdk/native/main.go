//go:build !wasip1

package native

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
)

// Variable is the environment variable with the address of the cluster.
const Variable = "FAIRLEAD_NATIVE"

// Main runs the program's flows for a cluster until the cluster goes away, and says what the program is when there is
// none.
func Main() {
	address := os.Getenv(Variable)
	if address == "" {
		fmt.Fprintf(os.Stderr, "This is a fairlead application with the flows %s.\n"+
			"A cluster runs them as a WebAssembly module. To run them in this process, for a cluster on this machine,\n"+
			"set %s to the address where its flow worker waits for native programs.\n",
			strings.Join(registry.Names(), ", "), Variable)
		return
	}
	conn, err := net.Dial("tcp", address) //nolint:gosec // whoever starts the program says where its cluster is
	if err != nil {
		fmt.Fprintf(os.Stderr, "connect to the cluster at %s (%s): %v\n", address, Variable, err)
		os.Exit(1)
	}
	if err := Serve(conn); err != nil {
		fmt.Fprintln(os.Stderr, "serve the cluster:", err)
		os.Exit(1)
	}
}
