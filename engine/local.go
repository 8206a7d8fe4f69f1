package engine

import (
	"encoding/json"
	"fmt"
)

// LocalRows reads what local storage holds of one partition of a table or store: its rows, and the offset below which
// everything was applied; found is false when it holds nothing. Tools compare it with the topic. The topic is named
// as in Kafka, with the engine's prefix.
func LocalRows(db DB, topic string, partition int32) (rows map[string][]byte, position int64, found bool, err error) {
	prefix := storagePrefix(topic, partition)
	raw, err := db.Get(append(append([]byte{}, prefix...), 'm'))
	if err != nil {
		return nil, 0, false, fmt.Errorf("read position of %s/%d: %w", topic, partition, err)
	}
	rows = map[string][]byte{}
	if raw != nil {
		var m storedPosition
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, 0, false, fmt.Errorf("read position of %s/%d: %w", topic, partition, err)
		}
		position, found = m.Position, true
	}
	low := append(append([]byte{}, prefix...), 'd')
	err = db.Scan(low, prefixEnd(low), func(k, v []byte) bool {
		rows[string(k[len(low):])] = append([]byte{}, v...)
		return true
	})
	if err != nil {
		return nil, 0, false, fmt.Errorf("read rows of %s/%d: %w", topic, partition, err)
	}
	return rows, position, found, nil
}
