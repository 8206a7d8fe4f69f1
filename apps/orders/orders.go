// Command orders is an application between two topics of Kafka: each record of one is an order and starts a flow, which
// tells the other what became of it; large orders are kept in a table whose changes go to a third topic.
package main

import (
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/native"
)

func init() {
	flow.Register("order", Take)
	flow.Register("kept", Kept)
}

// main is for debugging: on the platform it is never called.
func main() { native.Main() }

// Order is the value of a record.
type Order struct {
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
}

// Deal is what is told of an order.
type Deal struct {
	// FlowID names the deal for good.
	FlowID string `json:"flowId"`
	// Partition and Offset are the order's place in its topic.
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Item      string `json:"item"`
	Quantity  int64  `json:"quantity"`
	// Kept tells that the order is in table orders.
	Kept bool `json:"kept"`
}

// Row is a large order as it is kept.
type Row struct {
	// ID is the flow's.
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
}

const (
	orders = flow.Table[Row]("orders")
	deals  = "deals"
	// large is the quantity from which on an order is kept.
	large = 10
)

// Take takes an order.
func Take(ctx *flow.Context, in flow.Incoming) (Deal, error) {
	var o Order
	if err := in.Decode(&o); err != nil || in.Key == nil || o.Item == "" || o.Quantity < 1 {
		return Deal{}, flow.Errorf("bad-order", `record %d of partition %d of %s is no order: send the customer as key and {"item":"…","quantity":1} as value`, in.Offset, in.Partition, in.Topic)
	}
	d := Deal{FlowID: ctx.FlowID().String(), Partition: in.Partition, Offset: in.Offset, Item: o.Item, Quantity: o.Quantity, Kept: o.Quantity >= large}
	if d.Kept {
		if err := orders.Persist(ctx, Row{ID: d.FlowID, Customer: *in.Key, Item: o.Item, Quantity: o.Quantity}); err != nil {
			return Deal{}, err
		}
	}
	return d, ctx.EmitJSON(deals, *in.Key, d, flow.Header{Name: "source", Value: "orders"})
}

// Kept returns the orders that are kept.
func Kept(ctx *flow.Context, _ struct{}) ([]Row, error) {
	out := []Row{}
	for r, err := range orders.FindAll(ctx) {
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
