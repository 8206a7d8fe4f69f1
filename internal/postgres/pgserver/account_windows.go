package pgserver

import (
	"os"
	"os/exec"
)

// account is who the server runs as: who this process is.
type account struct{}

func accountFor(string) (account, error) { return account{}, nil }

func (account) own(...string) error { return nil }
func (account) apply(*exec.Cmd)     {}

func bindToParent(*exec.Cmd) {}

// askToStop ends the server; Windows has no gentler way for a child without console. The next start recovers.
func askToStop(p *os.Process) error { return p.Kill() }

func isPostgres(int) bool { return false }
