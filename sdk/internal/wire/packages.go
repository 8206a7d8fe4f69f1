package wire

func (*PackageRequest) number() int  { return 44 }
func (*PackageRequest) Name() string { return "package" }

func (*FindMissingPackages) choice() int { return 1 }
func (*ReadPackagePart) choice() int     { return 2 }
func (*PutPackagePart) choice() int      { return 3 }

// PackageOperation is one of the choices of a PackageRequest.
type PackageOperation interface {
	Message
	// choice is the field of the choice.
	choice() int
}

// packageChoice makes a choice of a PackageRequest, nil when there is none of the number.
func packageChoice(number int) PackageOperation {
	switch number {
	case 1:
		return &FindMissingPackages{}
	case 2:
		return &ReadPackagePart{}
	case 3:
		return &PutPackagePart{}
	}
	return nil
}

// PackageRequest is one operation on packages of code; Operation is nil for one that this SDK does not know.
type PackageRequest struct{ Operation PackageOperation }

func (m *PackageRequest) fields(c *Codec) {
	if !c.reading {
		if m.Operation != nil {
			c.message(m.Operation.choice(), m.Operation)
		}
		return
	}
	o := packageChoice(c.field.number)
	if o == nil || !c.is(c.field.number, length) {
		return
	}
	if m.Operation == nil || m.Operation.choice() != c.field.number {
		m.Operation = o
	}
	c.read(c.field.bytes, m.Operation)
}

// NamedPackage is a package as the metadata of a transaction name it.
type NamedPackage struct {
	Name, Version    string
	Checksum, Signer []byte
}

func (m *NamedPackage) fields(c *Codec) {
	c.text(1, &m.Name)
	c.text(2, &m.Version)
	c.bytes(3, &m.Checksum)
	c.bytes(4, &m.Signer)
}

// FindMissingPackages asks which of some packages the cluster lacks; the result is MissingPackages.
type FindMissingPackages struct{ Checksums [][]byte }

func (m *FindMissingPackages) fields(c *Codec) { c.blobs(1, &m.Checksums) }

// MissingPackages is the result of FindMissingPackages.
type MissingPackages struct{ Checksums [][]byte }

func (m *MissingPackages) fields(c *Codec) { c.blobs(1, &m.Checksums) }

// ReadPackagePart reads a part of a package's file; the result is PackagePart.
type ReadPackagePart struct {
	Package *NamedPackage
	Part    uint32
}

func (m *ReadPackagePart) fields(c *Codec) {
	one(c, 1, &m.Package)
	number(c, 2, &m.Part)
}

// PackagePart is the result of ReadPackagePart.
type PackagePart struct {
	Parts uint32
	Data  []byte
}

func (m *PackagePart) fields(c *Codec) {
	number(c, 1, &m.Parts)
	c.bytes(2, &m.Data)
}

// PutPackagePart hands over a part of a package's file; the result is PutPackageResult.
type PutPackagePart struct {
	Package     *NamedPackage
	Part, Parts uint32
	Data        []byte
}

func (m *PutPackagePart) fields(c *Codec) {
	one(c, 1, &m.Package)
	number(c, 2, &m.Part)
	number(c, 3, &m.Parts)
	c.bytes(4, &m.Data)
}

// PutPackageResult is the result of PutPackagePart.
type PutPackageResult struct{ Coming bool }

func (m *PutPackageResult) fields(c *Codec) { c.flag(1, &m.Coming) }
