package database_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/processors/database"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

var codeSigner = strings.Repeat("5E", 32)

// codeFileOf is the file of a package of code.
func codeFileOf(t *testing.T, version string, module int) []byte {
	return pack{Name: "cpk", Version: version, Signer: "SHA-256:" + codeSigner, Module: bytes.Repeat([]byte(version), module)}.file(t)
}

// flows are what asks for packages in these tests, with the answers that came.
type flows struct {
	w       *world
	vnode   string
	answers *engine.View
}

// withCode is a cluster with a virtual node that has version 2 of a package of code, and its flows.
func withCode(t *testing.T) flows {
	t.Helper()
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	p := bank("2")
	p.Signer, p.Contracts, p.Code = "SHA-256:"+codeSigner, []string{"Coin"}, codeFileOf(t, "2.0", 10)
	checksum := w.installed(p)
	const alice = "O=Alice, L=London, C=GB"
	hash := w.hash(alice)
	w.must("vnode/"+hash, createNode(alice, checksum), nil)
	w.succeeds(hash)
	v, err := engine.NewView(engine.ViewConfig{Brokers: w.kafka.Brokers(), Topic: topics.FlowRepliesPackages, Codec: schemas.Codec[*rpcv1.Reply]()})
	if err != nil {
		t.Fatal(err)
	}
	w.background(v.Run)
	return flows{w, hash, v}
}

func (f flows) send(id, flow, key string, op *appv1.PackageRequest) {
	f.w.t.Helper()
	f.w.kafka.Produce(f.w.t, topics.PackageRequests, key, &dbv1.PackageRequest{Vnode: f.vnode, FlowId: flow, Operation: op}, schemas.Codec[*dbv1.PackageRequest](),
		engine.HeaderRequest, id, engine.HeaderReply, engine.ReplyTo(topics.FlowRepliesPackages, -1, id))
}

func (f flows) answer(id string) (*rpcv1.Reply, bool) {
	m, ok := f.answers.Get(id)
	r, _ := m.(*rpcv1.Reply)
	return r, ok
}

// named is a package of code as transactions name it.
func named(version string, file []byte) *appv1.NamedPackage {
	sum := sha256.Sum256(file)
	return &appv1.NamedPackage{Name: "cpk", Version: version, Checksum: sum[:], Signer: bytes.Repeat([]byte{0x5E}, 32)}
}

// give hands a file over and returns the id of the request with the last part.
func (f flows) give(flow string, p *appv1.NamedPackage, file []byte) string {
	f.w.t.Helper()
	parts, id := slices.Collect(slices.Chunk(file, database.CodePartBytes)), ""
	for n, b := range parts {
		id = fmt.Sprintf("%s-%d", flow, n)
		f.send(id, flow, clusterdb.CodeKey(p.GetChecksum()), &appv1.PackageRequest{Operation: &appv1.PackageRequest_Put{Put: &appv1.PutPackagePart{Package: p, Part: uint32(n), Parts: uint32(len(parts)), Data: b}}})
	}
	return id
}

// said waits for an answer and says it.
func (f flows) said(id string) string {
	f.w.t.Helper()
	f.w.until("the answer to "+id, func() bool { _, ok := f.answer(id); return ok })
	r, _ := f.answer(id)
	if e := r.GetError(); e != nil {
		return e.GetType() + " " + e.GetMessage()
	}
	return fmt.Sprintf("%d bytes", len(r.GetResult()))
}

func (f flows) count(sql string) (n int64) {
	f.w.t.Helper()
	if err := f.w.pool(f.w.clusterURL).One(f.w.t.Context(), []any{&n}, sql); err != nil {
		f.w.t.Fatal(err)
	}
	return n
}

// Every point of the taking of a package is where the worker dies once; the next one goes on, and the package is there once.
func TestGivenPackageSurvivesCrashes(t *testing.T) {
	f := withCode(t)
	w, file := f.w, codeFileOf(t, "1.0", 200_000)
	p := named("1.0", file)
	key := clusterdb.CodeKey(p.GetChecksum())
	var crashes []string
	w.crashAt(func(point string) error {
		if !slices.Contains(crashes, point) && point != "request republish" {
			crashes = append(crashes, point)
			return fmt.Errorf("the test's crash at %s", point)
		}
		return nil
	})
	last := f.give("flow-1", p, file)
	for n := 0; ; n++ {
		if n == 40 {
			t.Fatalf("no end; crashes so far: %v", crashes)
		}
		running, done := w.engine, false
		w.until("a crash or an end", func() bool {
			_, done = f.answer(last)
			select {
			case <-running.Done():
				return true
			default:
				return done
			}
		})
		if done {
			break
		}
		w.stop()
		w.start()
	}
	if got := f.said(last); got != "0 bytes" {
		t.Errorf("the last part: %s", got)
	}
	want := []string{"package", "step verify", "after verify", "step validate", "after validate", "step store", "after store", "step publish", "after publish"}
	if !slices.Equal(crashes, want) {
		t.Errorf("it crashed at %q, want %q", crashes, want)
	}
	w.until("the package is told", func() bool { _, ok := w.views[topics.CpkInfo].Get(key); return ok })
	m, _ := w.views[topics.CpkInfo].Get(key)
	code := m.(*cpiv1.Code)
	for part := range code.GetModules()[0].GetChunks() {
		if _, ok := w.views[topics.CpiChunks].Get(database.ChunkKey(code.GetModules()[0].GetSha256(), part)); !ok {
			t.Errorf("part %d of the module was not told before the package", part)
		}
	}
	for sql, want := range map[string]int64{
		"SELECT count(*) FROM code": 2, "SELECT count(*) FROM code WHERE received_by <> ''": 1, "SELECT count(*) FROM cpi_upload": 0,
		"SELECT count(*) FROM audit WHERE action = 'package.receive'": 1, "SELECT count(*) FROM cpi": 1,
	} {
		if got := f.count(sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	// What was taken is read as it came, and given again to no effect; nobody's status was told.
	f.send("read", "flow-2", key, &appv1.PackageRequest{Operation: &appv1.PackageRequest_Read{Read: &appv1.ReadPackagePart{Package: p, Part: 1}}})
	f.said("read")
	r, _ := f.answer("read")
	var part appv1.PackagePart
	if err := proto.Unmarshal(r.GetResult(), &part); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(part.GetData(), file[database.CodePartBytes:2*database.CodePartBytes]) || int(part.GetParts()) != (len(file)+database.CodePartBytes-1)/database.CodePartBytes {
		t.Errorf("%d parts, and %d bytes that are not those of the file", part.GetParts(), len(part.GetData()))
	}
	if got := f.said(f.give("flow-3", p, file)); got != "0 bytes" {
		t.Errorf("given again: %s", got)
	}
	for key := range w.views[topics.OperationStatus].All() {
		if strings.HasPrefix(key, "package/") {
			t.Errorf("the status of %s is told", key)
		}
	}
}

// A flow is told that another one began to bring the same package to its virtual node, whoever asks again.
func TestPackageThatIsComing(t *testing.T) {
	f := withCode(t)
	file := codeFileOf(t, "1.0", 600_000)
	p, other := named("1.0", file), named("1.0", append([]byte("x"), file...))
	begin := func(id, flow string, p *appv1.NamedPackage) string {
		f.send(id, flow, clusterdb.CodeKey(p.GetChecksum()), &appv1.PackageRequest{Operation: &appv1.PackageRequest_Put{Put: &appv1.PutPackagePart{Package: p, Parts: 3, Data: file[:database.CodePartBytes]}}})
		return f.said(id)
	}
	const alone, coming = "0 bytes", "2 bytes"
	for _, c := range []struct {
		id, flow string
		p        *appv1.NamedPackage
		want     string
	}{
		{"1", "first", p, alone}, {"2", "second", p, coming}, {"3", "third", p, coming}, {"4", "second", p, coming}, {"5", "first", p, alone}, {"6", "second", other, alone},
	} {
		if got := begin(c.id, c.flow, c.p); got != c.want {
			t.Errorf("request %s, of flow %s: %s, want %s", c.id, c.flow, got, c.want)
		}
	}
	// Who is silent for long does not bring it.
	if _, err := f.w.pool(f.w.clusterURL).Exec(t.Context(), "UPDATE cpi_upload SET at = at - interval '3 minutes' WHERE request_id LIKE '%/first/%'"); err != nil {
		t.Fatal(err)
	}
	if got := begin("7", "second", p); got != alone {
		t.Errorf("after the first is silent: %s", got)
	}
}

// What is wrong with a package is found before anything of it is kept; flows that bring the same at once do not disturb each
// other; and what an operator uploads later counts as the operator's.
func TestGivenPackages(t *testing.T) {
	f := withCode(t)
	file := codeFileOf(t, "1.0", 200_000)
	refuse := func(change func(*pack)) ([]byte, *appv1.NamedPackage) {
		p := pack{Name: "cpk", Version: "1.0", Signer: "SHA-256:" + codeSigner, Module: []byte("x")}
		change(&p)
		b := p.file(t)
		return b, named("1.0", b)
	}
	for what, c := range map[string]struct {
		change func(*pack)
		want   string
	}{
		"of nobody whose certificate is there": {func(p *pack) { p.Refuse = "nobody has imported its certificate" }, "package-refused nobody has imported its certificate"},
		"of another signer":                    {func(p *pack) { p.Signer = "SHA-256:" + strings.Repeat("01", 32) }, "package-refused the file that was given for package cpk 1.0 is signed by SHA-256:0101"},
		"of another version":                   {func(p *pack) { p.Version = "1.1" }, "package-refused the file that was given for package cpk 1.0 is package cpk 1.1"},
		"of another name":                      {func(p *pack) { p.Name = "other" }, "package-refused the file that was given for package cpk 1.0 is package other 1.0"},
	} {
		b, p := refuse(c.change)
		if got := f.said(f.give(strings.ReplaceAll(what, " ", "-"), p, b)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
	if got := f.said(f.give("wrong", named("1.0", file), append([]byte("x"), file...))); !strings.Contains(got, "and must have") {
		t.Errorf("another file: %s", got)
	}
	if n := f.count("SELECT count(*) FROM cpi_upload") + f.count("SELECT count(*) FROM code WHERE received_by <> ''") + f.count("SELECT count(*) FROM code_part WHERE sha256 NOT IN (SELECT sha256 FROM code)"); n != 0 {
		t.Errorf("%d rows are left of what was refused", n)
	}

	var last []string
	for n := range 5 {
		last = append(last, f.give(fmt.Sprintf("at-once-%d", n), named("1.0", file), file))
	}
	f.give("half", named("1.0", codeFileOf(t, "1.1", 200_000)), file[:database.CodePartBytes])
	for _, id := range last {
		if got := f.said(id); got != "0 bytes" {
			t.Errorf("%s: %s", id, got)
		}
	}
	if n := f.count("SELECT count(*) FROM code WHERE received_by <> ''"); n != 1 {
		t.Errorf("%d packages were taken", n)
	}
	old := bank("1")
	old.Signer, old.Contracts, old.Code = "SHA-256:"+codeSigner, []string{"Coin"}, file
	f.w.installed(old)
	if n := f.count("SELECT count(*) FROM code WHERE received_by <> ''"); n != 0 {
		t.Errorf("%d packages count as taken after an operator uploaded them", n)
	}
	f.send("missing", "flow-9", "flow-9", &appv1.PackageRequest{Operation: &appv1.PackageRequest_FindMissing{FindMissing: &appv1.FindMissingPackages{
		Checksums: [][]byte{named("1.0", file).GetChecksum(), make([]byte, 32)},
	}}})
	if got := f.said("missing"); got != "34 bytes" {
		t.Errorf("missing: %s", got)
	}
}

// The package of code of a CPI that is replaced stays: what was verified by it can be verified for ever.
func TestReplacedPackagesStay(t *testing.T) {
	f := withCode(t)
	was := clusterdb.CodeKey(named("2.0", codeFileOf(t, "2.0", 10)).GetChecksum())
	p := bank("2")
	p.Signer, p.Contracts, p.Code = "SHA-256:"+codeSigner, []string{"Coin"}, codeFileOf(t, "2.0", 11)
	f.w.upload("forced", p.file(t), true)
	f.w.succeeds("forced")
	for _, key := range []string{was, clusterdb.CodeKey(named("2.0", p.Code).GetChecksum())} {
		f.w.until("package "+key, func() bool { _, ok := f.w.views[topics.CpkInfo].Get(key); return ok })
	}
	f.send("read", "flow-1", was, &appv1.PackageRequest{Operation: &appv1.PackageRequest_Read{Read: &appv1.ReadPackagePart{Package: named("2.0", codeFileOf(t, "2.0", 10))}}})
	if got := f.said("read"); strings.Contains(got, " found") || got == "0 bytes" {
		t.Errorf("reading it: %s", got)
	}
}

// crashOnce ends the worker when it comes to a point, once.
func (w *world) crashOnce(at string) {
	crashed := false
	w.crashAt(func(point string) error {
		if point == at && !crashed {
			crashed = true
			return errors.New("the test's crash")
		}
		return nil
	})
}

// A package that nobody can verify by yet, for it is not told, counts as missing.
func TestPackageIsThereWhenItIsTold(t *testing.T) {
	f := withCode(t)
	w, file := f.w, codeFileOf(t, "1.0", 200_000)
	p := named("1.0", file)
	key := clusterdb.CodeKey(p.GetChecksum())
	w.crashOnce("after store")
	running := w.engine
	last := f.give("flow-1", p, file)
	<-running.Done()
	have, err := clusterdb.CodeFiles(t.Context(), w.pool(w.clusterURL), []string{key})
	if err != nil {
		t.Fatal(err)
	}
	if _, told := w.views[topics.CpkInfo].Get(key); have[key] && !told {
		t.Error("it counts as there, and no verification worker has been told of it")
	}
	w.stop()
	w.start()
	if got := f.said(last); got != "0 bytes" {
		t.Errorf("the last part: %s", got)
	}
	if have, err = clusterdb.CodeFiles(t.Context(), w.pool(w.clusterURL), []string{key}); err != nil || !have[key] {
		t.Errorf("at the end: %v, %v", have, err)
	}
}

// A package that is stored and not told takes no room a second time when another flow hands it over.
func TestTellingTakesNoRoomTwice(t *testing.T) {
	f := withCode(t)
	w, file := f.w, codeFileOf(t, "1.0", 200_000)
	w.stop()
	w.code.Received = uint64(len(file)) + 10
	w.start()
	w.crashOnce("after store")
	p, running := named("1.0", file), w.engine
	last := f.give("flow-1", p, file)
	other := f.give("flow-2", p, file)
	<-running.Done()
	w.stop()
	w.start()
	if got := f.said(last); got != "0 bytes" {
		t.Errorf("flow-1: %s", got)
	}
	if got := f.said(other); strings.Contains(got, "refused") {
		t.Errorf("flow-2: %s", got)
	}
}
