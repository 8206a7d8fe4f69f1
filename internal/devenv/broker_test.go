package devenv

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBrokerAfterACrash has a broker end with a transaction open: what the same producer commits afterwards is read, at the next
// start and at the one after it, and what it left open is not.
func TestBrokerAfterACrash(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	start := func(dir string) *broker {
		b, err := startBroker(dir, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.close)
		return b
	}
	client := func(b *broker, opts ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.addresses()...))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	write := func(c *kgo.Client, value string, ends bool) {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if ends {
			if err := c.EndTransaction(ctx, kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
		}
	}
	// crash is what a killed process leaves.
	crash := func(dir string) string {
		next := filepath.Join(t.TempDir(), "kafka")
		if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return next
	}
	producer := kgo.TransactionalID("p")
	dir := t.TempDir()
	b := start(dir)
	if _, err := kadm.NewClient(client(b)).CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	c := client(b, producer)
	write(c, "one", true)
	write(c, "open", false)
	dir = crash(dir)
	b = start(dir)
	c = client(b, producer)
	write(c, "two", true)
	write(c, "three", true)
	for _, b := range []*broker{b, start(crash(dir))} {
		var got []string
		reader := client(b, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		for len(got) == 0 || got[len(got)-1] != "three" {
			fetches := reader.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatalf("read %v, and nothing more", got)
			}
			for _, r := range fetches.Records() {
				got = append(got, string(r.Value))
			}
		}
		if want := []string{"one", "two", "three"}; !slices.Equal(got, want) {
			t.Errorf("read %v, want %v", got, want)
		}
	}
}
