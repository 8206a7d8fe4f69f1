package vaultschema

import (
	"embed"

	"github.com/fairleadio/fairlead/internal/postgres"
)

//go:embed *.sql
var files embed.FS

// Set is the name of these migrations in a schema's history.
const Set = "platform"

// Migrations returns the platform's migrations, in order.
func Migrations() ([]postgres.Migration, error) { return postgres.ReadMigrations(files, ".") }
