package flows

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/fairleadio/fairlead/integration/replica"
)

// slot is a replica of all workers and where its REST is.
type slot struct {
	*replica.Replica
	address string
}

// url is where the worker's REST is.
func (s *slot) url() string { return "https://" + s.address }

// newSlot makes a replica with its local storage below dir and its log below logs.
func newSlot(id int, dir, logs, address, binary string, args ...string) *slot {
	name := fmt.Sprintf("worker-%d", id)
	storage := filepath.Join(dir, name)
	all := append([]string{
		"worker", "flow,flow-mapper,rest", "--set", "process.instance=" + name, "--set", "process.data_dir=" + storage, "--set", "rest.address=" + address,
	}, args...)
	return &slot{replica.New(replica.Options{
		ID: id, Dir: storage, Log: filepath.Join(logs, name+".log"), Command: func() *exec.Cmd { return exec.Command(binary, all...) },
	}), address}
}
