package bank

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sound makes a run without fault.
func sound() ([]Asked, Found) {
	asked := []Asked{
		{Transfer{ID: "1", From: "a", To: "b", Amount: 5}, "bank.transfers/0/0"},
		{Transfer{ID: "2", From: "b", To: "a", Amount: 2, Kind: Delayed}, "bank.transfers/0/1"},
		{Transfer{ID: "3", From: "a", To: "c", Amount: 9, Kind: Panics}, "bank.transfers/0/2"},
		{Transfer{ID: "4", From: "a", Kind: Audit}, "bank.transfers/0/3"},
		{Transfer{ID: "5", From: "b", Kind: Audit}, "bank.transfers/0/4"},
	}
	entries := []Entry{
		{ID: "1", Side: Debit, Account: "a", Delta: -5, Balance: -5, Seq: 1},
		{ID: "1", Side: Credit, Account: "b", Delta: 5, Balance: 5, Seq: 1},
		{ID: "2", Side: Debit, Account: "b", Delta: -2, Balance: 3, Seq: 2},
		{ID: "2", Side: Credit, Account: "a", Delta: 2, Balance: -3, Seq: 2},
	}
	f := Found{
		Entries: entries,
		Dead:    []DeadLetter{{"bank.transfers/0/2", Panics.Reason()}},
		Table:   map[string]Account{"a": {-3, 2}, "b": {3, 2}},
		Store:   map[string]Entry{},
		Rows:    map[string]int{"t": 0},
		Answers: []Answer{{ID: "4", Account: "a", Known: true, Row: Account{-3, 2}, Entries: 2, Sum: -3}, {ID: "5", Account: "b", Known: true, Row: Account{3, 2}, Entries: 2, Sum: 3}},
	}
	for _, e := range entries {
		f.Store[historyKey(e.Account, e.ID, e.Side)] = e
	}
	return asked, f
}

func TestSoundRunPasses(t *testing.T) {
	if got := Check(sound()); len(got) > 0 {
		t.Errorf("a run without fault is blamed: %v", got)
	}
}

// TestEachFaultIsNoticed breaks a sound run in one way at a time.
func TestEachFaultIsNoticed(t *testing.T) {
	cases := map[string]struct {
		spoil func(*Found)
		want  string
	}{
		"lost debit":  {func(f *Found) { f.Entries = f.Entries[1:] }, "effects missing"},
		"lost credit": {func(f *Found) { f.Entries = slices.Delete(f.Entries, 3, 4) }, "effects missing"},
		"repeated":    {func(f *Found) { f.Entries = append(f.Entries, f.Entries[0]) }, "effects repeated"},
		"effect of poison": {func(f *Found) {
			f.Entries = append(f.Entries, Entry{ID: "3", Side: Debit, Account: "a", Delta: -9, Balance: -12, Seq: 3})
		}, "effects that nobody asked for"},
		"dropped but emitted": {func(f *Found) { f.Entries = append(f.Entries, Entry{ID: "2", Side: "never", Account: "b"}) }, "effects that nobody asked for"},
		"lost update":         {func(f *Found) { f.Entries[3].Seq = 1 }, "account out of step"},
		"wrong balance":       {func(f *Found) { f.Entries[2].Balance = 4 }, "account out of step"},
		"table row":           {func(f *Found) { f.Table["a"] = Account{-3, 3} }, "table differs"},
		"table row too many":  {func(f *Found) { f.Table["z"] = Account{} }, "table differs"},
		"store row lost":      {func(f *Found) { delete(f.Store, "a/1/debit") }, "store differs"},
		"store row of poison": {func(f *Found) { f.Store["a/3/debit"] = Entry{} }, "store differs"},
		"poison vanished":     {func(f *Found) { f.Dead = nil }, "poison not in the dead letters exactly once"},
		"poison twice":        {func(f *Found) { f.Dead = append(f.Dead, f.Dead[0]) }, "poison not in the dead letters exactly once"},
		"innocent":            {func(f *Found) { f.Dead = append(f.Dead, DeadLetter{"bank.transfers/0/0", "panic"}) }, "innocents in the dead letters"},
		"unknown dead letter": {func(f *Found) { f.Dead = append(f.Dead, DeadLetter{"bank-loop/0/7", "panic"}) }, "strange dead letters"},
		"wrong reason":        {func(f *Found) { f.Dead[0].Reason = "refused" }, "dead letters with a wrong reason"},
		"local table":         {func(f *Found) { f.Answers[0].Row.Balance++ }, "local table differs from its topic"},
		"local store":         {func(f *Found) { f.Answers[1].Entries-- }, "local store differs from its topic"},
		"audit unanswered":    {func(f *Found) { f.Answers = f.Answers[1:] }, "audits"},
		"clock":               {func(f *Found) { f.Backwards = []string{"bank-table/0/7"} }, "time went back"},
		"timer left":          {func(f *Found) { f.Rows["t"] = 1 }, "rows left over"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			asked, found := sound()
			c.spoil(&found)
			got := Check(asked, found)
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, c.want+": ") }) {
				t.Errorf("not noticed; the judge says %q", got)
			}
		})
	}
}

func TestManyFaultsAreCounted(t *testing.T) {
	var asked []Asked
	for i := range 100 {
		asked = append(asked, Asked{Transfer{ID: fmt.Sprint(i), From: "a", To: "b", Amount: 1}, fmt.Sprint("bank.transfers/0/", i)})
	}
	got := Check(asked, Found{})
	if len(got) == 0 || !strings.Contains(got[0], "and 195 more") {
		t.Errorf("the judge says %q", got)
	}
}
