package rest

import (
	"context"
	"net/http"

	"github.com/fairleadio/fairlead/internal/sections"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
)

// This file holds the dynamic configuration.

const varSection = "section"

func (s *Server) configRoutes() []route {
	return []route{
		{method: http.MethodPut, pattern: "/config", handle: s.putConfig},
		{method: http.MethodGet, pattern: "/config/{section}", handle: s.getConfig},
	}
}

// schemaVersion is Corda's ConfigSchemaVersion.
type schemaVersion struct {
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
}

// configResponse is Corda's GetConfigResponse.
type configResponse struct {
	Section      string        `json:"section"`
	Source       string        `json:"sourceConfig"`
	WithDefaults string        `json:"configWithDefaults"`
	Version      uint64        `json:"version"`
	Schema       schemaVersion `json:"schemaVersion"`
}

func (s *Server) getConfig(_ context.Context, c *call) (*answer, *failure) {
	m, ok := get[*configv1.Configuration](s.parts.Views.Config, c.vars[varSection])
	if !ok {
		// Nobody has changed it yet: what holds are the defaults.
		value, err := sections.Defaults(c.vars[varSection])
		if err != nil {
			return nil, refuse(http.StatusNotFound, idNoEntity, "Configuration for section %s not found.", c.vars[varSection])
		}
		m = &configv1.Configuration{Section: c.vars[varSection], Source: "{}", Value: value, SchemaMajor: sections.SchemaMajor, SchemaMinor: sections.SchemaMinor}
	}
	return &answer{status: http.StatusOK, body: configResponse{
		m.GetSection(), m.GetSource(), m.GetValue(), m.GetVersion(), schemaVersion{m.GetSchemaMajor(), m.GetSchemaMinor()},
	}}, nil
}

// putConfigResponse is Corda's UpdateConfigResponse.
type putConfigResponse struct {
	Section string        `json:"section"`
	Config  string        `json:"config"`
	Schema  schemaVersion `json:"schemaVersion"`
	Version uint64        `json:"version"`
}

func (s *Server) putConfig(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "request"
	m, fail := bodyObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	if fail := m.only(parameter, "section", "version", "config", "schemaVersion"); fail != nil {
		return nil, fail
	}
	r := &dbv1.PutConfig{}
	if r.Section, fail = m.text(parameter, "section"); fail != nil {
		return nil, fail
	}
	version, fail := m.number(parameter, "version", 0)
	if fail != nil {
		return nil, fail
	}
	config, fail := m.anyJSON(parameter, "config")
	if fail != nil {
		return nil, fail
	}
	if len(config) == 0 || config[0] != '{' {
		return nil, refuse(http.StatusBadRequest, idBody, "Configuration \"%s\" could not be validated. A JSON object is expected, or a string that holds one (HOCON is not understood).", config)
	}
	schema := members{}
	if raw := m["schemaVersion"]; !isNull(raw) {
		if schema, fail = parseObject(raw, parameter); fail != nil {
			return nil, fail
		}
	}
	var major, minor int64
	if fail := schema.read(parameter, needed("major", &major), needed("minor", &minor)); fail != nil {
		return nil, fail
	}
	if major < 0 || minor < 0 || major > 1<<20 || minor > 1<<20 {
		return nil, unreadable(parameter, "InvalidFormat", "member %q is %d.%d: 1.0 is the version that is known", "schemaVersion", major, minor)
	}
	r.Version, r.Config, r.SchemaMajor, r.SchemaMinor = uint64(version), string(config), uint32(major), uint32(minor)
	request := &dbv1.Request{Operation: &dbv1.Request_PutConfig{PutConfig: r}}
	return changeInto(ctx, s, c, "config/"+r.GetSection(), request, &dbv1.PutConfigResult{}, http.StatusAccepted, func(p *dbv1.PutConfigResult) any {
		return putConfigResponse{r.GetSection(), p.GetConfig(), schemaVersion{r.GetSchemaMajor(), r.GetSchemaMinor()}, p.GetVersion()}
	})
}
