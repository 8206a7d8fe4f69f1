package cli

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/cpi"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// packageJSON is the JSON of a package.
type packageJSON struct {
	Kind     string       `json:"kind"`
	Name     string       `json:"name"`
	Version  string       `json:"version"`
	Checksum string       `json:"checksum"`
	SHA256   string       `json:"sha256"`
	Size     int64        `json:"size_bytes"`
	Signers  []signerJSON `json:"signers"`
	// SignerSummaryHash identifies the signers; empty when there are none.
	SignerSummaryHash string `json:"signer_summary_hash"`
	// GroupID is that of the group policy; empty for a CPK or CPB.
	GroupID string    `json:"group_id"`
	CPKs    []cpkJSON `json:"cpks"`
}

type signerJSON struct {
	Name        string     `json:"name"`
	Fingerprint string     `json:"certificate_sha256"`
	NotAfter    time.Time  `json:"not_after"`
	SignedAt    *time.Time `json:"signed_at"`
}

type cpkJSON struct {
	Name              string       `json:"name"`
	Version           string       `json:"version"`
	CompatibleFrom    string       `json:"compatible_from"`
	SHA256            string       `json:"sha256"`
	SignerSummaryHash string       `json:"signer_summary_hash"`
	Modules           []moduleJSON `json:"modules"`
	Migrations        []string     `json:"migrations"`
	Tables            []string     `json:"tables"`
	Queries           []string     `json:"queries"`
	Channels          []string     `json:"channels"`
}

type moduleJSON struct {
	Name   string     `json:"name"`
	Kind   string     `json:"kind"`
	SHA256 string     `json:"sha256"`
	Size   int64      `json:"size_bytes"`
	Flows  []flowJSON `json:"flows"`
	// Contracts are the names of the module's contracts.
	Contracts []string `json:"contracts"`
}

type flowJSON struct {
	Class     string   `json:"class"`
	Startable bool     `json:"startable"`
	Protocol  string   `json:"protocol"`
	Versions  []uint32 `json:"versions"`
}

func newInspectCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "inspect PACKAGE", Short: "Show what is in a package", Args: cobra.ExactArgs(1),
		Long:    "Shows a CPK, CPB or CPI, - for standard input. It must be whole and its signatures right; whose they are is not checked, and a package may be unsigned.",
		Example: "  fairlead app package inspect pay.cpi",
		RunE: func(_ *cobra.Command, args []string) error {
			p, done, err := g.openPackage(args[0], cpi.Options{Trust: cpi.Trust{AnySigner: true, Unsigned: true}})
			if err != nil {
				return err
			}
			defer done()
			s := inspected(p)
			if g.Output == "json" {
				return g.printJSON(s)
			}
			g.showPackage(s)
			return nil
		},
	}
}

func inspected(p *cpi.Package) packageJSON {
	out := packageJSON{Kind: string(p.Kind), Name: p.Name, Version: p.Version, Checksum: p.Checksum(), SHA256: hex.EncodeToString(p.FileSHA256[:]), Size: p.Size,
		Signers: []signerJSON{}, SignerSummaryHash: p.SignerSummaryHash(), CPKs: []cpkJSON{}}
	if p.GroupPolicy != nil {
		out.GroupID = p.GroupPolicy.GroupID
	}
	for _, s := range p.Signers {
		x := signerJSON{Name: s.Name(), Fingerprint: s.Fingerprint(), NotAfter: s.Certificate.NotAfter.UTC()}
		if !s.SignedAt.IsZero() {
			x.SignedAt = &s.SignedAt
		}
		out.Signers = append(out.Signers, x)
	}
	for _, c := range p.CPKs {
		k := cpkJSON{Name: c.Name, Version: c.Version, CompatibleFrom: c.CompatibleFrom, SHA256: hex.EncodeToString(c.FileSHA256[:]), SignerSummaryHash: cpi.SummaryHash(c.Signers),
			Modules: []moduleJSON{}, Migrations: []string{}, Tables: []string{}, Queries: []string{}, Channels: []string{}}
		for _, m := range c.Modules {
			x := moduleJSON{Name: m.Name, Kind: kindWord(m.Kind.String()), SHA256: hex.EncodeToString(m.SHA256[:]), Size: m.Size, Flows: []flowJSON{}, Contracts: append([]string{}, m.Contracts...)}
			for _, f := range m.Flows {
				x.Flows = append(x.Flows, flowJSON{f.GetName(), f.GetStartable(), f.GetProtocol(), append([]uint32{}, f.GetProtocolVersions()...)})
			}
			k.Modules = append(k.Modules, x)
		}
		for _, m := range c.Migrations {
			k.Migrations = append(k.Migrations, m.Name)
		}
		for _, t := range c.Tables {
			k.Tables = append(k.Tables, tableText(t))
		}
		for _, q := range c.Queries {
			k.Queries = append(k.Queries, fmt.Sprintf("%s(%s)", q.GetName(), columnsText(q.GetParameters())))
		}
		for _, d := range c.Channels {
			text := d.GetName() + " " + kindWord(d.GetKind().String())
			if d.GetFlowClass() != "" {
				text += " starts " + d.GetFlowClass()
			}
			k.Channels = append(k.Channels, text)
		}
		out.CPKs = append(out.CPKs, k)
	}
	return out
}

// kindWord makes "flow" of MODULE_KIND_FLOW.
func kindWord(enum string) string {
	_, word, _ := strings.Cut(enum, "_KIND_")
	return strings.ToLower(word)
}

func tableText(t *cpiv1.TableDeclaration) string {
	text := fmt.Sprintf("%s(%s; primary key %s)", t.GetName(), columnsText(t.GetColumns()), strings.Join(t.GetPrimaryKey(), ", "))
	if t.GetFeed() {
		text += " in the change feed"
	}
	return text
}

func columnsText(columns []*cpiv1.ColumnDeclaration) string {
	var out []string
	for _, c := range columns {
		text := c.GetName() + " " + c.GetType()
		if c.GetNotNull() {
			text += " not null"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (g *Globals) showPackage(p packageJSON) {
	row := func(indent int, name, format string, args ...any) {
		fmt.Fprintf(g.Out, "%s%-*s%s\n", strings.Repeat(" ", indent), 14-indent, name, fmt.Sprintf(format, args...))
	}
	row(0, p.Kind, "%s %s", p.Name, p.Version)
	row(0, "size", "%s", sizeText(p.Size))
	row(0, "checksum", "%s", p.Checksum)
	if p.GroupID != "" {
		row(0, "group", "%s", p.GroupID)
	}
	if len(p.Signers) == 0 {
		row(0, "signed by", "nobody")
	}
	for _, s := range p.Signers {
		row(0, "signed by", "%s, certificate %s valid until %s", s.Name, s.Fingerprint[:16], s.NotAfter.Format(time.DateOnly))
	}
	if p.SignerSummaryHash != "" {
		row(0, "signers", "%s", p.SignerSummaryHash)
	}
	for _, c := range p.CPKs {
		indent := 0
		if p.Kind != string(cpi.CPK) {
			row(0, string(cpi.CPK), "%s %s", c.Name, c.Version)
			indent = 2
		}
		if c.CompatibleFrom != "" {
			row(indent, "states", "of version %s and later", c.CompatibleFrom)
		}
		for _, m := range c.Modules {
			row(indent, "module", "%s, %s, %s, SHA-256 %s", m.Name, m.Kind, sizeText(m.Size), m.SHA256)
			for _, f := range m.Flows {
				switch {
				case f.Protocol != "":
					row(indent+2, "responder", "%s, protocol %s %s", f.Class, f.Protocol, versionsText(f.Versions))
				case f.Startable:
					row(indent+2, "flow", "%s", f.Class)
				default:
					row(indent+2, "flow", "%s, internal", f.Class)
				}
			}
			for _, name := range m.Contracts {
				row(indent+2, "contract", "%s", name)
			}
		}
		for _, list := range []struct {
			name  string
			items []string
		}{{"migration", c.Migrations}, {"table", c.Tables}, {"query", c.Queries}, {"channel", c.Channels}} {
			for _, x := range list.items {
				row(indent, list.name, "%s", x)
			}
		}
	}
}
