package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

func TestHumanText(t *testing.T) {
	id := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for want, m := range map[string]*flowv1.Checkpoint{
		`{}`: {},
		`{flow_id=01020304-0506-0708-090a-0b0c0d0e0f10 state=RUNNING attempt=1 module_sha256=hex:ff waiting=[{ordinal=2 operation=sleep deadline=2026-11-23T12:00:00.000000Z} {request_id="a b"}] created_at=1970-01-01T00:00:00.000001Z}`: {
			FlowId: id, State: flowv1.FlowState_FLOW_STATE_RUNNING, Attempt: 1, ModuleSha256: []byte{0xff}, CreatedAtUs: 1,
			Waiting: []*flowv1.Waiting{{Ordinal: 2, Operation: "sleep", DeadlineUs: now().UnixMicro()}, {RequestId: "a b"}},
		},
		`{state=99 result={"a":1}}`: {State: 99, Result: []byte(`{"a":1}`)},
	} {
		if got := humanText(m); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := humanText(&appv1.Sleep{DurationUs: 5}); got != "{duration=5µs}" {
		t.Errorf("a duration is no time: %s", got)
	}
	long := humanText(&flowv1.JournalStart{Seed: make([]byte, 40)})
	if !strings.HasSuffix(long, "…(40 bytes)}") {
		t.Errorf("long bytes: %s", long)
	}
}

func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-11-23T11:00:00Z":      now().Add(-time.Hour),
		"2026-11-23T13:00:00+01:00": now(),
		"2026-11-23T12:00":          now(),
		"2026-11-23 11:59:59":       now().Add(-time.Second),
		"2026-11-23":                now().Add(-12 * time.Hour),
		"-15m":                      now().Add(-15 * time.Minute),
	} {
		if got, err := parseTime(text, now()); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := parseTime("noon", now()); err == nil {
		t.Error("noon was taken for a time")
	}
}

// What people type never makes the program panic.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{"start", "-10", "@-15m", "!h:a=b", "k:(", "%t/%p %", `\n\`, "hex:00", "hex:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = parsePoint("from", s, now())
		if filter, err := parseFilter(s); err == nil {
			filter.match(shownRecord{Key: s, Value: []byte(s), Headers: map[string]string{"a": s}})
		}
		if format, err := parseFormat(s); err == nil {
			format.line(shownRecord{Key: s})
		}
		key, err := parseKey(s)
		if err != nil {
			return
		}
		if again, err := parseKey(keyText(key)); err != nil || string(again) != string(key) {
			t.Errorf("key %q is shown as %q, which is read as %q: %v", key, keyText(key), again, err)
		}
	})
}

// Whatever a record holds, it can be shown.
func FuzzValues(f *testing.F) {
	set, err := schemas.FileDescriptorSet()
	if err != nil {
		f.Fatal(err)
	}
	names := schemas.Names(set)
	d, err := schemas.BuiltinDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, []byte{0x0a, 0x01, 'x'})
	f.Fuzz(func(t *testing.T, n int, raw []byte) {
		if n < 0 {
			return
		}
		name := names[n%len(names)]
		m, err := d.Decode(name, raw)
		if err != nil {
			return
		}
		if text := humanText(m); strings.Contains(text, "\n") {
			t.Errorf("%s is shown on several lines: %q", name, text)
		}
		if _, err := d.JSON(name, raw); err != nil {
			t.Errorf("%s is decoded, but cannot be shown: %v", name, err)
		}
	})
}
