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
}

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
