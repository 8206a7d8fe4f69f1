package vaultdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/seal"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
)

// Login is how a role reaches a database.
type Login struct {
	// Address is a postgres URL without credentials.
	Address string
	// Schema is empty for the usual one.
	Schema         string
	User, Password string
}

// SealConnections seals what a caller gave for the record with this key ("vnode/<short hash>"). rest does it.
func SealConnections(k *seal.Key, recordKey string, c *dbv1.Connections) ([]byte, error) {
	b, err := proto.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode connections: %w", err)
	}
	return k.Seal(b, "connections", recordKey)
}

// OpenConnections opens what [SealConnections] sealed.
func OpenConnections(k *seal.Key, recordKey string, sealed []byte) (*dbv1.Connections, error) {
	b, err := k.Open(sealed, "connections", recordKey)
	if err != nil {
		return nil, err
	}
	c := &dbv1.Connections{}
	if err := proto.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("read connections: %w", err)
	}
	return c, nil
}

// ParseLogin reads a connection as a caller gives it: Corda's JSON ({"database": {"jdbc": {"url": …}, "user": …,
// "pass": …}}) or a postgres URL with user and password. Errors quote nothing of it.
func ParseLogin(text string) (Login, error) {
	text = strings.TrimSpace(text)
	var l Login
	if strings.HasPrefix(text, "{") {
		var c struct {
			Database struct {
				JDBC struct {
					URL string `json:"url"`
				} `json:"jdbc"`
				User string `json:"user"`
				Pass any    `json:"pass"`
			} `json:"database"`
		}
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return l, errors.New("the connection is not JSON as in {\"database\": {\"jdbc\": {\"url\": …}, \"user\": …, \"pass\": …}}")
		}
		pass, ok := c.Database.Pass.(string)
		if !ok {
			return l, errors.New("database.pass must be a text: secrets that only Corda can decrypt cannot be used")
		}
		l.User, l.Password = c.Database.User, pass
		text = strings.TrimPrefix(c.Database.JDBC.URL, "jdbc:")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "postgres" && u.Scheme != "postgresql" || strings.Trim(u.Path, "/") == "" {
		return l, errors.New("the address of the database is not postgres://host:port/database or jdbc:postgresql://host:port/database")
	}
	if u.User != nil {
		l.User = u.User.Username()
		l.Password, _ = u.User.Password()
	}
	if l.User == "" || l.Password == "" {
		return l, errors.New("the connection has no user or no password")
	}
	q := u.Query()
	for _, name := range []string{"currentSchema", "search_path"} {
		if s := q.Get(name); s != "" {
			l.Schema = s
		}
		q.Del(name)
	}
	// Of JDBC's parameters only the mode of TLS means the same here.
	keep := url.Values{}
	if m := q.Get("sslmode"); m != "" {
		keep.Set("sslmode", m)
	}
	u.User, u.Scheme, u.RawQuery, u.Fragment = nil, "postgres", keep.Encode(), ""
	l.Address = u.String()
	return l, nil
}
