package main

import (
	"encoding/json"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

func TestNote(t *testing.T) {
	alice := flowtest.New(t, flowtest.Application(".")).Member("O=Alice, L=London, C=GB")
	if o := alice.Start("note", Note{}).Wait(); o.Err == nil || o.Err.Type != "bad-input" {
		t.Errorf("nothing to note: %v", o.Err)
	}
	var r Row
	alice.Start("note", Note{Text: "milk"}).Wait().Result(t, &r)
	if len(r.Signature) == 0 || r.KeyID == "" || r.TakenAt.IsZero() {
		t.Errorf("%+v", r)
	}
	if rows := flowtest.Rows[Row](alice, "notes"); len(rows) != 1 || rows[0].Text != "milk" {
		t.Errorf("kept %+v", rows)
	}
	out := alice.Emitted()
	var told Row
	if len(out) != 1 || out[0].Channel != "notes" || json.Unmarshal(out[0].Value, &told) != nil || told.ID != r.ID {
		t.Errorf("told %+v", out)
	}
}

func TestFailures(t *testing.T) {
	alice := flowtest.New(t, flowtest.Application(".")).Member("O=Alice, L=London, C=GB")
	alice.Fail("sign", flow.Errorf("timeout", "nobody answers"))
	if o := alice.Start("note", Note{Text: "milk"}).Wait(); o.Err == nil || o.Err.Type != "timeout" {
		t.Errorf("a signature that does not come: %v", o.Err)
	}
	if rows := flowtest.Rows[Row](alice, "notes"); len(rows) != 0 || len(alice.Emitted()) != 0 {
		t.Errorf("kept %+v, told %+v", rows, alice.Emitted())
	}
}
