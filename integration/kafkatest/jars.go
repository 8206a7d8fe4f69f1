package kafkatest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Version is the version of Apache Kafka that this package starts.
const Version = "4.1.1"

//go:embed pom.xml
var pom []byte

// errMissing says what the machine lacks for a real Kafka; it is an answer, not a failure.
type errMissing struct{ what string }

func (e *errMissing) Error() string { return e.what }

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava returns the path of a Java of version 17 or later: $JAVA_HOME/bin/java, else the one on PATH.
func findJava(ctx context.Context) (string, error) {
	java := ""
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
		if _, err := os.Stat(java); err != nil {
			java = ""
		}
	}
	if java == "" {
		var err error
		if java, err = exec.LookPath("java"); err != nil {
			return "", &errMissing{"no java on PATH: install a Java 17 runtime, or set JAVA_HOME"}
		}
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", &errMissing{fmt.Sprintf("java -version failed (%v): install a Java 17 runtime, or set JAVA_HOME", err)}
	}
	m := javaVersion.FindSubmatch(out)
	if m == nil {
		return "", &errMissing{fmt.Sprintf("java -version says %q, which names no version: install Java 17", out)}
	}
	if n, _ := strconv.Atoi(string(m[1])); n < 17 {
		return "", &errMissing{fmt.Sprintf("java is version %s, Kafka %s needs 17 or later", m[1], Version)}
	}
	return java, nil
}

// Jars returns a directory with the jars of the Kafka server. They are fetched once through Maven and kept in the
// user's cache directory under fairlead/kafka-<version>; a changed list of jars is fetched anew.
func Jars(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory: %w", err)
	}
	dir := filepath.Join(cache, "fairlead", "kafka-"+Version)
	return MavenJars(ctx, dir, pom)
}

// MavenJars copies the dependencies of a Maven project file, with everything that they need, into dir and returns
// it. A directory that is complete for the same project file is left as it is. Several processes may call it at
// once.
func MavenJars(ctx context.Context, dir string, projectFile []byte) (string, error) {
	sum := sha256.Sum256(projectFile)
	want := []byte(hex.EncodeToString(sum[:]))
	mark := filepath.Join(dir, "complete")
	if have, err := os.ReadFile(mark); err == nil && bytes.Equal(have, want) {
		return dir, nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", &errMissing{"no mvn on PATH to fetch jars: install Maven"}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory for jars: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".part-")
	if err != nil {
		return "", fmt.Errorf("make a directory to fetch jars into: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), projectFile, 0o644); err != nil {
		return "", fmt.Errorf("write the Maven project file: %w", err)
	}
	jars := filepath.Join(work, "jars")
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+jars)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch jars through Maven: %w\n%s", err, lastBytes(out, 4<<10))
	}
	if err := os.WriteFile(filepath.Join(jars, "complete"), want, 0o644); err != nil {
		return "", fmt.Errorf("mark the jars as complete: %w", err)
	}
	// Rename cannot replace a directory that has files. Another process may have finished first: its jars do.
	if err := os.Rename(jars, dir); err != nil {
		if have, rerr := os.ReadFile(mark); rerr == nil && bytes.Equal(have, want) {
			return dir, nil
		}
		if rerr := os.RemoveAll(dir); rerr != nil {
			return "", errors.Join(err, fmt.Errorf("remove outdated jars: %w", rerr))
		}
		if err := os.Rename(jars, dir); err != nil {
			return "", fmt.Errorf("put the jars in place: %w", err)
		}
	}
	return dir, nil
}

func lastBytes(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// JavaCommand returns a command that runs a main class with the jars of some directories. It is for programs that
// are measured beside ours. The error says what the machine lacks.
func JavaCommand(ctx context.Context, flags []string, dirs []string, mainClass string, args ...string) (*exec.Cmd, error) {
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	var path []string
	for _, d := range dirs {
		path = append(path, d, filepath.Join(d, "*"))
	}
	all := append(append([]string{}, flags...), "-cp", strings.Join(path, string(os.PathListSeparator)), mainClass)
	return exec.CommandContext(ctx, java, append(all, args...)...), nil
}
