package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// This file has what an application is besides money: keys, rows of its own, and topics that it shares with other programs.

// The order that another program gives.
const (
	customer = "Zoë"
	order    = `{"item":"tea","quantity":12}`
)

// orderTime bounds how long the shop may take with an order: an order that fails is told nowhere.
const orderTime = 30 * time.Second

// orders has another program, a plain client of Kafka, write an order to a topic of the shop, and read what the shop's flow
// tells of it.
func (d *demo) orders(ctx context.Context) error {
	if err := d.keys(ctx); err != nil {
		return err
	}
	vnode := d.member(shop).ShortHash
	in, deals, changes := d.channel(vnode+".orders.send"), d.channel(vnode+".deals.receive"), d.channel(vnode+".changes.feed")
	outside, err := kgo.NewClient(kgo.SeedBrokers(d.info.Brokers...), kgo.ConsumeTopics(deals, changes),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer outside.Close()
	if err := outside.ProduceSync(ctx, &kgo.Record{Topic: in, Key: []byte(customer), Value: []byte(order)}).FirstErr(); err != nil {
		return fmt.Errorf("write the order to %s: %w", in, err)
	}
	d.step("another program, a plain client of Kafka at %s, writes %s: %s to %s", strings.Join(d.info.Brokers, ","), customer, order, in)
	told, err := d.told(ctx, outside, deals, changes)
	if err != nil {
		return err
	}
	d.step("it reads, committed records only, %s, to which the shop's flow emitted: %s", deals, shorten(told[deals], 200))
	var change struct {
		Operation, Table string
		Row              json.RawMessage
	}
	if err := json.Unmarshal([]byte(told[changes]), &change); err != nil {
		return fmt.Errorf("read the change: %w", err)
	}
	d.step("and %s, the changes of the shop's table: %s in %s: %s", changes, change.Operation, change.Table, change.Row)
	if err := d.begin(ctx, shop, "kept", "kept", `{}`); err != nil {
		return err
	}
	s, err := d.end(ctx, shop, "kept", "COMPLETED")
	if err != nil {
		return err
	}
	var deal struct{ FlowID string }
	var rows []struct{ ID, Customer string }
	if err := errors.Join(json.Unmarshal([]byte(told[deals]), &deal), json.Unmarshal(s.JSON, &rows)); err != nil {
		return fmt.Errorf("read the order and its row: %w", err)
	}
	if len(rows) != 1 || rows[0].ID != deal.FlowID || rows[0].Customer != customer {
		return fmt.Errorf("the shop's table should have the order of flow %s, and nothing else", deal.FlowID)
	}
	d.step("the row in the shop's own database is that order: flow %s wrote it, and the record, or neither", deal.FlowID)
	return nil
}

// told reads one record of each topic.
func (d *demo) told(ctx context.Context, outside *kgo.Client, topics ...string) (map[string]string, error) {
	soon, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	told := map[string]string{}
	for len(told) < len(topics) {
		fetches := outside.PollFetches(soon)
		if soon.Err() != nil {
			return nil, d.untold(ctx, len(told), topics)
		}
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", strings.Join(topics, ", "), err)
		}
		for _, r := range fetches.Records() {
			if _, twice := told[r.Topic]; twice {
				return nil, fmt.Errorf("%s tells of one order twice: %s", r.Topic, r.Value)
			}
			told[r.Topic] = string(r.Value)
		}
	}
	return told, nil
}

// untold is the error for an order of which too little is told; the shop's flows have the reason.
func (d *demo) untold(ctx context.Context, n int, topics []string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for what %s tell: %w", strings.Join(topics, ", "), err)
	}
	flows, _, err := d.api.flows(ctx, d.member(shop).ShortHash, listFlags{})
	why := "no flow was started"
	for _, f := range flows {
		why = fmt.Sprintf("flow %s is %s %s", f.ClientRequestID, f.FlowStatus, f.saying())
	}
	return errors.Join(fmt.Errorf("%d of %s tell of the order within %s: %s", n, strings.Join(topics, ", "), orderTime, why), err)
}

// channel is the topic of a channel.
func (d *demo) channel(name string) string { return d.info.Prefix + "ext." + name }

// keys shows the keys of a member, as REST has them.
func (d *demo) keys(ctx context.Context) error {
	type key struct{ KeyID, HSMCategory, Scheme string }
	var keys map[string]key
	path := "/key/" + d.member(alice).ShortHash
	if _, err := d.api.get(ctx, cordaAPI+path, &keys); err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("Alice has no key")
	}
	var shown []string
	for _, k := range slices.SortedFunc(maps.Values(keys), func(a, b key) int { return cmp.Compare(a.KeyID, b.KeyID) }) {
		shown = append(shown, fmt.Sprintf("%s (%s, %s)", k.KeyID, k.HSMCategory, k.Scheme))
	}
	d.step("Alice: GET %s → %s, whose private half never leaves Vault", path, strings.Join(shown, ", "))
	return nil
}
