package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// subject is one program that does the work.
type subject struct {
	name, title string
	// topics returns what must exist for a run with this id, beside input and output: plain and compacted.
	topics  func(id string) (plain, compacted []string)
	command func(ctx context.Context, b *bench, c child) (*exec.Cmd, error)
}

// Names of the subjects, as in results.json.
const (
	subjectEngine     = "engine"
	subjectBare       = "bare"
	subjectGoka       = "goka"
	subjectStreams    = "streams-eos"
	subjectStreamsALO = "streams-alo"
	subjectStreams10  = "streams-eos-10ms"
)

func subjects() []subject {
	none := func(string) (plain, compacted []string) { return nil, nil }
	return []subject{
		{subjectEngine, "fairlead engine, exactly once", engineTopics, self},
		{subjectBare, "bare franz-go loop, exactly once", func(id string) ([]string, []string) { return nil, []string{bareTable(id)} }, self},
		{subjectGoka, "stock goka (sarama), at least once", none, self},
		{subjectStreams, "Kafka Streams, exactly_once_v2, 100 ms", none, streams("exactly_once_v2", "100")},
		{subjectStreamsALO, "Kafka Streams, at_least_once, 100 ms", none, streams("at_least_once", "100")},
		{subjectStreams10, "Kafka Streams, exactly_once_v2, 10 ms", none, streams("exactly_once_v2", "10")},
	}
}

// self runs this program again as the subject.
func self(ctx context.Context, _ *bench, c child) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return exec.CommandContext(ctx, exe, c.args()...), nil
}

// streams runs the Java program.
func streams(guarantee, commit string) func(context.Context, *bench, child) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench, c child) (*exec.Cmd, error) {
		flags := []string{"-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}
		return kafkatest.JavaCommand(ctx, flags, b.streams, "io.fairlead.bench.Streams",
			c.brokers, c.group, c.in, c.out, guarantee, commit, c.dir)
	}
}

// buildStreams compiles the Java program in a copy of its sources and returns its class path.
func buildStreams(ctx context.Context, sources, dir string) ([]string, error) {
	work := filepath.Join(dir, "streams")
	if err := os.CopyFS(work, os.DirFS(sources)); err != nil {
		return nil, fmt.Errorf("copy the Kafka Streams program: %w", err)
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "compile", "dependency:copy-dependencies", "-DoutputDirectory=target/lib")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the Kafka Streams program with Maven: %w\n%s", err, out)
	}
	return []string{filepath.Join(work, "target", "classes"), filepath.Join(work, "target", "lib")}, nil
}
