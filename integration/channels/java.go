package channels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// Seen is a record that a plain consumer printed.
type Seen struct {
	Place
	Headers    map[string]string
	Key, Value string
}

// parseSeen reads a line of the console consumer.
func parseSeen(line string) (Seen, error) {
	const fields = 5
	parts := strings.SplitN(line, "\t", fields)
	if len(parts) != fields {
		return Seen{}, fmt.Errorf("the consumer printed %q", line)
	}
	partition, err1 := strconv.ParseInt(strings.TrimPrefix(parts[0], "Partition:"), 10, 32)
	offset, err2 := strconv.ParseInt(strings.TrimPrefix(parts[1], "Offset:"), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return Seen{}, fmt.Errorf("the consumer printed %q: %w", line, err)
	}
	s := Seen{Place: Place{int32(partition), offset}, Headers: map[string]string{}, Key: parts[3], Value: parts[4]}
	for _, h := range strings.Split(parts[2], ",") {
		if name, value, ok := strings.Cut(h, ":"); ok {
			s.Headers[name] = value
		}
	}
	return s, nil
}

// java is a command of one of Kafka's own tools.
func java(ctx context.Context, class string, args ...string) (*exec.Cmd, error) {
	jars, err := kafkatest.Jars(ctx)
	if err != nil {
		return nil, err
	}
	flags := []string{"-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Dfile.encoding=UTF-8", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}
	cmd, err := kafkatest.JavaCommand(context.WithoutCancel(ctx), flags, []string{jars}, class, args...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8") // which the runtime prints text in
	cmd.WaitDelay = 10 * time.Second
	return cmd, nil
}

// consumer is a console consumer with what it has printed.
type consumer struct {
	process *kafkatest.Process

	mu   sync.Mutex
	part []byte // of a line
	seen []Seen
	err  error
	last time.Time
}

// consume starts a console consumer of committed records; stderr goes to the file log.
func consume(ctx context.Context, brokers, topic, log string) (*consumer, error) {
	args := []string{
		"--bootstrap-server", brokers, "--topic", topic, "--from-beginning", "--isolation-level", "read_committed", "--group", "outside-" + topic,
	}
	for _, p := range []string{"print.partition=true", "print.offset=true", "print.headers=true", "print.key=true", "headers.separator=,"} {
		args = append(args, "--property", p)
	}
	cmd, err := java(ctx, "org.apache.kafka.tools.consumer.ConsoleConsumer", args...)
	if err != nil {
		return nil, err
	}
	c := &consumer{}
	cmd.Stdout = c
	c.process, err = kafkatest.StartProcess(cmd, log)
	return c, err
}

// Write takes what the consumer prints.
func (c *consumer) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part = append(c.part, b...)
	for {
		line, rest, ok := bytes.Cut(c.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		s, err := parseSeen(string(line))
		c.err = errors.Join(c.err, err)
		c.seen, c.last = append(c.seen, s), time.Now()
		c.part = append([]byte(nil), rest...)
	}
}

// records returns what was printed, and when the last came.
func (c *consumer) records() ([]Seen, time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.process.Running() {
		return c.seen, c.last, fmt.Errorf("the consumer ended: %w\n%s", c.process.Err(), c.process.LogTail(2<<10))
	}
	return c.seen, c.last, c.err
}

// nothing is a value that the producer sends as none.
const nothing = "NOTHING"

// producer is a console producer that takes records.
type producer struct {
	process *kafkatest.Process
	lines   io.WriteCloser
}

// produce starts a console producer.
func produce(ctx context.Context, brokers, topic, log string) (*producer, error) {
	args := []string{"--bootstrap-server", brokers, "--topic", topic}
	for _, p := range []string{"parse.key=true", "parse.headers=true", "null.marker=" + nothing} {
		args = append(args, "--property", p)
	}
	// Its own defaults give up after seconds.
	for _, p := range []string{"linger.ms=5", "request.timeout.ms=30000", "delivery.timeout.ms=120000", "retries=2147483647", "enable.idempotence=true"} {
		args = append(args, "--producer-property", p)
	}
	cmd, err := java(ctx, "org.apache.kafka.tools.ConsoleProducer", args...)
	if err != nil {
		return nil, err
	}
	in, lines := io.Pipe()
	cmd.Stdin = in
	p := &producer{lines: lines}
	p.process, err = kafkatest.StartProcess(cmd, log)
	return p, err
}

// write sends a record.
func (p *producer) write(key, value string) error {
	if _, err := fmt.Fprintf(p.lines, "from:outside\t%s\t%s\n", key, value); err != nil {
		return fmt.Errorf("write to the producer: %w\n%s", err, p.process.LogTail(2<<10))
	}
	return nil
}

// close waits until everything is sent.
func (p *producer) close() error {
	if err := p.lines.Close(); err != nil {
		return err
	}
	if err := p.process.Err(); err != nil {
		return fmt.Errorf("the producer ended: %w\n%s", err, p.process.LogTail(2<<10))
	}
	if said := strings.TrimSpace(p.process.LogTail(4 << 10)); strings.Contains(said, "ERROR") {
		return fmt.Errorf("the producer says: %s", said)
	}
	return nil
}
