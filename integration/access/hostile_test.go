package access

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/smallstep/pkcs7"

	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/cpi/archive"
	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// entry is a file of a zip file that fairlead's writer would not make.
type entry struct {
	name, content string
	mode          uint32 // of Unix; zero for a regular file
	size          uint64 // declared; zero for what it is
}

// zipped lays entries out as fairlead does, without its checks.
func (w *world) zipped(entries ...entry) []byte {
	w.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		var packed bytes.Buffer
		d, err := flate.NewWriter(&packed, flate.BestCompression)
		w.must(err)
		_, err = d.Write([]byte(e.content))
		w.must(err)
		w.must(d.Close())
		if e.mode == 0 {
			e.mode = 0o100644
		}
		if e.size == 0 {
			e.size = uint64(len(e.content))
		}
		out, err := z.CreateRaw(&zip.FileHeader{
			Name: e.name, CreatorVersion: 3<<8 | 20, ReaderVersion: 20, Flags: 0x800, Method: zip.Deflate, ModifiedDate: 1<<5 | 1, ExternalAttrs: e.mode << 16, //nolint:staticcheck // CreateRaw writes ModifiedDate, and Modified not at all
			CRC32: crc32.ChecksumIEEE([]byte(e.content)), CompressedSize64: uint64(packed.Len()), UncompressedSize64: e.size,
		})
		w.must(err)
		_, err = out.Write(packed.Bytes())
		w.must(err)
	}
	w.must(z.Close())
	return b.Bytes()
}

// tampered changes a file of a package and, when there is a key, its manifest and signature, too: an author who attacks.
func (w *world) tampered(file []byte, k *cpi.Key, name string, change func([]byte) []byte) []byte {
	w.Helper()
	a, err := archive.Open(bytes.NewReader(file), int64(len(file)), archive.Limits{})
	w.must(err)
	contents, manifest := map[string][]byte{}, ""
	for _, e := range a.Entries {
		contents[e.Name], err = e.ReadAll(1 << 30)
		w.must(err)
		if e.Name == "META-INF/manifest.json" {
			manifest = string(contents[e.Name])
		}
	}
	if contents[name] == nil {
		w.Fatalf("there is no %s in the package", name)
	}
	old := sha256.Sum256(contents[name])
	contents[name] = change(contents[name])
	sum := sha256.Sum256(contents[name])
	manifest = regexp.MustCompile(`"sha256":"`+hex.EncodeToString(old[:])+`","size":\d+`).
		ReplaceAllString(manifest, fmt.Sprintf(`"sha256":"%x","size":%d`, sum, len(contents[name])))
	var b bytes.Buffer
	out := archive.NewWriter(&b)
	for _, e := range a.Entries {
		content := contents[e.Name]
		switch {
		case k != nil && strings.HasSuffix(e.Name, ".p7s"):
			s, err := pkcs7.NewSignedData([]byte(manifest))
			w.must(err)
			s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
			w.must(s.AddSigner(k.Chain[0], k.Signer, pkcs7.SignerInfoConfig{}))
			s.Detach()
			content, err = s.Finish()
			w.must(err)
		case k != nil && e.Name == "META-INF/manifest.json":
			content = []byte(manifest)
		}
		_, stored := e.Stored()
		w.must(out.Add(e.Name, io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))), stored))
	}
	w.must(out.Close())
	return b.Bytes()
}

// guest is a module that is changed from one that does nothing.
func guest(change func(m *wt.Module)) []byte {
	m := &wt.Module{}
	m.Type(nil, nil)
	change(m)
	return m.Bytes()
}

// code is an application of one module and one table.
func code(name string, wasm []byte) cpi.Code {
	return cpi.Code{
		Name: name, Version: "1",
		Modules:    []cpi.CodeModule{{Name: name, Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, WASM: wasm, Flows: []*cpiv1.FlowClass{{Name: name + "-flow", Startable: true}}}},
		Migrations: map[string]string{"0001.sql": "CREATE TABLE " + name + " (id text PRIMARY KEY);\n"},
		Tables:     []*cpiv1.TableDeclaration{{Name: name, PrimaryKey: []string{"id"}, Columns: []*cpiv1.ColumnDeclaration{{Name: "id", Type: "text", NotNull: true}}}},
		Queries:    []*cpiv1.QueryDeclaration{{Name: name + "-all", Sql: "SELECT id FROM " + name, OrderBy: []string{"id"}}},
	}
}

// hostilePackages uploads what no cluster may take: each is refused with an id, the file or field, and a remedy, and the
// workers go on.
func (w *world) hostilePackages(k cpi.Key, vnode, checksum string) {
	w.Helper()
	stranger, second := w.signer("stranger"), w.signer("second")
	w.trust("second", second)
	forever := []byte{0x03, 0x40, 0x0C, 0x00, 0x0B} // loop, branch to its begin
	idle := wt.Guest(wt.I64Const(0)).Bytes()
	good := func() []byte { return w.installer("good", "1", k, code("good", idle)) }()
	bundle, cpk := "bundle.cpb", "cpks/good-1.cpk"
	// deep changes a file of the CPK within, signed rightly on every level.
	deep := func(name string, change func([]byte) []byte) []byte {
		return w.tampered(good, &k, bundle, func(b []byte) []byte {
			return w.tampered(b, &k, cpk, func(c []byte) []byte { return w.tampered(c, &k, name, change) })
		})
	}
	replaced := func(name, old, by string) []byte {
		return deep(name, func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				w.Fatalf("%s has no %s", name, old)
			}
			return bytes.ReplaceAll(b, []byte(old), []byte(by))
		})
	}
	module := func(wasm []byte) []byte { return w.installer("bad", "1", k, code("bad", wasm)) }
	migration := func(sql string) []byte {
		return deep("migrations/0001.sql", func([]byte) []byte { return []byte(sql) })
	}
	// both puts a bundle of two packages into the installer.
	both := func(change func(*cpi.Code)) []byte {
		c := code("other", idle)
		change(&c)
		return w.tampered(good, &k, bundle, func([]byte) []byte { return w.bundle("good", "1", k, code("good", idle), c) })
	}
	zeros := strings.Repeat("\x00", 2<<20)
	many := make([]entry, 10_001)
	for i := range many {
		many[i] = entry{name: fmt.Sprint("f", i)}
	}
	nested := "bundle.cpb > cpks/good-1.cpk > "
	type attack struct {
		file            []byte
		id, say, remedy string
	}
	refuses := func(what string, c attack) {
		w.Helper()
		_, err := w.upload(c.file)
		var r *refusal
		if !errors.As(err, &r) {
			w.Errorf("%s: %v; want %s", what, err, c.id)
			return
		}
		if r.id != c.id || !strings.Contains(r.title, c.say) || !strings.Contains(r.title, c.remedy) || r.status != http.StatusBadRequest && r.status != http.StatusConflict {
			w.Errorf("%s: %v; want 400 or 409, %s, %q and %q", what, r, c.id, c.say, c.remedy)
		}
	}
	for what, c := range map[string]attack{
		"harmless zip":      {w.zipped(entry{name: "a", content: "x"}), cpi.ErrManifest, "META-INF/manifest.json", "fairlead app"},
		"bomb by ratio":     {w.zipped(entry{name: "bomb", content: zeros}), cpi.ErrTooLarge, "bomb: ", "make it smaller"},
		"bomb by size":      {w.zipped(entry{name: "bomb", content: "x", size: 1 << 31}), cpi.ErrTooLarge, "bomb: ", "make it smaller"},
		"bomb by count":     {w.zipped(many...), cpi.ErrTooLarge, "10001 entries", "make it smaller"},
		"bomb by lie":       {w.zipped(entry{name: "META-INF/manifest.json", content: zeros, size: 10}), cpi.ErrCorrupt, "META-INF/manifest.json: it is longer", "get the file again"},
		"bomb within":       {deep("migrations/0001.sql", func([]byte) []byte { return []byte(zeros) }), cpi.ErrTooLarge, nested + "migrations/0001.sql", "make it smaller"},
		"absolute":          {w.zipped(entry{name: "/etc/passwd"}), cpi.ErrName, "/etc/passwd: the name is an absolute path", "rename the file"},
		"dot dot":           {w.zipped(entry{name: "a/../../b"}), cpi.ErrName, "leads to another folder", "rename the file"},
		"backslash":         {w.zipped(entry{name: `..\b`}), cpi.ErrName, "backslash", "rename the file"},
		"drive":             {w.zipped(entry{name: "C:/b"}), cpi.ErrName, "colon", "rename the file"},
		"twice":             {w.zipped(entry{name: "a"}, entry{name: "a"}), cpi.ErrDuplicate, "a: the file has a, too", "rename one of them"},
		"case collision":    {w.zipped(entry{name: "a"}, entry{name: "A"}), cpi.ErrDuplicate, "A: the file has a, too", "rename one of them"},
		"symbolic link":     {w.zipped(entry{name: "a", content: "/etc/passwd", mode: 0o120777}), cpi.ErrLayout, "a: ", "fairlead app"},
		"cut off":           {good[:len(good)-1], cpi.ErrNotPackage, "cut off", "get the file again"},
		"bytes behind":      {append(bytes.Clone(good), "MORE"...), cpi.ErrNotPackage, "put behind", "get the file again"},
		"a CPB":             {w.bundle("good", "1", k, code("good", idle)), cpi.ErrKind, "a CPI is needed", "create-cpi"},
		"changed after":     {w.tampered(good, nil, "GroupPolicy.json", func(b []byte) []byte { return append(b, ' ') }), cpi.ErrContent, "GroupPolicy.json: ", "get the file again"},
		"unknown signer":    {w.installer("stranger", "1", stranger, code("stranger", idle)), cpi.ErrUntrusted, "META-INF/signatures/", "usage code-signer"},
		"stranger within":   {w.tampered(good, &k, bundle, func([]byte) []byte { return w.bundle("good", "1", stranger, code("good", idle)) }), cpi.ErrUntrusted, "bundle.cpb > META-INF/signatures/", "usage code-signer"},
		"signed by another": {w.tampered(good, &stranger, "GroupPolicy.json", func(b []byte) []byte { return b }), cpi.ErrSignature, "belongs into", "sign the package anew"},
		"import of env":     {module(guest(func(m *wt.Module) { m.Import("env", "now", 0) })), "FL-DB-017", "import env.now", "module bad of bad 1"},
		"import of a file":  {module(guest(func(m *wt.Module) { m.Import("wasi_snapshot_preview1", "path_open", 0) })), "FL-DB-017", "path_open", "module bad of bad 1"},
		"large memory":      {module(guest(func(m *wt.Module) { m.Memory(0, 0x81, 0x08); m.Export("memory", 2, 0) })), "FL-DB-017", "1025 pages of memory, at most 1024", "module bad of bad 1"},
		"two memories":      {module(guest(func(m *wt.Module) { m.Memory(0, 1); m.Memory(0, 1) })), "FL-DB-017", "2 memories", "module bad of bad 1"},
		"imported memory":   {module(guest(func(m *wt.Module) { m.ImportRaw("a", "b", 2, 0, 1) })), "FL-DB-017", "a.b is not a function", "module bad of bad 1"},
		"start section":     {module(guest(func(m *wt.Module) { m.Start(m.Func(0, nil, forever)) })), "FL-DB-017", "start section", "_initialize"},
		"endless start":     {module(endlessInit(forever)), "FL-DB-017", "_initialize", "module bad of bad 1"},
		"no module":         {deep("modules/good.wasm", func([]byte) []byte { return []byte("#!/bin/sh\nexit\n") }), "FL-DB-017", "module good of good 1", "fairlead app build"},
		"search path":       {migration("SET search_path = pg_catalog;"), "FL-DB-020", "migration 0001.sql of good", "SET is not allowed"},
		"copy":              {migration("SELECT 1;\nCOPY good TO PROGRAM 'cat'"), "FL-DB-020", "migration 0001.sql of good", "line 2: COPY is not allowed"},
		"another role":      {migration("SET ROLE fairlead"), "FL-DB-020", "migration 0001.sql of good", "allowed are ALTER"},
		"commit":            {migration("COMMIT"), "FL-DB-020", "migration 0001.sql of good", "allowed are ALTER"},
		"fairlead's table":  {migration("DELETE FROM fl_request"), "FL-DB-020", "migration 0001.sql of good", "choose another name"},
		"its name declared": {replaced("application.json", `"name":"good","primaryKey"`, `"name":"fl_request","primaryKey"`), cpi.ErrDeclaration, `table "fl_request"`, "choose another name"},
		"its history":       {replaced("application.json", `"name":"good","primaryKey"`, `"name":"fairlead_migration","primaryKey"`), cpi.ErrDeclaration, `table "fairlead_migration"`, "choose another name"},
		"its name asked":    {replaced("application.json", "SELECT id FROM good", "SELECT id FROM fl_request"), cpi.ErrDeclaration, "names fl_request", "fairlead's own"},
		"two of one name":   {both(func(c *cpi.Code) { c.Name = "good"; c.Version = "2" }), cpi.ErrNested, `package "good" is also in good 1`, "rename one of them"},
		"two of one flow":   {both(func(c *cpi.Code) { c.Modules[0].Flows[0].Name = "good-flow" }), cpi.ErrNested, `flow "good-flow" is also in good 1`, "rename one of them"},
		"two of one table":  {both(func(c *cpi.Code) { c.Tables[0].Name = "good" }), cpi.ErrNested, `table "good" is also in good 1`, "rename one of them"},
		"two of one query":  {both(func(c *cpi.Code) { c.Queries[0].Name = "good-all" }), cpi.ErrNested, `query "good-all" is also in good 1`, "rename one of them"},
	} {
		refuses(what, c)
	}
	_, err := w.upload(good)
	w.must(err)
	refuses("the same once more", attack{good, "FL-DB-015", "name = good, version = 1", "already uploaded"})
	// Another signer's package of the same name is another package: it replaces nothing and no virtual node moves to it.
	var r *refusal
	if _, err := w.uploadTo("/maintenance/virtualnode/forcecpiupload", w.installer("good", "1", second, code("good", idle))); !errors.As(err, &r) || r.id != "FL-DB-016" {
		w.Errorf("forced by another signer: %v", err)
	}
	moved, err := w.upload(w.installer("both", "2", second, code("good", idle)))
	w.must(err)
	if err := w.call(http.MethodPut, "/api/v5_2/virtualnode/"+vnode+"/state/maintenance", "", nil, nil); err != nil {
		w.Fatal(err)
	}
	if err := w.call(http.MethodPut, "/api/v5_2/virtualnode/"+vnode+"/cpi/"+moved, "", nil, nil); !errors.As(err, &r) || r.id != "FL-DB-010" {
		w.Errorf("an upgrade to another signer's package: %v", err)
	}
	if err := w.call(http.MethodPut, "/api/v5_2/virtualnode/"+vnode+"/state/active", "", nil, nil); err != nil {
		w.Fatal(err)
	}
	// A flow that never ends is ended, and its worker goes on with others.
	spin, err := w.upload(w.installer("spin", "1", k, code("spin", wt.Guest(wt.Cat(forever, wt.I64Const(0))).Bytes())))
	w.must(err)
	other, err := w.vnode("O=Carol, L=Rome, C=IT", spin)
	w.must(err)
	if err := w.flow(other, "spin", "spin-flow", map[string]string{}, nil); err == nil || !strings.Contains(err.Error(), "budget") {
		w.Errorf("a flow that never ends: %v", err)
	}
	var list []struct{ Text string }
	w.must(w.flow(vnode, "after", "note-list", map[string]string{}, &list))
	if len(list) != 1 || list[0].Text != "milk" {
		w.Errorf("afterwards %s has the notes %v", vnode, list)
	}
}

// endlessInit is a guest whose _initialize never ends.
func endlessInit(forever []byte) []byte {
	m := &wt.Module{}
	m.Type(nil, nil)
	m.Type(nil, []byte{wt.I32})
	m.Type([]byte{wt.I32}, []byte{wt.I32})
	m.Type([]byte{wt.I32, wt.I32}, []byte{wt.I64})
	m.Memory(0, 2)
	m.Export("memory", 2, 0)
	m.Export("_initialize", 0, m.Func(0, nil, forever))
	m.Export("fairlead_abi", 0, m.Func(1, nil, wt.I32Const(1)))
	m.Export("fairlead_alloc", 0, m.Func(2, nil, wt.I32Const(1024)))
	m.Export("fairlead_start", 0, m.Func(3, nil, wt.I64Const(0)))
	m.Export("fairlead_resume", 0, m.Func(3, nil, wt.I64Const(0)))
	return m.Bytes()
}
