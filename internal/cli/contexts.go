package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// Settings say which cluster a command talks to. They are what a context holds.
type Settings struct {
	// Brokers are Kafka's bootstrap addresses.
	Brokers []string `yaml:"brokers,omitempty" json:"brokers,omitempty"`
	// KafkaConfig names a Kafka client properties file.
	KafkaConfig string `yaml:"kafka_config,omitempty" json:"kafka_config,omitempty"`
	// Prefix of the cluster.
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
	// ClusterID is Kafka's id of the cluster; when set, changes are refused on any other.
	ClusterID string `yaml:"cluster_id,omitempty" json:"cluster_id,omitempty"`
	// Profile of the topics, production or dev; empty for production.
	Profile string `yaml:"profile,omitempty" json:"profile,omitempty"`
	// Workers are where the workers' processes serve /status: what monitor.address says, host:port or a URL.
	Workers []string `yaml:"workers,omitempty" json:"workers,omitempty"`
	// API is the URL of the REST API, User who logs in there, PasswordFile and CAFile name files.
	API          string `yaml:"api,omitempty" json:"api,omitempty"`
	User         string `yaml:"user,omitempty" json:"user,omitempty"`
	PasswordFile string `yaml:"password_file,omitempty" json:"password_file,omitempty"`
	CAFile       string `yaml:"ca_file,omitempty" json:"ca_file,omitempty"`
}

// Contexts is the content of the configuration file.
type Contexts struct {
	// Current is the context that is used when none is named.
	Current  string              `yaml:"current,omitempty" json:"current"`
	Contexts map[string]Settings `yaml:"contexts,omitempty" json:"contexts"`
}

// ContextsPath is where the contexts are kept: FAIRLEAD_CONFIG, else fairlead/config.yaml in XDG_CONFIG_HOME, else in
// the user's configuration directory.
func ContextsPath(env func(string) string) (string, error) {
	if p := env(envConfig); p != "" {
		return p, nil
	}
	dir := env("XDG_CONFIG_HOME")
	if dir == "" {
		if home := env("HOME"); home != "" {
			dir = filepath.Join(home, ".config")
		} else if data := env("AppData"); data != "" {
			dir = data
		} else {
			return "", errors.New("the configuration directory is not known: set FAIRLEAD_CONFIG to a file")
		}
	}
	return filepath.Join(dir, "fairlead", "config.yaml"), nil
}

// LoadContexts reads the configuration file. A file that does not exist is empty.
func LoadContexts(path string) (Contexts, error) {
	c := Contexts{Contexts: map[string]Settings{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the contexts: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && len(bytes.TrimSpace(raw)) > 0 {
		return c, fmt.Errorf("read the contexts from %s: %w", path, err)
	}
	if c.Contexts == nil {
		c.Contexts = map[string]Settings{}
	}
	return c, nil
}

// SaveContexts writes the configuration file, readable by its owner only, in one step.
func SaveContexts(path string, c Contexts) error {
	raw, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".config-*.yaml")
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	_, err = temporary.Write(raw)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the contexts: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}

// PutContext adds or replaces one context of the file and, when asked, makes it the current one.
func PutContext(path, name string, s Settings, makeCurrent bool) error {
	c, err := LoadContexts(path)
	if err != nil {
		return err
	}
	c.Contexts[name] = s
	if makeCurrent || c.Current == "" {
		c.Current = name
	}
	return SaveContexts(path, c)
}

// Settings returns the settings of this command: flags before environment before the context.
func (g *Globals) Settings() (Settings, error) {
	s, err := g.contextSettings()
	if err != nil {
		return Settings{}, err
	}
	if len(g.flags.brokers) > 0 {
		// Who names brokers means this cluster, not the one that the context protects.
		s.Brokers, s.ClusterID = g.flags.brokers, ""
	}
	for _, o := range []struct {
		to   *string
		with string
	}{
		{&s.KafkaConfig, g.flags.kafkaConfig}, {&s.Prefix, g.flags.prefix}, {&s.API, g.flags.api},
		{&s.User, g.env(envUser)}, {&s.PasswordFile, g.env(envPasswordFile)}, {&s.CAFile, g.env(envCAFile)},
	} {
		if o.with != "" {
			*o.to = o.with
		}
	}
	return s, nil
}

func (g *Globals) contextSettings() (Settings, error) {
	path, err := ContextsPath(g.env)
	if err != nil {
		if g.flags.context != "" {
			return Settings{}, err
		}
		return Settings{}, nil
	}
	c, err := LoadContexts(path)
	if err != nil {
		return Settings{}, err
	}
	name := g.flags.context
	if name == "" {
		name = c.Current
	}
	if name == "" {
		return Settings{}, nil
	}
	s, ok := c.Contexts[name]
	if !ok {
		return Settings{}, notFound("there is no context %s in %s: it has %s", name, path, listOr(slices.Sorted(maps.Keys(c.Contexts)), "none"))
	}
	return s, nil
}

func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

// Connection returns how to reach Kafka.
func (s Settings) Connection(g *Globals) (kafkaadmin.Connection, error) {
	var c kafkaadmin.Connection
	if s.KafkaConfig != "" {
		var err error
		if c, err = kafkaadmin.ReadProperties(g.Path(s.KafkaConfig)); err != nil {
			return c, err
		}
	}
	if len(s.Brokers) > 0 {
		c.Brokers = s.Brokers
	}
	c.Prefix, c.Dial = s.Prefix, g.Dial
	return c, nil
}

// HasKafka tells whether the settings name a Kafka cluster.
func (s Settings) HasKafka() bool { return len(s.Brokers) > 0 || s.KafkaConfig != "" }

// TopicProfile returns the profile of the cluster's topics; a flag's value goes before the context's.
func (s Settings) TopicProfile(flag string) (topics.Profile, error) {
	name := flag
	if name == "" {
		name = s.Profile
	}
	if name == "" {
		return topics.Production(), nil
	}
	return topics.ProfileNamed(name)
}
