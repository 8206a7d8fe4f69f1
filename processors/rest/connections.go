package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
)

// This file holds the connections of databases that a caller brings for a virtual node. They hold passwords, so they
// leave this process sealed, and no error quotes them.

// connections are the members of a body that name databases. Only the vault is one here: what Corda keeps in the other
// two is in Vault and in Kafka.
type connections struct {
	vaultDDL, vaultDML json.RawMessage
	// idle are connections that nothing would use, by name.
	idle map[string]*json.RawMessage
}

func newConnections() *connections {
	c := &connections{idle: map[string]*json.RawMessage{}}
	for _, name := range []string{"cryptoDdlConnection", "cryptoDmlConnection", "uniquenessDdlConnection", "uniquenessDmlConnection"} {
		c.idle[name] = new(json.RawMessage)
	}
	return c
}

func (c *connections) members() []member {
	all := []member{optional("vaultDdlConnection", &c.vaultDDL), optional("vaultDmlConnection", &c.vaultDML)}
	for name, into := range c.idle {
		all = append(all, optional(name, into))
	}
	return all
}

// seal returns the vault's connections, sealed for the record with a key; nil when there are none.
func (s *Server) seal(recordKey, parameter string, c *connections) ([]byte, *failure) {
	given := &dbv1.Connections{}
	for _, one := range []struct {
		name string
		raw  json.RawMessage
		into *string
	}{{"vaultDdlConnection", c.vaultDDL, &given.VaultDdl}, {"vaultDmlConnection", c.vaultDML, &given.VaultDml}} {
		var fail *failure
		if *one.into, fail = connectionText(parameter, one.name, one.raw); fail != nil {
			return nil, fail
		}
	}
	if given.GetVaultDdl() == "" && given.GetVaultDml() == "" {
		return nil, nil
	}
	if s.parts.Seal == nil {
		return nil, refuse(http.StatusServiceUnavailable, idNoSealKey,
			"This rest worker takes no database connections, because it has no key to seal their passwords with: set postgres.seal_key_file, to the key that the database worker has.")
	}
	sealed, err := s.parts.Seal(recordKey, given)
	if err != nil {
		s.parts.Log.Error("database connections could not be sealed", "id", idInternal, "record", recordKey, "error", err)
		return nil, refuse(http.StatusInternalServerError, idInternal, "The database connections could not be sealed: the log of this worker says why.")
	}
	return sealed, nil
}

// connectionText reads a connection: JSON, or a string that holds it, or a URL.
func connectionText(parameter, name string, raw json.RawMessage) (string, *failure) {
	switch {
	case isNull(raw):
		return "", nil
	case raw[0] == '{':
		return string(raw), nil
	case raw[0] == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err == nil {
			return strings.TrimSpace(text), nil
		}
	}
	return "", unreadable(parameter, "MismatchedInput", "member %q must be a string that holds a connection, or a JSON object", name)
}

// warning tells of connections that were given and that nothing uses; they are kept nowhere. Corda's "none" asks for
// nothing.
func (c *connections) warning() http.Header {
	var names []string
	for name, raw := range c.idle {
		if !isNull(*raw) && !bytes.EqualFold(*raw, []byte(`"none"`)) && !bytes.Equal(*raw, []byte(`""`)) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return http.Header{"Warning": {"299 - " + strconv.Quote("not used and not kept: "+strings.Join(names, ", ")+"; keys are in Vault, and what a notary remembers is in Kafka")}}
}

// updateVirtualNodeDB gives a virtual node other connections, or, when none are named, its own ones new passwords.
func (s *Server) updateVirtualNodeDB(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "request"
	v, fail := findVNode(s.parts.Views, c.vars[varVnode])
	if fail != nil {
		return nil, fail
	}
	m, fail := bodyObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	given := newConnections()
	if fail := m.read(parameter, given.members()...); fail != nil {
		return nil, fail
	}
	r, key := &dbv1.UpdateVirtualNodeDb{ShortHash: v.GetShortHash()}, vnodeEntity(v.GetShortHash())
	if r.SealedConnections, fail = s.seal(key, parameter, given); fail != nil {
		return nil, fail
	}
	request := &dbv1.Request{Operation: &dbv1.Request_UpdateVirtualNodeDb{UpdateVirtualNodeDb: r}}
	a, fail := changeInto(ctx, s, c, key, request, &dbv1.AcceptedOperation{}, http.StatusAccepted, func(a *dbv1.AcceptedOperation) any {
		return requestIDResponse{a.GetRequestId()}
	})
	if fail != nil {
		return nil, fail
	}
	a.header = given.warning()
	return a, nil
}
