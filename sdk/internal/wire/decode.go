package wire

import (
	"errors"
	"unicode/utf8"
)

// Errors of decoding. They say that the host sent something that is not Protobuf, which is a bug of the host.
var (
	errShort   = errors.New("message ends within a field")
	errVarint  = errors.New("number is longer than 64 bits")
	errTag     = errors.New("field number is zero or too large")
	errType    = errors.New("field has another type than the interface says")
	errUnknown = errors.New("unknown wire type")
	errUTF8    = errors.New("text is not UTF-8")
)

// field is one field of a message as it stands in the bytes.
type field struct {
	number int
	typ    int
	value  uint64 // of a varint
	bytes  []byte // of a length-delimited field
}

// takeField reads the first field of a message.
func takeField(b []byte) (f field, rest []byte, err error) {
	tag, b, err := takeVarint(b)
	if err != nil {
		return f, nil, err
	}
	if tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return f, nil, errTag
	}
	f = field{number: int(tag >> 3), typ: int(tag & 7)}
	var n uint64
	switch f.typ {
	case varint:
		f.value, b, err = takeVarint(b)
		return f, b, err
	case length:
		if n, b, err = takeVarint(b); err != nil {
			return f, nil, err
		}
	case fixed8:
		n = 8
	case fixed4:
		n = 4
	default:
		return f, nil, errUnknown
	}
	if n > uint64(len(b)) {
		return f, nil, errShort
	}
	f.bytes = b[:n]
	return f, b[n:], nil
}

func takeVarint(b []byte) (uint64, []byte, error) {
	var v uint64
	for i, c := range b {
		if i == 10 || i == 9 && c > 1 {
			return 0, nil, errVarint
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, b[i+1:], nil
		}
	}
	return 0, nil, errShort
}

func text(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", errUTF8
	}
	return string(b), nil
}
