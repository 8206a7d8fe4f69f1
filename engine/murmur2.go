package engine

import "hash"

// NewHasher returns Kafka's default partitioner as a goka hasher (goka.WithHasher, goka.WithEmitterHasher): records
// of goka's own emitters then land where every other Kafka client would put them. goka takes the sum modulo the
// number of partitions.
func NewHasher() hash.Hash32 { return &keyHasher{} }

type keyHasher struct{ key []byte }

func (h *keyHasher) Write(b []byte) (int, error) {
	h.key = append(h.key, b...)
	return len(b), nil
}
func (h *keyHasher) Sum(b []byte) []byte {
	s := h.Sum32()
	return append(b, byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
}
func (h *keyHasher) Reset()         { h.key = h.key[:0] }
func (h *keyHasher) Size() int      { return 4 }
func (h *keyHasher) BlockSize() int { return 4 }

// Sum32 leaves the sign bit out, as Kafka does before it takes the modulus.
func (h *keyHasher) Sum32() uint32 { return murmur2(h.key) & 0x7fffffff }

// murmur2 is the hash of Kafka's default partitioner (org.apache.kafka.common.utils.Utils), with its fixed seed.
func murmur2(key []byte) uint32 {
	const m, seed = 0x5bd1e995, 0x9747b28c
	h := seed ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h *= m
		h ^= k
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
