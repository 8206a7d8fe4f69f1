package development

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
)

// travels makes a folder with a version of the application travels.
func travels(t *testing.T, version, more string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "travels")
	sdk, err := filepath.Abs("../../sdk")
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "migrations"), 0o700)
	}
	for _, name := range []string{"go.mod", "fairlead.yaml", "travels.go", "migrations/001-parts.sql"} {
		var b []byte
		if err == nil {
			b, err = os.ReadFile(filepath.Join("testdata/travels", name))
		}
		text := strings.NewReplacer("version: VERSION", "version: "+version+"\n"+more, "VERSION", version, "../../../../sdk", sdk).Replace(string(b))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

type order struct {
	Tx, From     []byte
	Name, Signer string
	File         string
	Part, Parts  int
	Data         []byte
}

type receipt struct {
	Tx, Data, Checksum []byte
	Parts              int
	Name, Error        string
}

// Version 1 of an application makes a state on one cluster. Another cluster only ever had version 2: it gets version 1 from the
// first, in the parts in which flows read and hand it over, and then verifies what version 1 made and what version 2 makes of
// it, also after a restart and from empty local storage. What is wrong with a package that comes so is found.
func TestPackagesTravel(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	signer := filepath.Join(t.TempDir(), "signer.pem")
	run := func(dir, application string) *cluster {
		t.Helper()
		c, err := try(t, func(o *devenv.Options) {
			o.Dir, o.App, o.Workers, o.TrustedOnly, o.SignerFile = dir, application, app.Available(), true, signer
		})
		if err != nil {
			t.Fatal(err)
		}
		return client(t, c)
	}
	n := 0
	ask := func(c *cluster, class string, in order) (r receipt) {
		t.Helper()
		n++
		c.run(0, fmt.Sprintf("%s-%d", class, n), class, in, &r)
		return r
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}

	one := run(shortDir(t), travels(t, "1.0", ""))
	made := ask(one, "make", order{}).Tx
	want("on its own cluster", ask(one, "verify", order{Tx: made}).Error, "")
	want("of its own", ask(one, "missing", order{Tx: made}).Name, "")
	first := ask(one, "read", order{Tx: made})
	want("reading", first.Error, "")
	file := first.Data
	for part := 1; part < first.Parts; part++ {
		file = append(file, ask(one, "read", order{Tx: made, Part: part}).Data...)
	}
	want("reading past the end", ask(one, "read", order{Tx: made, Part: first.Parts}).Error, fmt.Sprintf("has %d parts", first.Parts))
	if sum := sha256.Sum256(file); !bytes.Equal(sum[:], first.Checksum) || first.Parts < 2 {
		t.Fatalf("the file has %d parts and SHA-256 %x, the transaction names %x", first.Parts, sum, first.Checksum)
	}
	one.stop()

	dir, application := shortDir(t), travels(t, "2.0", "compatible_from: 1.0")
	two := run(dir, application)
	const size = 256 << 10
	keep := func(name string, file []byte) order {
		t.Helper()
		o := order{Tx: made, File: name, Parts: (len(file) + size - 1) / size}
		for part := range o.Parts {
			want("keeping a part", ask(two, "keep", order{File: name, Part: part, Data: file[part*size : min(len(file), (part+1)*size)]}).Error, "")
		}
		return o
	}
	give := func(name string, file []byte) string { return ask(two, "give", keep(name, file)).Error }
	then := ask(two, "make", order{Tx: made}).Tx
	want("before", ask(two, "verify", order{Tx: made}).Error, "package-missing")
	want("the state of before is not in question", ask(two, "verify", order{Tx: then, From: made}).Error, "")
	want("missing", ask(two, "missing", order{Tx: made}).Name, "travels 1.0")
	want("reading what is not here", ask(two, "read", order{Tx: made}).Error, "not-found")

	one1 := func(change order) string {
		t.Helper()
		change.Tx = made
		if change.Parts == 0 {
			change.Parts = 1
		}
		return ask(two, "give", change).Error
	}
	want("nobody's", one1(order{Data: file[:100], Signer: "nobody"}), "nobody has signed it")
	want("a stranger's", one1(order{Data: file[:100], Signer: strings.Repeat("5E", 32)}), "has no package with contracts of that name and signers")
	want("another name", one1(order{Data: file[:100], Name: "orders"}), "has no package with contracts of that name and signers")
	want("too large", one1(order{Data: file[:size], Parts: 1 << 20}), "1 to 256 are allowed")
	want("a short part", one1(order{Data: file[:100], Parts: 2}), "each but the last has 262144")
	want("no package", one1(order{Data: []byte("no package")}), "and must have")
	want("the end changed", give("changed", append(bytes.Clone(file[:len(file)-1]), file[len(file)-1]+1)), "and must have")
	want("still missing", ask(two, "verify", order{Tx: made}).Error, "package-missing")

	// Several flows bring it at once.
	right := keep("right", file)
	for n := range 3 {
		two.begin(0, fmt.Sprintf("right-%d", n), "give", right)
	}
	for n := range 3 {
		var r receipt
		two.result(0, fmt.Sprintf("right-%d", n), &r)
		want("the file", r.Error, "")
	}
	verifies := func(when string) {
		t.Helper()
		want(when+": what version 1 made", ask(two, "verify", order{Tx: made}).Error, "")
		want(when+": what version 2 makes of it", ask(two, "verify", order{Tx: then, From: made}).Error, "")
		want(when+": missing", ask(two, "missing", order{Tx: made}).Name, "")
		if status, text := two.refused(0, "old-"+when, "only-in-1.0", order{Tx: made}); status != http.StatusBadRequest && status != http.StatusNotFound {
			t.Errorf("%s: a flow of version 1 is started: %d %s", when, status, text)
		}
		want(when+": a flow of version 2", ask(two, "only-in-2.0", order{Tx: made}).Error, "")
	}
	verifies("now")
	want("given again", ask(two, "give", right).Error, "")
	again := ask(two, "read", order{Tx: made, Part: 1}) // to hand it on
	if again.Error != "" || !bytes.Equal(again.Data, file[size:2*size]) {
		t.Errorf("reading it: %s, %d bytes", again.Error, len(again.Data))
	}
	two.stop()
	two = run(dir, application)
	verifies("after a restart")
	two.stop()
}
