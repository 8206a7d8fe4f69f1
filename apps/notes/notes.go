// Command notes is an application of one member: it signs a note with a key in Vault, keeps it in a table of its own, and
// tells the world outside of it through a topic of Kafka, all of it once.
package main

import (
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/native"
)

func init() {
	flow.Register("note", Take)
	flow.Register("note-list", List)
}

// main is for debugging: on the platform it is never called.
func main() { native.Main() }

// Note is the argument of flow note.
type Note struct {
	Text string `json:"text"`
}

// Row is a note as it is kept, and as it is told outside.
type Row struct {
	// ID is the flow's, so that a note is kept once.
	ID        string    `json:"id"`
	Text      string    `json:"text"`
	TakenAt   time.Time `json:"taken_at"`
	KeyID     string    `json:"key_id"`
	Scheme    string    `json:"scheme"`
	Signature []byte    `json:"signature"`
}

const (
	notes   = flow.Table[Row]("notes")
	channel = "notes"
)

// Take signs a note with the virtual node's first ledger key, keeps it and emits it.
func Take(ctx *flow.Context, in Note) (Row, error) {
	if in.Text == "" {
		return Row{}, flow.Errorf("bad-input", `text is empty: start the flow with {"text":"…"}`)
	}
	keys, err := ctx.Keys("LEDGER")
	if err != nil {
		return Row{}, err
	}
	if len(keys) == 0 {
		return Row{}, flow.Errorf("no-key", "the virtual node has no LEDGER key: fairlead key generate %s notes LEDGER makes one", ctx.Identity().ShortHash)
	}
	s, err := ctx.Sign([]byte(in.Text), keys[0].PublicKey)
	if err != nil {
		return Row{}, err
	}
	row := Row{ID: ctx.FlowID().String(), Text: in.Text, TakenAt: ctx.Now(), KeyID: s.KeyID, Scheme: s.Scheme, Signature: s.Bytes}
	if err := notes.Persist(ctx, row); err != nil {
		return Row{}, err
	}
	return row, ctx.EmitJSON(channel, row.ID, row)
}

// Empty is the argument of flow note-list.
type Empty struct{}

// List returns all notes in the order of their ids.
func List(ctx *flow.Context, _ Empty) ([]Row, error) {
	list := []Row{}
	for row, err := range notes.FindAll(ctx) {
		if err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, nil
}
