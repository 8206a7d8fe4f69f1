//go:build unix

package kafkatest

import (
	"os"
	"syscall"
)

func signalStop(p *os.Process) error     { return p.Signal(syscall.SIGTERM) }
func signalDump(p *os.Process) error     { return p.Signal(syscall.SIGQUIT) }
func signalPause(p *os.Process) error    { return p.Signal(syscall.SIGSTOP) }
func signalContinue(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
