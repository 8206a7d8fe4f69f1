package engine

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Context is what a callback has: goka's context, and what goka lacks. It is valid until the callback returns.
//
// Like goka's, its methods fail by leaving the callback (a private panic): the record is then dead-lettered with
// the reason, or, when the machine is at fault (a disk), the transaction is aborted and the worker stops.
type Context interface {
	goka.Context

	// Now is the time of this transaction in this partition, microseconds UTC: it never goes back in a
	// partition, is the same for all callbacks of a transaction, and is written with every record.
	Now() time.Time

	// Cause is the place of the record that is being processed. For a retried record it is the record's
	// original place.
	Cause() Cause

	// TopicID is Kafka's id of the input record's topic: unlike the name, no other cluster, no topic made
	// again and no restore can repeat it.
	TopicID() [16]byte

	// Header returns the value of an input header, empty when absent.
	Header(name string) string

	// Store returns a store of this partition, as declared by the edge [Store].
	Store(name string) PartitionStore

	// SetTimer sets (or moves) the timer of this name under the record's key. When it is due, msg arrives at the
	// loop's callback under the same key. The codec is the loop's.
	SetTimer(name string, due time.Time, msg any)

	// CancelTimer forgets a timer; nothing happens when there is none. A timer whose record already is in the
	// loop topic still arrives: the receiver must tell that it is late.
	CancelTimer(name string)
}

// PartitionStore is a named key-value store of one partition, ordered by key bytes. Reads see the writes of the
// same transaction. Keys and values must not be changed after they are handed over.
type PartitionStore interface {
	// Get returns nil when there is no such key.
	Get(key []byte) []byte
	Set(key, value []byte)
	Delete(key []byte)
	// Scan yields the pairs whose keys start with prefix, in key order. The store must not be written during it.
	Scan(prefix []byte) iter.Seq2[[]byte, []byte]
}

// Cause is the place of a record in the log.
type Cause struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String is the form of header fl-cause: topic/partition/offset.
func (c Cause) String() string {
	return c.Topic + "/" + strconv.FormatInt(int64(c.Partition), 10) + "/" + strconv.FormatInt(c.Offset, 10)
}

// ParseCause reads the form of header fl-cause.
func ParseCause(s string) (Cause, error) {
	parts := splitThree(s)
	if parts == nil {
		return Cause{}, fmt.Errorf("cause %q is not topic/partition/offset", s)
	}
	p, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil || p < 0 {
		return Cause{}, fmt.Errorf("cause %q: partition is not a number", s)
	}
	o, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || o < 0 {
		return Cause{}, fmt.Errorf("cause %q: offset is not a number", s)
	}
	return Cause{parts[0], int32(p), o}, nil
}

// splitThree splits at slashes into three parts, the first not empty; nil for anything else.
func splitThree(s string) []string {
	parts := strings.Split(s, "/")
	if len(parts) != 3 || parts[0] == "" {
		return nil
	}
	return parts
}

// Names of the engine's headers. All values are UTF-8 text.
const (
	// HeaderType is the message's full type name.
	HeaderType = "fl-type"
	// HeaderCause is the place of the input record that this record follows from: topic/partition/offset.
	HeaderCause = "fl-cause"
	// HeaderNow is the time of the step that wrote the record, decimal microseconds UTC.
	HeaderNow = "fl-now"
	// HeaderDeadline is when the requester gives up, decimal microseconds UTC.
	HeaderDeadline = "fl-deadline"
	// HeaderRequest is the request's id, repeated on the reply.
	HeaderRequest = "fl-request"
	// HeaderReply is where the reply goes: topic/partition or -/key in base64url.
	HeaderReply = "fl-reply"
	// HeaderPartition carries an explicit partition from a callback to the producer, which takes it off.
	HeaderPartition = "fl-partition"
	// HeaderTrace is W3C trace context; it is copied from input to output.
	HeaderTrace = "traceparent"

	HeaderDLQReason   = "fl-dlq-reason"
	HeaderDLQError    = "fl-dlq-error"
	HeaderDLQAttempts = "fl-dlq-attempts"
	HeaderDLQBuild    = "fl-dlq-build"
	HeaderDLQSource   = "fl-dlq-source"

	// headerReference says what a dead letter stands for that was too large to be kept.
	headerReference = "fl-dlq-reference"

	// headerCommand marks a loop record as the engine's own.
	headerCommand  = "fl-engine"
	commandRetry   = "retry"
	commandRedrive = "redrive"
)

// Redrive makes, of a record of a group's dead-letter topic, the record that must be written to the group's loop topic
// (same partition) to have it run again. Tools use it; the group's owner does the rest, in its own transaction.
func Redrive(group goka.Group, dead *kgo.Record) *kgo.Record {
	out := &kgo.Record{Topic: LoopTopic(group), Partition: dead.Partition, Key: dead.Key, Value: dead.Value, Timestamp: dead.Timestamp}
	out.Headers = append(out.Headers, dead.Headers...)
	out.Headers = append(out.Headers, kgo.RecordHeader{Key: headerCommand, Value: []byte(commandRedrive)})
	return out
}

// ToPartition sends a record to this partition instead of the one that its key hashes to.
func ToPartition(p int32) goka.ContextOption {
	return goka.WithCtxEmitHeaders(goka.Headers{HeaderPartition: []byte(strconv.FormatInt(int64(p), 10))})
}

// WithHeaders adds headers to a record.
func WithHeaders(h goka.Headers) goka.ContextOption { return goka.WithCtxEmitHeaders(h) }
