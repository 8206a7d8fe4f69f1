package exact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract/exact"
)

type value struct {
	Name string `json:"name"`
	Key  []byte `json:"key"`
	Tag  string `json:"tag,omitempty"`
}

const most = 100

func TestPayload(t *testing.T) {
	v, err := exact.Payload[value]([]byte(`{"name":"a","key":"AQI="}`), most)
	if err != nil || v.Name != "a" || !bytes.Equal(v.Key, []byte{1, 2}) {
		t.Errorf("%+v, %v", v, err)
	}
	for name, raw := range map[string]string{
		"nothing":           ``,
		"null":              `null`,
		"another value":     `[]`,
		"a space":           `{"name":"a", "key":"AQI="}`,
		"a line's end":      `{"name":"a","key":"AQI="}` + "\n",
		"trailing data":     `{"name":"a","key":"AQI="}{}`,
		"unknown member":    `{"name":"a","key":"AQI=","more":1}`,
		"member twice":      `{"name":"b","name":"a","key":"AQI="}`,
		"same value twice":  `{"name":"a","name":"a","key":"AQI="}`,
		"other letters":     `{"Name":"a","key":"AQI="}`,
		"order":             `{"key":"AQI=","name":"a"}`,
		"missing":           `{"name":"a"}`,
		"empty, not absent": `{"name":"a","key":"AQI=","tag":""}`,
		"null member":       `{"name":null,"key":"AQI="}`,
		"escape":            `{"name":"\u0061","key":"AQI="}`,
		"escaped member":    `{"n\u0061me":"a","key":"AQI="}`,
		"surrogate":         `{"name":"\ud800","key":"AQI="}`,
		"not UTF-8":         "{\"name\":\"\xff\",\"key\":\"AQI=\"}",
		"byte order mark":   "\ufeff" + `{"name":"a","key":"AQI="}`,
		"stray bits":        `{"name":"a","key":"AQJ="}`,
		"base64 in lines":   `{"name":"a","key":"AQ\nI="}`,
		"of another type":   `{"name":1,"key":"AQI="}`,
		"too long":          `{"name":"` + strings.Repeat("a", most) + `","key":"AQI="}`,
	} {
		if v, err := exact.Payload[value]([]byte(raw), most); !errors.Is(err, exact.ErrPayload) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	if _, err := exact.Encode(make(chan int)); !errors.Is(err, exact.ErrPayload) {
		t.Errorf("%v", err)
	}
}

// FuzzPayload: no two texts are read as the same value.
func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"name":"a","key":"AQI="}`))
	f.Add([]byte(`{"name":"<\u003c","key":"AQI=","tag":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := exact.Payload[value](raw, most)
		if err != nil {
			return
		}
		if want, err := json.Marshal(v); err != nil || !bytes.Equal(want, raw) {
			t.Fatalf("%q is read as %q, %v", raw, want, err)
		}
	})
}
