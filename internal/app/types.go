package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/processors/database"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/processors/rest"
	"github.com/fairleadio/fairlead/topics"
)

// The types of workers that this version can run.
const (
	Database    = topics.DatabaseWorker
	FlowMapper  = topics.FlowMapperGroup
	Flow        = topics.FlowGroup
	Persistence = topics.PersistenceGroup
	Rest        = topics.RestWorker
)

// All stands for every type.
const All = "all"

// Types returns all twelve worker types, sorted.
func Types() []string {
	return []string{"crypto", "database", "flow", "flow-mapper", "gateway", "link-manager", "membership", "persistence", "rest", "tokens", "uniqueness", "verification"}
}

// Available returns the types that this version can run, sorted.
func Available() []string { return []string{Database, Flow, FlowMapper, Persistence, Rest} }

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

// groupsOf returns what a worker type is joined to by the names that the catalogue has for its parts: most have one, of
// the type's own name.
func groupsOf(workerType string) (map[string][]engine.EdgeInfo, error) {
	if workerType == Persistence {
		w, err := persistence.NewWorker(persistence.Config{}, persistence.Deps{})
		if err != nil {
			return nil, err
		}
		return map[string][]engine.EdgeInfo{topics.PersistenceGroup: w.Graph().Edges(), topics.PersistenceFeedGroup: w.FeedGraph().Edges()}, nil
	}
	all, err := edges(workerType)
	return map[string][]engine.EdgeInfo{workerType: all}, err
}

// edges returns the topics that a worker type is joined to.
func edges(workerType string) ([]engine.EdgeInfo, error) {
	switch workerType {
	case Database:
		w, err := database.NewWorker(database.Config{}, database.Deps{})
		if err != nil {
			return nil, err
		}
		defer w.Close()
		return w.Graph().Edges(), nil
	case FlowMapper:
		return flowmapper.Graph(flowmapper.Config{}).Edges(), nil
	case Flow:
		w, err := flow.NewWorker(flow.Config{}, flow.Deps{})
		if err != nil {
			return nil, err
		}
		defer w.Close()
		return w.Graph().Edges(), nil
	case Persistence:
		groups, err := groupsOf(workerType)
		return append(groups[topics.PersistenceGroup], groups[topics.PersistenceFeedGroup]...), err
	case Rest:
		return rest.Edges(), nil
	default:
		return nil, fmt.Errorf("worker type %q has no edges", workerType)
	}
}
