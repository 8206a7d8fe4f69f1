package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/moby/client"
)

// image is what a container is started from.
type image struct {
	name string
	// entry is the command, user who runs it.
	entry string
	user  string
	build func() (*rootfs, error)
}

// shell is the program that the entries are written for.
const shell = "/bin/sh"

// load imports the image into the daemon.
func (i image) load(ctx context.Context, docker client.APIClient) error {
	fs, err := i.build()
	if err != nil {
		return fmt.Errorf("compose %s: %w", i.name, err)
	}
	read, write := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		write.CloseWithError(fs.writeTo(write))
	}()
	defer func() { _ = read.Close(); <-done }()
	result, err := docker.ImageImport(ctx, client.ImageImportSource{Source: read, SourceName: "-"}, i.name, client.ImageImportOptions{
		Changes: []string{`ENTRYPOINT ["` + shell + `", "-ec", ` + quoted(i.entry) + `]`, "USER " + i.user, "WORKDIR /data"},
	})
	if err != nil {
		return fmt.Errorf("import %s: %w", i.name, err)
	}
	defer func() { _ = result.Close() }() // the progress was read
	if _, err := io.Copy(io.Discard, result); err != nil {
		return fmt.Errorf("import %s: %w", i.name, err)
	}
	return nil
}

// quoted is a string of JSON.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func withShell(programs ...string) (*rootfs, error) {
	r := newRootfs()
	for _, p := range append([]string{shell}, programs...) {
		if err := r.binary(p); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// openbao runs a development server with a known root token.
func openbao(binary string) image {
	return image{
		name: "fairlead-test/openbao:local", user: "65532",
		entry: `HOME=/data exec /bin/bao server -dev -dev-no-store-token -dev-root-token-id="$TOKEN" -dev-listen-address="127.0.0.1:$PORT"`,
		build: func() (*rootfs, error) {
			r, err := withShell()
			if err != nil {
				return nil, err
			}
			r.add("bin/bao", binary)
			return r, r.libraries(binary)
		},
	}
}

// postgres runs a throw-away server. bin is the directory of its programs.
func postgres(bin string) image {
	return image{
		name: "fairlead-test/postgres:local", user: "65532",
		entry: `printf %s "$PASSWORD" > /tmp/password
` + bin + `/initdb -D /data/pg -U postgres --auth=scram-sha-256 --pwfile=/tmp/password --no-sync -E UTF8 --locale=C
exec ` + bin + `/postgres -D /data/pg -k /tmp -p "$PORT" -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200`,
		build: func() (*rootfs, error) {
			r, err := withShell(bin+"/postgres", bin+"/initdb")
			if err != nil {
				return nil, err
			}
			// Where the programs look for the rest, as they were built.
			for _, what := range []string{"--sharedir", "--pkglibdir"} {
				dir, err := pgConfig(bin, what)
				if err != nil {
					return nil, err
				}
				if err := r.tree(dir, strings.TrimPrefix(dir, "/"), "bitcode", "locale", "man"); err != nil {
					return nil, err
				}
			}
			if err := r.tree("/usr/share/zoneinfo", "usr/share/zoneinfo"); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			return r, nil
		},
	}
}

func pgConfig(bin, what string) (string, error) {
	out, err := exec.Command(filepath.Join(bin, "pg_config"), what).Output()
	if err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	// Debian gives pg_config to developers only; its layout is fixed.
	version := filepath.Base(filepath.Dir(bin))
	dir := map[string]string{"--sharedir": "/usr/share/postgresql/" + version, "--pkglibdir": "/usr/lib/postgresql/" + version + "/lib"}[what]
	if _, statErr := os.Stat(dir); statErr != nil {
		return "", fmt.Errorf("find where Postgres keeps its files: %w", errors.Join(err, statErr))
	}
	return dir, nil
}

// kafka runs one node that is broker and controller. home is a Java runtime, jars the directory of Kafka's jars.
func kafka(home, jars string) image {
	return image{
		name: "fairlead-test/kafka:local", user: "65532",
		entry: `cat > /data/server.properties <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$CONTROLLER_PORT
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=/data/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
END
java=/opt/java/bin/java
$java -cp '/opt/kafka/*' kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c /data/server.properties
exec $java -Xmx768m -cp '/opt/kafka/*' kafka.Kafka /data/server.properties`,
		build: func() (*rootfs, error) {
			r, err := withShell("/bin/cat")
			if err != nil {
				return nil, err
			}
			if err := r.tree(home, "opt/java", "jmods", "src.zip", "demo", "man", "include", "ct.sym", "legal"); err != nil {
				return nil, err
			}
			return r, r.tree(jars, "opt/kafka")
		},
	}
}
