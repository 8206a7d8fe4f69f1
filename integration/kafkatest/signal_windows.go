package kafkatest

import (
	"errors"
	"os"
)

var errNoSignals = errors.New("processes cannot be paused on Windows")

func signalStop(p *os.Process) error   { return p.Kill() }
func signalPause(*os.Process) error    { return errNoSignals }
func signalDump(*os.Process) error     { return errNoSignals }
func signalContinue(*os.Process) error { return nil }
