package flowtest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Option changes a network, a flow that is started, or both.
type Option func(*settings)

// settings are what options set.
type settings struct {
	// of a network
	at       time.Time
	seed     uint64
	noReplay bool
	tables   []Table
	queries  map[string]query
	// stateQueries make the conditions of queries of states.
	stateQueries map[string]func(m *Member, parameters json.RawMessage) (func(vault.State) bool, error)
	channels     []string
	files        []string
	as           flow.Identity // of [Run]

	// of a flow
	requestID  string
	properties []wire.Property
	fail       map[int]*flow.Error
}

// query answers a named query.
type query func(m *Member, parameters json.RawMessage) ([][]byte, error)

// began is when a network's clock starts unless [At] says otherwise.
var began = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func settingsOf(options []Option) settings {
	s := settings{at: began, queries: map[string]query{}, stateQueries: map[string]func(*Member, json.RawMessage) (func(vault.State) bool, error){}, fail: map[int]*flow.Error{}, requestID: "test"}
	for _, o := range options {
		o(&s)
	}
	return s
}

// At sets the clock of a network at its start.
func At(t time.Time) Option { return func(s *settings) { s.at = t.UTC() } }

// Seed gives a network other random numbers and keys.
func Seed(seed uint64) Option { return func(s *settings) { s.seed = seed } }

// WithoutReplay lets a network's flows not be run again to see whether they do the same.
func WithoutReplay() Option { return func(s *settings) { s.noReplay = true } }

// Tables declares tables of the application.
func Tables(tables ...Table) Option {
	return func(s *settings) { s.tables = append(s.tables, tables...) }
}

// Channels declares external channels that flows may emit to.
func Channels(names ...string) Option {
	return func(s *settings) { s.channels = append(s.channels, names...) }
}

// Application declares what an application's declarations do: tables and channels. dir is its folder, where
// application.json is; "." is the folder of the test. Its named queries have to be answered by [Query].
func Application(dir string) Option { return func(s *settings) { s.files = append(s.files, dir) } }

// Query answers a named query by a function: parameters come in as JSON of the request, decoded into P; the rows that it
// returns are given out in pages, in their order. It may read tables with [Rows].
func Query[P, Row any](name string, f func(m *Member, parameters P) []Row) Option {
	return func(s *settings) {
		s.queries[name] = func(m *Member, raw json.RawMessage) ([][]byte, error) {
			var p P
			if err := json.Unmarshal(raw, &p); err != nil {
				return nil, fmt.Errorf("the parameters of query %s: %w", name, err)
			}
			var out [][]byte
			for _, row := range f(m, p) {
				b, err := json.Marshal(row)
				if err != nil {
					return nil, fmt.Errorf("a row of query %s: %w", name, err)
				}
				out = append(out, b)
			}
			return out, nil
		}
	}
}

// As sets who the flow of [Run] runs as; what is left out is filled in.
func As(id flow.Identity) Option { return func(s *settings) { s.as = id } }

// ClientRequestID sets the id that the caller gave a flow.
func ClientRequestID(id string) Option { return func(s *settings) { s.requestID = id } }

// Property adds a property to a flow's context.
func Property(name, value string) Option {
	return func(s *settings) { s.properties = append(s.properties, wire.Property{Name: name, Value: value}) }
}

// FailAt answers the requests of one of a flow's suspensions, counted from 1, with an error.
func FailAt(step int, err *flow.Error) Option { return func(s *settings) { s.fail[step] = err } }
