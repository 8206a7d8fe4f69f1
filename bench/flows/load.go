package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// load is one kind of flows in numbers.
type load struct {
	Broker string `json:"broker"`
	What   string `json:"what"`
	Flows  int    `json:"flows"`
	// Suspensions of each flow.
	Suspensions int `json:"suspensionsPerFlow"`
	// PerSecond counts flows, from the first start's writing to the last end's being visible.
	PerSecond float64 `json:"flowsPerSecond"`
	// CPUMicros is processor time of the worker process for each flow.
	CPUMicros float64 `json:"cpuMicrosPerFlow"`
	class     string
	input     string
}

func (l load) suspensionsPerSecond() float64 { return l.PerSecond * float64(l.Suspensions) }

func (l load) suspensionMicros() float64 {
	if l.Suspensions == 0 {
		return 0
	}
	return l.CPUMicros / float64(l.Suspensions)
}

func loads() []load {
	return []load{
		{What: "hello: starts, answers, ends", class: "hello", input: `{"name":"World"}`, Flows: 3000},
		{What: "100 checkpoints, each durable before the flow goes on", class: "steps", input: `{"n":100}`, Flows: 100, Suspensions: 100},
		{What: "100 sleeps of a nanosecond", class: "countdown", input: `{"n":100,"seconds":1e-9}`, Flows: 100, Suspensions: 100},
	}
}

// flows runs all loads on one kind of broker.
func (b bench) flows(ctx context.Context, real bool) (out []load, err error) {
	name, setting := "embedded", "0"
	if real {
		name, setting = "Apache Kafka "+kafkatest.Version+", 1 node", "1"
	}
	if err := os.Setenv(kafkatest.RealServersVariable, setting); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "kafka-"+setting)
	cluster, err := kafkatest.Launch(ctx, dir, kafkatest.Options{HeapMB: 1024, Fast: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if cluster.Real() != real {
		return nil, fmt.Errorf("a real Kafka is needed: %s", cluster.Kind())
	}
	dev, err := devenv.Start(ctx, devenv.Options{
		Dir: filepath.Join(dir, "dev"), App: filepath.Join(b.root, "apps", "hello"), Kafka: cluster.Brokers(),
		RestAddress: "127.0.0.1:0", Workers: []string{app.Rest}, Build: "bench",
	})
	if err != nil {
		return nil, err
	}
	info := dev.Info()
	if err := dev.Close(ctx); err != nil {
		return nil, err
	}
	worker, err := b.worker(ctx, dir, cluster.Brokers())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, worker.Kill()) }()
	s, err := newStarter(cluster.Brokers(), info.VirtualNodes[0])
	if err != nil {
		return nil, err
	}
	defer s.client.Close()
	for n, l := range loads() {
		l.Broker = name
		l.Flows = max(10, int(float64(l.Flows)*b.scale))
		warm := l
		warm.Flows = max(2, l.Flows/20)
		if err := s.run(ctx, fmt.Sprintf("warm-%d", n), &warm, worker); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, l.What, err)
		}
		if err := s.run(ctx, fmt.Sprintf("load-%d", n), &l, worker); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, l.What, err)
		}
		fmt.Printf("%-28s %-54s %8.1f flows/s %8.0f suspensions/s  %8.0f µs of processor per flow\n", name, l.What, l.PerSecond, l.suspensionsPerSecond(), l.CPUMicros)
		out = append(out, l)
	}
	return out, nil
}

// process is a worker on one core.
type process struct {
	*kafkatest.Process
	pid int
}

func (b bench) worker(ctx context.Context, dir string, brokers []string) (*process, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	monitor := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	args := []string{"worker", app.Flow + "," + app.FlowMapper, "--brokers", strings.Join(brokers, ",")}
	for _, set := range []string{
		"monitor.address=" + monitor, "process.data_dir=" + filepath.Join(dir, "worker"), "process.instance=bench", "engine.sessions=1",
		"engine.unsafe_topics=true", "log.level=warn", "flow_mapper.max_running_per_vnode=1000000", "flow_mapper.max_running=1000000",
	} {
		args = append(args, "--set", set)
	}
	cmd := exec.Command(b.binary, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	p, err := kafkatest.StartProcess(cmd, filepath.Join(dir, "worker.log"))
	if err != nil {
		return nil, err
	}
	w := &process{p, cmd.Process.Pid}
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = kafkatest.Until(limit, 50*time.Millisecond, func() (bool, error) {
		if !p.Running() {
			return false, fmt.Errorf("the worker ended:\n%s", p.LogTail(4<<10))
		}
		r, err := http.NewRequestWithContext(limit, http.MethodGet, "http://"+monitor+"/startupz", nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false, nil //nolint:nilerr // asked again: it is on its way up
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return w, nil
}

// starter writes starts and reads statuses.
type starter struct {
	client *kgo.Client
	vnode  devenv.VirtualNode
}

func newStarter(brokers []string, vnode devenv.VirtualNode) (*starter, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics.FlowStatus), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &starter{cl, vnode}, nil
}

// loadTime bounds one load.
const loadTime = 4 * time.Minute

// run starts all flows of a load and waits until they have ended.
func (s *starter) run(ctx context.Context, name string, l *load, w *process) error {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	before, err := measure.CPU(w.pid)
	if err != nil {
		return err
	}
	failures, from := make(chan error, 1), time.Now()
	for n := range l.Flows {
		rec, err := s.record(fmt.Sprintf("%s-%d", name, n), l)
		if err != nil {
			return err
		}
		s.client.Produce(ctx, rec, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failures <- err:
				default: // one is enough
				}
			}
		})
	}
	if err := s.client.Flush(ctx); err != nil {
		return fmt.Errorf("write the starts: %w", err)
	}
	for done := 0; done < l.Flows; {
		select {
		case err := <-failures:
			return fmt.Errorf("write a start: %w", err)
		default:
		}
		fetches := s.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d flows have ended: %w\n%s", done, l.Flows, ctx.Err(), w.LogTail(4<<10))
		}
		for _, r := range fetches.Records() {
			status := &flowv1.FlowStatus{}
			if err := proto.Unmarshal(r.Value, status); err != nil {
				return fmt.Errorf("read a status: %w", err)
			}
			if !strings.HasPrefix(status.GetClientRequestId(), name+"-") {
				continue
			}
			switch status.GetState() {
			case flowv1.FlowState_FLOW_STATE_COMPLETED:
				done++
			case flowv1.FlowState_FLOW_STATE_FAILED, flowv1.FlowState_FLOW_STATE_KILLED:
				return fmt.Errorf("flow %s is %s: %v", status.GetClientRequestId(), status.GetState(), status.GetError())
			default:
			}
		}
	}
	l.PerSecond = float64(l.Flows) / time.Since(from).Seconds()
	after, err := measure.CPU(w.pid)
	if err != nil {
		return err
	}
	l.CPUMicros = float64((after - before).Microseconds()) / float64(l.Flows)
	return nil
}

func (s *starter) record(id string, l *load) (*kgo.Record, error) {
	v, err := proto.Marshal(&flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: &flowv1.StartFlow{
		Identity: &vnodev1.HoldingIdentity{X500Name: s.vnode.X500Name, GroupId: s.vnode.GroupID}, Vnode: s.vnode.ShortHash,
		ClientRequestId: id, FlowClass: l.class, RequestBody: []byte(l.input), InitiatedBy: "bench", CreatedAtUs: time.Now().UnixMicro(),
		Initiator: flowv1.Initiator_INITIATOR_RPC,
	}}})
	if err != nil {
		return nil, fmt.Errorf("encode a start: %w", err)
	}
	return &kgo.Record{Topic: topics.FlowMapperStart, Key: []byte(id + "-" + s.vnode.ShortHash), Value: v}, nil
}
