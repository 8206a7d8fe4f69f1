package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Identifier quotes a name for SQL. A zero byte, which no name has, is dropped.
func Identifier(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), `"`, `""`) + `"`
}

// Qualified quotes a name within a schema.
func Qualified(schema, name string) string { return Identifier(schema) + "." + Identifier(name) }

// Literal quotes a text as a SQL string, for the few statements that take no arguments (passwords of roles).
func Literal(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "'", "''")
	if strings.Contains(text, `\`) {
		return ` E'` + strings.ReplaceAll(text, `\`, `\\`) + `'`
	}
	return "'" + text + "'"
}

// lockKey makes the server's 64 bits of a lock's name.
func lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("fairlead lock " + name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
