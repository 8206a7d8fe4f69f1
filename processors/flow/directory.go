package flow

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// Directory knows the members of each group and the keys of each virtual node, so that a look-up costs no round trip.
// Members are the virtual nodes of this cluster. Whoever has views of virtual.node.info, cpi.info and crypto.keys feeds it.
type Directory struct {
	mu     sync.RWMutex
	vnodes map[string]*vnodev1.VirtualNode            // by short hash
	groups map[string]map[string]*vnodev1.VirtualNode // by group id and short hash
	keys   map[string]map[string]*cryptov1.Key        // by tenant and key id
	// verifying are the CPIs, by checksum, whose flows answer as a notary that verifies contracts.
	verifying map[string]bool
}

// NewDirectory makes an empty one.
func NewDirectory() *Directory {
	return &Directory{
		vnodes: map[string]*vnodev1.VirtualNode{}, groups: map[string]map[string]*vnodev1.VirtualNode{}, keys: map[string]map[string]*cryptov1.Key{},
		verifying: map[string]bool{},
	}
}

// What a notary's application answers to, as package notary of the SDK has it.
const (
	protocolNonValidating = "fairlead.notary.nonvalidating"
	protocolVerifying     = "fairlead.notary.contractverifying"
)

// Package takes a change of cpi.info, whose keys are checksums; msg is nil when the CPI was deleted.
func (d *Directory) Package(key string, msg any) {
	p, _ := msg.(*cpiv1.Cpi) // nil for one that is gone
	answers := func(protocol string) bool {
		return slices.ContainsFunc(p.GetModules(), func(m *cpiv1.Module) bool {
			return slices.ContainsFunc(m.GetFlows(), func(f *cpiv1.FlowClass) bool { return f.GetProtocol() == protocol })
		})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// One that answers to both is not relied upon: its signature does not say which of them was asked.
	if answers(protocolVerifying) && !answers(protocolNonValidating) {
		d.verifying[key] = true
	} else {
		delete(d.verifying, key)
	}
}

// VirtualNode takes a change of virtual.node.info; msg is nil when the key was deleted.
func (d *Directory) VirtualNode(key string, msg any) {
	v, ok := msg.(*vnodev1.VirtualNode)
	if msg != nil && !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.vnodes[key]
	if ok && old.GetVersion() > v.GetVersion() {
		return // an older row of the database that came late
	}
	if old != nil {
		delete(d.groups[old.GetIdentity().GetGroupId()], key)
		delete(d.vnodes, key)
	}
	if !ok {
		return
	}
	group := v.GetIdentity().GetGroupId()
	if d.groups[group] == nil {
		d.groups[group] = map[string]*vnodev1.VirtualNode{}
	}
	d.groups[group][key], d.vnodes[key] = v, v
}

// Key takes a change of crypto.keys, whose keys are tenant, "/" and key id.
func (d *Directory) Key(key string, msg any) {
	tenant, id, ok := strings.Cut(key, "/")
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := msg.(*cryptov1.Key)
	switch {
	case msg == nil:
		delete(d.keys[tenant], id)
	case ok && d.keys[tenant][id].GetVersion() <= k.GetVersion():
		if d.keys[tenant] == nil {
			d.keys[tenant] = map[string]*cryptov1.Key{}
		}
		d.keys[tenant][id] = k
	}
}

// statusActive is the status of every member that the cluster itself hosts.
const statusActive = "ACTIVE"

// members finds those of a group that have one of the names and one of the keys; none of either asks for all.
func (d *Directory) members(group string, names []string, publicKeys [][]byte) *appv1.Members {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := &appv1.Members{}
	for hash, v := range d.groups[group] {
		m := &appv1.Member{
			X500Name: v.GetIdentity().GetX500Name(), GroupId: group, Status: statusActive, Serial: max(1, v.GetVersion()),
			Context: []*appv1.Property{
				{Name: "corda.groupId", Value: group}, {Name: "corda.name", Value: v.GetIdentity().GetX500Name()}, {Name: "corda.status", Value: statusActive},
			},
		}
		if len(names) > 0 && !slices.Contains(names, m.GetX500Name()) {
			continue
		}
		match := len(publicKeys) == 0
		notary := 0
		for _, id := range sortedKeys(d.keys[hash]) {
			k := d.keys[hash][id]
			if k.GetCategory() == "NOTARY" {
				m.Context = append(m.Context, &appv1.Property{Name: fmt.Sprintf("corda.notary.keys.%d.pem", notary), Value: publicPEM(k.GetPublicKey())})
				notary++
			}
			if k.GetCategory() == "LEDGER" {
				m.LedgerKeys = append(m.LedgerKeys, k.GetPublicKey())
			}
			if k.GetCategory() == "LEDGER" || k.GetCategory() == "SESSION_INIT" {
				match = match || contains(publicKeys, k.GetPublicKey())
			}
		}
		if notary > 0 { // of a service by its own name; its application says which kind it is
			backchain, protocol := "true", protocolNonValidating
			if d.verifying[v.GetCpiChecksum()] {
				backchain, protocol = "false", protocolVerifying
			}
			m.Context = append(m.Context, &appv1.Property{Name: "corda.notary.service.backchain.required", Value: backchain},
				&appv1.Property{Name: "corda.notary.service.flow.protocol.name", Value: protocol},
				&appv1.Property{Name: "corda.notary.service.name", Value: m.GetX500Name()})
		}
		if match {
			out.Members = append(out.Members, m)
		}
	}
	slices.SortFunc(out.Members, func(a, b *appv1.Member) int { return strings.Compare(a.GetX500Name(), b.GetX500Name()) })
	return out
}

// publicPEM is a public key as member information has it.
func publicPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// findKeys finds keys of a virtual node: those asked for in the order asked, or all in the order of their ids.
func (d *Directory) findKeys(vnode string, publicKeys [][]byte, category string) []*cryptov1.Key {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []*cryptov1.Key
	for _, id := range sortedKeys(d.keys[vnode]) {
		if k := d.keys[vnode][id]; category == "" || k.GetCategory() == category {
			all = append(all, k)
		}
	}
	if len(publicKeys) == 0 {
		return all
	}
	var out []*cryptov1.Key
	for _, want := range publicKeys {
		if i := slices.IndexFunc(all, func(k *cryptov1.Key) bool { return bytes.Equal(k.GetPublicKey(), want) }); i >= 0 {
			out = append(out, all[i])
		}
	}
	return out
}

func contains(all [][]byte, one []byte) bool {
	return slices.ContainsFunc(all, func(b []byte) bool { return bytes.Equal(b, one) })
}
