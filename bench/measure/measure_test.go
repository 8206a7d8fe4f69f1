package measure

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestPercentiles(t *testing.T) {
	var all []time.Duration
	for i := 100; i > 0; i-- {
		all = append(all, time.Duration(i)*time.Millisecond)
	}
	if got := PercentilesOf(all); got != (Percentiles{50, 90, 99, 100, 100}) {
		t.Errorf("percentiles are %+v", got)
	}
	if got := PercentilesOf([]time.Duration{1500 * time.Microsecond}); got != (Percentiles{1.5, 1.5, 1.5, 1.5, 1}) {
		t.Errorf("percentiles of one are %+v", got)
	}
	if got := PercentilesOf(nil); got != (Percentiles{}) {
		t.Errorf("percentiles of nothing are %+v", got)
	}
}

func TestParse(t *testing.T) {
	const line = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 150 25 300 50 20 0 1 0 1 1 1 1"
	p, err := parse(42, line)
	if want := (Process{42, 7, "a) b (c", 1750 * time.Millisecond, 3500 * time.Millisecond}); err != nil || p != want {
		t.Errorf("%+v, %v; want %+v", p, err, want)
	}
	for _, bad := range []string{"", "42 a S 7", "42 (a) S 7 1", strings.Replace(line, "150", "x", 1), strings.Replace(line, "S 7", "S x", 1)} {
		if p, err := parse(42, bad); err == nil {
			t.Errorf("%q is read as %+v", bad, p)
		}
	}
}

func TestTree(t *testing.T) {
	all := Processes{1: {1, 0, "a", 1, 2}, 2: {2, 1, "b", 10, 20}, 3: {3, 2, "c", 100, 200}, 4: {4, 9, "other", 1000, 1000}}
	if got := all.Tree(1); got != 333 {
		t.Errorf("the tree has %d", got)
	}
	if got := all.Children(2); len(got) != 1 || got[0].Name != "c" {
		t.Errorf("children are %v", got)
	}
}

func TestSnapshotHasAChild(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		if _, err := Snapshot(); err == nil {
			t.Error("without /proc there is a snapshot")
		}
		return
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = child.Process.Kill(), child.Wait() }()
	all, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if got := all[child.Process.Pid]; got.Parent != os.Getpid() {
		t.Errorf("the child is %+v", got)
	}
	if _, err := CPU(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func TestSVGIsXML(t *testing.T) {
	text := SVG(Chart{Heading: "a < b", Bars: []Bar{{Title: "x & y", Value: 3, Label: "3 <"}, {Title: "none", Other: true}}}, Chart{Heading: "empty"})
	if strings.Contains(text, "empty") {
		t.Error("a chart without bars is drawn")
	}
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
