package main

import (
	"encoding/json"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

func record(key, value string) flow.Incoming {
	r := flow.Incoming{Topic: "ext.orders", Partition: 2, Offset: 7, Value: json.RawMessage(value)}
	if key != "" {
		r.Key = &key
	}
	return r
}

func TestOrders(t *testing.T) {
	alice := flowtest.New(t, flowtest.Application(".")).Member("O=Alice, L=London, C=GB")
	var small, big Deal
	alice.Start("order", record("Zoë", `{"item":"tea","quantity":9}`)).Wait().Result(t, &small)
	alice.Start("order", record("Bob", `{"item":"tea","quantity":10}`)).Wait().Result(t, &big)
	if small.Kept || !big.Kept || small.Partition != 2 || small.Offset != 7 {
		t.Errorf("%+v, %+v", small, big)
	}
	if rows := flowtest.Rows[Row](alice, "orders"); len(rows) != 1 || rows[0] != (Row{ID: big.FlowID, Customer: "Bob", Item: "tea", Quantity: 10}) {
		t.Errorf("kept %+v", rows)
	}
	var kept []Row
	if alice.Start("kept", struct{}{}).Wait().Result(t, &kept); len(kept) != 1 || kept[0].ID != big.FlowID {
		t.Errorf("kept, as a flow has it: %+v", kept)
	}
	out := alice.Emitted()
	var told Deal
	if len(out) != 2 || out[0].Channel != deals || string(out[0].Key) != "Zoë" || json.Unmarshal(out[0].Value, &told) != nil || told != small {
		t.Errorf("told %+v", out)
	}
}

func TestBadOrders(t *testing.T) {
	alice := flowtest.New(t, flowtest.Application(".")).Member("O=Alice, L=London, C=GB")
	for _, r := range []flow.Incoming{record("", `{"item":"tea","quantity":1}`), record("k", `{"item":"tea"}`), record("k", `{"quantity":1}`), record("k", `"tea"`), {}} {
		if o := alice.Start("order", r).Wait(); o.Err == nil || o.Err.Type != "bad-order" {
			t.Errorf("%+v: %v", r, o.Err)
		}
	}
	alice.Fail("persist", flow.Errorf("timeout", "nobody answers"))
	if o := alice.Start("order", record("k", `{"item":"tea","quantity":10}`)).Wait(); o.Err == nil || o.Err.Type != "timeout" {
		t.Errorf("a row that is not kept: %v", o.Err)
	}
	if rows := flowtest.Rows[Row](alice, "orders"); len(rows) != 0 || len(alice.Emitted()) != 0 {
		t.Errorf("kept %+v, told %+v", rows, alice.Emitted())
	}
}
