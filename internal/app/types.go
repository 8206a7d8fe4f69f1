package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/processors/crypto"
	"github.com/fairleadio/fairlead/processors/database"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/processors/rest"
	"github.com/fairleadio/fairlead/processors/tokens"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/processors/verification"
	"github.com/fairleadio/fairlead/topics"
)

// The types of workers that this version can run.
const (
	Crypto       = topics.CryptoGroup
	Database     = topics.DatabaseWorker
	FlowMapper   = topics.FlowMapperGroup
	Flow         = topics.FlowGroup
	Persistence  = topics.PersistenceGroup
	Rest         = topics.RestWorker
	Tokens       = topics.TokensGroup
	Uniqueness   = topics.UniquenessGroup
	Verification = topics.VerificationGroup
)

// All stands for every type.
const All = "all"

// Types returns all twelve worker types, sorted.
func Types() []string {
	return []string{"crypto", "database", "flow", "flow-mapper", "gateway", "link-manager", "membership", "persistence", "rest", "tokens", "uniqueness", "verification"}
}

// Available returns the types that this version can run, sorted.
func Available() []string {
	return []string{Crypto, Database, Flow, FlowMapper, Persistence, Rest, Tokens, Uniqueness, Verification}
}

// ParseTypes reads a list such as "flow,rest" or "all". Repetitions are dropped.
func ParseTypes(list string) ([]string, error) {
	if list == All {
		return Available(), nil
	}
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch {
		case slices.Contains(out, name):
		case slices.Contains(Available(), name):
			out = append(out, name)
		case slices.Contains(Types(), name):
			return nil, fmt.Errorf("worker type %q is not part of this version: it has %s", name, strings.Join(Available(), ", "))
		default:
			return nil, fmt.Errorf("worker type %q is not known: use all, or some of %s, joined by commas", name, strings.Join(Available(), ", "))
		}
	}
	slices.Sort(out)
	return out, nil
}

// groupsOf returns what a worker type is joined to, by the names that the catalogue has for its parts: most have one, of
// the type's own name.
func groupsOf(workerType string) (map[string][]engine.EdgeInfo, error) {
	one := func(g *engine.Graph) map[string][]engine.EdgeInfo {
		return map[string][]engine.EdgeInfo{workerType: g.Edges()}
	}
	switch workerType {
	case Crypto:
		w, err := crypto.NewWorker(crypto.Config{}, crypto.Deps{})
		if err != nil {
			return nil, err
		}
		return one(w.Graph()), nil
	case Database:
		w, err := database.NewWorker(database.Config{}, database.Deps{})
		if err != nil {
			return nil, err
		}
		defer w.Close()
		return one(w.Graph()), nil
	case Flow:
		w, err := flow.NewWorker(flow.Config{}, flow.Deps{})
		if err != nil {
			return nil, err
		}
		defer w.Close()
		return one(w.Graph()), nil
	case FlowMapper:
		return map[string][]engine.EdgeInfo{
			FlowMapper: flowmapper.Graph(flowmapper.Config{}).Edges(), topics.FlowMapperChannels: flowmapper.ChannelEdges(),
		}, nil
	case Persistence:
		w, err := persistence.NewWorker(persistence.Config{}, persistence.Deps{})
		if err != nil {
			return nil, err
		}
		return map[string][]engine.EdgeInfo{Persistence: w.Graph().Edges(), topics.PersistenceFeedGroup: w.FeedGraph().Edges()}, nil
	case Rest:
		return map[string][]engine.EdgeInfo{Rest: rest.Edges()}, nil
	case Tokens:
		w, err := tokens.NewWorker(tokens.Deps{})
		if err != nil {
			return nil, err
		}
		return one(w.Graph()), nil
	case Uniqueness:
		w, err := uniqueness.NewWorker(uniqueness.Deps{})
		if err != nil {
			return nil, err
		}
		return one(w.Graph()), nil
	case Verification:
		w, err := verification.NewWorker(verification.Config{}, verification.Deps{})
		if err != nil {
			return nil, err
		}
		defer w.Close()
		return one(w.Graph()), nil
	default:
		return nil, fmt.Errorf("worker type %q has no edges", workerType)
	}
}
