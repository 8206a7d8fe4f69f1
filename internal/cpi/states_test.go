package cpi

import (
	"bytes"
	"strings"
	"testing"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	"google.golang.org/protobuf/proto"
)

// A query of states comes out of a package as it went in, and one that is no condition goes into none.
func TestQueryOfStates(t *testing.T) {
	code := payCode()
	want := &cpiv1.QueryDeclaration{Name: "of-owner", Sql: "payload ->> 'owner' = :owner", States: true, Parameters: []*cpiv1.ColumnDeclaration{{Name: "owner", Type: "text"}}}
	code.Queries = append(code.Queries, want)
	file := cpkOf(t, code)
	p, err := Open(bytes.NewReader(file), int64(len(file)), Options{Trust: Trust{AnySigner: true, Unsigned: true}})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.CPKs[0].Queries; len(got) != 2 || !proto.Equal(got[1], want) || got[0].GetStates() {
		t.Errorf("queries %v", got)
	}
	want.Sql = "true ORDER BY :owner"
	var b strings.Builder
	if err := WriteCPK(&b, code); err == nil || !strings.Contains(err.Error(), "ORDER") {
		t.Errorf("not refused: %v", err)
	}
}
