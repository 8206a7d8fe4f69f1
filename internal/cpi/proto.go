package cpi

import cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"

// ToProto returns the record of topic cpi.info for a CPI. VersionNumber and UploadedAtUs are the database's and left zero.
// Of another kind it is what a CPI would say of the same code, without a policy.
func (p *Package) ToProto() *cpiv1.Cpi {
	out := &cpiv1.Cpi{
		Name: p.Name, Version: p.Version, SignerSummaryHash: p.SignerSummaryHash(), Checksum: p.Checksum(), FileSha256: p.FileSHA256[:],
	}
	if p.GroupPolicy != nil {
		out.GroupPolicy, out.GroupId = p.GroupPolicy.Raw, p.GroupPolicy.GroupID
	}
	for _, c := range p.CPKs {
		k := c.toProto()
		for _, m := range c.Modules {
			out.Modules = append(out.Modules, m.toProto())
			k.ModuleSha256S = append(k.ModuleSha256S, m.SHA256[:])
		}
		out.Cpks = append(out.Cpks, k)
	}
	return out
}

func (c *CPKContent) toProto() *cpiv1.Cpk {
	out := &cpiv1.Cpk{
		Name: c.Name, Version: c.Version, SignerSummaryHash: SummaryHash(c.Signers), FileSha256: c.FileSHA256[:],
		Tables: c.Tables, Queries: c.Queries, Channels: c.Channels, CompatibleFrom: c.CompatibleFrom,
	}
	for _, m := range c.Migrations {
		out.Migrations = append(out.Migrations, m.Name)
	}
	return out
}

func (m Module) toProto() *cpiv1.Module {
	return &cpiv1.Module{
		Name: m.Name, Kind: m.Kind, Sha256: m.SHA256[:], SizeBytes: uint64(m.Size), Chunks: uint32((m.Size + ChunkSize - 1) / ChunkSize), Flows: m.Flows, Contracts: m.Contracts,
	}
}

// CodeRecord returns the record of topic cpk.info for a package of code of so many bytes; nil for one without contracts, by
// which nothing is verified.
func (c *CPKContent) CodeRecord(size int64) *cpiv1.Code {
	out := &cpiv1.Code{SizeBytes: uint64(size), Cpk: &cpiv1.Cpk{
		Name: c.Name, Version: c.Version, SignerSummaryHash: SummaryHash(c.Signers), FileSha256: c.FileSHA256[:], CompatibleFrom: c.CompatibleFrom,
	}}
	for _, m := range c.Modules {
		if len(m.Contracts) == 0 {
			continue
		}
		bare := m.toProto()
		bare.Flows = nil
		out.Modules = append(out.Modules, bare)
		out.Cpk.ModuleSha256S = append(out.Cpk.ModuleSha256S, m.SHA256[:])
	}
	if len(out.Modules) == 0 {
		return nil
	}
	return out
}
