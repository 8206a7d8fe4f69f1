// Package ledger reads files, which a domain package must not.
package ledger

import (
	_ "crypto/sha256"
	_ "net/http" // want: domain-pure
	_ "os"       // want: domain-pure

	_ "github.com/twmb/franz-go/pkg/kgo" // want: domain-pure
)
