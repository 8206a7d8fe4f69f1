package rest

import (
	"context"
	"net/http"
	"strings"
)

// This file holds Corda's rotation of wrapping keys, of which there are none here: docs/decisions/0011.

// tenantMaster is Corda's tenant for the keys that wrap other wrapping keys.
const tenantMaster = "master"

func (s *Server) wrappingKeyRoutes() []route {
	const pattern = "/wrappingkey/rotation/{tenantid}"
	return []route{
		{method: http.MethodGet, pattern: pattern, handle: s.keyRotation},
		{method: http.MethodPost, pattern: pattern, handle: s.rotateKeys},
	}
}

// rotationTenant reads the tenant of a path, which may be the master.
func (s *Server) rotationTenant(c *call) (string, *failure) {
	if strings.EqualFold(c.vars[varTenant], tenantMaster) {
		return tenantMaster, nil
	}
	return s.tenant(c)
}

// keyRotation answers as Corda does for a tenant whose keys were never rotated.
func (s *Server) keyRotation(_ context.Context, c *call) (*answer, *failure) {
	tenant, fail := s.rotationTenant(c)
	if fail != nil {
		return nil, fail
	}
	if tenant == tenantMaster {
		return nil, refuse(http.StatusNotFound, idNoRotation, "No master wrapping key rotation is in progress.")
	}
	return nil, refuse(http.StatusNotFound, idNoRotation, "No key rotation for %s is in progress.", tenant)
}

// rotateKeys refuses: who asks for a rotation must not believe that there was one.
func (s *Server) rotateKeys(_ context.Context, c *call) (*answer, *failure) {
	tenant, fail := s.rotationTenant(c)
	if fail != nil {
		return nil, fail
	}
	f := refuse(http.StatusMethodNotAllowed, idNoRotation,
		"There is no wrapping key of '%s' to rotate: private keys are made in Vault and never leave it, so none lies wrapped in a database. Nothing was changed.", tenant)
	f.header = http.Header{"Allow": {http.MethodGet}}
	return nil, f
}
