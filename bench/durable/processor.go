package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is how many ticks of /proc a second has on Linux.
const ticks = 100

// process is what /proc tells about one.
type process struct {
	parent int
	used   time.Duration
}

// parseStat reads a line of /proc/PID/stat.
func parseStat(raw string) (process, error) {
	// The name of the program, in parentheses, may hold anything.
	at := strings.LastIndex(raw, ") ")
	if at < 0 {
		return process{}, fmt.Errorf("read a process's time: %q", raw)
	}
	fields := strings.Fields(raw[at+2:])
	const parent, user, system = 1, 11, 12
	if len(fields) <= system {
		return process{}, fmt.Errorf("read a process's time: %q", raw)
	}
	var n [3]int64
	for i, field := range []int{parent, user, system} {
		var err error
		if n[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return process{}, fmt.Errorf("read a process's time: %w", err)
		}
	}
	return process{int(n[0]), time.Duration(n[1]+n[2]) * time.Second / ticks}, nil
}

// below sums up what the descendants of a process have used, without its own.
func below(all map[int]process, ancestor int) time.Duration {
	sum := time.Duration(0)
	for pid, p := range all {
		// A chain of parents has no circle, but it is read while processes end: bounded.
		for up, depth := p.parent, 0; up > 0 && pid != ancestor && depth < 64; up, depth = all[up].parent, depth+1 {
			if up == ancestor {
				sum += p.used
				break
			}
		}
	}
	return sum
}

// processorTime is what this program's children that run have used, in user and system mode: servers and worker of the
// subject at hand, for only one runs at a time, and not the caller's own. It is read from /proc.
func processorTime() (time.Duration, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("read processes' time, which needs Linux: %w", errors.Join(err, fs.ErrNotExist))
	}
	all := map[int]process{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("read processes' time: %w", err)
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return 0, fmt.Errorf("read processes' time: %w", err)
		}
		if all[pid], err = parseStat(string(raw)); err != nil {
			return 0, err
		}
	}
	return below(all, os.Getpid()), nil
}
