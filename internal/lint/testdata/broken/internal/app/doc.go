// Package app may import all workers.
package app

import (
	_ "github.com/fairleadio/fairlead/processors/alpha"
	_ "github.com/fairleadio/fairlead/processors/beta"
)
