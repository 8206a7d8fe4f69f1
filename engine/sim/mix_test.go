//go:build synctests

package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// mix is a pure function of its arguments: nothing that goroutines share decides a delay or a fault.
func mix(seed uint64, parts ...uint64) uint64 {
	h := seed + 0x9e3779b97f4a7c15
	for _, p := range parts {
		h ^= p + 0x9e3779b97f4a7c15 + h<<6 + h>>2
		h ^= h >> 30
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 27
		h *= 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

func mixString(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // a hash never fails
	return h.Sum64()
}

// rng draws a sequence from a seed; it belongs to one goroutine.
type rng struct{ seed, n uint64 }

func newRNG(seed uint64, what string) *rng { return &rng{seed: mix(seed, mixString(what))} }

func (r *rng) next() uint64 {
	r.n++
	return mix(r.seed, r.n)
}

func (r *rng) intn(n int) int { return int(r.next() % uint64(n)) }

func (r *rng) chance(percent int) bool { return r.intn(100) < percent }

// between draws a duration of at least low and below high.
func (r *rng) between(low, high time.Duration) time.Duration {
	return low + time.Duration(r.next()%uint64(high-low))
}

func pick[T any](r *rng, list []T) T { return list[r.intn(len(list))] }

// std is the library's generator with the next seeds of this one.
func (r *rng) std() *rand.Rand { return rand.New(rand.NewPCG(r.next(), r.next())) }
