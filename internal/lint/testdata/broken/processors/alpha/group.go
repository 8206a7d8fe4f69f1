package alpha

import (
	"github.com/fairleadio/fairlead/processors/alpha/part"
	"github.com/fairleadio/fairlead/processors/beta" // want: processors-apart
	"github.com/lovoo/goka"
)

type holder struct{ p *goka.Processor }

func use(h holder) {
	_, _ = h.p.Get("key")               // want: uncommitted-reads
	q, _ := goka.NewProcessor(nil, nil) // want: uncommitted-reads
	_, _ = q.Get("key")                 // want: uncommitted-reads
	_ = q.VisitAll(nil, "name", nil)    // want: uncommitted-reads
	_ = map[string]int{}
	_ = beta.X + part.X
}
