package database_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/processors/database"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

var (
	fileSum = bytes.Repeat([]byte{0xF1}, 32)
	bank    = bytes.Repeat([]byte{0x5E}, 32)
)

func summary(signer []byte) string { return "SHA-256:" + clusterdb.CodeKey(signer) }

// owning is the state of a virtual node whose package has a package of code coins, signed by the bank; lib has no contracts.
func owning() database.State {
	module := bytes.Repeat([]byte{1}, 32)
	return database.State{
		VirtualNode: &vnodev1.VirtualNode{ShortHash: "A6B620476147"}, Parts: 1, Limits: database.CodeLimits{Given: 1 << 20, Received: 10 << 20},
		Present: &cpiv1.Cpi{
			Modules: []*cpiv1.Module{{Sha256: module, Contracts: []string{"Coin"}}},
			Cpks: []*cpiv1.Cpk{
				{Name: "coins", Version: "2.0", SignerSummaryHash: summary(bank), ModuleSha256S: [][]byte{module}},
				{Name: "lib", Version: "1.0", SignerSummaryHash: summary(bank)}, {Name: "toys", Version: "1.0", ModuleSha256S: [][]byte{module}},
			},
		},
	}
}

func coins(change ...func(*appv1.NamedPackage)) *appv1.NamedPackage {
	p := &appv1.NamedPackage{Name: "coins", Version: "1.0", Checksum: fileSum, Signer: bank}
	for _, c := range change {
		c(p)
	}
	return p
}

func put(p *appv1.NamedPackage, part, parts uint32, size int) *appv1.PackageRequest {
	return &appv1.PackageRequest{Operation: &appv1.PackageRequest_Put{Put: &appv1.PutPackagePart{Package: p, Part: part, Parts: parts, Data: make([]byte, size)}}}
}

func readPart(p *appv1.NamedPackage, part uint32) *appv1.PackageRequest {
	return &appv1.PackageRequest{Operation: &appv1.PackageRequest_Read{Read: &appv1.ReadPackagePart{Package: p, Part: part}}}
}

// outcome says in words what a request comes to.
func outcome(t *testing.T, s database.State, r *appv1.PackageRequest) string {
	t.Helper()
	o, err := database.Step(s, database.PackageAsked{
		Key: clusterdb.CodeKey(fileSum), ID: "f/1/1/0", Reply: "flow.replies.packages/-/f", NowUs: 7, Request: &dbv1.PackageRequest{Vnode: "A6B620476147", FlowId: "f", Operation: r},
	})
	if err != nil {
		return "poison " + err.Error()
	}
	var out []string
	for _, w := range o.Writes {
		text := fmt.Sprintf("%T", w)
		if op, is := w.(database.PutOperation); is {
			text += fmt.Sprintf(" %s of %s at %s for %s", op.Operation.Status.GetKind(), op.Operation.Entity[:4], op.Operation.Work.Step, op.Operation.Work.Request)
		}
		out = append(out, strings.TrimPrefix(text, "database."))
	}
	for _, x := range o.Out {
		out = append(out, string(x.Kind)+" "+x.Topic)
	}
	switch e := o.Reply.GetError(); {
	case o.Reply == nil:
	case e != nil:
		out = append(out, e.GetType()+" "+e.GetId()+" "+e.GetMessage())
	default:
		out = append(out, fmt.Sprintf("answer of %d bytes", len(o.Reply.GetResult())))
	}
	return strings.Join(out, "; ")
}

// What may be taken from another party is decided before anything is kept, and again with the file.
func TestPackagesThatFlowsBring(t *testing.T) {
	const size = database.CodePartBytes
	here := &cpiv1.Code{SizeBytes: size + 1, Cpk: &cpiv1.Cpk{Name: "coins", Version: "1.0", SignerSummaryHash: summary(bank), FileSha256: fileSum}}
	signer := func(b byte) func(*appv1.NamedPackage) {
		return func(p *appv1.NamedPackage) { p.Signer = bytes.Repeat([]byte{b}, 32) }
	}
	name := func(n string) func(*appv1.NamedPackage) { return func(p *appv1.NamedPackage) { p.Name = n } }
	operation := func(state operationv1.OperationState, request, failed string) *clusterdb.Operation {
		return &clusterdb.Operation{Entity: clusterdb.CodeKey(fileSum), Work: clusterdb.Work{Step: "validate", Request: request, Code: &clusterdb.Named{Vnode: "A6B620476147"}},
			Status: &operationv1.OperationStatus{RequestId: "package/A6B620476147/f/F1", Kind: operationv1.OperationKind_OPERATION_KIND_RECEIVE_PACKAGE, State: state, Error: failed, ErrorId: "FL-DB-025", Version: 4}}
	}
	for what, c := range map[string]struct {
		request *appv1.PackageRequest
		change  func(*database.State)
		want    string
	}{
		"a part":                                         {put(coins(), 0, 2, size), nil, "PutGivenPart; answer of 0 bytes"},
		"a part that another brings":                     {put(coins(), 0, 2, size), func(s *database.State) { s.Coming = true }, "PutGivenPart; answer of 2 bytes"},
		"the part that was missing":                      {put(coins(), 0, 2, size), func(s *database.State) { s.Parts = 2 }, "PutGivenPart; PutOperation OPERATION_KIND_RECEIVE_PACKAGE of F1F1 at verify for f/1/1/0; continue "},
		"the only one":                                   {put(coins(), 0, 1, 5), nil, "PutGivenPart; PutOperation OPERATION_KIND_RECEIVE_PACKAGE of F1F1 at verify for f/1/1/0; continue "},
		"of what is there":                               {put(coins(), 0, 1, 5), func(s *database.State) { s.Code = here }, "DropUpload; answer of 0 bytes"},
		"the first part of what is there":                {put(coins(), 0, 2, size), func(s *database.State) { s.Code = here }, "DropUpload; answer of 2 bytes"},
		"the last part of what is there":                 {put(coins(), 1, 2, 5), func(s *database.State) { s.Code = here }, "DropUpload; answer of 0 bytes"},
		"of what is not told yet":                        {put(coins(), 0, 2, size), func(s *database.State) { s.Code, s.Telling = here, true }, "PutGivenPart; answer of 0 bytes"},
		"of what is not told yet, when there is no room": {put(coins(), 0, 2, size), func(s *database.State) { s.Code, s.Telling, s.Received = here, true, s.Limits.Received }, "PutGivenPart; answer of 0 bytes"},
		"while it is checked":                            {put(coins(), 0, 1, 5), func(s *database.State) { s.Operation = operation(2, "earlier", "") }, "PutOperation OPERATION_KIND_RECEIVE_PACKAGE of F1F1 at validate for f/1/1/0; continue "},
		"again, after it failed":                         {put(coins(), 0, 1, 5), func(s *database.State) { s.Operation = operation(4, "f/1/1/0", "no good") }, "package-refused FL-DB-025 no good"},
		"anew, after it failed":                          {put(coins(), 0, 1, 5), func(s *database.State) { s.Operation = operation(4, "earlier", "no good") }, "PutGivenPart; PutOperation OPERATION_KIND_RECEIVE_PACKAGE of F1F1 at verify for f/1/1/0; continue "},
		"signed by nobody":                               {put(coins(signer(0xF1)), 0, 1, 5), nil, "package-refused FL-DB-025 package coins 1.0 (SHA-256 " + clusterdb.CodeKey(fileSum) + ") is not taken from another party: nobody has signed it; let an operator upload it"},
		"signed by a stranger":                           {put(coins(signer(3)), 0, 1, 5), nil, "virtual node A6B620476147 has no package with contracts of that name and signers"},
		"of another name":                                {put(coins(name("orders")), 0, 1, 5), nil, "has no package with contracts of that name and signers"},
		"of one without contracts":                       {put(coins(name("lib")), 0, 1, 5), nil, "has no package with contracts of that name and signers"},
		"for no virtual node":                            {put(coins(), 0, 1, 5), func(s *database.State) { s.VirtualNode = nil }, "has no package that stands for it"},
		"too large":                                      {put(coins(), 0, 257, size), nil, "it has 257 parts of 262144 bytes, 1 to 256 are allowed"},
		"of no parts":                                    {put(coins(), 0, 0, size), nil, "it has 0 parts"},
		"behind the last":                                {put(coins(), 2, 2, 5), nil, "part 2 of 2 has 5 bytes"},
		"a short one":                                    {put(coins(), 0, 2, 5), nil, "part 0 of 2 has 5 bytes: each but the last has 262144"},
		"a long one":                                     {put(coins(), 1, 2, size+1), nil, "part 1 of 2 has 262145 bytes"},
		"an empty one":                                   {put(coins(), 1, 2, 0), nil, "part 1 of 2 has 0 bytes"},
		"with many on their way":                         {put(coins(), 0, 2, size), func(s *database.State) { s.Given = 1 << 20 }, "packages that are not whole yet have 1048576 bytes for virtual node A6B620476147, at most 1048576 are kept"},
		"with many taken":                                {put(coins(), 0, 2, size), func(s *database.State) { s.Received = 10 << 20 }, "virtual node A6B620476147 has taken 10485760 bytes of packages so, at most 10485760 are kept"},
		"without a version":                              {put(coins(func(p *appv1.NamedPackage) { p.Version = "" }), 0, 1, 5), nil, "invalid FL-DB-001 field package: name, version"},
		"under another key":                              {put(coins(func(p *appv1.NamedPackage) { p.Checksum = bank }), 0, 1, 5), nil, "poison FL-DB-002: record"},
		"nothing":                                        {&appv1.PackageRequest{}, nil, "unsupported FL-DB-001"},

		"reading":                      {readPart(coins(), 0), func(s *database.State) { s.Code, s.Data = here, []byte("abc") }, "answer of 7 bytes"},
		"reading what is not there":    {readPart(coins(), 0), nil, "not-found FL-DB-003 the file of package coins 1.0"},
		"reading what was never kept":  {readPart(coins(), 0), func(s *database.State) { s.Code = here }, "not-found FL-DB-003 the file of package coins 1.0"},
		"reading past the end":         {readPart(coins(), 2), func(s *database.State) { s.Code = here }, "invalid FL-DB-001 field part is 2: package coins 1.0 has 2 parts"},
		"reading another tenant's":     {readPart(coins(), 0), func(s *database.State) { s.Code, s.Data, s.Present.Cpks[0].Name = here, []byte("abc"), "orders" }, "package-refused FL-DB-025 package coins 1.0 is not read by flows of virtual node A6B620476147"},
		"reading by another name":      {readPart(coins(name("toys")), 0), func(s *database.State) { s.Code, s.Data, s.Present.Cpks[0].Name = here, []byte("abc"), "orders" }, "package-refused"},
		"reading for no virtual node":  {readPart(coins(), 0), func(s *database.State) { s.Code, s.Data, s.VirtualNode, s.Present = here, []byte("abc"), nil, nil }, "package-refused"},
		"what is missing":              {&appv1.PackageRequest{Operation: &appv1.PackageRequest_FindMissing{FindMissing: &appv1.FindMissingPackages{Checksums: [][]byte{fileSum, bank}}}}, func(s *database.State) { s.Files = map[string]bool{clusterdb.CodeKey(bank): true} }, "answer of 34 bytes"},
		"what is missing, of nonsense": {&appv1.PackageRequest{Operation: &appv1.PackageRequest_FindMissing{FindMissing: &appv1.FindMissingPackages{Checksums: [][]byte{{1}}}}}, nil, "invalid FL-DB-001 field checksums: 0 has 1 bytes"},
		"what is missing, of too many": {&appv1.PackageRequest{Operation: &appv1.PackageRequest_FindMissing{FindMissing: &appv1.FindMissingPackages{Checksums: make([][]byte, 1001)}}}, nil, "1001 are asked for, at most 1000"},
	} {
		s := owning()
		if c.change != nil {
			c.change(&s)
		}
		if got := outcome(t, s, c.request); !strings.Contains(got, c.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", what, got, c.want)
		}
	}
}
