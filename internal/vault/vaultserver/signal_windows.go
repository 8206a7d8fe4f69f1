package vaultserver

import "os"

func signalStop(p *os.Process) error { return p.Kill() }

// alive tells whether a process of this id exists.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	return p.Release() == nil
}
