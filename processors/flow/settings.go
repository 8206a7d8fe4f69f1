package flow

import (
	"encoding/json"
	"fmt"
	"time"

	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
)

// SettingsSection is the section of the cluster's dynamic configuration that the worker obeys.
const SettingsSection = "corda.flow"

// Configure takes over what the section says; nil stands for its defaults. Only session.timeout (milliseconds) has an
// effect: how long a session that is opened from now on may be silent, unless its initiator says otherwise. Sessions that
// are open keep what they began with, because it is part of their state.
func (w *Worker) Configure(c *configv1.Configuration) error {
	if c == nil {
		w.sessionTimeout.Store(0)
		return nil
	}
	var v struct {
		Session struct {
			Timeout int64 `json:"timeout"`
		} `json:"session"`
	}
	if err := json.Unmarshal([]byte(c.GetValue()), &v); err != nil {
		return fmt.Errorf("read configuration %s: %w", SettingsSection, err)
	}
	if v.Session.Timeout < 0 {
		return fmt.Errorf("configuration %s: session.timeout is %d, at least 1 millisecond is allowed", SettingsSection, v.Session.Timeout)
	}
	w.sessionTimeout.Store(int64(time.Duration(v.Session.Timeout) * time.Millisecond))
	return nil
}

// rules are the settings that decide, as of now.
func (w *Worker) rules() Rules {
	r := w.cfg.rules()
	if t := time.Duration(w.sessionTimeout.Load()); t > 0 {
		r.SessionTimeoutUs = t.Microseconds()
	}
	return r
}
