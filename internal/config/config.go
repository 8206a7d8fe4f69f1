package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is everything that a worker process can be told. The tags are read by reflection: yaml is the key, doc
// what it means, and secret:"true" hides the value.
type Config struct {
	Kafka      Kafka      `yaml:"kafka"`
	Process    Process    `yaml:"process"`
	Monitor    Monitor    `yaml:"monitor"`
	Log        Log        `yaml:"log"`
	Engine     Engine     `yaml:"engine"`
	Rest       Rest       `yaml:"rest"`
	Flow       Flow       `yaml:"flow"`
	FlowMapper FlowMapper `yaml:"flow_mapper"`
}

// Kafka says how to reach the brokers.
type Kafka struct {
	Brokers      []string `yaml:"brokers" doc:"bootstrap addresses, host:port"`
	Prefix       string   `yaml:"prefix" doc:"put before the name of every topic, group and transaction"`
	TLS          bool     `yaml:"tls" doc:"encrypt connections to brokers"`
	CAFile       string   `yaml:"ca_file" doc:"PEM certificates that brokers are checked against; empty takes the system's"`
	CertFile     string   `yaml:"cert_file" doc:"PEM certificate chain that the process shows to brokers"`
	KeyFile      string   `yaml:"key_file" doc:"PEM key of cert_file"`
	SASL         string   `yaml:"sasl" doc:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty for none"`
	User         string   `yaml:"user" doc:"user of sasl"`
	Password     string   `yaml:"password" secret:"true" doc:"password of user; better given by password_file or the environment"`
	PasswordFile string   `yaml:"password_file" doc:"file that holds the password of user"`
}

// Process is what belongs to this one process.
type Process struct {
	Instance   string        `yaml:"instance" doc:"stable name of this replica, such as its StatefulSet ordinal; default the host's name"`
	DataDir    string        `yaml:"data_dir" doc:"directory of local tables; a cache, but losing it costs a recovery"`
	DrainTime  time.Duration `yaml:"drain_time" doc:"how long running work may take after a signal to stop"`
	LeaveGroup bool          `yaml:"leave_group" doc:"give partitions to others at once when stopping; for scaling down"`
}

// Monitor is the port of probes and metrics.
type Monitor struct {
	Address string `yaml:"address" doc:"address of /metrics, /status, /isHealthy and /startupz; empty for none"`
}

// Log is what is logged and how.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error"`
	Format string `yaml:"format" doc:"json or text"`
}

// Engine is the settings of the exactly-once engine, alike for all groups of the process.
type Engine struct {
	Sessions           int           `yaml:"sessions" doc:"members of each group in this process; 0 for one for each core"`
	MaxDelay           time.Duration `yaml:"max_delay" doc:"how long a transaction may grow while input keeps coming"`
	TransactionTimeout time.Duration `yaml:"transaction_timeout" doc:"after which brokers abort the transaction of a dead process"`
	SessionTimeout     time.Duration `yaml:"session_timeout" doc:"after which brokers give away the partitions of a dead process"`
	FetchMaxWait       time.Duration `yaml:"fetch_max_wait" doc:"how long a broker holds an empty fetch; 0 for the default"`
	Retries            int           `yaml:"retries" doc:"attempts before a record that keeps asking for a retry is dead-lettered"`
	UnsafeTopics       bool          `yaml:"unsafe_topics" doc:"start although topics that hold state have too few replicas; for development"`
}

// Rest is the settings of the rest worker.
type Rest struct {
	Address         string        `yaml:"address" doc:"address of the HTTPS interface"`
	CertificateFile string        `yaml:"certificate_file" doc:"PEM certificate chain; read again when it changes"`
	KeyFile         string        `yaml:"key_file" doc:"PEM key of certificate_file"`
	Plaintext       bool          `yaml:"plaintext" doc:"serve HTTP without TLS, for a proxy on the same host that adds it"`
	MaxBody         int64         `yaml:"max_body" doc:"longest request body in bytes"`
	MaxUpload       int64         `yaml:"max_upload" doc:"longest package file in bytes"`
	RequestTimeout  time.Duration `yaml:"request_timeout" doc:"how long a request to another worker waits for its answer"`
	StartTimeout    time.Duration `yaml:"start_timeout" doc:"how long POST /flow waits for the flow mapper"`
	MaxWait         time.Duration `yaml:"max_wait" doc:"longest wait that \"Prefer: wait=\" can ask for"`
	LoginFailures   int           `yaml:"login_failures" doc:"wrong passwords of a login from one address within login_window"`
	LoginWindow     time.Duration `yaml:"login_window" doc:"window of login_failures"`
}

// Flow is the settings of the flow worker.
type Flow struct {
	LiveInstances int           `yaml:"live_instances" doc:"flows kept in memory between their steps; 0 for the default"`
	LiveBytes     int64         `yaml:"live_bytes" doc:"memory of the flows kept, in bytes; 0 for the default"`
	Keep          time.Duration `yaml:"keep" doc:"how long journals outlive their flows; 0 for the default"`
}

// FlowMapper is the settings of the flow mapper.
type FlowMapper struct {
	MaxRunningPerVnode int           `yaml:"max_running_per_vnode" doc:"running flows of a virtual node in one partition; later starts wait"`
	MaxRunning         int           `yaml:"max_running" doc:"running flows of one partition"`
	Keep               time.Duration `yaml:"keep" doc:"how long mappings and statuses outlive their flows"`
}

// Default returns the settings before any source.
func Default() Config {
	host, err := os.Hostname()
	if err != nil {
		host = "fairlead-0"
	}
	return Config{
		Kafka:   Kafka{Brokers: []string{"localhost:9092"}},
		Process: Process{Instance: host, DataDir: filepath.Join(os.TempDir(), "fairlead"), DrainTime: 20 * time.Second},
		Monitor: Monitor{Address: ":7000"},
		Log:     Log{Level: "info", Format: "json"},
		Engine: Engine{
			MaxDelay: 100 * time.Millisecond, TransactionTimeout: 10 * time.Second, SessionTimeout: 10 * time.Second, Retries: 20,
		},
		Rest: Rest{
			Address: ":8888", MaxBody: 1 << 20, MaxUpload: 200_000_000, RequestTimeout: 30 * time.Second, StartTimeout: 20 * time.Second, MaxWait: time.Minute,
			LoginFailures: 10, LoginWindow: time.Minute,
		},
		FlowMapper: FlowMapper{MaxRunningPerVnode: 1000, MaxRunning: 10_000, Keep: 7 * 24 * time.Hour},
	}
}

// Validate says everything that is wrong, naming keys and remedies.
func (c Config) Validate() error {
	var errs []error
	add := func(key, format string, args ...any) { errs = append(errs, fmt.Errorf(key+": "+format, args...)) }
	if len(c.Kafka.Brokers) == 0 {
		add("kafka.brokers", "is empty; give at least one host:port")
	}
	for _, b := range c.Kafka.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			add("kafka.brokers", "%q is not host:port", b)
		}
	}
	if !safeName(c.Kafka.Prefix) {
		add("kafka.prefix", "%q may hold letters, digits, '.', '_' and '-' only", c.Kafka.Prefix)
	}
	if !safeName(c.Process.Instance) {
		add("process.instance", "%q may hold letters, digits, '.', '_' and '-' only", c.Process.Instance)
	}
	if !slices.Contains([]string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, c.Kafka.SASL) {
		add("kafka.sasl", "%q is not known; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.Kafka.SASL)
	}
	if c.Kafka.SASL != "" && c.Kafka.User == "" {
		add("kafka.user", "is empty, and kafka.sasl needs one")
	}
	if (c.Kafka.CertFile == "") != (c.Kafka.KeyFile == "") {
		add("kafka.cert_file", "and kafka.key_file belong together; give both or none")
	}
	if !c.Kafka.TLS && (c.Kafka.CAFile != "" || c.Kafka.CertFile != "") {
		add("kafka.tls", "is false, but certificates are given; set it to true or take them away")
	}
	for _, a := range []struct{ key, address string }{{"monitor.address", c.Monitor.Address}, {"rest.address", c.Rest.Address}} {
		if _, _, err := net.SplitHostPort(a.address); a.address != "" && err != nil {
			add(a.key, "%q is not host:port", a.address)
		}
	}
	if _, err := c.Log.SlogLevel(); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains([]string{"json", "text"}, c.Log.Format) {
		add("log.format", "%q is not known; use json or text", c.Log.Format)
	}
	if (c.Rest.CertificateFile == "") != (c.Rest.KeyFile == "") {
		add("rest.certificate_file", "and rest.key_file belong together; give both")
	}
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"engine.sessions", int64(c.Engine.Sessions)}, {"engine.retries", int64(c.Engine.Retries)}, {"rest.max_body", c.Rest.MaxBody},
		{"rest.login_failures", int64(c.Rest.LoginFailures)}, {"flow.live_instances", int64(c.Flow.LiveInstances)}, {"flow.live_bytes", c.Flow.LiveBytes},
		{"flow_mapper.max_running_per_vnode", int64(c.FlowMapper.MaxRunningPerVnode)}, {"flow_mapper.max_running", int64(c.FlowMapper.MaxRunning)},
		{"process.drain_time", int64(c.Process.DrainTime)}, {"engine.max_delay", int64(c.Engine.MaxDelay)},
		{"engine.fetch_max_wait", int64(c.Engine.FetchMaxWait)}, {"engine.transaction_timeout", int64(c.Engine.TransactionTimeout)}, {"engine.session_timeout", int64(c.Engine.SessionTimeout)},
		{"rest.start_timeout", int64(c.Rest.StartTimeout)}, {"rest.max_wait", int64(c.Rest.MaxWait)}, {"rest.login_window", int64(c.Rest.LoginWindow)},
		{"flow.keep", int64(c.Flow.Keep)}, {"flow_mapper.keep", int64(c.FlowMapper.Keep)},
	} {
		if n.value < 0 {
			add(n.key, "must not be negative")
		}
	}
	return errors.Join(errs...)
}

func safeName(s string) bool {
	ok, err := regexp.MatchString(`^[a-zA-Z0-9._-]*$`, s)
	return ok && err == nil
}

// SlogLevel returns the level for slog.
func (l Log) SlogLevel() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil || strings.ContainsAny(l.Level, "+-") {
		return 0, fmt.Errorf("log.level: %q is not known; use debug, info, warn or error", l.Level)
	}
	return level, nil
}

// SASLPassword returns the password for Kafka from the file, when one is named, else the value.
func (k Kafka) SASLPassword() (string, error) {
	if k.PasswordFile == "" {
		return k.Password, nil
	}
	b, err := os.ReadFile(k.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("kafka.password_file: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
