package engine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// InboxConfig says where an [Inbox] listens.
type InboxConfig struct {
	Brokers []string
	Prefix  string
	Topic   string
	Codec   Codec
	Outside Outside
	Log     *slog.Logger
}

// Reply is what an inbox received.
type Reply struct {
	Msg     any
	Headers map[string]string
}

// Inbox receives replies for a process that keeps no state: it reads one partition of a reply topic, chosen at random
// when it starts and perhaps shared with other processes, from where the log ends at that moment. A reply is known by
// its header fl-request; those of other processes are passed over. What was pending when the process dies is lost, and
// the caller is told to ask again.
type Inbox struct {
	cfg       InboxConfig
	partition int32
	ready     chan struct{}

	mu      sync.Mutex
	pending map[string]chan Reply
}

// NewInbox makes an inbox; nothing is read before Run.
func NewInbox(cfg InboxConfig) (*Inbox, error) {
	if len(cfg.Brokers) == 0 || cfg.Topic == "" || cfg.Codec == nil {
		return nil, errors.New("engine: an inbox needs Brokers, Topic and Codec")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Inbox{cfg: cfg, ready: make(chan struct{}), pending: map[string]chan Reply{}}, nil
}

// Run receives until ctx ends.
func (i *Inbox) Run(ctx context.Context) error {
	cl, err := kgo.NewClient(append(clientOpts(i.cfg.Brokers, i.cfg.Outside), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))...)
	if err != nil {
		return fmt.Errorf("inbox on %s: %w", i.cfg.Topic, err)
	}
	defer cl.Close()
	name := i.cfg.Prefix + i.cfg.Topic
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, name)
		if err == nil {
			err = ends.Error()
		}
		if n := len(ends[name]); err == nil && n > 0 {
			i.partition = rand.Int32N(int32(n)) //nolint:gosec // which partition a process listens on is no secret
			o, _ := ends.Lookup(name, i.partition)
			cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{name: {i.partition: kgo.NewOffset().At(o.Offset)}})
			close(i.ready)
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachError(func(t string, p int32, err error) {
			if ctx.Err() == nil {
				i.cfg.Log.Warn("inbox", "topic", i.cfg.Topic, "partition", p, "error", err)
			}
		})
		fetches.EachRecord(i.deliver)
	}
	return nil
}

func (i *Inbox) deliver(r *kgo.Record) {
	id := headerOf(r, HeaderRequest)
	i.mu.Lock()
	ch := i.pending[id]
	delete(i.pending, id)
	i.mu.Unlock()
	if ch == nil {
		return
	}
	reply := Reply{Headers: map[string]string{}}
	for _, h := range r.Headers {
		reply.Headers[h.Key] = string(h.Value)
	}
	msg, err := i.cfg.Codec.Decode(r.Value)
	if err != nil {
		i.cfg.Log.Error("reply cannot be read", "topic", i.cfg.Topic, "partition", r.Partition, "offset", r.Offset, "request", id, "error", err)
		close(ch)
		return
	}
	reply.Msg = msg
	ch <- reply
}

// ErrUnreadableReply is returned when a reply came that its codec could not read.
var ErrUnreadableReply = errors.New("the reply cannot be read")

// Call waits for the reply to a request; send must write the request with the headers that it is given (fl-request and
// fl-reply) and is called once the inbox listens.
func (i *Inbox) Call(ctx context.Context, id string, send func(headers map[string]string) error) (Reply, error) {
	select {
	case <-i.ready:
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("wait for the inbox on %s: %w", i.cfg.Topic, ctx.Err())
	}
	ch := make(chan Reply, 1)
	i.mu.Lock()
	if i.pending[id] != nil {
		i.mu.Unlock()
		return Reply{}, fmt.Errorf("request id %s is in use", id)
	}
	i.pending[id] = ch
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.pending[id] == ch {
			delete(i.pending, id)
		}
	}()
	if err := send(map[string]string{HeaderRequest: id, HeaderReply: ReplyTo(i.cfg.Topic, i.partition, id)}); err != nil {
		return Reply{}, err
	}
	select {
	case r, ok := <-ch:
		if !ok {
			return Reply{}, ErrUnreadableReply
		}
		return r, nil
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("wait for the reply to %s: %w", id, ctx.Err())
	}
}

// ReplyTo is the value of header fl-reply: topic, partition (-1: by key) and key.
func ReplyTo(topic string, partition int32, key string) string {
	p := "-"
	if partition >= 0 {
		p = strconv.FormatInt(int64(partition), 10)
	}
	return topic + "/" + p + "/" + base64.RawURLEncoding.EncodeToString([]byte(key))
}

// ParseReplyTo reads header fl-reply.
func ParseReplyTo(s string) (topic string, partition int32, key string, err error) {
	parts := splitThree(s)
	if parts == nil {
		return "", 0, "", fmt.Errorf("header %s is %q, not topic/partition/key", HeaderReply, s)
	}
	partition = -1
	if parts[1] != "-" {
		n, err := strconv.ParseInt(parts[1], 10, 32)
		if err != nil || n < 0 {
			return "", 0, "", fmt.Errorf("header %s is %q: partition is neither a number nor '-'", HeaderReply, s)
		}
		partition = int32(n)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", 0, "", fmt.Errorf("header %s is %q: key is not base64url: %w", HeaderReply, s, err)
	}
	return parts[0], partition, string(raw), nil
}
