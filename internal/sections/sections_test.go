package sections_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/sections"
)

func TestEverySectionHasValidDefaults(t *testing.T) {
	names := sections.Names()
	if len(names) != 17 {
		t.Errorf("%d sections: %v", len(names), names)
	}
	for _, name := range names {
		value, err := sections.Defaults(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := sections.Check(name, value)
		if err != nil {
			t.Errorf("the defaults of %s are not accepted: %v", name, err)
		} else if again.Value != value {
			t.Errorf("%s: defaults are not complete:\n%s\n%s", name, value, again.Value)
		}
	}
}

func TestDefaultsAreCordas(t *testing.T) {
	value, err := sections.Defaults("corda.flow")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Processing struct{ MaxRetryAttempts, MaxIdleTime int }
		Session    struct{ P2pTTL, HeartbeatTimeout int }
	}
	if err := json.Unmarshal([]byte(value), &got); err != nil {
		t.Fatal(err)
	}
	if got.Processing.MaxRetryAttempts != 5 || got.Processing.MaxIdleTime != 1_800_000 || got.Session.P2pTTL != 300_000 || got.Session.HeartbeatTimeout != 1_800_000 {
		t.Errorf("got %+v", got)
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct{ section, config, id, says string }{
		"unknown section":   {"corda.nothing", "{}", sections.ErrUnknown, "corda.flow"},
		"not JSON":          {"corda.flow", `{"a":`, sections.ErrSyntax, "byte"},
		"two objects":       {"corda.flow", `{} {}`, sections.ErrSyntax, "follows"},
		"null":              {"corda.flow", `null`, sections.ErrSyntax, "null"},
		"unknown key":       {"corda.flow", `{"nonsense":1}`, sections.ErrValue, "nonsense"},
		"wrong type":        {"corda.flow", `{"processing":{"poolSize":"x"}}`, sections.ErrValue, "/processing/poolSize"},
		"out of range":      {"corda.messaging", `{"maxAllowedMessageSize":1}`, sections.ErrValue, "512"},
		"vault":             {"corda.rest", `{"sso":{"azureAd":{"clientSecret":{"configSecret":{"vaultPath":"p","vaultKey":"k"}}}}}`, sections.ErrVaultPath, "crypto worker"},
		"text for a secret": {"corda.rest", `{"sso":{"azureAd":{"clientSecret":7}}}`, sections.ErrValue, "clientSecret"},
	} {
		_, err := sections.Check(c.section, c.config)
		var e *sections.Error
		if !errors.As(err, &e) || e.ID != c.id || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	c, err := sections.Check("corda.rest", `{"sso":{"azureAd":{"clientSecret":{"configSecret":{"encryptedSecret":"canary-1"}}}},"tls":{"keystore":{"password":"canary-2"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Secret || strings.Contains(c.Source+c.Value, "canary") || strings.Count(c.Source, sections.Masked) != 2 {
		t.Errorf("got %+v", c)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("corda.flow", `{"processing":{"poolSize":3}}`)
	f.Add("corda.p2p.gateway", `{"serversConfiguration":[{"hostAddress":"h","hostPort":1,"urlPath":"/"}]}`)
	f.Fuzz(func(t *testing.T, section, config string) {
		c, err := sections.Check(section, config)
		if err != nil {
			return
		}
		if _, err := sections.Check(section, c.Value); err != nil {
			t.Errorf("the value with defaults is not accepted: %v", err)
		}
	})
}
