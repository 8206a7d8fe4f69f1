package flowmapper

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Kinds of rows in the store "admission": the first byte of the key. The partition follows (a big-endian u32), so that
// a reader of the whole topic can tell the partitions' rows apart.
const (
	rowTotal   = 't'
	rowVnode   = 'v'
	rowWaiting = 'w'
	// rowHeld is an event of a session that waits for its peer's virtual node to become known.
	rowHeld = 'h'
	// rowResponders counts the responders' sides of sessions that are open on a virtual node.
	rowResponders = 'r'
)

// admissionStore is the store "admission" with its rows' encoding.
type admissionStore struct {
	s         engine.PartitionStore
	partition int32
}

// prefixLength is the length of kind and partition.
const prefixLength = 1 + 4

func (a admissionStore) key(kind byte, rest string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(a.partition)), rest...)
}

func (a admissionStore) waitingKey(vnode string, position uint64) []byte {
	return binary.BigEndian.AppendUint64(a.key(rowWaiting, vnode), position)
}

// load reads the places: one virtual node's row while nobody waits, else all rows.
func (a admissionStore) load(vnode string) (Places, error) {
	var total flowv1.AdmissionTotal
	if err := unmarshal(a.key(rowTotal, ""), a.s.Get(a.key(rowTotal, "")), &total); err != nil {
		return Places{}, err
	}
	p := Places{Running: total.GetRunning(), Waiting: total.GetWaiting(), Last: total.GetLastVnode()}
	if p.Waiting == 0 {
		if raw := a.s.Get(a.key(rowVnode, vnode)); raw != nil {
			v, err := decodeVnode(a.key(rowVnode, vnode), raw)
			if err != nil {
				return Places{}, err
			}
			p.Vnodes = []VnodePlaces{v}
		}
		return p, nil
	}
	for key, raw := range a.s.Scan(a.key(rowVnode, "")) {
		v, err := decodeVnode(key, raw)
		if err != nil {
			return Places{}, err
		}
		p.Vnodes = append(p.Vnodes, v)
	}
	return p, nil
}

func decodeVnode(key, raw []byte) (VnodePlaces, error) {
	var v flowv1.AdmissionVnode
	if err := unmarshal(key, raw, &v); err != nil {
		return VnodePlaces{}, err
	}
	return VnodePlaces{Vnode: string(key[prefixLength:]), Running: v.GetRunning(), First: v.GetFirst(), Next: v.GetNext()}, nil
}

// save writes the rows in which two places differ. A virtual node that neither runs nor waits needs no row.
func (a admissionStore) save(before, after Places) error {
	if before.Running != after.Running || before.Waiting != after.Waiting || before.Last != after.Last {
		if err := a.set(a.key(rowTotal, ""), &flowv1.AdmissionTotal{Running: after.Running, Waiting: after.Waiting, LastVnode: after.Last}); err != nil {
			return err
		}
	}
	for _, v := range after.Vnodes {
		if slices.Contains(before.Vnodes, v) {
			continue
		}
		if v.Running == 0 && v.waiting() == 0 {
			a.s.Delete(a.key(rowVnode, v.Vnode))
			continue
		}
		if err := a.set(a.key(rowVnode, v.Vnode), &flowv1.AdmissionVnode{Running: v.Running, First: v.First, Next: v.Next}); err != nil {
			return err
		}
	}
	return nil
}

func (a admissionStore) enqueue(vnode string, position uint64, key string) error {
	return a.set(a.waitingKey(vnode, position), &flowv1.AdmissionWaiting{Key: key})
}

// take removes the first place of a queue and returns the mapping's key that stood there.
func (a admissionStore) take(vnode string) (string, error) {
	for at, raw := range a.s.Scan(a.key(rowWaiting, vnode)) {
		var w flowv1.AdmissionWaiting
		if err := unmarshal(at, raw, &w); err != nil {
			return "", err
		}
		a.s.Delete(slices.Clone(at))
		return w.GetKey(), nil
	}
	return "", fmt.Errorf("flow-mapper: store admission has no row for those of virtual node %s that wait", vnode)
}

// queued tells whether a mapping stands in its queue.
func (a admissionStore) queued(m *flowv1.MapperState) bool {
	return m.GetStatus() == flowv1.MappingStatus_MAPPING_STATUS_WAITING && a.s.Get(a.waitingKey(m.GetVnode(), m.GetWaitingPosition())) != nil
}

// leave removes a place of a queue.
func (a admissionStore) leave(vnode string, position uint64) {
	a.s.Delete(a.waitingKey(vnode, position))
}

func (a admissionStore) responders(vnode string) (uint64, error) {
	var v flowv1.AdmissionVnode
	key := a.key(rowResponders, vnode)
	err := unmarshal(key, a.s.Get(key), &v)
	return v.GetRunning(), err
}

func (a admissionStore) setResponders(vnode string, n uint64) error {
	if n == 0 {
		a.s.Delete(a.key(rowResponders, vnode))
		return nil
	}
	return a.set(a.key(rowResponders, vnode), &flowv1.AdmissionVnode{Running: n})
}

func (a admissionStore) heldKey(session string, position uint32) []byte {
	return binary.BigEndian.AppendUint32(a.key(rowHeld, session), position)
}

func (a admissionStore) hold(session string, position uint32, e *flowv1.SessionEvent) error {
	return a.set(a.heldKey(session, position), e)
}

// held returns the first n events that are kept of one side of a session.
func (a admissionStore) held(session string, n uint32) ([]*flowv1.SessionEvent, error) {
	out := make([]*flowv1.SessionEvent, n)
	for i := range out {
		key := a.heldKey(session, uint32(i))
		out[i] = &flowv1.SessionEvent{}
		if err := unmarshal(key, a.s.Get(key), out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a admissionStore) dropHeld(session string, n uint32) {
	for i := range n {
		a.s.Delete(a.heldKey(session, i))
	}
}

func (a admissionStore) set(key []byte, m proto.Message) error {
	raw, err := schemas.Marshal(m)
	if err != nil {
		return fmt.Errorf("flow-mapper: store admission: %w", err)
	}
	a.s.Set(key, raw)
	return nil
}

func unmarshal(key, raw []byte, m proto.Message) error {
	if err := proto.Unmarshal(raw, m); err != nil {
		return fmt.Errorf("flow-mapper: store admission: row %q: %w", key, err)
	}
	return nil
}

func partitionLabel(p int32) string { return strconv.FormatInt(int64(p), 10) }

func microTime(us int64) time.Time { return time.UnixMicro(us).UTC() }
