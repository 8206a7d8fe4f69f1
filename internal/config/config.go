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
	"strconv"
	"strings"
	"time"
)

// Config is everything that a worker process can be told. The tags are read by reflection: yaml is the key, doc
// what it means, and secret:"true" hides the value.
type Config struct {
	Kafka        Kafka        `yaml:"kafka"`
	Process      Process      `yaml:"process"`
	Monitor      Monitor      `yaml:"monitor"`
	Log          Log          `yaml:"log"`
	Engine       Engine       `yaml:"engine"`
	Rest         Rest         `yaml:"rest"`
	Flow         Flow         `yaml:"flow"`
	FlowMapper   FlowMapper   `yaml:"flow_mapper"`
	Postgres     Postgres     `yaml:"postgres"`
	Database     Database     `yaml:"database"`
	Persistence  Persistence  `yaml:"persistence"`
	Verification Verification `yaml:"verification"`
	Bootstrap    Bootstrap    `yaml:"bootstrap"`
	Vault        Vault        `yaml:"vault"`
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
	GCPercent  int           `yaml:"gc_percent" doc:"how much the heap may grow between two garbage collections, percent of what is in use; 0 leaves it to Go, and GOGC wins"`
}

// Monitor is the port of probes and metrics.
type Monitor struct {
	Address  string `yaml:"address" doc:"address of /metrics, /status, /isHealthy and /startupz; empty for none"`
	Profiles bool   `yaml:"profiles" doc:"serve Go's profiles on the same address, below /debug/pprof/; they show what lies in memory, so only where nobody else reaches it"`
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

// Postgres says how to reach the databases: the cluster's own and that of the virtual nodes, which may be the same server
// and must not be the same database.
type Postgres struct {
	URL               string `yaml:"url" doc:"the cluster's database: postgres://user@host:port/database?sslmode=verify-full"`
	Password          string `yaml:"password" secret:"true" doc:"password for url; better given by password_file"`
	PasswordFile      string `yaml:"password_file" doc:"file that holds the password for url"`
	VnodeURL          string `yaml:"vnode_url" doc:"the database of virtual nodes, where tenants' SQL runs; as a role that may make schemas and roles"`
	VnodePassword     string `yaml:"vnode_password" secret:"true" doc:"password for vnode_url; better given by vnode_password_file"`
	VnodePasswordFile string `yaml:"vnode_password_file" doc:"file that holds the password for vnode_url"`
	MaxConnections    int    `yaml:"max_connections" doc:"connections of this process to the cluster's database"`
	SealKeyFile       string `yaml:"seal_key_file" doc:"file with the 32-byte key of sealed credentials; the same for database and persistence workers, and for rest workers that take connections of databases"`
}

// Database is the settings of the database worker.
type Database struct {
	AnySigner bool          `yaml:"any_signer" doc:"take packages of every signer, and unsigned ones; for development"`
	Reconcile time.Duration `yaml:"reconcile" doc:"how often topics are compared with the database"`
	Keep      time.Duration `yaml:"keep" doc:"how long requests and their answers are remembered"`
}

// Persistence is the settings of the persistence worker.
type Persistence struct {
	MaxConnections         int           `yaml:"max_connections" doc:"connections of this process to databases of virtual nodes"`
	MaxConnectionsPerVnode int           `yaml:"max_connections_per_vnode" doc:"how many of them one virtual node may have"`
	TimeLimit              time.Duration `yaml:"time_limit" doc:"how long the statements of one request may take; at most a fifth of engine.transaction_timeout"`
	Keep                   time.Duration `yaml:"keep" doc:"how long answers are remembered, for requests that come again"`
	SweepEvery             time.Duration `yaml:"sweep_every" doc:"how often a change feed looks for changes that nobody told of"`
}

// Verification is the settings of the verification worker. What a contract may use is no setting: it must be the same
// everywhere.
type Verification struct {
	Concurrency  int           `yaml:"concurrency" doc:"contracts that run at once; 0 for as many as there are cores"`
	CacheEntries int           `yaml:"cache_entries" doc:"answers that are remembered"`
	PackageWait  time.Duration `yaml:"package_wait" doc:"how long a request waits for a package that the cluster does not have, before it is answered so"`
}

// Bootstrap is the first administrator. Once the user exists, these settings change nothing.
type Bootstrap struct {
	AdminUser         string `yaml:"admin_user" doc:"login name of the first administrator; empty makes none"`
	AdminPassword     string `yaml:"admin_password" secret:"true" doc:"first password; better given by admin_password_file"`
	AdminPasswordFile string `yaml:"admin_password_file" doc:"file that holds the first password"`
}

// Vault is how the crypto worker reaches Vault; the other workers have none.
type Vault struct {
	Address         string        `yaml:"address" doc:"URL of Vault or OpenBao, https://vault:8200"`
	CAFile          string        `yaml:"ca_file" doc:"PEM certificates that the server is checked against; empty takes the system's"`
	Namespace       string        `yaml:"namespace" doc:"namespace of the mount and the login; empty for none"`
	Mount           string        `yaml:"mount" doc:"path of the transit engine"`
	Auth            string        `yaml:"auth" doc:"kubernetes, approle or token"`
	AuthPath        string        `yaml:"auth_path" doc:"where the auth method is mounted below auth/; empty takes its name"`
	Role            string        `yaml:"role" doc:"role of auth kubernetes"`
	JWTFile         string        `yaml:"jwt_file" doc:"the service account's token, for auth kubernetes"`
	RoleIDFile      string        `yaml:"role_id_file" doc:"file with the role id, for auth approle"`
	SecretIDFile    string        `yaml:"secret_id_file" doc:"file with the secret id, for auth approle"`
	SecretIDWrapped bool          `yaml:"secret_id_wrapped" doc:"secret_id_file holds a response-wrapping token, which is good once"`
	TokenFile       string        `yaml:"token_file" doc:"file with a token, for auth token; for development"`
	Timeout         time.Duration `yaml:"timeout" doc:"how long one request to Vault may take"`
	Concurrency     int           `yaml:"concurrency" doc:"requests to Vault that run at once"`
}

// Default returns the settings before any source.
func Default() Config {
	host, err := os.Hostname()
	if err != nil {
		host = "fairlead-0"
	}
	return Config{
		Kafka:   Kafka{Brokers: []string{"localhost:9092"}},
		Process: Process{Instance: host, DataDir: filepath.Join(os.TempDir(), "fairlead"), DrainTime: 20 * time.Second, GCPercent: 200},
		Monitor: Monitor{Address: ":7000"},
		Log:     Log{Level: "info", Format: "json"},
		Engine: Engine{
			MaxDelay: 100 * time.Millisecond, TransactionTimeout: 10 * time.Second, SessionTimeout: 10 * time.Second, Retries: 20,
		},
		Rest: Rest{
			Address: ":8888", MaxBody: 1 << 20, MaxUpload: 200_000_000, RequestTimeout: 30 * time.Second, StartTimeout: 20 * time.Second, MaxWait: time.Minute,
			LoginFailures: 10, LoginWindow: time.Minute,
		},
		FlowMapper:   FlowMapper{MaxRunningPerVnode: 1000, MaxRunning: 10_000, Keep: 7 * 24 * time.Hour},
		Postgres:     Postgres{MaxConnections: 10},
		Database:     Database{Reconcile: 30 * time.Second, Keep: 8 * 24 * time.Hour},
		Persistence:  Persistence{MaxConnections: 40, MaxConnectionsPerVnode: 4, TimeLimit: 2 * time.Second, Keep: 8 * 24 * time.Hour, SweepEvery: 10 * time.Minute},
		Verification: Verification{CacheEntries: 10_000, PackageWait: 2 * time.Second},
		Vault: Vault{
			Mount: "fairlead-transit", Auth: "kubernetes", Role: "fairlead-crypto",
			JWTFile: "/var/run/secrets/kubernetes.io/serviceaccount/token", Timeout: 3 * time.Second, Concurrency: 16,
		},
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
			hint := ""
			if _, err := strconv.ParseUint(a.address, 10, 16); err == nil {
				hint = fmt.Sprintf(": use :%s for all addresses of this machine, or 127.0.0.1:%s", a.address, a.address)
			}
			add(a.key, "%q is not host:port%s", a.address, hint)
		}
	}
	if _, err := c.Log.SlogLevel(); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains([]string{"json", "text"}, c.Log.Format) {
		add("log.format", "%q is not known; use json or text", c.Log.Format)
	}
	if !slices.Contains([]string{"kubernetes", "approle", "token"}, c.Vault.Auth) {
		add("vault.auth", "%q is not known; use kubernetes, approle or token", c.Vault.Auth)
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
		{"process.drain_time", int64(c.Process.DrainTime)}, {"process.gc_percent", int64(c.Process.GCPercent)},
		{"engine.max_delay", int64(c.Engine.MaxDelay)},
		{"engine.fetch_max_wait", int64(c.Engine.FetchMaxWait)}, {"engine.transaction_timeout", int64(c.Engine.TransactionTimeout)}, {"engine.session_timeout", int64(c.Engine.SessionTimeout)},
		{"rest.start_timeout", int64(c.Rest.StartTimeout)}, {"rest.max_wait", int64(c.Rest.MaxWait)}, {"rest.login_window", int64(c.Rest.LoginWindow)},
		{"flow.keep", int64(c.Flow.Keep)}, {"flow_mapper.keep", int64(c.FlowMapper.Keep)},
		{"postgres.max_connections", int64(c.Postgres.MaxConnections)}, {"persistence.max_connections", int64(c.Persistence.MaxConnections)},
		{"persistence.max_connections_per_vnode", int64(c.Persistence.MaxConnectionsPerVnode)}, {"persistence.time_limit", int64(c.Persistence.TimeLimit)},
		{"persistence.keep", int64(c.Persistence.Keep)}, {"persistence.sweep_every", int64(c.Persistence.SweepEvery)},
		{"database.reconcile", int64(c.Database.Reconcile)}, {"database.keep", int64(c.Database.Keep)},
		{"verification.concurrency", int64(c.Verification.Concurrency)}, {"verification.cache_entries", int64(c.Verification.CacheEntries)},
		{"verification.package_wait", int64(c.Verification.PackageWait)},
		{"vault.timeout", int64(c.Vault.Timeout)}, {"vault.concurrency", int64(c.Vault.Concurrency)},
	} {
		if n.value < 0 {
			add(n.key, "must not be negative")
		}
	}
	if t := c.Engine.TransactionTimeout; c.Persistence.TimeLimit > t/5 {
		add("persistence.time_limit", "is %s, and must be at most a fifth of engine.transaction_timeout (%s): a request must be done within its transaction", c.Persistence.TimeLimit, t)
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
	return fromFile("kafka.password_file", k.PasswordFile, k.Password)
}

// Passwords returns those of the two databases.
func (p Postgres) Passwords() (cluster, vnodes string, err error) {
	if cluster, err = fromFile("postgres.password_file", p.PasswordFile, p.Password); err != nil {
		return "", "", err
	}
	vnodes, err = fromFile("postgres.vnode_password_file", p.VnodePasswordFile, p.VnodePassword)
	return cluster, vnodes, err
}

// Password returns the first administrator's.
func (b Bootstrap) Password() (string, error) {
	return fromFile("bootstrap.admin_password_file", b.AdminPasswordFile, b.AdminPassword)
}

// fromFile reads a secret from its file, when one is named; else it is the value.
func fromFile(key, file, value string) (string, error) {
	if file == "" {
		return value, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
