package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ticks is how many ticks of /proc a second has on Linux.
const ticks = 100

// Process is a process of this machine at one moment.
type Process struct {
	PID, Parent int
	// Name is the program's, of at most 15 bytes.
	Name string
	// Own is the processor time that it has used, Ended that of its children that have ended.
	Own, Ended time.Duration
}

// CPU is the processor time that a process has used, without its children's. It needs Linux.
func CPU(pid int) (time.Duration, error) {
	p, err := read(pid)
	return p.Own, err
}

func read(pid int) (Process, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Process{}, fmt.Errorf("read a process's time, which needs Linux: %w", err)
	}
	return parse(pid, string(raw))
}

// parse reads /proc/PID/stat.
func parse(pid int, raw string) (Process, error) {
	// The name of the program, in parentheses, may hold anything.
	open, end := strings.IndexByte(raw, '('), strings.LastIndexByte(raw, ')')
	const parent, user, system, endedUser, endedSystem = 1, 11, 12, 13, 14
	if open < 0 || end < open {
		return Process{}, fmt.Errorf("read a process's time: %q", raw)
	}
	fields := strings.Fields(raw[end+1:])
	if len(fields) <= endedSystem {
		return Process{}, fmt.Errorf("read a process's time: %q", raw)
	}
	p := Process{PID: pid, Name: raw[open+1 : end]}
	var err error
	if p.Parent, err = strconv.Atoi(fields[parent]); err != nil {
		return Process{}, fmt.Errorf("read a process's parent: %w", err)
	}
	for at, to := range map[int]*time.Duration{user: &p.Own, system: &p.Own, endedUser: &p.Ended, endedSystem: &p.Ended} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return Process{}, fmt.Errorf("read a process's time: %w", err)
		}
		*to += time.Duration(n) * time.Second / ticks
	}
	return p, nil
}

// Processes are all processes of this machine.
type Processes map[int]Process

// Snapshot looks at all processes. It needs Linux.
func Snapshot() (Processes, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes, which needs Linux: %w", err)
	}
	all := Processes{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		p, err := read(pid)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err != nil && !alive(pid): // it ended meanwhile
		case err != nil:
			return nil, err
		default:
			all[pid] = p
		}
	}
	return all, nil
}

func alive(pid int) bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	return err == nil
}

// Children are the processes that a process has started and that run.
func (all Processes) Children(pid int) (out []Process) {
	for _, p := range all {
		if p.Parent == pid {
			out = append(out, p)
		}
	}
	return out
}

// Tree is the processor time of a process with all that it has started, ended ones included.
func (all Processes) Tree(pid int) time.Duration {
	sum := all[pid].Own + all[pid].Ended
	for _, c := range all.Children(pid) {
		sum += all.Tree(c.PID)
	}
	return sum
}

// Machine says what a run was on, for the record; note tells what else the machine did.
func Machine(note string) string {
	return fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, note)
}

// Pause lets time pass, when it is time that is measured.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
