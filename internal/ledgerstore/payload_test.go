package ledgerstore

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// integration/persistence gives the same kinds to a real Postgres.
func TestQueryable(t *testing.T) {
	for payload, want := range map[string]bool{
		`null`: true, `{}`: true, ` {"a" : [1, -2.5e10, "x\"\\\n\u00e4", true]} `: true, `"\ud83d\ude00"`: true, `"ä😀"`: true, `"\\u0000"`: true, `1e300`: true,
		`"\u0000"`: false, `{"\u0000":1}`: false, `"a\\\u0000"`: false, `"\ud83d"`: false, `"\ud83dx"`: false, `"\ude00"`: false, `"\ud83d\u0041"`: false, `"\ud83d\n"`: false, `"\ud83d\ud83d\ude00"`: false,
		`1e301`: false, `1E-301`: false, `1e99999999999999999999`: false, strings.Repeat("9", 301): false, strings.Repeat("9", 300): true,
		strings.Repeat("[", 200) + strings.Repeat("]", 200): true, strings.Repeat("[", 201) + strings.Repeat("]", 201): false,
		`[` + strings.Repeat("{},", 500) + `{}]`: true, `"[[[[` + strings.Repeat("{", 500) + `"`: true,
	} {
		if !json.Valid([]byte(payload)) {
			t.Errorf("%.40s is no JSON", payload)
		}
		if got := Queryable([]byte(payload)); got != want {
			t.Errorf("%.40s: %v", payload, got)
		}
	}
}

// What can be queried has no character 0 and no half of a pair in it, as another reader of JSON sees it.
func FuzzQueryable(f *testing.F) {
	for _, s := range []string{`"\u0000"`, `{"a\ud800":1}`, `["\\u0000", 1e5]`, `"\ud83d\ude00"`, `"\`, `"\u00`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ok := Queryable(b)
		var v any
		if !utf8.Valid(b) || json.Unmarshal(b, &v) != nil || !ok {
			return
		}
		var walk func(any)
		text := func(s string) {
			if strings.ContainsRune(s, 0) || strings.ContainsRune(s, utf8.RuneError) && !strings.ContainsRune(string(b), utf8.RuneError) && !strings.Contains(strings.ToLower(string(b)), `\ufffd`) {
				t.Fatalf("%q holds %q", b, s)
			}
		}
		walk = func(v any) {
			switch x := v.(type) {
			case string:
				text(x)
			case []any:
				for _, y := range x {
					walk(y)
				}
			case map[string]any:
				for k, y := range x {
					text(k)
					walk(y)
				}
			}
		}
		walk(v)
	})
}

// Arrays are text that Postgres reads back as it was.
func TestArrays(t *testing.T) {
	a, b := `x"y\z,{}`, "NULL"
	for got, want := range map[string]string{
		string(words([]*string{&a, nil, &b}).Text):            `{"x\"y\\z,{}",NULL,"NULL"}`,
		string(blobs([][]byte{{0xab}, nil, {}}).Text):         `{"\\xab",NULL,"\\x"}`,
		string(numbers([]uint64{0, 18_446_744_073_709}).Text): `{"0","18446744073709"}`,
		string(numbers([]int{}).Text):                         `{}`,
		string(blob([]byte{1, 255}).Text):                     `\x01ff`,
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if TokenPool("ab", [32]byte{}, "c", "d") == TokenPool("ab", [32]byte{}, "cd", "") {
		t.Error("two pools have one hash")
	}
}
