package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	"github.com/fairleadio/fairlead/topics"
)

// viewer decodes records and hides what may not be seen.
type viewer struct {
	admin *kafkaadmin.Admin
	// reveal shows the payloads of tenants.
	reveal bool
	rows   map[string]topics.Topic
	// builtin knows this version's messages, published those of the version that set the cluster up last; published
	// is read when it is first needed.
	builtin, published *schemas.Decoder
	looked             bool
}

func newViewer(a *kafkaadmin.Admin, reveal bool) (*viewer, error) {
	builtin, err := schemas.BuiltinDecoder()
	if err != nil {
		return nil, err
	}
	v := &viewer{admin: a, reveal: reveal, rows: map[string]topics.Topic{}, builtin: builtin}
	for _, t := range topics.All() {
		v.rows[t.Name] = t
	}
	return v, nil
}

// row returns the catalogue's row; a topic that it lacks belongs to a tenant.
func (v *viewer) row(topic string) topics.Topic {
	if t, ok := v.rows[topic]; ok {
		return t
	}
	return topics.Topic{Name: topic, Class: topics.External, Data: topics.Tenant}
}

// Ways in which a value is shown.
const (
	valueShown     = ""
	valueMasked    = "masked"
	valueSecret    = "secret"
	valueTombstone = "tombstone"
)

// shownRecord is a record as it is shown; it is the JSON of tail and peek.
type shownRecord struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Time is the record's own, RFC 3339 in UTC.
	Time string `json:"time"`
	// Key is text, or hex: and hexadecimal digits when it is not printable.
	Key     string            `json:"key"`
	Type    string            `json:"type,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Value is the message as JSON; absent when it is hidden, or is no known message.
	Value json.RawMessage `json:"value,omitempty"`
	// Raw is the value in base64 when it is no known message.
	Raw []byte `json:"raw,omitempty"`
	// Hidden is masked, secret or tombstone when there is no value for that reason.
	Hidden string `json:"hidden,omitempty"`
	Bytes  int    `json:"bytes"`
	// Problem says why a value could not be decoded.
	Problem string `json:"problem,omitempty"`

	at time.Time
	// text is the value for people.
	text string
}

// show decodes a record.
func (v *viewer) show(ctx context.Context, r kafkaadmin.Record) (shownRecord, error) {
	row := v.row(r.Topic)
	s := shownRecord{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Time.UTC().Format(timeLayout), at: r.Time,
		Key: keyText(r.Key), Type: r.Header(kafkaadmin.HeaderType), Bytes: len(r.Value),
	}
	for _, h := range r.Headers {
		if s.Headers == nil {
			s.Headers = map[string]string{}
		}
		s.Headers[h.Name] = v.headerText(row, h)
	}
	if s.Type == "" {
		s.Type = row.TypeOf(r.Key)
	}
	switch {
	case r.Value == nil:
		s.Hidden, s.text = valueTombstone, "(tombstone)"
	case row.Data == topics.Secret:
		s.Hidden, s.text = valueSecret, fmt.Sprintf("(secret, %s)", plural(len(r.Value), "byte"))
	case row.Data == topics.Tenant && !v.reveal:
		s.Hidden, s.text = valueMasked, fmt.Sprintf("(masked, %s; --reveal shows it)", plural(len(r.Value), "byte"))
	default:
		if err := v.decode(ctx, r, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// timeLayout has as many digits as Kafka's own times.
const timeLayout = "2006-01-02T15:04:05.000Z"

// headerText hides the headers of applications where their payload is hidden; fairlead's own are operational.
func (v *viewer) headerText(row topics.Topic, h kafkaadmin.Header) string {
	own := strings.HasPrefix(h.Name, "fl-") || h.Name == "traceparent"
	if !own && (row.Data == topics.Secret || row.Data == topics.Tenant && !v.reveal) {
		return fmt.Sprintf("(masked, %s)", plural(len(h.Value), "byte"))
	}
	return printable([]byte(h.Value))
}

func (v *viewer) decode(ctx context.Context, r kafkaadmin.Record, s *shownRecord) error {
	decoder, err := v.decoder(ctx, s.Type)
	if err != nil {
		return err
	}
	text, err := decoder.JSON(s.Type, r.Value)
	if err == nil {
		s.Value = text
		m, err := decoder.Decode(s.Type, r.Value)
		if err != nil {
			return err
		}
		s.text = humanText(m)
		return nil
	}
	if s.Type != "" {
		s.Problem = err.Error()
	}
	s.Raw, s.text = r.Value, printable(r.Value)
	return nil
}

// decoder returns the decoder that knows a type best: the cluster's own, for it may be newer than this program.
func (v *viewer) decoder(ctx context.Context, typeName string) (*schemas.Decoder, error) {
	if !v.looked {
		v.looked = true
		if err := v.readPublished(ctx); err != nil {
			return nil, err
		}
	}
	if v.published != nil && v.published.Knows(typeName) {
		return v.published, nil
	}
	return v.builtin, nil
}

// readPublished reads topic fairlead.schemas. What cannot be read there is no reason to show nothing: then this
// program's own descriptors have to do.
func (v *viewer) readPublished(ctx context.Context) error {
	byType, err := v.admin.PublishedSchemas(ctx)
	if ctx.Err() != nil {
		return err
	}
	if err != nil || len(byType) == 0 {
		return nil //nolint:nilerr // this program's own descriptors do
	}
	var sets []*descriptorpb.FileDescriptorSet
	for _, set := range byType {
		sets = append(sets, set)
	}
	// Of a file that several sets have, the greatest is the newest, for files only grow.
	slices.SortFunc(sets, func(a, b *descriptorpb.FileDescriptorSet) int { return size(b) - size(a) })
	if d, err := schemas.NewDecoder(schemas.Merge(sets...)); err == nil {
		v.published = d
	}
	return nil
}

func size(set *descriptorpb.FileDescriptorSet) int {
	n := 0
	for _, f := range set.GetFile() {
		for _, m := range f.GetMessageType() {
			n += len(m.GetField())
		}
	}
	return n
}

// printable shows bytes as one line of text where they are text, else in hexadecimal.
func printable(b []byte) string {
	escaped := strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(string(b))
	if isLine(escaped) {
		return escaped
	}
	return hexPrefix + hex.EncodeToString(b)
}

// keyText shows a key so that --key finds it again.
func keyText(b []byte) string {
	if isLine(string(b)) && !strings.HasPrefix(string(b), hexPrefix) {
		return string(b)
	}
	return hexPrefix + hex.EncodeToString(b)
}

// isLine tells whether a string is text without control characters.
func isLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

const hexPrefix = "hex:"

// parseKey reads a key as keyText writes it.
func parseKey(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, hexPrefix)
	if !ok {
		return []byte(text), nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", text, err)
	}
	return b, nil
}

// partitionsOf returns the partitions that can hold a key, nil for all: rows of stores lie beside the record that wrote
// them, not where their own keys hash to.
func partitionsOf(t topics.Topic, key []byte, count int) []int32 {
	if t.Own == topics.KindStore || t.Own == topics.KindRows || count < 1 {
		return nil
	}
	return []int32{topics.Partition(key, count)}
}

// auditReveal writes down that payloads of tenants are about to be shown.
func (g *Globals) auditReveal(ctx context.Context, v *viewer, names []string, detail string) error {
	for _, name := range names {
		if v.row(name).Data != topics.Tenant {
			continue
		}
		e := &auditv1.Entry{Action: "payloads.reveal", Entity: "topic/" + name, Outcome: auditv1.Outcome_OUTCOME_STARTED, Detail: detail}
		if err := g.audit(ctx, v.admin, e); err != nil {
			return refused("payloads are revealed only when that can be audited: %w", err)
		}
	}
	return nil
}
