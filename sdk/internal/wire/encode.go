package wire

// Wire types of Protobuf.
const (
	varint = 0
	fixed8 = 1
	length = 2
	fixed4 = 5
)

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendTag(b []byte, field, typ int) []byte { return appendVarint(b, uint64(field)<<3|uint64(typ)) }

// appendItem writes bytes even when there are none: an item of a list, a choice of a oneof.
func appendItem[T ~string | ~[]byte](b []byte, field int, v T) []byte {
	b = appendVarint(appendTag(b, field, length), uint64(len(v)))
	return append(b, v...)
}
