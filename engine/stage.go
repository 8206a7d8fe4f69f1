package engine

// stager is a [DB] that takes the writes of a batch before it is known whether they count, so that the little that is left
// can be done at once when it is.
type stager interface {
	// Stage takes w. One of apply, which writes it and then more, and drop, which forgets it, is called later, once.
	Stage(w *Writes) (apply func(more *Writes) error, drop func(), err error)
}

// staged is the rows of a transaction on their way to local storage. They are put together beside the transaction's end,
// which is mostly waiting.
type staged struct {
	done  chan struct{}
	rows  *Writes
	apply func(more *Writes) error
	drop  func()
	err   error
}

// fewRows is how many rows are put together without a goroutine, which would cost more than it saves.
const fewRows = 64

// stage begins with what the running transaction wrote. Nothing may be written in it any more.
func (s *session) stage() {
	st := &staged{done: make(chan struct{}), rows: &Writes{}}
	n := 0
	var logs []*changelog
	for _, id := range s.partitionIDs() {
		for _, l := range s.parts[id].logs {
			if l.overlay.Len() > 0 {
				n += l.overlay.Len()
				logs = append(logs, l)
			}
		}
	}
	s.staged = st
	if n <= fewRows {
		st.take(s.e.cfg.DB, logs)
		return
	}
	go st.take(s.e.cfg.DB, logs)
}

func (st *staged) take(db DB, logs []*changelog) {
	defer close(st.done)
	for _, l := range logs {
		l.addRows(st.rows)
	}
	d, ok := db.(stager)
	if !ok || len(st.rows.Ops) == 0 {
		st.apply = func(more *Writes) error {
			if st.rows.Ops = append(st.rows.Ops, more.Ops...); len(st.rows.Ops) == 0 {
				return nil
			}
			return db.Apply(st.rows)
		}
		st.drop = func() {}
		return
	}
	st.apply, st.drop, st.err = d.Stage(st.rows)
}

// unstage waits for what is on its way, and takes it; nil when there is nothing.
func (s *session) unstage() *staged {
	st := s.staged
	if s.staged = nil; st != nil {
		<-st.done
	}
	return st
}
