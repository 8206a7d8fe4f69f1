package devenv

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
)

// producersLog is where the embedded Kafka keeps its producers, in its folder.
const producersLog = "pids.log"

// renewProducers has the embedded Kafka give each producer a new id when it comes again. What a crash left open it counts as
// aborted, but writes no end of it: a consumer would take whatever the same id commits later for a part of that, and never
// see it. All producers have ended with the process, so nobody misses an old id.
//
// The log is entries of JSON, each behind its length, a checksum and a version; what follows a broken entry is none. Of a
// producer the last entry counts, and one whose epochs are used up gets a new id.
func renewProducers(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the log of producers: %w", err)
	}
	type producer struct {
		Type    string `json:"type"`
		PID     int64  `json:"pid"`
		Epoch   int16  `json:"epoch"`
		TxID    string `json:"txid,omitempty"`
		Timeout int32  `json:"timeout,omitempty"`
	}
	var last []producer
	place, whole := map[string]int{}, 0
	for rest := raw; len(rest) >= producerHead; {
		n := 8 + int64(binary.LittleEndian.Uint32(rest))
		if n < producerHead || n > int64(len(rest)) || crc32.Checksum(rest[8:n], castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		var p producer
		if err := json.Unmarshal(rest[producerHead:n], &p); err == nil && p.Type == "init" && p.TxID != "" {
			at, known := place[p.TxID]
			if !known {
				at = len(last)
				place[p.TxID], last = at, append(last, p)
			}
			last[at] = p
		}
		whole, rest = whole+int(n), rest[n:]
	}
	out := raw[:whole:whole]
	for _, p := range last {
		p.Epoch = math.MaxInt16 - 1
		data, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("encode a producer: %w", err)
		}
		from := len(out)
		out = binary.LittleEndian.AppendUint32(out, uint32(2+len(data)))
		out = binary.LittleEndian.AppendUint32(out, 0)
		out = binary.LittleEndian.AppendUint16(out, producerVersion)
		out = append(out, data...)
		binary.LittleEndian.PutUint32(out[from+4:], crc32.Checksum(out[from+8:], castagnoli))
	}
	next := path + ".next"
	if err := os.WriteFile(next, out, 0o600); err != nil {
		return fmt.Errorf("write the log of producers: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("replace the log of producers: %w", err)
	}
	return nil
}

// producerHead is what stands before an entry's JSON, producerVersion the version in it.
const (
	producerHead    = 10
	producerVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a constant
