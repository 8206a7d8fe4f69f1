package wire

// Message is a message of the guest interface.
type Message interface {
	// fields hands every field to the codec, numbers ascending.
	fields(*Codec)
}

// Codec writes a message's fields, or reads one field of it: the list of fields is the same for both. When it reads,
// each line of the list is asked whether the field at hand is its own.
type Codec struct {
	reading bool
	out     []byte // when it writes
	field   field  // when it reads
	err     error
}

// Append appends a message's encoding.
func Append(b []byte, m Message) []byte {
	c := Codec{out: b}
	m.fields(&c)
	return c.out
}

// Encode is a message's encoding.
func Encode(m Message) []byte { return Append(make([]byte, 0, usual), m) }

// usual is room for most messages, bytes.
const usual = 256

// Decode reads a message into m, which must be zero. What m holds afterwards shares no memory with b.
func Decode(b []byte, m Message) error {
	c := Codec{reading: true}
	c.read(b, m)
	return c.err
}

// read reads a message, which may lie in another one.
func (c *Codec) read(b []byte, m Message) {
	outer := c.field
	for len(b) > 0 && c.err == nil {
		if c.field, b, c.err = takeField(b); c.err == nil {
			m.fields(c)
		}
	}
	c.field = outer
}

// is tells whether the field at hand is this one, and of the type that it must have.
func (c *Codec) is(number, typ int) bool {
	if c.field.number != number {
		return false
	}
	if c.field.typ != typ {
		c.err = errType
		return false
	}
	return true
}

// number is a field of a whole number or truth value.
func number[T ~uint32 | ~uint64 | ~int32 | ~int64](c *Codec, n int, v *T) {
	switch {
	case !c.reading && *v != 0:
		c.out = appendVarint(appendTag(c.out, n, varint), uint64(*v))
	case c.reading && c.is(n, varint):
		*v = T(c.field.value)
	}
}

func (c *Codec) flag(n int, v *bool) {
	switch {
	case !c.reading && *v:
		c.out = append(appendTag(c.out, n, varint), 1)
	case c.reading && c.is(n, varint):
		*v = c.field.value != 0
	}
}

// numbers is a field of many numbers, which stand packed in one; one by one they are understood too.
func (c *Codec) numbers(n int, v *[]uint32) { numbers(c, n, v) }

func numbers[T ~uint32 | ~int32](c *Codec, n int, v *[]T) {
	if !c.reading {
		if len(*v) == 0 {
			return
		}
		at := c.open(n)
		for _, x := range *v {
			c.out = appendVarint(c.out, uint64(x))
		}
		c.close(at)
		return
	}
	if c.field.number == n && c.field.typ == varint {
		*v = append(*v, T(c.field.value))
		return
	}
	if !c.is(n, length) {
		return
	}
	for b := c.field.bytes; len(b) > 0; {
		x, rest, err := takeVarint(b)
		if err != nil {
			c.err = err
			return
		}
		*v, b = append(*v, T(x)), rest
	}
}

func (c *Codec) text(n int, v *string) {
	switch {
	case !c.reading && *v != "":
		c.out = appendItem(c.out, n, *v)
	case c.reading && c.is(n, length):
		*v, c.err = text(c.field.bytes)
	}
}

func (c *Codec) texts(n int, v *[]string) {
	if !c.reading {
		for _, x := range *v {
			c.out = appendItem(c.out, n, x)
		}
	} else if c.is(n, length) {
		var x string
		x, c.err = text(c.field.bytes)
		*v = append(*v, x)
	}
}

func (c *Codec) bytes(n int, v *[]byte) {
	switch {
	case !c.reading && len(*v) != 0:
		c.out = appendItem(c.out, n, *v)
	case c.reading && c.is(n, length):
		*v = append([]byte(nil), c.field.bytes...)
	}
}

func (c *Codec) blobs(n int, v *[][]byte) {
	if !c.reading {
		for _, x := range *v {
			c.out = appendItem(c.out, n, x)
		}
	} else if c.is(n, length) {
		*v = append(*v, append([]byte(nil), c.field.bytes...))
	}
}

// pointer is a constraint: *T is a message.
type pointer[T any] interface {
	*T
	Message
}

// one is a field that holds a message or none.
func one[T any, P pointer[T]](c *Codec, n int, v **T) {
	switch {
	case !c.reading && *v != nil:
		c.message(n, P(*v))
	case c.reading && c.is(n, length):
		if *v == nil {
			*v = new(T)
		}
		c.read(c.field.bytes, P(*v))
	}
}

// many is a field that holds a list of messages.
func many[T any, P pointer[T]](c *Codec, n int, v *[]T) {
	if !c.reading {
		for i := range *v {
			c.message(n, P(&(*v)[i]))
		}
	} else if c.is(n, length) {
		var m T
		*v = append(*v, m)
		c.read(c.field.bytes, P(&(*v)[len(*v)-1]))
	}
}

// message writes a message as a field, also one that is empty.
func (c *Codec) message(n int, m Message) {
	at := c.open(n)
	m.fields(c)
	c.close(at)
}

// open begins a field whose length is not known yet; close writes it, and makes room when it takes more than the one
// byte that was left for it.
func (c *Codec) open(n int) int {
	c.out = append(appendTag(c.out, n, length), 0)
	return len(c.out)
}

func (c *Codec) close(at int) {
	size := len(c.out) - at
	if size < 0x80 {
		c.out[at-1] = byte(size)
		return
	}
	var head [10]byte
	h := appendVarint(head[:0], uint64(size))
	c.out = append(c.out, h[1:]...) // room
	copy(c.out[at-1+len(h):], c.out[at:at+size])
	copy(c.out[at-1:], h)
}
