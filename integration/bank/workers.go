package bank

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/fairleadio/fairlead/integration/replica"
)

// newSlot makes a replica with its local storage below dir and its log below logs.
func newSlot(id int, dir, logs, binary string, args ...string) *replica.Replica {
	name := fmt.Sprintf("worker-%d", id)
	storage := filepath.Join(dir, name+".db")
	all := append([]string{"-instance", fmt.Sprint(id), "-dir", storage}, args...)
	return replica.New(replica.Options{
		ID: id, Dir: storage, Log: filepath.Join(logs, name+".log"), ExitCode: ExitCode,
		Command: func() *exec.Cmd { return exec.Command(binary, all...) },
	})
}
