package pgserver

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// bindToParent makes the kernel stop the server when the thread that starts it ends.
func bindToParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
}

// ordinary is the user that root is inside of the namespace; any but 0 will do.
const ordinary = 1000

func enterNamespace(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: ordinary, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: ordinary, HostID: os.Getegid(), Size: 1}}
}

// namespaces tells whether this machine lets us make user namespaces.
func namespaces() bool {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	enterNamespace(cmd.SysProcAttr)
	return cmd.Run() == nil
}

// isPostgres tells whether a process is a Postgres server, and not one that got its number later.
func isPostgres(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.TrimSpace(string(b)) == "postgres"
}
