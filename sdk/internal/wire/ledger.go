package wire

func (*LedgerRequest) number() int      { return 41 }
func (*LedgerRequest) Name() string     { return "ledger" }
func (*SignTransactions) number() int   { return 42 }
func (*SignTransactions) Name() string  { return "sign_transactions" }
func (*DescribeLedger) number() int     { return 43 }
func (*DescribeLedger) Name() string    { return "describe_ledger" }
func (*PersistTransaction) choice() int { return 1 }

func (*UpdateTransactionStatus) choice() int     { return 2 }
func (*FindTransaction) choice() int             { return 3 }
func (*FindTransactionStatuses) choice() int     { return 4 }
func (*FindTransactionsOfStatus) choice() int    { return 5 }
func (*IncrementRepairAttempts) choice() int     { return 6 }
func (*PersistSignatures) choice() int           { return 7 }
func (*FindUnconsumedStates) choice() int        { return 8 }
func (*QueryStates) choice() int                 { return 9 }
func (*ResolveStates) choice() int               { return 10 }
func (*PersistFilteredTransactions) choice() int { return 11 }
func (*FindFilteredTransactions) choice() int    { return 12 }
func (*PersistGroupParameters) choice() int      { return 13 }
func (*FindGroupParameters) choice() int         { return 14 }

// ledgerOperation makes an operation of the ledger in a Request, nil when there is none of the number.
func ledgerOperation(number int) Operation {
	switch number {
	case 41:
		return &LedgerRequest{}
	case 42:
		return &SignTransactions{}
	case 43:
		return &DescribeLedger{}
	case 44:
		return &PackageRequest{}
	}
	return nil
}

// LedgerOperation is one of the choices of a LedgerRequest.
type LedgerOperation interface {
	Message
	// choice is the field of the choice.
	choice() int
}

// ledgerChoice makes a choice of a LedgerRequest, nil when there is none of the number.
func ledgerChoice(number int) LedgerOperation {
	switch number {
	case 1:
		return &PersistTransaction{}
	case 2:
		return &UpdateTransactionStatus{}
	case 3:
		return &FindTransaction{}
	case 4:
		return &FindTransactionStatuses{}
	case 5:
		return &FindTransactionsOfStatus{}
	case 6:
		return &IncrementRepairAttempts{}
	case 7:
		return &PersistSignatures{}
	case 8:
		return &FindUnconsumedStates{}
	case 9:
		return &QueryStates{}
	case 10:
		return &ResolveStates{}
	case 11:
		return &PersistFilteredTransactions{}
	case 12:
		return &FindFilteredTransactions{}
	case 13:
		return &PersistGroupParameters{}
	case 14:
		return &FindGroupParameters{}
	}
	return nil
}

// LedgerRequest is one operation on the ledger's tables; Operation is nil for one that this SDK does not know.
type LedgerRequest struct{ Operation LedgerOperation }

func (m *LedgerRequest) fields(c *Codec) {
	if !c.reading {
		if m.Operation != nil {
			c.message(m.Operation.choice(), m.Operation)
		}
		return
	}
	o := ledgerChoice(c.field.number)
	if o == nil || !c.is(c.field.number, length) {
		return
	}
	if m.Operation == nil || m.Operation.choice() != c.field.number {
		m.Operation = o
	}
	c.read(c.field.bytes, m.Operation)
}

// PersistTransaction stores a transaction; the result is PersistedTransaction.
type PersistTransaction struct {
	Transaction  []byte
	Status       int32
	Signatures   [][]byte
	Visible      []uint32
	OnlyIfAbsent bool
	Consumed     []ConsumedState
}

func (m *PersistTransaction) fields(c *Codec) {
	c.bytes(1, &m.Transaction)
	number(c, 2, &m.Status)
	c.blobs(3, &m.Signatures)
	c.numbers(4, &m.Visible)
	c.flag(5, &m.OnlyIfAbsent)
	many(c, 6, &m.Consumed)
}

// ConsumedState is a state and the transaction that has consumed it.
type ConsumedState struct {
	Ref *StateRef
	By  []byte
}

func (m *ConsumedState) fields(c *Codec) {
	one(c, 1, &m.Ref)
	c.bytes(2, &m.By)
}

// PersistedTransaction is the result of PersistTransaction.
type PersistedTransaction struct{ Status, Before int32 }

func (m *PersistedTransaction) fields(c *Codec) {
	number(c, 1, &m.Status)
	number(c, 2, &m.Before)
}

// UpdateTransactionStatus moves a transaction that is there.
type UpdateTransactionStatus struct {
	ID      []byte
	Status  int32
	Visible []uint32
}

func (m *UpdateTransactionStatus) fields(c *Codec) {
	c.bytes(1, &m.ID)
	number(c, 2, &m.Status)
	c.numbers(3, &m.Visible)
}

// FindTransaction reads a transaction; the result is FoundTransaction.
type FindTransaction struct {
	ID       []byte
	Statuses []int32
	Resolve  bool
}

func (m *FindTransaction) fields(c *Codec) {
	c.bytes(1, &m.ID)
	numbers(c, 2, &m.Statuses)
	c.flag(3, &m.Resolve)
}

// FoundTransaction is the result of FindTransaction.
type FoundTransaction struct {
	Status             int32
	Transaction        []byte
	Signatures         [][]byte
	Inputs, References []LedgerState
}

func (m *FoundTransaction) fields(c *Codec) {
	number(c, 1, &m.Status)
	c.bytes(2, &m.Transaction)
	c.blobs(3, &m.Signatures)
	many(c, 4, &m.Inputs)
	many(c, 5, &m.References)
}

// LedgerState is a state and where it is from.
type LedgerState struct {
	Ref                       *StateRef
	Info, Output, Notary      []byte
	Number                    uint64
	CreatedAtUS, ConsumedAtUS int64
	ConsumedBy                []byte
}

func (m *LedgerState) fields(c *Codec) {
	one(c, 1, &m.Ref)
	c.bytes(2, &m.Info)
	c.bytes(3, &m.Output)
	c.bytes(4, &m.Notary)
	number(c, 5, &m.Number)
	number(c, 6, &m.CreatedAtUS)
	number(c, 7, &m.ConsumedAtUS)
	c.bytes(8, &m.ConsumedBy)
}

// FindTransactionStatuses reads the statuses of transactions; the result is TransactionStatuses.
type FindTransactionStatuses struct{ IDs [][]byte }

func (m *FindTransactionStatuses) fields(c *Codec) { c.blobs(1, &m.IDs) }

// TransactionStatuses is what is known of transactions.
type TransactionStatuses struct{ Transactions []KnownTransaction }

func (m *TransactionStatuses) fields(c *Codec) { many(c, 1, &m.Transactions) }

// KnownTransaction is what is known of a transaction.
type KnownTransaction struct {
	ID             []byte
	Status         int32
	Filtered       bool
	CreatedAtUS    int64
	RepairAttempts uint32
}

func (m *KnownTransaction) fields(c *Codec) {
	c.bytes(1, &m.ID)
	number(c, 2, &m.Status)
	c.flag(3, &m.Filtered)
	number(c, 4, &m.CreatedAtUS)
	number(c, 5, &m.RepairAttempts)
}

// FindTransactionsOfStatus reads which transactions have a status; the result is TransactionStatuses.
type FindTransactionsOfStatus struct {
	Status          int32
	FromUS, UntilUS int64
	Limit           uint32
}

func (m *FindTransactionsOfStatus) fields(c *Codec) {
	number(c, 1, &m.Status)
	number(c, 2, &m.FromUS)
	number(c, 3, &m.UntilUS)
	number(c, 4, &m.Limit)
}

// IncrementRepairAttempts counts a try to repair a transaction; the result is RepairAttempts.
type IncrementRepairAttempts struct{ ID []byte }

func (m *IncrementRepairAttempts) fields(c *Codec) { c.bytes(1, &m.ID) }

// RepairAttempts is the result of IncrementRepairAttempts.
type RepairAttempts struct{ Attempts uint32 }

func (m *RepairAttempts) fields(c *Codec) { number(c, 1, &m.Attempts) }

// PersistSignatures adds signatures to a transaction.
type PersistSignatures struct {
	ID         []byte
	Signatures [][]byte
}

func (m *PersistSignatures) fields(c *Codec) {
	c.bytes(1, &m.ID)
	c.blobs(2, &m.Signatures)
}

// FindUnconsumedStates reads the states of a type that are not consumed; the result is StatePage.
type FindUnconsumedStates struct {
	Type  string
	Limit uint32
	After []byte
}

func (m *FindUnconsumedStates) fields(c *Codec) {
	c.text(1, &m.Type)
	number(c, 2, &m.Limit)
	c.bytes(3, &m.After)
}

// QueryStates runs a declared query of states; the result is StatePage.
type QueryStates struct {
	Query      string
	Parameters []byte
	Limit      uint32
	After      []byte
}

func (m *QueryStates) fields(c *Codec) {
	c.text(1, &m.Query)
	c.bytes(2, &m.Parameters)
	number(c, 3, &m.Limit)
	c.bytes(4, &m.After)
}

// StatePage is a part of a result.
type StatePage struct {
	States []LedgerState
	Next   []byte
}

func (m *StatePage) fields(c *Codec) {
	many(c, 1, &m.States)
	c.bytes(2, &m.Next)
}

// ResolveStates reads states by reference; the result is ResolvedStates.
type ResolveStates struct{ Refs []StateRef }

func (m *ResolveStates) fields(c *Codec) { many(c, 1, &m.Refs) }

// ResolvedStates is the result of ResolveStates.
type ResolvedStates struct{ States []LedgerState }

func (m *ResolvedStates) fields(c *Codec) { many(c, 1, &m.States) }

// PersistFilteredTransactions stores proofs of verified transactions.
type PersistFilteredTransactions struct{ Transactions []SignedFiltered }

func (m *PersistFilteredTransactions) fields(c *Codec) { many(c, 1, &m.Transactions) }

// SignedFiltered is a proof of parts of a transaction, SignedFilteredTransaction in the interface.
type SignedFiltered struct {
	Filtered   []byte
	Signatures [][]byte
}

func (m *SignedFiltered) fields(c *Codec) {
	c.bytes(1, &m.Filtered)
	c.blobs(2, &m.Signatures)
}

// FindFilteredTransactions reads proofs that show states; the result is FoundFilteredTransactions.
type FindFilteredTransactions struct{ Refs []StateRef }

func (m *FindFilteredTransactions) fields(c *Codec) { many(c, 1, &m.Refs) }

// FoundFilteredTransactions is the result of FindFilteredTransactions.
type FoundFilteredTransactions struct {
	Transactions []SignedFiltered
	Missing      []StateRef
}

func (m *FoundFilteredTransactions) fields(c *Codec) {
	many(c, 1, &m.Transactions)
	many(c, 2, &m.Missing)
}

// PersistGroupParameters stores parameters of the group.
type PersistGroupParameters struct{ Parameters *SignedGroupParameters }

func (m *PersistGroupParameters) fields(c *Codec) { one(c, 1, &m.Parameters) }

// SignedGroupParameters are parameters of a group as its manager signed them.
type SignedGroupParameters struct {
	Parameters, SignedBy, Signature []byte
	Scheme                          string
}

func (m *SignedGroupParameters) fields(c *Codec) {
	c.bytes(1, &m.Parameters)
	c.bytes(2, &m.SignedBy)
	c.bytes(3, &m.Signature)
	c.text(4, &m.Scheme)
}

// FindGroupParameters reads parameters of the group; the result is SignedGroupParameters.
type FindGroupParameters struct{ Hash []byte }

func (m *FindGroupParameters) fields(c *Codec) { c.bytes(1, &m.Hash) }

// SignTransactions signs transactions with a key of the flow's virtual node; the result is TransactionSignatures.
type SignTransactions struct {
	IDs       [][]byte
	PublicKey []byte
	Scheme    string
}

func (m *SignTransactions) fields(c *Codec) {
	c.blobs(1, &m.IDs)
	c.bytes(2, &m.PublicKey)
	c.text(3, &m.Scheme)
}

// TransactionSignatures is the result of SignTransactions: one for each id, in order.
type TransactionSignatures struct{ Signatures [][]byte }

func (m *TransactionSignatures) fields(c *Codec) { c.blobs(1, &m.Signatures) }

// DescribeLedger asks what new transactions say of platform and packages; the result is LedgerDescription.
type DescribeLedger struct{}

func (m *DescribeLedger) fields(*Codec) {}

// LedgerDescription is the result of DescribeLedger: fairlead.ledger.v1.Metadata, and what its packages take.
type LedgerDescription struct {
	Metadata []byte
	Packages []PackageDescription
}

func (m *LedgerDescription) fields(c *Codec) {
	c.bytes(1, &m.Metadata)
	many(c, 2, &m.Packages)
}

// PackageDescription is what a package of the virtual node says of the states that it takes.
type PackageDescription struct {
	Checksum       []byte
	CompatibleFrom string
	Contracts      []string
}

func (m *PackageDescription) fields(c *Codec) {
	c.bytes(1, &m.Checksum)
	c.text(2, &m.CompatibleFrom)
	c.texts(3, &m.Contracts)
}
