package vaultdb

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// Names are what belongs to a virtual node in the server.
type Names struct {
	Schema, DDL, DML string
}

// NamesOf returns the names of a virtual node's schema and roles. Roles belong to a whole server, so they carry the
// first digits of the cluster's id: two clusters may share a server.
func NamesOf(shortHash, clusterID string) Names {
	schema := "vnode_vault_" + strings.ToLower(shortHash)
	tag, _, _ := strings.Cut(clusterID, "-")
	return Names{Schema: schema, DDL: schema + "_" + tag + "_ddl", DML: schema + "_" + tag + "_dml"}
}

const scramRounds = 4096

// scramVerifier is what the server keeps of a password (RFC 5802): with it nobody can log in.
func scramVerifier(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramRounds, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive the verifier of a password: %w", err)
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramRounds, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}
