package identity_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/identity"
)

func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/names.txt", func(t *testing.T, d *datadriven.TestData) string {
		out, err := golden(t, d)
		if err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
		return out + "\n"
	})
}

func golden(t *testing.T, d *datadriven.TestData) (string, error) {
	input := strings.TrimSuffix(d.Input, "\n")
	switch d.Cmd {
	case "name":
		return identity.Canonical(input)
	case "short-hash":
		var group string
		if d.CmdArgs[0].Vals[0] != "" {
			group = d.CmdArgs[0].Vals[0]
		}
		h, err := identity.NewHolding(input, group)
		if err != nil {
			return "", err
		}
		return h.ShortHash(), nil
	case "parse-short-hash":
		return identity.ParseShortHash(input)
	case "namespace":
		return identity.Namespace().String(), nil
	case "flow-id":
		var topic string
		var partition int32
		var offset int64
		d.ScanArgs(t, "topic", &topic)
		if _, err := fmt.Sscan(d.CmdArgs[1].Vals[0], &partition); err != nil {
			return "", err
		}
		d.ScanArgs(t, "offset", &offset)
		raw, err := hex.DecodeString(topic)
		if err != nil {
			return "", err
		}
		return identity.FlowID([16]byte(raw), partition, offset).String(), nil
	case "session-id":
		var flow string
		var attempt, ordinal uint64
		d.ScanArgs(t, "flow", &flow)
		d.ScanArgs(t, "attempt", &attempt)
		d.ScanArgs(t, "ordinal", &ordinal)
		u, err := identity.ParseUUID(flow)
		if err != nil {
			return "", err
		}
		return identity.SessionID(u, uint32(attempt), uint32(ordinal)).String(), nil
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return "", nil
}

// Any name made of allowed characters survives writing and reading, whatever needs escaping in it.
func TestCanonicalRoundTrip(t *testing.T) {
	value := rapid.StringMatching(`[ -~äöü€#]{0,20}[!-~äöü€#][ -~äöü€#]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		n := identity.Name{
			Organization: value.Draw(t, "O"),
			Locality:     value.Draw(t, "L"),
			Country:      rapid.SampledFrom([]string{"GB", "CH", "ZZ"}).Draw(t, "C"),
		}
		if rapid.Bool().Draw(t, "cn") {
			n.CommonName = value.Draw(t, "CN")
		}
		if err := n.Validate(); err != nil {
			t.Fatal(err)
		}
		back, err := identity.ParseName(n.String())
		if err != nil {
			t.Fatal(err)
		}
		if back != n {
			t.Fatalf("%+v became %+v through %q", n, back, n.String())
		}
	})
}

func TestUUIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := identity.V5(identity.Namespace(), rapid.SliceOf(rapid.Byte()).Draw(t, "name"))
		back, err := identity.ParseUUID(u.String())
		if err != nil || back != u {
			t.Fatalf("%v became %v: %v", u, back, err)
		}
		if u[6]>>4 != 5 || u[8]>>6 != 2 || u.IsZero() {
			t.Fatalf("%v is not version 5", u)
		}
		raw, err := identity.UUIDFromBytes(u[:])
		if err != nil || raw != u {
			t.Fatalf("bytes of %v became %v: %v", u, raw, err)
		}
	})
	for _, bad := range []string{"", "71b8297e-183a-5292-874e-8633fc603a7", "71b8297e+183a-5292-874e-8633fc603a78", "71b8297g-183a-5292-874e-8633fc603a78"} {
		if _, err := identity.ParseUUID(bad); err == nil {
			t.Errorf("%q was taken for a UUID", bad)
		}
	}
	if _, err := identity.UUIDFromBytes(make([]byte, 15)); err == nil {
		t.Error("15 bytes were taken for a UUID")
	}
}

func TestShortHashForms(t *testing.T) {
	for s, want := range map[string]bool{"4E6B64FDA684": true, "4e6b64fda684": false, "4E6B64FDA68": false, "4E6B64FDA68G": false} {
		if identity.IsShortHash(s) != want {
			t.Errorf("IsShortHash(%q) = %t", s, !want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"O=Alice, L=London, C=GB", `O="a,b" , L=\c3\bc;C=ZZ`, `CN=\#,OU=\ x\ ,O=\\,L=+,ST=,C=GB`, "=", `O="`, `O=\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := identity.ParseName(s)
		if err != nil {
			return
		}
		if err := n.Validate(); err != nil {
			t.Fatalf("%q was accepted but is not valid: %v", s, err)
		}
		back, err := identity.ParseName(n.String())
		if err != nil || back != n || back.String() != n.String() {
			t.Fatalf("%q: canonical %q reads as %+v, %v", s, n.String(), back, err)
		}
	})
}
