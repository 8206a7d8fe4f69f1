package flow

import (
	"encoding/json"
	"testing"
)

func TestDecimal(t *testing.T) {
	for in, want := range map[string]string{
		`"12.50"`: `"12.50"`, `12.50`: `"12.50"`, `-0.10`: `"-0.10"`, `1e3`: `"1e3"`, `"+5"`: `"+5"`, `null`: `null`,
		`123456789012345678901234567890.123456789`: `"123456789012345678901234567890.123456789"`,
		`""`: "", `"x"`: "", `"1."`: "", `".5"`: "", `"1e"`: "", `true`: "", `"1 "`: "", `"NaN"`: "",
	} {
		var d Decimal
		err := json.Unmarshal([]byte(in), &d)
		if (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", in, d, err)
			continue
		}
		if out, err := json.Marshal(d); want != "" && (err != nil || string(out) != want) {
			t.Errorf("%s came out as %s, %v", in, out, err)
		}
	}
	if _, err := json.Marshal(Decimal("1,5")); err == nil {
		t.Error("1,5 was written")
	}
}
