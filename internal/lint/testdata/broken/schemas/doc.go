// Package schemas imports what it must not.
package schemas

import (
	_ "github.com/fairleadio/fairlead/engine" // want: records-alone
	_ "github.com/fairleadio/fairlead/engine/enginepb"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	_ "github.com/fairleadio/fairlead/topics" // want: records-alone
)
