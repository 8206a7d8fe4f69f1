package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/topics"
)

// prefix is before the names of the cluster's topics.
const prefix = "acl-"

// password is every user's: the tests are about what they may do.
const password = "pw"

func userOf(worker string) string { return "fairlead-" + worker }

// broker starts a broker with a user for each worker type and the rules of the catalogue.
func broker(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	users := map[string]string{kafkatest.Administrator: password}
	for _, w := range topics.Workers(topics.All()) {
		users[userOf(w)] = password
	}
	c := kafkatest.Start(t, kafkatest.Options{Users: users})
	admin := kadm.NewClient(login(t, c, kafkatest.Administrator))
	for _, r := range topics.Rules(topics.All()) {
		b := kadm.NewACLs().Allow("User:" + userOf(r.Worker)).AllowHosts()
		name := prefix + r.Name
		switch r.Resource {
		case topics.ResourceTopic:
			b = b.Topics(name)
		case topics.ResourceGroup:
			b = b.Groups(name)
		case topics.ResourceTransaction:
			b = b.TransactionalIDs(name)
		}
		b = b.ResourcePatternType(kadm.ACLPatternLiteral)
		if r.Prefixed {
			b = b.ResourcePatternType(kadm.ACLPatternPrefixed)
		}
		operations := map[topics.Operation]kadm.ACLOperation{topics.OpRead: kadm.OpRead, topics.OpWrite: kadm.OpWrite, topics.OpDescribeConfigs: kadm.OpDescribeConfigs}
		for _, op := range r.Operations {
			b = b.Operations(operations[op])
			made, err := admin.CreateACLs(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range made {
				if m.Err != nil {
					t.Fatalf("rule %+v: %v", r, m.Err)
				}
			}
		}
	}
	return c
}

// login makes a client of a user.
func login(t *testing.T, c *kafkatest.Cluster, user string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.LoginBrokers()...), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()), kgo.RecordDeliveryTimeout(30 * time.Second),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// refused tells whether a broker refused something for lack of a right.
func refused(err error) bool {
	for _, e := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// outsider is a topic of an external channel.
const outsider = "ext.0123456789AB.news.send"

// A taken-over worker can do with each topic what the catalogue says, and so the document, and nothing more.
func TestTakenOver(t *testing.T) {
	c := broker(t)
	admin := kadm.NewClient(login(t, c, kafkatest.Administrator))
	var names []string
	for _, row := range topics.All() {
		names = append(names, row.Name)
	}
	names = append(names, outsider, "somebody-elses")
	for _, name := range names {
		if _, err := admin.CreateTopic(t.Context(), 1, c.Replication(), nil, prefix+name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	meta := led(t, admin, names)
	tried := 0
	for _, worker := range topics.Workers(topics.All()) {
		cl := login(t, c, userOf(worker), kgo.DisableIdempotentWrite())
		may := map[string]topics.Access{}
		for _, a := range topics.AccessOf(topics.All(), worker) {
			may[a.Topic] = a
		}
		for _, r := range topics.Rules(topics.All()) {
			if r.Worker == worker && r.Prefixed && r.Name == topics.ChannelPrefix {
				may[outsider] = topics.Access{Read: slices.Contains(r.Operations, topics.OpRead), Write: slices.Contains(r.Operations, topics.OpWrite)}
			}
		}
		wrote, read := writes(t, cl, names), reads(t, cl, names, meta)
		for _, name := range names {
			tried += 2
			for what, got := range map[string]struct {
				err error
				may bool
			}{"write": {wrote[name], may[name].Write}, "read": {read[name], may[name].Read}} {
				if got.may && got.err != nil || !got.may && !refused(got.err) {
					t.Errorf("%s, %s %s: allowed %v, got %v", worker, what, name, got.may, got.err)
				}
			}
		}
		beyond(t, cl, worker)
	}
	t.Logf("%d reads and writes of %d worker types were tried on %s", tried, len(topics.Workers(topics.All())), c.Kind())
}

// led waits until the broker knows all topics, which it does only after it has made them, and every partition has a leader; it
// returns who leads what.
func led(t *testing.T, admin *kadm.Client, names []string) kadm.Metadata {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		meta, err := admin.Metadata(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		without := ""
		for _, name := range names {
			if len(meta.Topics[prefix+name].Partitions) == 0 {
				without = prefix + name
			}
		}
		meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
			if p.Err != nil || p.Leader < 0 {
				without = p.Topic
			}
		})
		if without == "" {
			return meta
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s has no leader", without)
		}
	}
}

// writes tries to write a record to every topic.
func writes(t *testing.T, cl *kgo.Client, names []string) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all []*kgo.Record
	for _, name := range names {
		all = append(all, &kgo.Record{Topic: prefix + name, Value: []byte("forged")})
	}
	out := map[string]error{}
	for _, r := range cl.ProduceSync(ctx, all...) {
		out[strings.TrimPrefix(r.Record.Topic, prefix)] = r.Err
	}
	return out
}

// reads tries to fetch from every topic: with their ids, which a taken-over worker may have seen somewhere.
func reads(t *testing.T, cl *kgo.Client, names []string, meta kadm.Metadata) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := map[string]error{}
	for _, name := range names {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes = 1 << 20
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = prefix+name, meta.Topics[prefix+name].ID
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		raw, err := cl.Broker(int(meta.Topics[prefix+name].Partitions[0].Leader)).RetriableRequest(ctx, req)
		if err != nil {
			t.Fatalf("fetch %s: %v", name, err)
		}
		resp := raw.(*kmsg.FetchResponse)
		err = kerr.ErrorForCode(resp.ErrorCode)
		for _, rt := range resp.Topics {
			for _, rp := range rt.Partitions {
				err = errors.Join(err, kerr.ErrorForCode(rp.ErrorCode))
			}
		}
		if err == nil && len(resp.Topics) == 0 {
			err = fmt.Errorf("an empty answer")
		}
		out[name] = err
	}
	return out
}

// beyond tries what no worker may: topics made, emptied and deleted, rules made, others' groups and transactions.
func beyond(t *testing.T, cl *kgo.Client, worker string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	adm := kadm.NewClient(cl)
	own := prefix + topics.AccessOf(topics.All(), worker)[0].Topic
	other := "flow"
	if worker == "flow" {
		other = "flow-mapper"
	}
	first := func(errs ...error) error {
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for what, try := range map[string]func() error{
		"make a topic": func() error {
			_, err := adm.CreateTopic(ctx, 1, 1, nil, prefix+"ext.new."+worker)
			return err
		},
		"delete a topic": func() error {
			r, err := adm.DeleteTopics(ctx, own)
			return first(err, r.Error())
		},
		"empty a topic": func() error {
			r, err := adm.DeleteRecords(ctx, kadm.OffsetsList{{Topic: own, At: 1}}.Offsets())
			return first(err, r.Error())
		},
		"change a topic": func() error {
			value := "1"
			r, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &value}}, own)
			if err == nil {
				for _, one := range r {
					err = first(err, one.Err)
				}
			}
			return err
		},
		"make a rule": func() error {
			r, err := adm.CreateACLs(ctx, kadm.NewACLs().Allow("User:"+userOf(worker)).AllowHosts().Topics(prefix).ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpAll))
			for _, one := range r {
				err = first(err, one.Err)
			}
			return err
		},
		"read another group's offsets": func() error {
			r, err := adm.FetchOffsets(ctx, prefix+other)
			return first(err, r.Error())
		},
		"move another group's offsets": func() error {
			r, err := adm.CommitOffsets(ctx, prefix+other, kadm.OffsetsList{{Topic: own, At: 1}}.Offsets())
			return first(err, r.Error())
		},
		"end another group's transaction": func() error {
			req := kmsg.NewPtrInitProducerIDRequest()
			id := prefix + other + ":0:0"
			req.TransactionalID, req.TransactionTimeoutMillis = &id, 1000
			resp, err := req.RequestWith(ctx, cl)
			if err != nil {
				return err
			}
			return kerr.ErrorForCode(resp.ErrorCode)
		},
	} {
		if err := try(); !refused(err) {
			t.Errorf("%s, %s: %v", worker, what, err)
		}
	}
}
