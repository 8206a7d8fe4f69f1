package cli

import (
	"os"
	"os/user"
	"time"
)

// OS is the real world: the process's own streams, environment, user and clock.
func OS() IO {
	return IO{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv, Now: time.Now,
		By: who(), Interactive: terminal(os.Stdin) && terminal(os.Stderr), Colour: terminal(os.Stdout),
	}
}

// who is user@host as the operating system knows them.
func who() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// terminal tells whether a file is a character device.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
