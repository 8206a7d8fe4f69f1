package containers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

// suites are run against the containers: one for each server, and those that need more than one.
var suites = []string{"./integration/kafkatest", "./integration/postgres", "./integration/vault"} //nolint:gochecknoglobals // a constant

func TestSuitesOnContainers(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	note := func(format string, args ...any) {
		if err := kafkatest.Note(format, args...); err != nil {
			t.Error(err)
		}
	}
	found, err := daemon(t)
	if err != nil {
		note("real containers: no (%v)", err)
		t.Skip(err)
	}
	provider, err := newProvider()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := provider.Close(); err != nil {
			t.Error(err)
		}
	})
	env := []string{
		kafkatest.BootstrapVariable + "=" + startKafka(t, provider),
		"POSTGRES_DSN=" + startPostgres(t, provider),
	}
	env = append(env, startVault(t, provider)...)
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1", "-p=1", "-timeout=10m"}, suites...)...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("the suites on containers: %v", err)
	}
	note("real containers: yes (Kafka, Postgres and OpenBao from images composed here, %s)", found)
}

// hostNetwork is the network of the machine itself. A daemon without bridges has no other.
const hostNetwork = "host"

// newProvider makes no network of its own, as it would where there is no bridge.
func newProvider() (*testcontainers.DockerProvider, error) {
	return testcontainers.NewDockerProvider(testcontainers.WithDefaultBridgeNetwork(hostNetwork))
}

// start imports an image and runs a container of it on the host's network until the test ends.
func start(t *testing.T, p *testcontainers.DockerProvider, i image, env map[string]string, ready wait.Strategy) {
	t.Helper()
	if err := i.load(t.Context(), p.Client()); err != nil {
		t.Fatal(err)
	}
	c, err := p.RunContainer(t.Context(), testcontainers.ContainerRequest{
		Image: i.name, Env: env, WaitingFor: ready,
		HostConfigModifier: func(h *container.HostConfig) { h.NetworkMode = hostNetwork },
	})
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatalf("%s: %v\n%s", i.name, err, logsOf(c))
	}
}

func logsOf(c testcontainers.Container) string {
	if c == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := c.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = r.Close() }() // only read
	var b strings.Builder
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		b.Write(buffer[:n])
		if err != nil {
			return b.String()
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // the container takes the port
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// listens waits until something on this machine answers at a port.
type listens string

func (l listens) WaitUntilReady(ctx context.Context, _ wait.StrategyTarget) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+string(l))
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens at port %s: %w", string(l), err)
		case <-tick.C:
		}
	}
}

func startKafka(t *testing.T, p *testcontainers.DockerProvider) string {
	t.Helper()
	jars, err := kafkatest.Jars(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	home, err := javaHome()
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	start(t, p, kafka(home, jars), map[string]string{"PORT": port, "CONTROLLER_PORT": freePort(t)}, wait.ForAll(wait.ForLog("Kafka Server started"), listens(port)))
	return "127.0.0.1:" + port
}

func javaHome() (string, error) {
	java := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	out, err := exec.Command(java, "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask Java for its home: %w: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == "java.home" {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("java does not say where its home is: %s", out)
}

func startPostgres(t *testing.T, p *testcontainers.DockerProvider) string {
	t.Helper()
	found, err := pgserver.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	const password = "containers"
	start(t, p, postgres(found.Dir), map[string]string{"PORT": port, "PASSWORD": password}, wait.ForAll(wait.ForLog("ready to accept connections"), listens(port)))
	return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%s/postgres?sslmode=disable", password, port)
}

func startVault(t *testing.T, p *testcontainers.DockerProvider) []string {
	t.Helper()
	binary, err := vaultserver.Find(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	const token = "containers"
	start(t, p, openbao(binary), map[string]string{"PORT": port, "TOKEN": token}, listens(port))
	return []string{"VAULT_ADDR=http://127.0.0.1:" + port, "VAULT_TOKEN=" + token}
}
