package devenv

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/topics"
)

// The keys that a network with a notary needs, under the aliases that the documentation's commands give them.
const (
	ledgerCategory = "LEDGER"
	ledgerAlias    = "ledger"
	notaryCategory = "NOTARY"
	notaryAlias    = "notary"
	keyScheme      = "CORDA.ECDSA.SECP256R1"
)

// makeKeys gives the notary a key that makes it one, and every other member a key to own states with, unless they have one,
// and waits until flows see them. Without a notary there is no ledger, and applications make the keys that they need.
func (c *Cluster) makeKeys(ctx context.Context, api *api) error {
	if !c.network.hasNotary() {
		return nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, setUpWait)
	defer cancel()
	var members, notaries []string
	for _, n := range c.nodes {
		category, alias, names := ledgerCategory, ledgerAlias, &members
		if n.Notary {
			category, alias, names = notaryCategory, notaryAlias, &notaries
		}
		*names = append(*names, n.Name)
		id, err := api.key(ctx, n.ShortHash, category, alias)
		if err != nil {
			return fmt.Errorf("making a %s key for %s: %w", category, n.Name, err)
		}
		if !slices.Contains(c.opts.Workers, app.Flow) {
			continue
		}
		for topic, key := range map[string]string{topics.VirtualNodeInfo: n.ShortHash, topics.CryptoKeys: n.ShortHash + "/" + id} {
			if err := c.flows.wait(ctx, topic, key); err != nil {
				return fmt.Errorf("waiting until flows see the %s key of %s: %w", category, n.Name, err)
			}
		}
	}
	c.opts.Step(fmt.Sprintf("%s have keys of the ledger, %s is the notary", strings.Join(members, ", "), strings.Join(notaries, ", ")), time.Since(began))
	return nil
}

// key returns the id of a virtual node's key of a category, and makes one under an alias when there is none.
func (a *api) key(ctx context.Context, holding, category, alias string) (string, error) {
	var have map[string]struct{}
	if err := a.get(ctx, "/key/"+holding+"?take=1&category="+url.QueryEscape(category), &have); err != nil {
		return "", err
	}
	for id := range have {
		return id, nil
	}
	var made struct {
		ID string `json:"id"`
	}
	err := a.call(ctx, http.MethodPost, "/key/"+holding+"/alias/"+alias+"/category/"+category+"/scheme/"+keyScheme, "", nil, &made)
	return made.ID, err
}

// seen are the records that the flow worker has taken in, by topic and key.
type seen struct {
	mu   sync.Mutex
	keys map[[2]string]bool
	// more is closed, and another made, with each new one.
	more chan struct{}
}

func newSeen() *seen { return &seen{keys: map[[2]string]bool{}, more: make(chan struct{})} }

func (s *seen) add(topic, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if place := [2]string{topic, key}; !s.keys[place] {
		s.keys[place] = true
		close(s.more)
		s.more = make(chan struct{})
	}
}

// wait waits for a record of a topic with a key.
func (s *seen) wait(ctx context.Context, topic, key string) error {
	for {
		s.mu.Lock()
		there, more := s.keys[[2]string{topic, key}], s.more
		s.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
