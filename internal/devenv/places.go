package devenv

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// placesFile says which servers the data of a directory lies on.
const placesFile = "servers.json"

// places is the content of placesFile. A server that is nil was not used yet.
type places struct {
	// ID is part of the name of everything that is made on servers of others.
	ID       string         `json:"id"`
	Kafka    *kafkaPlace    `json:"kafka,omitempty"`
	Postgres *postgresPlace `json:"postgres,omitempty"`
	Vault    *vaultPlace    `json:"vault,omitempty"`
}

// Own says in each place that the server is the directory's own, and everything of it lies there.
type (
	kafkaPlace struct {
		Own       bool     `json:"own"`
		ClusterID string   `json:"clusterId,omitempty"`
		Brokers   []string `json:"brokers,omitempty"`
		Prefix    string   `json:"prefix,omitempty"`
	}
	postgresPlace struct {
		Own bool `json:"own"`
		// Address has neither user nor password.
		Address string `json:"address,omitempty"`
		// Cluster is the cluster's id in its database, once it is known; roles carry its first part.
		Cluster string `json:"cluster,omitempty"`
	}
	vaultPlace struct {
		Own     bool   `json:"own"`
		Address string `json:"address,omitempty"`
		// Ready tells that the server was set up to its end.
		Ready bool `json:"ready,omitempty"`
	}
)

// Names of what is made on servers of others.
func (p places) database(which string) string { return "fairlead_dev_" + p.ID + "_" + which }
func (p places) vaultName() string            { return "fairlead-dev-" + p.ID }

// placeBook is the places of an open directory. Servers are started at the same time, so it is locked.
type placeBook struct {
	mu   sync.Mutex
	file string
	now  places
}

func readPlaces(dir string) (places, error) {
	var p places
	name := filepath.Join(dir, placesFile)
	b, err := os.ReadFile(name)
	if err != nil {
		return p, fmt.Errorf("read where the data lies: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil || p.ID == "" {
		return p, fmt.Errorf("%s is damaged: discard the directory with `fairlead dev reset --data %s`", name, dir)
	}
	return p, nil
}

// places opens the book of a directory. A directory of before there was one has what lies in it.
func (d *dataDir) places() (*placeBook, error) {
	b := &placeBook{file: d.join(placesFile)}
	var err error
	b.now, err = readPlaces(d.path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	b.now.ID = strings.ToLower(rand.Text()[:8])
	has := func(name string) bool {
		_, err := os.Stat(d.join(name))
		return err == nil
	}
	if has(filepath.Join(kafkaDir, "meta.json")) {
		b.now.Kafka = &kafkaPlace{Own: true}
	}
	if has(postgresDir) {
		b.now.Postgres = &postgresPlace{Own: true}
	}
	if has(vaultDir) {
		b.now.Vault = &vaultPlace{Own: true}
	}
	return b, writeJSON(b.file, b.now)
}

// get returns the places as they are.
func (b *placeBook) get() places {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// change changes the places, on the disk too.
func (b *placeBook) change(f func(*places)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.now)
	return writeJSON(b.file, b.now)
}

// PlaceError tells that the data of a directory lies on another server than is asked for.
type PlaceError struct {
	Dir, Server, Where, Do string
}

// Error says what to do.
func (e *PlaceError) Error() string {
	return fmt.Sprintf("FL-DEV-011: the data in %s has its %s %s: %s, or begin another with --data", e.Dir, e.Server, e.Where, e.Do)
}

// agree compares the places with what is asked for. What cannot be told by names alone is found out at the servers.
func (p places) agree(dir string, o Options) error {
	var errs []error
	check := func(server, flag string, known, own bool, where, again string, given bool) {
		switch {
		case !known || own != given:
		case own:
			errs = append(errs, &PlaceError{dir, server, "in the directory itself", "leave " + flag + " out"})
		default:
			errs = append(errs, &PlaceError{dir, server, "at " + where, "give " + again})
		}
	}
	if k := p.Kafka; k != nil {
		where := strings.Join(k.Brokers, ",")
		again := "--kafka " + where
		if k.Prefix != "" {
			again += " --prefix " + k.Prefix
		}
		check("Kafka", "--kafka", true, k.Own, where, again, len(o.Kafka) > 0)
		if !k.Own && len(o.Kafka) > 0 && k.Prefix != o.Prefix {
			errs = append(errs, &PlaceError{dir, "topics", fmt.Sprintf("under the prefix %q", k.Prefix), "give " + again})
		}
	}
	if g := p.Postgres; g != nil {
		check("Postgres", "--postgres", true, g.Own, g.Address, "--postgres "+g.Address, o.Postgres.URL != "")
	}
	if v := p.Vault; v != nil {
		check("keys", "--vault", true, v.Own, v.Address, "--vault "+v.Address, o.Vault.Address != "")
	}
	return errors.Join(errs...)
}

// Left is what a directory has on a server that is not its own, and stays there.
type Left struct {
	// What says what it is and where.
	What string
	// Remove are the commands that remove it, for whoever may.
	Remove []string
}

// Leftovers tells what a data directory has on servers of others. Stopping and discarding the directory leave it there.
func Leftovers(dir string) ([]Left, error) {
	p, err := readPlaces(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p.leftovers(), nil
}

func (p places) leftovers() []Left {
	var out []Left
	if k := p.Kafka; k != nil && !k.Own {
		l := Left{What: fmt.Sprintf("Kafka %s: the topics and groups of the cluster", strings.Join(k.Brokers, ","))}
		if k.Prefix != "" {
			l.What += ", whose names begin with " + k.Prefix
		}
		list := "fairlead topics list --brokers " + strings.Join(k.Brokers, ",")
		if k.Prefix != "" {
			list += " --prefix " + k.Prefix
		}
		l.Remove = []string{list + "  # lists them; delete them with Kafka's own tools"}
		out = append(out, l)
	}
	if g := p.Postgres; g != nil && !g.Own {
		l := Left{What: fmt.Sprintf("Postgres %s: databases %s and %s, and the login roles of the virtual nodes", g.Address, p.database(clusterDatabase), p.database(vnodeDatabase)), Remove: []string{
			fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE);", p.database(clusterDatabase)), fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE);", p.database(vnodeDatabase)),
		}}
		if g.Cluster != "" {
			roles := vaultdb.NamesOf("%", g.Cluster)
			l.Remove = append(l.Remove, fmt.Sprintf(`SELECT format('DROP ROLE %%I', rolname) FROM pg_roles WHERE rolname LIKE '%s' OR rolname LIKE '%s' \gexec`, roles.DDL, roles.DML))
		}
		out = append(out, l)
	}
	if v := p.Vault; v != nil && !v.Own {
		name := p.vaultName()
		out = append(out, Left{What: fmt.Sprintf("Vault %s: the keys in engine %s, and login and policy of that name", v.Address, name), Remove: []string{
			"vault secrets disable " + name, "vault auth disable " + name, "vault policy delete " + name,
		}})
	}
	return out
}
