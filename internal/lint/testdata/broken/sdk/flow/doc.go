// Package flow imports what an application would have to bring.
package flow

import (
	_ "encoding/json"

	_ "github.com/fairleadio/fairlead/sdk/ledger"
	_ "github.com/fairleadio/fairlead/topics" // want: sdk-alone
	_ "golang.org/x/crypto/blake2b"           // want: sdk-alone
)
