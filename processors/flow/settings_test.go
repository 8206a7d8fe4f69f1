package flow_test

import (
	"testing"
	"time"

	"github.com/fairleadio/fairlead/processors/flow"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
)

// The section corda.flow sets how long sessions may be silent; without it the worker's own setting holds, and what cannot
// be read changes nothing.
func TestConfigure(t *testing.T) {
	w, err := flow.NewWorker(flow.Config{SessionTimeout: time.Minute}, flow.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	is := func(want time.Duration) {
		t.Helper()
		if got := time.Duration(w.Rules().SessionTimeoutUs) * time.Microsecond; got != want {
			t.Errorf("sessions may be silent for %v, want %v", got, want)
		}
	}
	is(time.Minute)
	for value, want := range map[string]time.Duration{`{"session":{"timeout":5000,"p2pTTL":1}}`: 5 * time.Second, `{}`: time.Minute} {
		if err := w.Configure(&configv1.Configuration{Value: value}); err != nil {
			t.Error(err)
		}
		is(want)
	}
	if err := w.Configure(&configv1.Configuration{Value: `{"session":{"timeout":7000}}`}); err != nil {
		t.Error(err)
	}
	for _, value := range []string{`{"session":{"timeout":-1}}`, `{"session":{"timeout":"long"}}`, `no JSON`} {
		if err := w.Configure(&configv1.Configuration{Value: value}); err == nil {
			t.Errorf("%s was taken", value)
		}
		is(7 * time.Second)
	}
	if err := w.Configure(nil); err != nil {
		t.Error(err)
	}
	is(time.Minute)
}
