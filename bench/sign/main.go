// Command sign measures what signatures cost through a real Vault-API server: one by one, side by side, and in batches, by
// scheme. It prints a Markdown table, whose ratios are of
// one run on one machine: client and server share its cores.
//
//	go run ./bench/sign [-time 2s]
//
// VAULT_ADDR and VAULT_TOKEN name a server; else one is started, as tests do.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	each := flags.Duration("time", 2*time.Second, "how long each figure is measured")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fairlead-bench-sign-")
	if err != nil {
		return fmt.Errorf("make a directory for the server: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server := &vaulttest.Vault{URL: os.Getenv(vaulttest.AddressVariable), Token: os.Getenv(vaulttest.TokenVariable), Kind: "the server named by VAULT_ADDR"}
	if server.URL == "" {
		if server, err = vaulttest.Launch(ctx, dir+"/server"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Server.Kill()) }()
	}
	name := "fairlead-bench-" + strings.ToLower(rand.Text())
	cfg, err := vault.Setup(ctx, vault.SetupConfig{Address: server.URL, Token: server.Token, Name: name, Mount: name, Dir: dir + "/login"})
	if err != nil {
		return err
	}
	cfg.Timeout, cfg.Log = 30*time.Second, slog.New(slog.DiscardHandler)
	client, err := vault.New(cfg)
	if err != nil {
		return err
	}
	runCtx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := client.Run(runCtx); err != nil {
			slog.Error("the Vault client ended", "error", err)
		}
	})
	defer func() { cancel(); wg.Wait() }()
	if !client.WaitLoggedIn(ctx) {
		return ctx.Err()
	}
	fmt.Fprintf(out, "%s; %d cores, shared with the client; 256 bytes a message; %s a figure.\n\n", server.Kind, runtime.GOMAXPROCS(0), *each)
	return table(ctx, out, client, *each)
}

// scheme is a kind of signature to measure.
type scheme struct {
	name string
	key  vault.KeyType
	alg  vault.Algorithm
	// batch is the size of a batch that the crypto worker makes of it.
	batch int
}

func schemes() []scheme {
	return []scheme{
		{"ECDSA P-256", vault.P256, vault.Algorithm{Hash: vault.SHA256}, vault.MaxBatch},
		{"Ed25519", vault.Ed25519, vault.Algorithm{}, vault.MaxBatch},
		{"RSA-3072", vault.RSA3072, vault.Algorithm{Hash: vault.SHA256, Padding: vault.PKCS1v15}, 32},
	}
}

// table measures and prints row by row.
func table(ctx context.Context, out io.Writer, client *vault.Client, each time.Duration) error {
	fmt.Fprintln(out, "| scheme | one by one | p50 | p99 | 8 side by side | ×  | batches of 16 | × | largest batches | × |")
	fmt.Fprintln(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, s := range schemes() {
		if _, err := client.CreateKey(ctx, "bench."+string(s.key), s.key); err != nil {
			return err
		}
		one, err := measure(ctx, client, s, 1, 1, each)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |", s.name, perSecond(one.rate), one.quantile(0.5), one.quantile(0.99))
		for _, c := range []struct{ workers, batch int }{{8, 1}, {4, 16}, {4, s.batch}} {
			got, err := measure(ctx, client, s, c.workers, c.batch, each)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, " %s | %.1f |", perSecond(got.rate), got.rate/one.rate)
		}
		fmt.Fprintln(out)
	}
	return nil
}

func perSecond(rate float64) string { return fmt.Sprintf("%.0f/s", rate) }

// figure is what was measured: signatures a second, and how long each request took.
type figure struct {
	rate  float64
	times []time.Duration
}

func (f figure) quantile(q float64) time.Duration {
	return f.times[min(len(f.times)-1, int(q*float64(len(f.times))))].Round(10 * time.Microsecond)
}

// measure has so many workers ask for batches until the time is over.
func measure(ctx context.Context, client *vault.Client, s scheme, workers, batch int, each time.Duration) (figure, error) {
	messages := make([][]byte, batch)
	for i := range messages {
		messages[i] = make([]byte, 256)
		_, _ = rand.Read(messages[i]) // never fails
	}
	sign := func() error {
		_, err := client.Sign(ctx, "bench."+string(s.key), s.alg, messages)
		return err
	}
	if err := sign(); err != nil { // warms connections
		return figure{}, err
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		all    []time.Duration
		failed error
		count  atomic.Int64
	)
	began := time.Now()
	for range workers {
		wg.Go(func() {
			var times []time.Duration
			var err error
			for time.Since(began) < each && err == nil {
				at := time.Now()
				if err = sign(); err == nil {
					times = append(times, time.Since(at))
					count.Add(int64(batch))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, times...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	took := time.Since(began)
	slices.Sort(all)
	return figure{float64(count.Load()) / took.Seconds(), all}, failed
}
