// Package topics imports what it must not.
package topics

import (
	_ "github.com/fairleadio/fairlead/schemas" // want: records-alone
	_ "github.com/twmb/franz-go/pkg/kadm"
)
