package bank

import (
	"encoding/json"
	"fmt"
)

// Topics of the bank, without the prefix of a run.
const (
	Group     = "bank"
	Transfers = "bank.transfers"
	Entries   = "bank.entries"
	Audits    = "bank.audits"
	History   = "history"
)

// Kind says what is special about a transfer.
type Kind string

// The kinds of transfers. Those after Flaky are poison: they must leave nothing but a dead letter.
const (
	Plain Kind = ""
	// Delayed is credited after a timer has fired.
	Delayed Kind = "delayed"
	// Flaky asks to be retried until its time has come.
	Flaky Kind = "flaky"
	// Audit moves no money: it answers with what the local table and store say of the account.
	Audit Kind = "audit"

	// Panics writes and emits, then panics.
	Panics Kind = "panics"
	// Refused writes and emits, then returns an error.
	Refused Kind = "refused"
	// Huge emits more than a record may hold.
	Huge Kind = "huge"
	// Garbage cannot be decoded.
	Garbage Kind = "garbage"
	// Exits ends the process of its worker, each time that it is run.
	Exits Kind = "exits"
)

// Poison tells whether a transfer of this kind belongs into the dead letters.
func (k Kind) Poison() bool {
	switch k {
	case Panics, Refused, Huge, Garbage, Exits:
		return true
	case Plain, Delayed, Flaky, Audit:
	}
	return false
}

// Reason is what the engine writes into a dead letter of this kind.
func (k Kind) Reason() string {
	switch k {
	case Panics:
		return "panic"
	case Refused:
		return "refused"
	case Huge:
		return "too large"
	case Garbage:
		return "undecodable"
	case Exits:
		return "kills its process"
	case Plain, Delayed, Flaky, Audit:
	}
	return ""
}

// Transfer is an order to move money; its record's key is From.
type Transfer struct {
	ID     string `json:"id"`
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	Amount int64  `json:"amount,omitempty"`
	Kind   Kind   `json:"kind,omitempty"`
	// NotBeforeUs is when a flaky transfer stops being flaky, microseconds UTC.
	NotBeforeUs int64 `json:"notBeforeUs,omitempty"`
}

// credit is what goes through the loop: under the sender's key while its timer runs, under the receiver's when the
// money arrives.
type credit struct {
	ID       string `json:"id"`
	To       string `json:"to"`
	Amount   int64  `json:"amount"`
	Released bool   `json:"released,omitempty"`
}

// Account is a row of the table.
type Account struct {
	Balance int64 `json:"balance"`
	// Seq counts the entries of the account.
	Seq int64 `json:"seq"`
}

// Entry is one movement on one account, as emitted and as kept in the store under account/id/side.
type Entry struct {
	ID      string `json:"id"`
	Side    string `json:"side"` // debit or credit
	Account string `json:"account"`
	Delta   int64  `json:"delta"`
	// Balance and Seq are the account's after this entry.
	Balance int64 `json:"balance"`
	Seq     int64 `json:"seq"`
}

// Sides of an entry.
const (
	Debit  = "debit"
	Credit = "credit"
)

func historyKey(account, id, side string) string { return account + "/" + id + "/" + side }

// Answer is what an audit says of one account, from the local table and store of the worker that owns it.
type Answer struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	// Known is false when the table has no row.
	Known bool    `json:"known"`
	Row   Account `json:"row"`
	// Entries and Sum are the number and total of the rows in the store.
	Entries int64 `json:"entries"`
	Sum     int64 `json:"sum"`
}

// JSON is a codec of one message type.
type JSON[T any] struct{}

// Encode makes JSON of a *T.
func (JSON[T]) Encode(v any) ([]byte, error) {
	m, ok := v.(*T)
	if !ok {
		return nil, fmt.Errorf("bank: %T where %T is expected", v, m)
	}
	return json.Marshal(m)
}

// Decode makes a *T.
func (JSON[T]) Decode(b []byte) (any, error) {
	m := new(T)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("bank: decode %T: %w", m, err)
	}
	return m, nil
}

// ExitCode is what a worker's process ends with when the poison [Exits] ends it.
const ExitCode = 3
