// Package cli breaks rules of imports.
package cli

import (
	_ "log" // want: std-log
	_ "log/slog"
	_ "testing" // want: harness

	_ "github.com/fairleadio/fairlead/engine/enginetest"     // want: harness
	_ "github.com/fairleadio/fairlead/integration/kafkatest" // want: harness
	_ "github.com/fairleadio/fairlead/processors/beta"       // want: composition-root
	_ "github.com/hashicorp/vault/api"                       // want: vault
	_ "github.com/jackc/pgconn"                              // want: pgx
	_ "github.com/jackc/pgx/v5/pgxpool"                      // want: pgx
	_ "github.com/lovoo/goka"                                // want: goka
	_ "github.com/lovoo/goka/codec"                          // want: goka
	_ "github.com/openbao/openbao/api/v2"                    // want: vault
	_ "github.com/tetratelabs/wazero"                        // want: wazero
	_ "github.com/tetratelabs/wazero/experimental/logging"   // want: wazero
)

func init() {} // want: init
