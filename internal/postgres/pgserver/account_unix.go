//go:build unix

package pgserver

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who the server runs as. The zero value is who this process is.
type account struct {
	uid, gid int
	drop     bool
	// namespace runs the server in a user namespace in which root is an ordinary user.
	namespace bool
}

// accountFor finds who can run Postgres in a folder.
func accountFor(dir string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 != nil || err2 != nil || uid == 0 {
			continue
		}
		if canEnter(filepath.Dir(dir), uid, gid) {
			return account{uid: uid, gid: gid, drop: true}, nil
		}
	}
	if namespaces() {
		return account{namespace: true}, nil
	}
	return account{}, fmt.Errorf("FL-PG-004: Postgres does not run as root, and no other user can enter %s: take a folder below one that all may enter, or start fairlead as another user", dir)
}

// canEnter tells whether a user may pass through a folder and all above it.
func canEnter(dir string, uid, gid int) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		bit := os.FileMode(0o001)
		switch {
		case int(st.Uid) == uid:
			bit = 0o100
		case int(st.Gid) == gid:
			bit = 0o010
		}
		if info.Mode().Perm()&bit == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// own gives files to the account.
func (a account) own(names ...string) error {
	if !a.drop {
		return nil
	}
	for _, name := range names {
		if err := os.Chown(name, a.uid, a.gid); err != nil {
			return fmt.Errorf("give %s to the user that Postgres runs as: %w", name, err)
		}
	}
	return nil
}

func (a account) apply(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A Ctrl-C at the terminal is for this process, which then stops the server in order.
	cmd.SysProcAttr.Setpgid = true
	if a.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), NoSetGroups: false}
	}
	if a.namespace {
		enterNamespace(cmd.SysProcAttr)
	}
}

// askToStop asks Postgres for its fast shutdown.
func askToStop(p *os.Process) error { return p.Signal(syscall.SIGINT) }
