package devenv

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/app"
)

// A directory keeps to the servers that it began with.
func TestPlacesAgree(t *testing.T) {
	real := places{
		ID: "abc", Kafka: &kafkaPlace{Brokers: []string{"k:9092"}, Prefix: "mine."}, Postgres: &postgresPlace{Address: "postgres://db:5432"},
		Vault: &vaultPlace{Address: "https://v:8200"},
	}
	own := places{ID: "abc", Kafka: &kafkaPlace{Own: true}, Postgres: &postgresPlace{Own: true}, Vault: &vaultPlace{Own: true}}
	given := Options{
		Kafka: []string{"k:9092"}, Prefix: "mine.", Postgres: RealPostgres{URL: "postgres://u@db:5432/postgres"}, Vault: RealVault{Address: "https://v:8200"},
	}
	for name, c := range map[string]struct {
		p    places
		o    Options
		want []string // of the message; none for no error
	}{
		"a new one with its own":    {places{ID: "abc"}, Options{}, nil},
		"a new one with others'":    {places{ID: "abc"}, given, nil},
		"again with its own":        {own, Options{}, nil},
		"again with others'":        {real, given, nil},
		"its own, others' asked":    {own, given, []string{"leave --kafka out", "leave --postgres out", "leave --vault out"}},
		"others', its own asked":    {real, Options{}, []string{"--kafka k:9092 --prefix mine.", "--postgres postgres://db:5432", "--vault https://v:8200"}},
		"others', another prefix":   {real, Options{Kafka: given.Kafka, Postgres: given.Postgres, Vault: given.Vault}, []string{`under the prefix "mine."`}},
		"only its keys are others'": {places{ID: "abc", Vault: real.Vault}, Options{}, []string{"--vault https://v:8200"}},
	} {
		err := c.p.agree("/data", c.o)
		if (err != nil) != (len(c.want) > 0) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "FL-DEV-011") {
				t.Errorf("%s: %q is not in %v", name, want, err)
			}
		}
		var place *PlaceError
		if err != nil && !errors.As(err, &place) {
			t.Errorf("%s: %T", name, err)
		}
	}
}

// What stays on servers of others is named, with what removes it.
func TestLeftovers(t *testing.T) {
	p := places{
		ID: "abc", Kafka: &kafkaPlace{Brokers: []string{"k:9092"}, Prefix: "mine."},
		Postgres: &postgresPlace{Address: "postgres://db:5432", Cluster: "12345678-1111-2222-3333-444444444444"}, Vault: &vaultPlace{Address: "https://v:8200"},
	}
	var text strings.Builder
	for _, l := range p.leftovers() {
		text.WriteString(l.What + "\n" + strings.Join(l.Remove, "\n") + "\n")
	}
	for _, want := range []string{
		"k:9092", "mine.", "DROP DATABASE IF EXISTS fairlead_dev_abc_cluster", "DROP DATABASE IF EXISTS fairlead_dev_abc_vnodes",
		"LIKE 'vnode_vault_%_12345678_ddl'", "vault secrets disable fairlead-dev-abc", "vault auth disable fairlead-dev-abc", "vault policy delete fairlead-dev-abc",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
	if l := (places{ID: "abc", Kafka: &kafkaPlace{Own: true}, Postgres: &postgresPlace{Own: true}, Vault: &vaultPlace{Own: true}}).leftovers(); len(l) > 0 {
		t.Errorf("its own servers leave %v", l)
	}
	if l, err := Leftovers(t.TempDir()); l != nil || err != nil {
		t.Errorf("a directory that was never used: %v %v", l, err)
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, placesFile), "{")
	if _, err := Leftovers(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}

// A directory of before the places were written down has what lies in it.
func TestPlacesOfAnOldDirectory(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	if err := os.Mkdir(d.join(postgresDir), dirMode); err != nil {
		t.Fatal(err)
	}
	book, err := d.places()
	if err != nil {
		t.Fatal(err)
	}
	if p := book.get(); p.Postgres == nil || !p.Postgres.Own || p.Kafka != nil || p.Vault != nil || len(p.ID) != 8 {
		t.Errorf("%+v", p)
	}
	again, err := d.places()
	if err != nil || again.get().ID != book.get().ID {
		t.Errorf("its id changed: %v", err)
	}
}

func TestPasswordsAreTakenOut(t *testing.T) {
	for in, want := range map[string][2]string{
		"postgres://ann:s%40cret@db:5432/postgres?sslmode=require": {"postgres://ann@db:5432/postgres?sslmode=require", "s@cret"},
		"postgres://ann@db/postgres":                               {"postgres://ann@db/postgres", ""},
		"postgres://db/postgres":                                   {"postgres://db/postgres", ""},
	} {
		if u, p := RedactPostgres(in); u != want[0] || p != want[1] {
			t.Errorf("%s: %s %s", in, u, p)
		}
	}
}

// What cannot be right is told before anything starts.
func TestServersThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"Postgres for nobody":   {func(o *Options) { o.Postgres.URL = "postgres://u@db/postgres" }, "--postgres: no worker type"},
		"Vault for nobody":      {func(o *Options) { o.Vault.Address = "https://v:8200" }, "--vault: no worker type"},
		"no URL of a Postgres":  {func(o *Options) { o.Workers, o.Postgres.URL = app.Available(), "db:5432 password=s3cret" }, "--postgres: not a URL such as"},
		"no URL of a Vault":     {func(o *Options) { o.Workers, o.Vault.Address = app.Available(), "v:8200" }, `--vault: "v:8200" is not a URL`},
		"no properties for TLS": {func(o *Options) { o.Kafka, o.KafkaConfig = []string{"127.0.0.1:1"}, "none.properties" }, "none.properties"},
	} {
		o := Options{Dir: t.TempDir(), RestAddress: "127.0.0.1:0", Workers: Bare()}
		c.change(&o)
		_, err := Start(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Servers that are away, sealed or of others are told with the flag that names them and what to do.
func TestServersThatAreAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	sealed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"type":"shamir","initialized":true,"sealed":true,"t":1,"n":1,"progress":0,"version":"1.18.0"}`)) // the client notices
	}))
	defer sealed.Close()
	cluster := func() *Cluster {
		d := &dataDir{path: t.TempDir()}
		book, err := d.places()
		if err != nil {
			t.Fatal(err)
		}
		return &Cluster{dir: d, places: book}
	}
	for name, c := range map[string]struct {
		try  func(context.Context) error
		want []string
	}{
		"Postgres": {func(ctx context.Context) error {
			c := cluster()
			c.opts.Postgres.URL = "postgres://ann:s3cret@" + nobody + "/postgres"
			_, err := c.usePostgres(ctx)
			return err
		}, []string{"FL-DEV-010: --postgres postgres://" + nobody, "is the server running"}},
		"Vault": {func(ctx context.Context) error {
			c := cluster()
			c.opts.Vault = RealVault{Address: "http://" + nobody, Token: "s3cret"}
			_, err := c.useVault(ctx)
			return err
		}, []string{"FL-DEV-010: --vault http://" + nobody, "is the server running"}},
		"a sealed Vault": {func(ctx context.Context) error {
			c := cluster()
			c.opts.Vault = RealVault{Address: sealed.URL, Token: "s3cret"}
			_, err := c.useVault(ctx)
			return err
		}, []string{"FL-DEV-010: --vault " + sealed.URL, "it is sealed", "vault operator unseal"}},
		"Kafka": {func(ctx context.Context) error {
			_, err := Start(ctx, Options{Dir: t.TempDir(), RestAddress: "127.0.0.1:0", Workers: Bare(), Kafka: []string{nobody}})
			return err
		}, []string{"FL-DEV-010: --kafka " + nobody, "are the brokers running"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.try(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("tells a secret: %v", err)
			}
		})
	}
}

// A second directory does not take the topics of a first one's cluster for its own.
func TestTopicsOfAnotherClusterAreRefused(t *testing.T) {
	kafka := enginetest.NewCluster(t)
	dir := t.TempDir()
	change := func(o *Options) { o.Kafka = kafka.Brokers() }
	c := start(t, dir, "", change)
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), RestAddress: "127.0.0.1:0", Workers: Bare(), Kafka: kafka.Brokers()})
	if err == nil || !strings.Contains(err.Error(), "FL-DEV-010: --kafka") || !strings.Contains(err.Error(), "--prefix") {
		t.Errorf("got %v", err)
	}
	stop(t, c)
	c = start(t, dir, "", change) // its own it takes again
	stop(t, c)
	_, err = Start(t.Context(), Options{Dir: dir, RestAddress: "127.0.0.1:0", Workers: Bare()})
	var place *PlaceError
	if !errors.As(err, &place) || place.Server != "Kafka" {
		t.Errorf("without its Kafka: %v", err)
	}
	other, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("another"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = Start(t.Context(), Options{Dir: dir, RestAddress: "127.0.0.1:0", Workers: Bare(), Kafka: other.ListenAddrs()})
	if !errors.As(err, &place) || place.Server != "topics" {
		t.Errorf("at another Kafka: %v", err)
	}
}
