package app

import (
	"maps"

	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/sections"
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

// Explanations tells for each stable id of the workers and of what they stand on what happened and what to do. A new
// worker adds its own here.
func Explanations() map[string]string {
	all := map[string]string{
		"FL-APP-001": "Topics that the workers of this process need are missing or unsafe, so it did not start: state would be lost sooner or later. " +
			"`fairlead topics plan` shows what to do, `fairlead topics apply` does it. The setting engine.unsafe_topics accepts what is unsafe, for development; a topic that is missing is never accepted.",
	}
	for _, of := range []map[string]string{
		topics.Explanations(),
		cpi.Explanations(),
		crypto.Explanations(),
		sections.Explanations(),
		seal.Explanations(),
		pgserver.Explanations(),
		database.Explanations(),
		flow.Explanations(),
		flowmapper.Explanations(),
		persistence.Explanations(),
		rest.Explanations(),
		tokens.Explanations(),
		uniqueness.Explanations(),
		verification.Explanations(),
	} {
		maps.Copy(all, of)
	}
	return all
}
