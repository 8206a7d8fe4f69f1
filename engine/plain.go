package engine

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// plainContext is what goka hands to every callback of this engine's processors. Guarded callbacks find their
// partition through it; callbacks written for goka itself use it as it is, and what they write is stamped.
type plainContext struct {
	gokaContext
	p *partition
}

// gokaContext lets goka's Context be embedded: its own name is that of one of its methods.
type gokaContext interface{ goka.Context }

func (s *session) wrap(gctx goka.Context) goka.Context {
	p := s.parts[gctx.Partition()]
	p.current = Cause{string(gctx.Topic()), gctx.Partition(), gctx.Offset()}
	return &plainContext{gctx, p}
}

func (c *plainContext) stamp(options []goka.ContextOption, explicit bool) []goka.ContextOption {
	h := goka.Headers{
		HeaderCause: []byte(c.p.current.String()),
		HeaderNow:   []byte(strconv.FormatInt(c.p.now, 10)),
	}
	if explicit {
		h[HeaderPartition] = []byte(strconv.FormatInt(int64(c.p.id), 10))
	}
	return append(slices.Clone(options), goka.WithCtxEmitHeaders(h))
}

func (c *plainContext) SetValue(value any, options ...goka.ContextOption) {
	c.gokaContext.SetValue(value, c.stamp(options, true)...)
}

func (c *plainContext) Delete(options ...goka.ContextOption) {
	c.gokaContext.Delete(c.stamp(options, true)...)
}

func (c *plainContext) Emit(topic goka.Stream, key string, value any, options ...goka.ContextOption) {
	c.gokaContext.Emit(topic, key, value, c.stamp(options, false)...)
}

func (c *plainContext) Loopback(key string, value any, options ...goka.ContextOption) {
	c.gokaContext.Loopback(key, value, c.stamp(options, false)...)
}

// optionHeaders reads the headers out of goka's context options. Their argument type is not exported, so it is made
// by reflection; the fields are only read.
func optionHeaders(options []goka.ContextOption) []kgo.RecordHeader {
	if len(options) == 0 {
		return nil
	}
	arg := reflect.New(reflect.TypeFor[goka.ContextOption]().In(0).Elem())
	for _, o := range options {
		if o != nil {
			reflect.ValueOf(o).Call([]reflect.Value{arg})
		}
	}
	field := arg.Elem().FieldByName("emitHeaders")
	if !field.IsValid() {
		return nil
	}
	var out []kgo.RecordHeader
	for it := field.MapRange(); it.Next(); {
		out = append(out, kgo.RecordHeader{Key: it.Key().String(), Value: slices.Clone(it.Value().Bytes())})
	}
	// A map has no order; records must not depend on it.
	slices.SortFunc(out, func(a, b kgo.RecordHeader) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return out
}
