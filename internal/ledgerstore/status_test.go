package ledgerstore

import (
	"errors"
	"testing"
)

var (
	absent   = Known{}
	u        = Known{Status: Unverified}
	v        = Known{Status: Verified}
	i        = Known{Status: Invalid}
	d        = Known{Status: Draft}
	filtered = Known{Verified, true}
)

// Each row is one move: what is there, what is asked, and what comes of it; illegal where there is no result.
func TestMoves(t *testing.T) {
	persist, absentOnly, update := Known.Persist, Known.PersistIfAbsent, Known.Update
	proofs := func(k Known, _ Status) (Move, error) { return k.PersistFiltered() }
	stored := func(k Known) *Move { return &Move{Next: k, Stores: true, Changes: true} }
	changed := func(k Known) *Move { return &Move{Next: k, Changes: true} }
	held := func(k Known) *Move { return &Move{Next: k, Held: true} }
	var illegal *Move
	for name, c := range map[string]struct {
		how  func(Known, Status) (Move, error)
		from Known
		to   Status
		want *Move
	}{
		"absent: persist U":     {persist, absent, Unverified, stored(u)},
		"absent: persist V":     {persist, absent, Verified, stored(v)},
		"absent: persist I":     {persist, absent, Invalid, stored(i)},
		"absent: persist D":     {persist, absent, Draft, stored(d)},
		"absent: persist none":  {persist, absent, Absent, illegal},
		"absent: persist X":     {persist, absent, 'X', illegal},
		"D: persist U":          {persist, d, Unverified, changed(u)},
		"D: persist V":          {persist, d, Verified, changed(v)},
		"D: persist I":          {persist, d, Invalid, illegal},
		"D: persist D":          {persist, d, Draft, held(d)},
		"U: persist U":          {persist, u, Unverified, held(u)},
		"U: persist V":          {persist, u, Verified, changed(v)},
		"U: persist I":          {persist, u, Invalid, changed(i)},
		"U: persist D":          {persist, u, Draft, held(u)},
		"V: persist U":          {persist, v, Unverified, held(v)},
		"V: persist V":          {persist, v, Verified, held(v)},
		"V: persist I":          {persist, v, Invalid, illegal},
		"V: persist D":          {persist, v, Draft, held(v)},
		"I: persist U":          {persist, i, Unverified, held(i)},
		"I: persist V":          {persist, i, Verified, illegal},
		"I: persist I":          {persist, i, Invalid, held(i)},
		"I: persist D":          {persist, i, Draft, held(i)},
		"proofs: persist U":     {persist, filtered, Unverified, stored(u)},
		"proofs: persist V":     {persist, filtered, Verified, stored(v)},
		"proofs: persist I":     {persist, filtered, Invalid, illegal},
		"proofs: persist D":     {persist, filtered, Draft, stored(d)},
		"X: persist V":          {persist, Known{Status: 'X'}, Verified, illegal},
		"absent: if absent U":   {absentOnly, absent, Unverified, stored(u)},
		"absent: if absent V":   {absentOnly, absent, Verified, stored(v)},
		"absent: if absent X":   {absentOnly, absent, 'X', illegal},
		"proofs: if absent U":   {absentOnly, filtered, Unverified, stored(u)},
		"proofs: if absent V":   {absentOnly, filtered, Verified, stored(v)},
		"D: if absent V":        {absentOnly, d, Verified, held(d)},
		"U: if absent V":        {absentOnly, u, Verified, held(u)},
		"U: if absent I":        {absentOnly, u, Invalid, held(u)},
		"V: if absent U":        {absentOnly, v, Unverified, held(v)},
		"V: if absent I":        {absentOnly, v, Invalid, held(v)},
		"I: if absent V":        {absentOnly, i, Verified, held(i)},
		"absent: update U":      {update, absent, Unverified, illegal},
		"absent: update V":      {update, absent, Verified, illegal},
		"absent: update I":      {update, absent, Invalid, illegal},
		"absent: update none":   {update, absent, Absent, illegal},
		"proofs: update V":      {update, filtered, Verified, illegal},
		"proofs: update I":      {update, filtered, Invalid, illegal},
		"D: update U":           {update, d, Unverified, changed(u)},
		"D: update V":           {update, d, Verified, changed(v)},
		"D: update I":           {update, d, Invalid, illegal},
		"D: update D":           {update, d, Draft, held(d)},
		"U: update U":           {update, u, Unverified, held(u)},
		"U: update V":           {update, u, Verified, changed(v)},
		"U: update I":           {update, u, Invalid, changed(i)},
		"U: update D":           {update, u, Draft, illegal},
		"V: update U":           {update, v, Unverified, illegal},
		"V: update V":           {update, v, Verified, held(v)},
		"V: update I":           {update, v, Invalid, illegal},
		"V: update D":           {update, v, Draft, illegal},
		"I: update U":           {update, i, Unverified, illegal},
		"I: update V":           {update, i, Verified, illegal},
		"I: update I":           {update, i, Invalid, held(i)},
		"I: update D":           {update, i, Draft, illegal},
		"U: update none":        {update, u, Absent, illegal},
		"absent: proofs":        {proofs, absent, 0, &Move{Next: filtered}},
		"proofs: more proofs":   {proofs, filtered, 0, held(filtered)},
		"D: proofs beside it":   {proofs, d, 0, held(d)},
		"U: proofs beside it":   {proofs, u, 0, held(u)},
		"V: proofs beside it":   {proofs, v, 0, held(v)},
		"I: proofs are refused": {proofs, i, 0, illegal},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.how(c.from, c.to)
			var wrong *IllegalMoveError
			switch {
			case c.want == nil && !errors.As(err, &wrong):
				t.Errorf("%+v, %v; it is illegal", got, err)
			case c.want == nil && (wrong.From != c.from || len(wrong.Error()) < 40):
				t.Errorf("the error says %v", wrong)
			case c.want != nil && (err != nil || got != *c.want):
				t.Errorf("%+v, %v; want %+v", got, err, *c.want)
			}
		})
	}
}

// Whatever is asked in whatever order: what is final stays, and the same move again changes nothing.
func TestFinalIsFinal(t *testing.T) {
	ways := []func(Known, Status) (Move, error){Known.Persist, Known.PersistIfAbsent, Known.Update, func(k Known, _ Status) (Move, error) { return k.PersistFiltered() }}
	for _, from := range []Known{absent, u, v, i, d, filtered} {
		for _, to := range []Status{Unverified, Verified, Invalid, Draft} {
			for n, way := range ways {
				m, err := way(from, to)
				if err != nil {
					continue
				}
				if (from == v || from == i) && m.Next != from {
					t.Errorf("way %d: %s became %s", n, from, m.Next)
				}
				if m.Changes == m.Held && m.Next != filtered {
					t.Errorf("way %d: %s to %s changes and holds: %+v", n, from, to, m)
				}
				if again, err := way(m.Next, to); err != nil || !again.Held || again.Next != m.Next {
					t.Errorf("way %d: %s to %s again: %+v, %v", n, m.Next, to, again, err)
				}
			}
		}
	}
}
