package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

func TestInboxCallsAGroup(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("answering",
		engine.Input("requests", text, engine.Typed(func(ctx engine.Context, msg string) error {
			if msg == "silence" {
				return nil
			}
			_, partition, key, err := engine.ParseReplyTo(ctx.Header(engine.HeaderReply))
			if err != nil {
				return engine.Poison("%w", err)
			}
			ctx.Emit("replies", key, "re: "+msg, engine.ToPartition(partition),
				engine.WithHeaders(goka.Headers{engine.HeaderRequest: []byte(ctx.Header(engine.HeaderRequest))}))
			return nil
		})),
		goka.Output("replies", text))
	c.CreateTopics(t, 5, g)
	c.Start(t, g)
	inbox, err := engine.NewInbox(engine.InboxConfig{Brokers: c.Brokers(), Topic: "replies", Codec: text})
	if err != nil {
		t.Fatal(err)
	}
	producer, err := engine.NewProducer(engine.ProducerConfig{Brokers: c.Brokers()})
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	ctx, cancel := context.WithCancel(enginetest.Context(t))
	done := make(chan error, 1)
	go func() { done <- inbox.Run(ctx) }()
	ask := func(ctx context.Context, id, msg string) (engine.Reply, error) {
		return inbox.Call(ctx, id, func(h map[string]string) error {
			_, err := producer.Produce(ctx, engine.Record{Topic: "requests", Key: id, Partition: -1, Msg: msg, Codec: text, Headers: h})
			return err
		})
	}
	for _, id := range []string{"a", "b", "c/ü"} {
		r, err := ask(ctx, id, "question "+id)
		if err != nil || r.Msg != "re: question "+id {
			t.Errorf("reply %v, %v", r, err)
		}
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := ask(short, "d", "silence"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzParseReplyTo(f *testing.F) {
	f.Add("topic/3/" + "a2V5")
	f.Add("topic/-/")
	f.Fuzz(func(t *testing.T, s string) {
		topic, p, key, err := engine.ParseReplyTo(s)
		if err != nil {
			return
		}
		if topic2, p2, key2, err := engine.ParseReplyTo(engine.ReplyTo(topic, p, key)); err != nil || topic2 != topic || p2 != p || key2 != key {
			t.Errorf("%q: %v %v %v %v", s, topic2, p2, key2, err)
		}
	})
}

func FuzzParseCause(f *testing.F) {
	f.Add("topic/3/17")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := engine.ParseCause(s)
		if err != nil {
			return
		}
		if again, err := engine.ParseCause(c.String()); err != nil || again != c {
			t.Errorf("%q: %v %v", s, again, err)
		}
	})
}
