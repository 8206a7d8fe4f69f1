package topics

// Murmur2 is the hash of Kafka's default partitioner: 32-bit murmur2 with Kafka's seed.
func Murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
	)
	h := uint32(seed) ^ uint32(len(data))
	for len(data) >= 4 {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		data = data[4:]
		k *= m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	if len(data) > 0 {
		for i := len(data) - 1; i >= 0; i-- {
			h ^= uint32(data[i]) << (8 * i)
		}
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// Partition returns the partition of a key in a topic of n partitions, as every Kafka client with the default
// partitioner has it. n must be at least 1.
func Partition(key []byte, n int) int32 {
	return int32(Murmur2(key)&0x7fffffff) % int32(n)
}
