package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	"github.com/fairleadio/fairlead/topics"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the wall clock of all scripts; produced records are some seconds older.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestScripts runs the command lines of testdata/script in this process, against an embedded broker. Beside testscript's
// own commands they have:
//
//	fairlead ARGS…               run it; ! for any exit code but 0
//	code N fairlead ARGS…        run it, the exit code must be N
//	kafka BROKERS                start a cluster and set FAIRLEAD_BROKERS
//	mktopic NAME PARTITIONS      make a topic
//	config TOPIC KEY [VALUE]     set or unset a topic's setting
//	cpk FILE VERSION [MIGRATION]   write a small unsigned package of code, without a compiler
//	produce TOPIC KEY TYPE JSON [HEADER=VALUE…]   write a record; JSON - for a tombstone; hex:… keys are bytes
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
			e.Values[brokersKey{}] = new(*kfake.Cluster)
			e.Values[clockKey{}] = new(int)
			stores, err := filepath.Abs(filepath.Join("..", "cpi", "keystore", "testdata"))
			e.Setenv("KEYSTORES", stores)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fairlead": func(ts *testscript.TestScript, neg bool, args []string) {
				if code := run(ts, args); (code != 0) != neg {
					ts.Fatalf("exit code %d", code)
				}
			},
			"code":    cmdCode,
			"cpk":     cmdCPK,
			"kafka":   cmdKafka,
			"mktopic": cmdMakeTopic,
			"config":  cmdConfig,
			"produce": cmdProduce,
		},
	})
}

type (
	brokersKey struct{}
	clockKey   struct{}
)

func run(ts *testscript.TestScript, args []string) int {
	return cli.Run(context.Background(), cli.IO{
		In: strings.NewReader(ts.Getenv("ANSWER")), Out: ts.Stdout(), Err: ts.Stderr(), Env: ts.Getenv, Dir: ts.MkAbs("."),
		By: "ann@example", Version: "v0-test", Interactive: ts.Getenv("ANSWER") != "", Now: func() time.Time { return now },
	}, args)
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "fairlead" {
		ts.Fatalf("usage: code N fairlead ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := run(ts, args[2:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdCPK(ts *testscript.TestScript, _ bool, args []string) {
	code := cpi.Code{
		Name: "pay", Version: args[1], CompatibleFrom: "1.0", Migrations: map[string]string{"001-payment.sql": "CREATE TABLE payment (id uuid PRIMARY KEY);"},
		Modules: []cpi.CodeModule{{Name: "pay", Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, WASM: []byte("\x00asm\x01\x00\x00\x00"), Flows: []*cpiv1.FlowClass{
			{Name: "pay", Startable: true}, {Name: "pay-responder", Protocol: "pay", ProtocolVersions: []uint32{1, 2}}, {Name: "tidy"},
		}}},
		Tables:   []*cpiv1.TableDeclaration{{Name: "payment", PrimaryKey: []string{"id"}, Feed: true, Columns: []*cpiv1.ColumnDeclaration{{Name: "id", Type: "uuid", NotNull: true}, {Name: "note", Type: "text"}}}},
		Queries:  []*cpiv1.QueryDeclaration{{Name: "one", Sql: "SELECT note FROM payment WHERE id = :id", Parameters: []*cpiv1.ColumnDeclaration{{Name: "id", Type: "uuid", NotNull: true}}}},
		Channels: []*cpiv1.ChannelDeclaration{{Name: "orders", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE, FlowClass: "pay"}},
	}
	for _, m := range args[2:] {
		code.Migrations[m] = "SELECT 1;"
	}
	var b bytes.Buffer
	ts.Check(cpi.WriteCPK(&b, code))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

func cmdKafka(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	c, err := kfake.NewCluster(kfake.NumBrokers(n), kfake.ClusterID("test-cluster"))
	ts.Check(err)
	ts.Defer(c.Close)
	*ts.Value(brokersKey{}).(**kfake.Cluster) = c
	ts.Setenv("FAIRLEAD_BROKERS", strings.Join(c.ListenAddrs(), ","))
}

func admin(ts *testscript.TestScript) *kafkaadmin.Admin {
	c := *ts.Value(brokersKey{}).(**kfake.Cluster)
	a, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: c.ListenAddrs()})
	ts.Check(err)
	return a
}

func cmdMakeTopic(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check((*ts.Value(brokersKey{}).(**kfake.Cluster)).CreateTopic(args[0], int32(n), nil))
}

func cmdConfig(ts *testscript.TestScript, _ bool, args []string) {
	a := admin(ts)
	defer a.Close()
	c := topics.Change{Kind: topics.UnsetConfig, Topic: args[0], Key: args[1]}
	if len(args) > 2 {
		c.Kind, c.To = topics.SetConfig, args[2]
	}
	ts.Check(a.Do(context.Background(), kafkaadmin.Step{Topic: c.Topic, Changes: []topics.Change{c}}))
}

func cmdProduce(ts *testscript.TestScript, _ bool, args []string) {
	clock := ts.Value(clockKey{}).(*int)
	*clock++
	r := &kgo.Record{Topic: args[0], Key: bytesOf(ts, args[1]), Timestamp: now.Add(time.Duration(*clock-60) * time.Second)}
	if args[2] != "-" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "fl-type", Value: []byte(args[2])})
	}
	r.Value = value(ts, args[2], args[3])
	for _, h := range args[4:] {
		name, value, _ := strings.Cut(h, "=")
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	c := *ts.Value(brokersKey{}).(**kfake.Cluster)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	ts.Check(err)
	defer client.Close()
	ts.Check(client.ProduceSync(context.Background(), r).FirstErr())
}

func value(ts *testscript.TestScript, typeName, text string) []byte {
	if text == "-" {
		return nil
	}
	d, err := schemas.BuiltinDecoder()
	ts.Check(err)
	if !d.Knows(typeName) {
		return bytesOf(ts, text)
	}
	m, err := d.Decode(typeName, nil)
	ts.Check(err)
	ts.Check(protojson.Unmarshal([]byte(text), m))
	raw, err := schemas.Marshal(m)
	ts.Check(err)
	return raw
}

func bytesOf(ts *testscript.TestScript, text string) []byte {
	digits, ok := strings.CutPrefix(text, "hex:")
	if !ok {
		return []byte(text)
	}
	var b []byte
	_, err := fmt.Sscanf(digits, "%x", &b)
	ts.Check(err)
	return b
}
