package verification

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// code is a package of code, as far as its contracts are concerned.
type code struct {
	name, version string
	// compatibleFrom is the lowest version whose states it takes; empty for none but its own.
	compatibleFrom string
	// signer is the summary hash of its signers; zero for one that is not signed, which only development clusters have.
	signer ledger.Hash
	// modules have contracts: the module of each by its name.
	modules map[string][32]byte
}

// packages are the packages of code by the SHA-256 of their files: those of all installed CPIs, and those that are kept
// without one.
type packages struct {
	mu     sync.Mutex
	byCPI  map[string]map[ledger.Hash]code
	kept   map[string]map[ledger.Hash]code
	byFile map[ledger.Hash]code
}

func newPackages() *packages {
	return &packages{byCPI: map[string]map[ledger.Hash]code{}, kept: map[string]map[ledger.Hash]code{}, byFile: map[ledger.Hash]code{}}
}

// changed takes over what a record of cpi.info says; nil for a CPI that is gone.
func (p *packages) changed(key string, cpi *cpiv1.Cpi) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byCPI, key)
	if cpi != nil {
		p.byCPI[key] = codeOf(cpi)
	}
	p.index()
}

// keep takes over what a record of cpk.info says; nil for a package that is gone.
func (p *packages) keep(key string, c *cpiv1.Code) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.kept, key)
	if c != nil {
		p.kept[key] = codeOf(&cpiv1.Cpi{Cpks: []*cpiv1.Cpk{c.GetCpk()}, Modules: c.GetModules()})
	}
	p.index()
}

// index is called with the lock held.
func (p *packages) index() {
	p.byFile = map[ledger.Hash]code{}
	for _, from := range []map[string]map[ledger.Hash]code{p.kept, p.byCPI} {
		for _, all := range from {
			for file, c := range all {
				p.byFile[file] = c // a file has one content, whoever brings it
			}
		}
	}
}

// codeOf reads the packages of a CPI.
func codeOf(cpi *cpiv1.Cpi) map[ledger.Hash]code {
	contracts := map[string][]string{}
	for _, m := range cpi.GetModules() {
		contracts[string(m.GetSha256())] = m.GetContracts()
	}
	out := map[ledger.Hash]code{}
	for _, k := range cpi.GetCpks() {
		if len(k.GetFileSha256()) != len(ledger.Hash{}) {
			continue
		}
		c := code{name: k.GetName(), version: k.GetVersion(), compatibleFrom: k.GetCompatibleFrom(), modules: map[string][32]byte{}}
		if h, err := ledger.ParseHash(strings.TrimPrefix(k.GetSignerSummaryHash(), "SHA-256:")); err == nil {
			c.signer = h
		}
		for _, sha := range k.GetModuleSha256S() {
			if len(sha) != 32 {
				continue
			}
			for _, name := range contracts[string(sha)] {
				c.modules[name] = [32]byte(sha)
			}
		}
		out[ledger.Hash(k.GetFileSha256())] = c
	}
	return out
}

// modules are those with contracts of the packages of installed CPIs, in order. Others are installed when a transaction needs
// them, and need not be kept in memory.
func (p *packages) modules() [][32]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out [][32]byte
	for _, all := range p.byCPI {
		for _, c := range all {
			for _, sha := range c.modules {
				out = append(out, sha)
			}
		}
	}
	slices.SortFunc(out, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// find returns the packages that a transaction names, and those of them that are not there.
func (p *packages) find(named []ledger.Package) (all map[ledger.Hash]code, missing []ledger.Package) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = map[ledger.Hash]code{}
	for _, n := range named {
		if c, ok := p.byFile[n.Checksum]; ok {
			all[n.Checksum] = c
		} else {
			missing = append(missing, n)
		}
	}
	return all, missing
}

// file returns a package that is here.
func (p *packages) file(sum ledger.Hash) (code, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.byFile[sum]
	return c, ok
}

// problem is what is against a transaction whose metadata says something else of a package than its file.
func (c code) problem(n ledger.Package) string {
	switch {
	case c.name != n.Name || c.version != n.Version:
		return fmt.Sprintf("package %s %s: the file with that checksum is package %s %s", n.Name, n.Version, c.name, c.version)
	case c.signer == ledger.Hash{} && n.Signer != n.Checksum: // as flow workers write it: no signer has a file's checksum
		return fmt.Sprintf("package %s %s: the file with that checksum is not signed, and not by %s", n.Name, n.Version, n.Signer)
	case c.signer != ledger.Hash{} && c.signer != n.Signer:
		return fmt.Sprintf("package %s %s: the file with that checksum is signed by %s, not by %s", n.Name, n.Version, c.signer, n.Signer)
	}
	return ""
}
