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

// each calls f for every field of a message.
func each(b []byte, f func(field) error) error {
	for len(b) > 0 {
		tag, rest, err := takeVarint(b)
		if err != nil {
			return err
		}
		b = rest
		if tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errTag
		}
		fl := field{number: int(tag >> 3), typ: int(tag & 7)}
		switch fl.typ {
		case varint:
			fl.value, b, err = takeVarint(b)
			if err != nil {
				return err
			}
		case length:
			n, rest, err := takeVarint(b)
			if err != nil {
				return err
			}
			if n > uint64(len(rest)) {
				return errShort
			}
			fl.bytes, b = rest[:n], rest[n:]
		case fixed8, fixed4:
			n := 8
			if fl.typ == fixed4 {
				n = 4
			}
			if len(b) < n {
				return errShort
			}
			b = b[n:]
		default:
			return errUnknown
		}
		if err := f(fl); err != nil {
			return err
		}
	}
	return nil
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

func (f field) uint(into *uint64) error {
	if f.typ != varint {
		return errType
	}
	*into = f.value
	return nil
}

func (f field) text(into *string) error {
	if f.typ != length {
		return errType
	}
	if !utf8.Valid(f.bytes) {
		return errUTF8
	}
	*into = string(f.bytes)
	return nil
}

func (f field) data(into *[]byte) error {
	if f.typ != length {
		return errType
	}
	*into = append([]byte(nil), f.bytes...)
	return nil
}

func (f field) message(decode func([]byte) error) error {
	if f.typ != length {
		return errType
	}
	return decode(f.bytes)
}
