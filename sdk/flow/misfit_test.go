package flow

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

type line struct {
	Item  string  `json:"item"`
	Count uint8   `json:"count"`
	Price Decimal `json:"price"`
}

type header struct {
	ID int64 `json:"id"`
}

type invoice struct {
	header
	Lines  []line            `json:"lines"`
	Due    *time.Time        `json:"due"`
	Paid   bool              `json:"paid"`
	Tags   map[string]string `json:"tags"`
	Rate   float64           `json:"rate"`
	Scan   []byte            `json:"scan"`
	Any    json.RawMessage   `json:"any"`
	Code   word              `json:"code"`
	Hidden string            `json:"-"`
}

// word is a type that reads itself.
type word string

func (w *word) UnmarshalText(b []byte) error {
	if strings.ContainsRune(string(b), ' ') {
		return Errorf("bad-word", "a word has no space")
	}
	*w = word(b)
	return nil
}

func TestMisfits(t *testing.T) {
	for text, want := range map[string]string{
		`{"ID":1,"lines":[{"item":"a","count":255,"price":10.50}],"due":"2026-01-31T12:00:00Z","paid":true,"tags":{"a":"b"},"rate":1,"scan":"eA==","any":[1],"code":"x"}`: "",
		`null`:         "",
		`{`:            "it is not JSON: unexpected EOF",
		`{"id":1]`:     "it is not JSON: invalid character ']' after object key:value pair, at byte 8",
		`{} {}`:        "there is something behind the JSON value",
		`{}x`:          "there is something behind the JSON value",
		`[]`:           "wanted is an object with id, lines, due, paid, tags, rate, scan, any, code, given is a list",
		`{"id":"7"}`:   `field "id": wanted is a whole number, given is the text "7"`,
		`{"id":7.5}`:   `field "id": wanted is a whole number, given is the number 7.5`,
		`{"lines":{}}`: `field "lines": wanted is a list, given is an object`,
		`{"lines":[{},{"count":300,"price":"ten"}]}`: `field "lines[1].count": wanted is a whole number from 0 to 255, given is the number 300; field "lines[1].price": wanted is a decimal number, as "10.50", given is the text "ten"`,
		`{"lines":[{"itme":"a"}]}`:                   `unknown field "lines[0].itme": known are item, count, price`,
		`{"due":"tomorrow"}`:                         `field "due": wanted is a time, as "2026-01-31T12:00:00Z", given is the text "tomorrow"`,
		`{"paid":"yes"}`:                             `field "paid": wanted is true or false, given is the text "yes"`,
		`{"tags":{"a":1}}`:                           `field "tags.a": wanted is a text, given is the number 1`,
		`{"rate":[]}`:                                `field "rate": wanted is a number, given is a list`,
		`{"scan":1}`:                                 `field "scan": wanted is bytes, as a text in base64, given is the number 1`,
		`{"code":"two words"}`:                       `field "code": a word has no space, given is the text "two words"`,
		`{"code":2}`:                                 `field "code": wanted is a text, given is the number 2`,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}`:      "; and 1 more",
		`{"Hidden":"x"}`:                             `unknown field "Hidden"`,
	} {
		var got invoice
		err := unmarshal([]byte(text), &got, true)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Go ")) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	// Rows of a table have columns that a row has no field for.
	var got line
	if err := unmarshal([]byte(`{"item":"a","other":1}`), &got, false); err != nil || got.Item != "a" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := unmarshal([]byte(`{"item":1,"other":1}`), &got, false); err == nil || err.Error() != `field "item": wanted is a text, given is the number 1` {
		t.Error(err)
	}
}
