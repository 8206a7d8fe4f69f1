package devenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultRestAddress is where REST is served when nothing else is said.
const DefaultRestAddress = "127.0.0.1:8888"

// Options are what `fairlead dev` can be told.
type Options struct {
	// Dir is the data directory.
	Dir string
	// CacheDir keeps built applications and compiled modules for all data directories; empty keeps them in this one.
	// What lies there is run, so it must be its owner's alone.
	CacheDir string
	// SignerFile is the key that packages are signed with, made when it is missing; empty keeps it in Dir.
	SignerFile string
	// App is the folder of the application of all members; empty for none, and where Network names applications.
	App string
	// Network has the members; without any it is [DefaultNetwork].
	Network Network
	// Kafka are the addresses of a real Kafka; none for the embedded one. KafkaConfig is a client's properties file with
	// TLS and SASL for it.
	Kafka       []string
	KafkaConfig string
	Prefix      string
	// Postgres and Vault are servers of others, in place of those that dev brings.
	Postgres RealPostgres
	Vault    RealVault
	// Native runs the application's flows in a program of its own, for a debugger, instead of the sandbox.
	Native bool
	// TrustedOnly takes packages of trusted signers only: the developer's key, and those whose certificates are imported.
	// Otherwise every package is taken.
	TrustedOnly bool
	// Output gets what that program prints; everything is in dev.log too. Nil for nobody.
	Output io.Writer
	// Runs is told which process runs it, when that changes; nil for nobody.
	Runs func(pid int)
	// Arguments are those of the command line that starts the same cluster again, without secrets; for dev.json.
	Arguments []string
	// RestAddress is where REST is served.
	RestAddress string
	// Workers are worker types.
	Workers []string
	// Warnings gets what an operator should see at once; everything is in dev.log. Nil for nobody.
	Warnings slog.Handler
	Build    string
	// Step is told what was done, for people; nil for nobody.
	Step func(what string, took time.Duration)
	// Rebuilt is told how a changed application was taken; nil for nobody.
	Rebuilt func(flows []string, err error)
}

// Info is what others need to use a dev cluster: the content of dev.json.
type Info struct {
	PID             int           `json:"pid"`
	API             string        `json:"api"`
	CAFile          string        `json:"caFile"`
	CredentialsFile string        `json:"credentialsFile"`
	User            string        `json:"user"`
	PasswordFile    string        `json:"passwordFile"`
	Brokers         []string      `json:"brokers"`
	Prefix          string        `json:"prefix"`
	Monitor         string        `json:"monitor"`
	Data            string        `json:"data"`
	LogFile         string        `json:"logFile"`
	Workers         []string      `json:"workers"`
	VirtualNodes    []VirtualNode `json:"virtualNodes"`
	App             string        `json:"app"`
	Flows           []string      `json:"flows"`
	// TrustedOnly tells whether only packages of trusted signers are taken.
	TrustedOnly bool `json:"trustedOnly,omitempty"`
	// Arguments start the same cluster again.
	Arguments []string `json:"arguments,omitempty"`
	// Postgres and Vault are the addresses of servers of others; empty for the cluster's own.
	Postgres string `json:"postgres,omitempty"`
	Vault    string `json:"vault,omitempty"`
	// NativePID is the process that runs the flows natively, NativeAddress where such programs connect; empty without.
	NativePID     int    `json:"nativePid,omitempty"`
	NativeAddress string `json:"nativeAddress,omitempty"`
	StartedAt     string `json:"startedAt"`
	// Password is not written to dev.json.
	Password string `json:"-"`
	// Continued tells that the directory held data before.
	Continued bool `json:"-"`
}

func (c *Cluster) describe() {
	i := &c.info
	i.PID, i.Data, i.LogFile = os.Getpid(), c.dir.path, c.dir.join(logFile)
	i.CredentialsFile, i.PasswordFile = c.dir.join(credentialsFile), c.dir.join(passwordFile)
	i.Monitor, i.Workers, i.VirtualNodes = "http://"+c.app.MonitorAddress(), c.opts.Workers, c.nodes
	i.Arguments, i.TrustedOnly = c.opts.Arguments, c.opts.TrustedOnly
	i.StartedAt = time.Now().UTC().Format(time.RFC3339)
}

// Announce writes dev.json, by which other processes know that the cluster is ready.
func (c *Cluster) Announce() error { return writeJSON(c.dir.join(devFile), c.info) }

// ReadInfo reads what a running cluster tells about itself; an error that is [fs.ErrNotExist] tells that none runs.
func ReadInfo(dir string) (Info, error) {
	var i Info
	b, err := os.ReadFile(filepath.Join(dir, devFile))
	if err != nil {
		return i, fmt.Errorf("reading how the dev cluster is reached: %w", err)
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, devFile), err)
	}
	return i, nil
}

// Made tells whether a folder is a data directory.
func Made(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, formatFile))
	return err == nil && strings.HasPrefix(string(b), "fairlead-dev ")
}

// Running tells whether a process uses a data directory.
func Running(dir string) (bool, error) {
	lock, err := takeLock(filepath.Join(dir, lockFile))
	var held *LockedError
	if errors.As(err, &held) {
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return false, lock.Close()
}

// Serves tells whether a cluster is ready in a data directory. A directory that cannot be looked at has none.
func Serves(dir string) bool {
	if _, err := ReadInfo(dir); err != nil {
		return false
	}
	running, err := Running(dir)
	return err == nil && running
}

// LogFile is where a cluster writes its log.
func LogFile(dir string) string { return filepath.Join(dir, logFile) }
