package database_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
)

// logged is a worker's log, kept for a search.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// canaries looks for secrets where they must not be: all that are stored, and those that are given.
func (w *world) canaries(t *testing.T, secrets ...string) {
	t.Helper()
	cluster := w.pool(w.clusterURL)
	err := cluster.Each(t.Context(), func(r postgres.Row) error {
		var hash, role string
		var sealed []byte
		if err := r.Scan(&hash, &role, &sealed); err != nil {
			return err
		}
		p, err := w.key.Open(sealed, clusterdb.Place(hash, clusterdb.RoleName(role))...)
		secrets = append(secrets, string(p))
		return err
	}, "SELECT short_hash, role, password FROM vnode_connection")
	if err != nil || len(secrets) < 2 {
		t.Fatalf("%d secrets, %v", len(secrets), err)
	}
	secrets = append(secrets, "first password")
	places := w.records(t)
	places["the log"] = w.log.String()
	w.dump(t, places)
	if len(places) < 20 || len(places["topic db.requests"]) == 0 || len(places["table audit"]) == 0 || places["the log"] == "" {
		t.Errorf("only %d places were searched", len(places))
	}
	for place, text := range places {
		for i, s := range secrets {
			if strings.Contains(text, s) || strings.Contains(text, hex.EncodeToString([]byte(s))) {
				t.Errorf("%s holds secret %d of %d", place, i, len(secrets))
			}
		}
	}
}

// records reads all topics, also what was never committed.
func (w *world) records(t *testing.T) map[string]string {
	t.Helper()
	ctx := enginetest.Context(t)
	ends, err := w.kafka.Admin().ListEndOffsets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for topic, partitions := range ends {
		cl, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Brokers()...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		left := map[int32]int64{}
		for p, end := range partitions {
			if end.Offset > 0 {
				left[p] = end.Offset
			}
		}
		for len(left) > 0 {
			for _, r := range cl.PollFetches(ctx).Records() {
				fmt.Fprintf(&all, "%s %s", r.Key, r.Value)
				for _, h := range r.Headers {
					fmt.Fprintf(&all, " %s %s", h.Key, h.Value)
				}
				if r.Offset+1 >= left[r.Partition] {
					delete(left, r.Partition)
				}
			}
			if ctx.Err() != nil {
				t.Fatalf("topic %s: the ends of partitions %v were not reached", topic, left)
			}
		}
		cl.Close()
		out["topic "+topic] = all.String()
	}
	return out
}

// dump reads all tables of the cluster's database; binary columns are in hex, as in a dump.
func (w *world) dump(t *testing.T, into map[string]string) {
	t.Helper()
	cluster := w.pool(w.clusterURL)
	var tables []string
	err := cluster.Each(t.Context(), func(r postgres.Row) error {
		var name string
		err := r.Scan(&name)
		tables = append(tables, name)
		return err
	}, "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", clusterdb.Schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var text string
		if err := cluster.One(t.Context(), []any{&text}, "SELECT coalesce(string_agg(x::text, ' '), '') FROM "+postgres.Qualified(clusterdb.Schema, table)+" x"); err != nil {
			t.Fatal(err)
		}
		into["table "+table] = text
	}
}
