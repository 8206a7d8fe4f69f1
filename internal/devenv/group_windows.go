package devenv

import "syscall"

// ownGroup keeps a process from the keys of the terminal: Ctrl-C is for fairlead, which then ends it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
