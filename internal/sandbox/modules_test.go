package sandbox_test

import (
	"strings"
	"testing"

	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"

	"github.com/fairleadio/fairlead/internal/sandbox"
)

// TestModulesThatAreRefused has a case for each reason to refuse a module when it is installed.
func TestModulesThatAreRefused(t *testing.T) {
	r := newRuntime(t, sandbox.Config{Limits: sandbox.Limits{Instructions: 1_000_000}})
	without := func(name string) *wt.Module {
		m := &wt.Module{}
		m.Type(nil, nil)
		m.Type(nil, []byte{wt.I32})
		m.Type([]byte{wt.I32}, []byte{wt.I32})
		m.Type([]byte{wt.I32, wt.I32}, []byte{wt.I64})
		m.Memory(0, 2)
		for _, e := range []struct {
			name string
			typ  int
			code []byte
		}{
			{"_initialize", 0, nil}, {"fairlead_abi", 1, wt.I32Const(1)}, {"fairlead_alloc", 2, wt.I32Const(0)},
			{"fairlead_start", 3, wt.I64Const(0)}, {"fairlead_resume", 3, wt.I64Const(0)},
		} {
			if e.name != name {
				m.Export(e.name, 0, m.Func(e.typ, nil, e.code))
			}
		}
		if name != "memory" {
			m.Export("memory", 2, 0)
		}
		return m
	}
	importing := func(module, name string, params, results []byte) *wt.Module {
		m := &wt.Module{}
		m.Import(module, name, m.Type(params, results))
		return m
	}
	abi := func(code ...[]byte) *wt.Module {
		m := without("fairlead_abi")
		m.Export("fairlead_abi", 0, m.Func(1, nil, code...))
		return m
	}
	initialize := func(code ...[]byte) *wt.Module {
		m := without("_initialize")
		m.Export("_initialize", 0, m.Func(0, nil, code...))
		return m
	}
	large := &wt.Module{}
	large.Memory(0, 0x81, 0x08) // 1025
	large.Export("memory", 2, 0)
	wrongType := without("fairlead_start")
	wrongType.Export("fairlead_start", 0, wrongType.Func(2, nil, wt.I32Const(0)))
	outside := without("")
	outside.Data(2<<16-1, []byte("ab"))

	for name, c := range map[string]struct {
		m    *wt.Module
		kind sandbox.ErrorKind
		word string
	}{
		"no memory":         {without("memory"), sandbox.Rejected, `does not export its memory`},
		"no _initialize":    {without("_initialize"), sandbox.Rejected, "c-shared"},
		"no alloc":          {without("fairlead_alloc"), sandbox.Rejected, "fairlead_alloc(i32) i32"},
		"no start":          {without("fairlead_start"), sandbox.Rejected, "fairlead_start(i32, i32) i64"},
		"no resume":         {without("fairlead_resume"), sandbox.Rejected, "fairlead_resume"},
		"wrong type":        {wrongType, sandbox.Rejected, "type (i32) i32, not (i32, i32) i64"},
		"env import":        {importing("env", "now", nil, nil), sandbox.Rejected, "import env.now"},
		"unknown import":    {importing("wasi_snapshot_preview1", "fd_open", nil, nil), sandbox.Rejected, "fd_open: there is no such function"},
		"other import type": {importing("wasi_snapshot_preview1", "random_get", []byte{wt.I32}, []byte{wt.I32}), sandbox.Rejected, "has type (i32) i32, not (i32, i32) i32"},
		"the meter":         {importing("fairlead_meter", "more", nil, nil), sandbox.Rejected, "reserved"},
		"memory too large":  {large, sandbox.Rejected, "1025 pages of memory, at most 1024"},
		"other abi":         {abi(wt.I32Const(2)), sandbox.Rejected, "speaks fairlead_abi 2, this host speaks 1"},
		"invalid code":      {abi(), sandbox.Rejected, "does not compile"},
		"init traps":        {initialize([]byte{0x00}), sandbox.Trap, "_initialize: unreachable"},
		"init loops":        {initialize([]byte{0x03, 0x40, 0x0C, 0x00, 0x0B}), sandbox.OutOfInstructions, "_initialize"},
		"data outside":      {outside, sandbox.Rejected, "cannot be instantiated"},
	} {
		_, err := r.Install(t.Context(), c.m.Bytes())
		if sandbox.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v; want kind %s and %q", name, err, c.kind, c.word)
		}
	}
	if _, err := r.Install(t.Context(), []byte("#!/bin/sh")); sandbox.KindOf(err) != sandbox.Rejected {
		t.Errorf("a script: %v", err)
	}
	if _, err := r.Install(t.Context(), without("").Bytes()); err != nil {
		t.Errorf("the module that the others are made from: %v", err)
	}
}

// TestGuestsThatLie has hand-made guests that return what a guest must not return.
func TestGuestsThatLie(t *testing.T) {
	r := newRuntime(t, sandbox.Config{Limits: sandbox.Limits{Instructions: 1_000_000}})
	pair := func(at, n int64) []byte { return wt.I64Const(at<<32 | n) }
	local := wt.Op(0x20, 0)
	for name, c := range map[string]struct {
		code []byte
		kind sandbox.ErrorKind
		word string
	}{
		"outside":         {pair(2<<16, 1), sandbox.BadYield, "returned 1 bytes at 131072"},
		"over the edge":   {pair(2<<16-1, 2), sandbox.BadYield, "outside the memory of 131072"},
		"wraps around":    {pair(-16, 100), sandbox.BadYield, "outside"},
		"too large":       {pair(0, 960<<10+1), sandbox.ResultTooLarge, "983041 bytes"},
		"all of 4 GiB":    {wt.I64Const(-1), sandbox.ResultTooLarge, "at most"},
		"unreachable":     {[]byte{0x00}, sandbox.Trap, "unreachable"},
		"reads outside":   {wt.Cat(wt.I32Const(-8), []byte{0x29, 0, 0}), sandbox.Trap, "out of bounds memory access"},
		"divides by zero": {wt.Cat(local, wt.I32Const(0), []byte{0x6D, 0x1A}, wt.I64Const(0)), sandbox.Trap, "divide by zero"},
		"loops":           {wt.Cat([]byte{0x03, 0x40, 0x0C, 0x00, 0x0B}, wt.I64Const(0)), sandbox.OutOfInstructions, "budget"},
	} {
		m, err := r.Install(t.Context(), wt.Guest(c.code).Bytes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		i := newInstance(t, m, sandbox.Env{})
		if _, err := i.Start(t.Context(), now, []byte("x")); sandbox.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v; want kind %s and %q", name, err, c.kind, c.word)
		}
	}
	good, err := r.Install(t.Context(), wt.Guest(pair(1024, 5)).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	i := newInstance(t, good, sandbox.Env{})
	if y, err := i.Start(t.Context(), now, []byte("hello")); err != nil || string(y) != "hello" {
		t.Errorf("a guest that returns its argument returned %q, %v", y, err)
	}
	if y, err := i.Resume(t.Context(), now, nil); err != nil || len(y) != 0 {
		t.Errorf("a guest that returns nothing returned %q, %v", y, err)
	}
	if _, err := i.Verify(t.Context(), now, nil); err == nil || sandbox.KindOf(err) != "" {
		t.Errorf("verify of a module without contracts: %v", err)
	}
	// A buffer outside the memory.
	bad := &wt.Module{}
	for _, typ := range [][2][]byte{{nil, nil}, {nil, {wt.I32}}, {{wt.I32}, {wt.I32}}, {{wt.I32, wt.I32}, {wt.I64}}} {
		bad.Type(typ[0], typ[1])
	}
	bad.Memory(0, 1)
	bad.Export("memory", 2, 0)
	bad.Export("_initialize", 0, bad.Func(0, nil))
	bad.Export("fairlead_abi", 0, bad.Func(1, nil, wt.I32Const(1)))
	bad.Export("fairlead_alloc", 0, bad.Func(2, nil, wt.I32Const(1<<16)))
	bad.Export("fairlead_verify", 0, bad.Func(3, nil, wt.I64Const(0)))
	m, err := r.Install(t.Context(), bad.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if m.HasFlows() || !m.HasContracts() {
		t.Errorf("flows %v, contracts %v", m.HasFlows(), m.HasContracts())
	}
	if f, err := m.Flows(t.Context()); err != nil || f != nil {
		t.Errorf("flows of a module of contracts: %v, %v", f, err)
	}
	i = newInstance(t, m, sandbox.Env{})
	if _, err := i.Verify(t.Context(), now, []byte("x")); sandbox.KindOf(err) != sandbox.BadYield {
		t.Errorf("a buffer outside the memory: %v", err)
	}
}

// TestHostFunctions calls what the host offers with bad pointers and odd arguments: the answer is an error number,
// never harm.
func TestHostFunctions(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	const wasi = "wasi_snapshot_preview1"
	i32s := func(n int) []byte { return []byte(strings.Repeat(string(rune(wt.I32)), n)) }
	far := wt.I32Const(-4)
	zero := wt.I32Const(0)
	for name, c := range map[string]struct {
		fn     string
		params []byte
		args   []byte
		want   byte
	}{
		"clock":                 {"clock_time_get", []byte{wt.I32, wt.I64, wt.I32}, wt.Cat(zero, wt.I64Const(0), wt.I32Const(8)), 0},
		"clock to nowhere":      {"clock_time_get", []byte{wt.I32, wt.I64, wt.I32}, wt.Cat(zero, wt.I64Const(0), far), 21},
		"unknown clock":         {"clock_time_get", []byte{wt.I32, wt.I64, wt.I32}, wt.Cat(wt.I32Const(9), wt.I64Const(0), zero), 28},
		"random to nowhere":     {"random_get", i32s(2), wt.Cat(far, wt.I32Const(8)), 21},
		"random everywhere":     {"random_get", i32s(2), wt.Cat(zero, wt.I32Const(-1)), 21},
		"write to file 3":       {"fd_write", i32s(4), wt.Cat(wt.I32Const(3), zero, zero, zero), 8},
		"write from nowhere":    {"fd_write", i32s(4), wt.Cat(wt.I32Const(1), far, wt.I32Const(1), zero), 21},
		"write far too much":    {"fd_write", i32s(4), wt.Cat(wt.I32Const(1), zero, wt.I32Const(-1), zero), 28},
		"write, count nowhere":  {"fd_write", i32s(4), wt.Cat(wt.I32Const(1), zero, zero, far), 21},
		"poll nothing":          {"poll_oneoff", i32s(4), wt.Cat(zero, zero, zero, zero), 28},
		"poll from nowhere":     {"poll_oneoff", i32s(4), wt.Cat(far, zero, wt.I32Const(1), zero), 21},
		"poll to nowhere":       {"poll_oneoff", i32s(4), wt.Cat(zero, far, wt.I32Const(1), zero), 21},
		"sleep":                 {"poll_oneoff", i32s(4), wt.Cat(zero, wt.I32Const(64), wt.I32Const(1), wt.I32Const(128)), 0},
		"arguments":             {"args_sizes_get", i32s(2), wt.Cat(zero, wt.I32Const(4)), 0},
		"arguments to nowhere":  {"args_sizes_get", i32s(2), wt.Cat(zero, far), 21},
		"environment":           {"environ_get", i32s(2), wt.Cat(zero, zero), 0},
		"about file 0":          {"fd_fdstat_get", i32s(2), wt.Cat(zero, zero), 0},
		"about file 3":          {"fd_fdstat_get", i32s(2), wt.Cat(wt.I32Const(3), zero), 8},
		"about file 0, nowhere": {"fd_fdstat_get", i32s(2), wt.Cat(zero, far), 21},
		"preopened directory":   {"fd_prestat_get", i32s(2), wt.Cat(wt.I32Const(3), zero), 8},
		"make a directory":      {"path_create_directory", i32s(3), wt.Cat(wt.I32Const(3), zero, zero), 52},
		"accept a connection":   {"sock_accept", i32s(3), wt.Cat(wt.I32Const(3), zero, zero), 8},
		"let others go on":      {"sched_yield", nil, nil, 0},
	} {
		m := &wt.Module{}
		imported := m.Import(wasi, c.fn, m.Type(c.params, []byte{wt.I32}))
		m.Type(nil, nil)
		m.Type(nil, []byte{wt.I32})
		m.Type([]byte{wt.I32}, []byte{wt.I32})
		m.Type([]byte{wt.I32, wt.I32}, []byte{wt.I64})
		m.Memory(0, 1)
		m.Export("memory", 2, 0)
		m.Export("_initialize", 0, m.Func(1, nil))
		m.Export("fairlead_abi", 0, m.Func(2, nil, wt.I32Const(1)))
		m.Export("fairlead_alloc", 0, m.Func(3, nil, wt.I32Const(256)))
		// Stores the error number and returns its place.
		m.Export("fairlead_start", 0, m.Func(4, nil, wt.I32Const(512), c.args, wt.Op(0x10, uint64(imported)), []byte{0x3A, 0, 0}, wt.I64Const(512<<32|1)))
		m.Export("fairlead_resume", 0, m.Func(4, nil, wt.I64Const(0)))
		mod, err := r.Install(t.Context(), m.Bytes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		i := newInstance(t, mod, sandbox.Env{Log: func(string) {}})
		if y, err := i.Start(t.Context(), now, nil); err != nil || len(y) != 1 || y[0] != c.want {
			t.Errorf("%s: error number %v, %v; want %d", name, y, err, c.want)
		}
	}
}

// TestMemoryCountsTables: what a module's tables take in each instance counts like its memory.
func TestMemoryCountsTables(t *testing.T) {
	m := wt.Guest(wt.I64Const(0))
	m.Table(100_000)
	module, err := newRuntime(t, sandbox.Config{}).Install(t.Context(), m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := newInstance(t, module, sandbox.Env{}).MemoryBytes(); got < 800_000 {
		t.Errorf("an instance with a table of 100,000 entries counts %d bytes", got)
	}
}
