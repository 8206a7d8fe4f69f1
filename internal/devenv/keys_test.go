package devenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/topics"
)

// keyring is the key routes of REST, and how many keys were made.
type keyring struct {
	mu   sync.Mutex
	keys map[string]string // key id, by virtual node and category
	made []string
}

func (k *keyring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var node, alias, category string
	if r.Method == http.MethodPost {
		parts := http.NewServeMux()
		parts.HandleFunc("POST /api/v5_2/key/{node}/alias/{alias}/category/{category}/scheme/CORDA.ECDSA.SECP256R1", func(_ http.ResponseWriter, r *http.Request) {
			node, alias, category = r.PathValue("node"), r.PathValue("alias"), r.PathValue("category")
		})
		parts.ServeHTTP(httptest.NewRecorder(), r)
		id := fmt.Sprintf("ID%d", len(k.made))
		k.made = append(k.made, node+" "+alias+" "+category)
		k.keys[node+"/"+category] = id
		_, _ = fmt.Fprintf(w, `{"id":%q}`, id)
		return
	}
	id, there := k.keys[r.URL.Path[len("/api/v5_2/key/"):]+"/"+r.URL.Query().Get("category")]
	if !there {
		_, _ = fmt.Fprint(w, `{}`)
		return
	}
	_, _ = fmt.Fprintf(w, `{%q:{"keyId":%q}}`, id, id)
}

// Members get the keys that they lack, once, and the cluster is not ready before flows see the last of them.
func TestKeysAreMadeOnce(t *testing.T) {
	ring := &keyring{keys: map[string]string{"B/LEDGER": "OWN"}}
	s := httptest.NewServer(ring)
	defer s.Close()
	a := &api{base: s.URL, http: s.Client()}
	var steps []string
	c := &Cluster{
		network: Network{Members: []Member{{Name: "A"}, {Name: "B"}, {Name: "N", Notary: true}}}, flows: newSeen(),
		nodes: []VirtualNode{{Name: "A", ShortHash: "A"}, {Name: "B", ShortHash: "B"}, {Name: "N", ShortHash: "N", Notary: true}},
		opts:  Options{Workers: []string{app.Flow}, Step: func(what string, _ time.Duration) { steps = append(steps, what) }},
	}
	seen := [][2]string{{topics.VirtualNodeInfo, "A"}, {topics.CryptoKeys, "A/ID0"}, {topics.VirtualNodeInfo, "B"}, {topics.CryptoKeys, "B/OWN"}, {topics.VirtualNodeInfo, "N"}}
	for _, p := range seen {
		c.flows.add(p[0], p[1])
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.makeKeys(short, a); !errors.Is(err, context.DeadlineExceeded) || len(steps) > 0 {
		t.Errorf("flows do not see the notary's key: %v %v", err, steps)
	}
	done := make(chan error, 1)
	go func() { done <- c.makeKeys(t.Context(), a) }()
	c.flows.add(topics.CryptoKeys, "N/ID1")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if want := []string{"A ledger LEDGER", "N notary NOTARY"}; !slices.Equal(ring.made, want) {
		t.Errorf("made %q, want %q", ring.made, want)
	}
	if want := []string{"A, B have keys of the ledger, N is the notary"}; !slices.Equal(steps, want) {
		t.Errorf("%q", steps)
	}
	c.network.Members[2].Notary = false
	if err := c.makeKeys(t.Context(), nil); err != nil {
		t.Errorf("without a notary: %v", err)
	}
}
