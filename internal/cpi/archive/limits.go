package archive

// Limits bound what a reader takes. Zero fields mean those of [DefaultLimits].
type Limits struct {
	// File is the largest zip file, bytes.
	File int64
	// Entries is how many entries there may be.
	Entries int
	// Entry is the largest entry, bytes inflated.
	Entry int64
	// Total bounds all entries together, bytes inflated.
	Total int64
	// Ratio is how many times larger than its compressed form an entry may be. Entries up to [RatioFloor] are exempt.
	Ratio int64
}

// RatioFloor is the size, bytes inflated, up to which an entry may be compressed as well as it can.
const RatioFloor = 1 << 20

const (
	// MaxName is the longest name of an entry, bytes.
	MaxName = 200
	// MaxDepth is how many parts, separated by slashes, a name may have.
	MaxDepth = 6
)

// DefaultLimits are far above any application: 256 MiB, 10,000 entries, 128 MiB each, 512 MiB together, 200:1.
func DefaultLimits() Limits {
	return Limits{File: 256 << 20, Entries: 10_000, Entry: 128 << 20, Total: 512 << 20, Ratio: 200}
}

// WithDefaults fills the fields that are zero.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	if l.File == 0 {
		l.File = d.File
	}
	if l.Entries == 0 {
		l.Entries = d.Entries
	}
	if l.Entry == 0 {
		l.Entry = d.Entry
	}
	if l.Total == 0 {
		l.Total = d.Total
	}
	if l.Ratio == 0 {
		l.Ratio = d.Ratio
	}
	return l
}
