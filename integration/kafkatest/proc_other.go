//go:build !linux

package kafkatest

import "os/exec"

// bindToParent does nothing here: only Linux can tie a child's life to its parent's.
func bindToParent(*exec.Cmd) {}
