package development

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
)

// enough is the policy that docs/write-an-app/development.md gives to the token.
const enough = `
path "sys/mounts/fairlead-dev-*" { capabilities = ["create", "read", "update"] }
path "+/config/keys" { capabilities = ["create", "update"] }
path "sys/policies/acl/fairlead-dev-*" { capabilities = ["create", "update"] }
path "sys/auth/fairlead-dev-*" { capabilities = ["create", "update", "sudo"] }
path "auth/fairlead-dev-*" { capabilities = ["create", "read", "update"] }
`

// TestRealServers runs a development cluster on a Kafka, a Postgres and a Vault that it did not start.
func TestRealServers(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	kafka := kafkatest.Start(t, kafkatest.Options{})
	pg := pgtest.Server(t, pgserver.Options{})
	keys := vaulttest.Own(t)
	super := pgtest.Open(t, postgres.Config{URL: pg.URL("postgres"), MaxConns: 1})
	token := tokenFor(t, keys, "dev-setup", enough)

	dir := shortDir(t)
	good := func(o *devenv.Options) {
		o.Dir, o.App, o.Workers = dir, "../../apps/notes", app.Available()
		o.Kafka, o.Prefix = kafka.Brokers(), "dev-"+strings.ToLower(rand.Text()[:6])+"."
		o.Postgres.URL, o.Postgres.Password = without(t, pg.URL("postgres")), pg.Password()
		o.Vault.Address, o.Vault.Token = keys.URL, token
	}
	var prefix string
	tell := func(what string, change func(*devenv.Options), want ...string) {
		t.Helper()
		began := time.Now()
		c, err := try(t, func(o *devenv.Options) {
			good(o)
			o.Dir, o.App, o.Kafka, o.Prefix = shortDir(t), "", nil, ""
			change(o)
		})
		if err == nil {
			stopCluster(t, c)
			t.Fatalf("%s: no error", what)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in\n%v", what, w, err)
			}
		}
		if strings.Contains(err.Error(), pg.Password()) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: a secret is told: %v", what, err)
		}
		t.Logf("%s, after %s:\n%v", what, time.Since(began).Round(time.Millisecond), err)
	}

	// What servers refuse.
	role := func(name, rights string) func(*devenv.Options) {
		if _, err := super.Exec(t.Context(), "CREATE ROLE "+name+" LOGIN "+rights+" PASSWORD 'pw'"); err != nil {
			t.Fatal(err)
		}
		return func(o *devenv.Options) {
			u, err := url.Parse(pg.URL("postgres"))
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.User(name)
			o.Postgres.URL, o.Postgres.Password = u.String(), "pw"
		}
	}
	tell("a wrong password", func(o *devenv.Options) { o.Postgres.Password = "wrong" }, "FL-DEV-010: --postgres", "PGPASSWORD")
	tell("a database that is not there", func(o *devenv.Options) { o.Postgres.URL = without(t, pg.URL("nowhere")) }, "--postgres", `"nowhere" does not exist`)
	tell("no right to make roles", role("poor", ""), "may not make roles", `ALTER ROLE "poor" CREATEROLE`)
	tell("no right to make databases", role("nodb", "CREATEROLE"), "may not make databases", `OWNER "nodb"`)
	tell("no right to revoke", role("more", "CREATEROLE CREATEDB"), "--postgres", "FL-DB-021", "run this as a superuser")
	tell("a wrong token", func(o *devenv.Options) { o.Vault.Token = "wrong" }, "FL-DEV-010: --vault", "VAULT_TOKEN")
	tell("no token", func(o *devenv.Options) { o.Vault.Token = "" }, "no token is given", "VAULT_TOKEN")
	tell("a poor token", func(o *devenv.Options) {
		o.Vault.Token = tokenFor(t, keys, "poor", `path "secret/*" { capabilities = ["read"] }`)
	},
		"mount a transit engine", "denied", "docs/write-an-app/development.md")

	if err := keys.Server.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	tell("a sealed Vault", func(*devenv.Options) {}, "FL-DEV-010: --vault", "it is sealed", "vault operator unseal")
	if err := keys.Server.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}

	// It works, again without a token, and again with one that has ended.
	run := func(id string, change func(*devenv.Options)) {
		t.Helper()
		started, err := try(t, func(o *devenv.Options) {
			good(o)
			if prefix == "" {
				prefix = o.Prefix
			}
			o.Prefix = prefix
			change(o)
		})
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, started)
		defer c.stop()
		if i := c.Info(); !strings.HasPrefix(i.Postgres, "postgres://") || strings.Contains(i.Postgres, "@") || i.Vault != keys.URL {
			t.Errorf("%+v", i)
		}
		if id == "first" {
			c.call("POST", "/api/v5_2/key/"+c.Info().VirtualNodes[0].ShortHash+"/alias/notes/category/LEDGER/scheme/CORDA.ECDSA.SECP256R1", nil, nil)
		}
		var note struct {
			ID string `json:"id"`
		}
		c.run(0, id, "note", map[string]string{"text": "milk"}, &note)
		if note.ID == "" {
			t.Error("no note")
		}
	}
	run("first", func(*devenv.Options) {})
	for _, own := range []string{"kafka/meta.json", "postgres", "vault"} {
		if _, err := os.Stat(dir + "/" + own); err == nil {
			t.Errorf("it has a %s of its own", own)
		}
	}
	run("second", func(o *devenv.Options) { o.Vault.Token = "" })
	run("third", func(o *devenv.Options) { o.Vault.Token = "ended" })
	var place *devenv.PlaceError
	if _, err := try(t, func(o *devenv.Options) { good(o); o.Prefix = prefix; o.Postgres = devenv.RealPostgres{} }); !errors.As(err, &place) {
		t.Errorf("without its Postgres: %v", err)
	}
	other := pgtest.Server(t, pgserver.Options{})
	if _, err := try(t, func(o *devenv.Options) { good(o); o.Prefix = prefix; o.Postgres.URL = other.URL("postgres") }); !errors.As(err, &place) || place.Server != "databases" {
		t.Errorf("at another Postgres: %v", err)
	}

	// Nothing is dropped; what is named for removal is all there is.
	left, err := devenv.Leftovers(dir)
	if err != nil || len(left) != 3 {
		t.Fatalf("%v %v", left, err)
	}
	if err := devenv.Reset(dir); err != nil {
		t.Fatal(err)
	}
	count := func(sql string) (n int) {
		t.Helper()
		if err := super.One(t.Context(), []any{&n}, sql); err != nil {
			t.Fatal(err)
		}
		return n
	}
	cluster := ""
	for _, line := range left[1].Remove {
		if name, ok := strings.CutPrefix(line, "DROP DATABASE IF EXISTS "); ok {
			name, _, _ = strings.Cut(name, " ")
			cluster = strings.TrimSuffix(strings.TrimSuffix(name, "_vnodes"), "_cluster")
			if count("SELECT count(*) FROM pg_database WHERE datname = '"+name+"'") != 1 {
				t.Errorf("database %s is gone", name)
			}
			if _, err := super.Exec(t.Context(), line); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			continue
		}
		var drops []string
		err := super.Each(t.Context(), func(r postgres.Row) error {
			var sql string
			err := r.Scan(&sql)
			drops = append(drops, sql)
			return err
		}, strings.TrimSuffix(line, ` \gexec`))
		if err != nil || len(drops) != 4 {
			t.Errorf("%s: %v %v", line, drops, err)
		}
		for _, sql := range drops {
			if _, err := super.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	}
	if n := count("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'vnode_vault_%'"); n != 0 {
		t.Errorf("%d roles stay", n)
	}
	if n := count("SELECT count(*) FROM pg_database WHERE datname LIKE '" + cluster + "%'"); n != 0 {
		t.Errorf("%d databases stay", n)
	}
	for _, path := range []string{"sys/mounts/", "sys/auth/", "sys/policies/acl/"} {
		name := strings.Fields(left[2].Remove[0])[3]
		if status, _ := keys.Call(t, "DELETE", path+name, keys.Token, nil); status >= 300 {
			t.Errorf("remove %s%s: %d", path, name, status)
		}
	}
}

// tokenFor makes a token of one policy.
func tokenFor(t *testing.T, v *vaulttest.Vault, name, policy string) string {
	t.Helper()
	v.Must(t, "PUT", "sys/policies/acl/"+name, map[string]string{"policy": policy})
	status, answer := v.Call(t, "POST", "auth/token/create", v.Token, map[string]any{"policies": []string{name}})
	auth, _ := answer["auth"].(map[string]any)
	token, _ := auth["client_token"].(string)
	if status >= 300 || token == "" {
		t.Fatalf("make a token: %d", status)
	}
	return token
}

// without is a URL without its password.
func without(t *testing.T, text string) string {
	t.Helper()
	u, password := devenv.RedactPostgres(text)
	if password == "" {
		t.Fatal("the test's Postgres has no password")
	}
	return u
}

// shortDir is a folder of its owner's alone with a short name: sockets lie in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func try(t *testing.T, change func(*devenv.Options)) (*devenv.Cluster, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := devenv.Options{
		RestAddress: "127.0.0.1:0", Build: "test",
		Warnings: slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}),
		Step:     func(what string, took time.Duration) { t.Logf("%9s  %s", took.Round(time.Millisecond), what) },
	}
	change(&o)
	return devenv.Start(ctx, o)
}

func stopCluster(t *testing.T, c *devenv.Cluster) {
	t.Helper()
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
