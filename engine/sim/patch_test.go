package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// edit is one change to a file of a module, made at build only. old must stand in the file exactly once.
type edit struct{ file, old, new string }

const kfakeModule = "github.com/twmb/franz-go/pkg/kfake"

// kfakeEdits mend what kfake does unlike Apache Kafka and what would fail runs that the engine passes.
var kfakeEdits = []edit{
	// Kafka answers the log's end for an older epoch when nothing was written in a newer one; kfake says it does
	// not know the epoch, which clients must take for lost data.
	{"23_offset_for_leader_epoch.go",
		"			if cur == nil {\n				sp.LeaderEpoch = -1\n",
		"			if cur == nil && rp.LeaderEpoch < pd.epoch {\n				sp.LeaderEpoch = rp.LeaderEpoch\n				sp.EndOffset = pd.highWatermark\n				continue\n			}\n			if cur == nil {\n				sp.LeaderEpoch = -1\n"},
	// Kafka's deadline of a rebalance stands; kfake moves it with each join, so that a dead member and two that give
	// up and come again keep a group from ever getting on.
	{"groups.go",
		"	if g.tRebalance != nil {\n		g.tRebalance.Stop()\n	}\n	// The deadline belongs",
		"	if g.tRebalance != nil {\n		return\n	}\n	// The deadline belongs"},
	// Kafka watches a member from its join on, whether the answer reached it or not; kfake keeps one that went away
	// meanwhile, and its partitions, for ever.
	{"groups.go",
		"	if !creq.reply(kresp) {\n		return\n	}\n	if m != nil {\n		g.updateHeartbeat(m)",
		"	creq.reply(kresp)\n	if m != nil {\n		g.updateHeartbeat(m)"},
	// Kafka's cleaner stops at the first open transaction; kfake's takes away what an aborted one wrote over.
	{"data.go",
		"	total := pd.totalBatches()\n\n	// Read delete.retention.ms",
		"	total := pd.totalBatches()\n	if pd.lastStableOffset < pd.highWatermark {\n		return\n	}\n\n	// Read delete.retention.ms"},
	// Kafka keeps an abort's marker as long as it names the abort to readers; kfake takes it away before, and clients,
	// waiting for it, pass over all that the same producer wrote behind it.
	{"data.go",
		"		if isControl && !survivingPIDs[batch.ProducerID] {\n",
		`		at := sort.Search(len(pd.abortedTxns), func(k int) bool { return pd.abortedTxns[k].lastOffset >= batch.FirstOffset })
		aborts := at < len(pd.abortedTxns) && pd.abortedTxns[at].lastOffset == batch.FirstOffset
		if isControl && !survivingPIDs[batch.ProducerID] && !aborts {
`},
	// A decided transaction's marker reaches each of its partitions at a time of its own, after the offsets that it
	// commits may be seen; in kfake all happens at once. Here the marker is in its place in the log at once (so nothing
	// can come between), and the last stable offset stays below it for a while.
	{"txns.go",
		`		pd.recalculateLSO()
		// Count the now-committed bytes for readCommitted watchers.
		// These bytes were skipped in push() because inTx was true.
		txnBytes, _ := pidinf.txPartBytes.getp(t, p)
		if txnBytes != nil && *txnBytes > 0 {
			for w := range pd.watch {
				if w.readCommitted {
					w.addBytes(pd, *txnBytes)
				}
			}
		}
`,
		`		n := 0
		if txnBytes, _ := pidinf.txPartBytes.getp(t, p); txnBytes != nil {
			n = *txnBytes
		}
		seen := func() {
			pd.recalculateLSO()
			for w := range pd.watch {
				if w.readCommitted && n > 0 {
					w.addBytes(pd, n)
				}
			}
		}
		wait := markerDelay(c.cfg.clusterID, t, p, controlOffset)
		if wait == 0 || !hadUncommitted {
			seen()
			return
		}
		hold := -2 - controlOffset // no producer's id
		pd.uncommittedPIDs[hold] = firstUncommitted
		pd.recalculateLSO()
		time.AfterFunc(wait, func() {
			select {
			case c.adminCh <- func() { delete(pd.uncommittedPIDs, hold); seen() }:
			case <-c.die:
			}
		})
`},
	{"txns.go",
		"func (pidinf *pidinfo) resetTx(wasCommit bool) {\n",
		`func markerDelay(cluster, topic string, p int32, offset int64) time.Duration {
	if len(cluster) < len("` + heldMarkers + `") || cluster[:len("` + heldMarkers + `")] != "` + heldMarkers + `" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(cluster + topic))
	h.Write([]byte{byte(p), byte(offset), byte(offset >> 8), byte(offset >> 16)})
	n := h.Sum64() * 0x9e3779b97f4a7c15 >> 20
	switch {
	case n%4 == 0:
		return 0
	case n%64 == 1:
		return time.Duration(n>>8%3000) * time.Millisecond
	}
	return time.Duration(n>>8%40) * time.Millisecond
}

func (pidinf *pidinfo) resetTx(wasCommit bool) {
`},
}

// heldMarkers begins the cluster id that makes the edited kfake hold markers back.
const heldMarkers = "held-"

// patchKfake writes an edited copy of kfake and a go.mod that names it, and returns the latter's name. The directory is
// the same for the same content, so that the build cache knows it again. (go build's -overlay refuses files of the
// module cache.)
func patchKfake(gomod string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", kfakeModule).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", kfakeModule, err)
	}
	module := strings.TrimSpace(string(out))
	names, err := filepath.Glob(filepath.Join(module, "*"))
	if err != nil {
		return "", fmt.Errorf("list %s: %w", module, err)
	}
	content := map[string]string{}
	for _, name := range names {
		base := filepath.Base(name)
		if base != "go.mod" && (!strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") || base == "main.go") {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read kfake: %w", err)
		}
		content[base] = string(raw)
	}
	for _, e := range kfakeEdits {
		if n := strings.Count(content[e.file], e.old); n != 1 {
			return "", fmt.Errorf("%s: an edit's place is found %d times, want 1; kfake changed: look whether it still needs the edit\n%s", e.file, n, e.old)
		}
		content[e.file] = strings.Replace(content[e.file], e.old, e.new, 1)
	}
	mod, err := os.ReadFile(gomod)
	if err != nil {
		return "", fmt.Errorf("read go.mod: %w", err)
	}
	sum, err := os.ReadFile(strings.TrimSuffix(gomod, ".mod") + ".sum")
	if err != nil {
		return "", fmt.Errorf("read go.sum: %w", err)
	}
	digest := sha256.New()
	for _, base := range slices.Sorted(maps.Keys(content)) {
		fmt.Fprintf(digest, "%s %d %s", base, len(content[base]), content[base])
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the edited kfake: %w", err)
	}
	dir := filepath.Join(cache, "fairlead-sim", hex.EncodeToString(digest.Sum(nil)[:8]))
	if err := os.MkdirAll(filepath.Join(dir, "kfake"), 0o755); err != nil {
		return "", fmt.Errorf("write edited kfake: %w", err)
	}
	files := map[string]string{"go.sum": string(sum), "go.mod": fmt.Sprintf("%s\nreplace %s => %s\n", mod, kfakeModule, filepath.Join(dir, "kfake"))}
	for base, text := range content {
		files[filepath.Join("kfake", base)] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", fmt.Errorf("write edited kfake: %w", err)
		}
	}
	return filepath.Join(dir, "go.mod"), nil
}

// buildChild builds the binary that runs one seed, and returns its name.
func buildChild(dir string) (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find go.mod: %w", err)
	}
	gomod, err := patchKfake(strings.TrimSpace(string(out)))
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "seed.test")
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-tags", "synctests", "-modfile", gomod, "-o", bin, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
}
