package wire

// Operation is what a flow asks of its host: one of the choices of a Request.
type Operation interface {
	Message
	// number is the field of the choice.
	number() int
	// Name is the field's name, by which journals and errors call the operation.
	Name() string
}

// operation makes an operation of a number, nil when there is none.
func operation(number int) Operation {
	switch number {
	case 1:
		return &Sleep{}
	case 2:
		return &Checkpoint{}
	case 10:
		return &OpenSession{}
	case 11:
		return &SendMessage{}
	case 12:
		return &ReceiveMessage{}
	case 13:
		return &CloseSession{}
	case 14:
		return &SessionInfo{}
	case 20:
		return &Sign{}
	case 21:
		return &FindKeys{}
	case 22:
		return &CheckSignatures{}
	case 30:
		return &PersistRows{}
	case 31:
		return &MergeRows{}
	case 32:
		return &RemoveRows{}
	case 33:
		return &FindRows{}
	case 34:
		return &FindAllRows{}
	case 35:
		return &NamedQuery{}
	case 45:
		return &CheckUniqueness{}
	case 40:
		return &VerifyTransaction{}
	case 60:
		return &LookupMembers{}
	case 70:
		return &EmitMessage{}
	}
	if o := tokenOperation(number); o != nil {
		return o
	}
	return ledgerOperation(number)
}

// Operations and the numbers and names that they have in a Request.
func (*Sleep) number() int          { return 1 }
func (*Sleep) Name() string         { return "sleep" }
func (*Checkpoint) number() int     { return 2 }
func (*Checkpoint) Name() string    { return "checkpoint" }
func (*OpenSession) number() int    { return 10 }
func (*OpenSession) Name() string   { return "open_session" }
func (*SendMessage) number() int    { return 11 }
func (*SendMessage) Name() string   { return "send" }
func (*ReceiveMessage) number() int { return 12 }
func (*ReceiveMessage) Name() string {
	return "receive"
}
func (*CloseSession) number() int    { return 13 }
func (*CloseSession) Name() string   { return "close_session" }
func (*SessionInfo) number() int     { return 14 }
func (*SessionInfo) Name() string    { return "session_info" }
func (*Sign) number() int            { return 20 }
func (*Sign) Name() string           { return "sign" }
func (*FindKeys) number() int        { return 21 }
func (*FindKeys) Name() string       { return "find_keys" }
func (*CheckSignatures) number() int { return 22 }
func (*CheckSignatures) Name() string {
	return "check_signatures"
}
func (*PersistRows) number() int     { return 30 }
func (*PersistRows) Name() string    { return "persist" }
func (*MergeRows) number() int       { return 31 }
func (*MergeRows) Name() string      { return "merge" }
func (*RemoveRows) number() int      { return 32 }
func (*RemoveRows) Name() string     { return "remove" }
func (*FindRows) number() int        { return 33 }
func (*FindRows) Name() string       { return "find" }
func (*FindAllRows) number() int     { return 34 }
func (*FindAllRows) Name() string    { return "find_all" }
func (*NamedQuery) number() int      { return 35 }
func (*NamedQuery) Name() string     { return "query" }
func (*CheckUniqueness) number() int { return 45 }
func (*CheckUniqueness) Name() string {
	return "check_uniqueness"
}
func (*LookupMembers) number() int  { return 60 }
func (*LookupMembers) Name() string { return "lookup_members" }
func (*EmitMessage) number() int    { return 70 }
func (*EmitMessage) Name() string   { return "emit" }

// Sleep resumes the flow after a time.
type Sleep struct{ DurationUS int64 }

func (m *Sleep) fields(c *Codec) { number(c, 1, &m.DurationUS) }

// Checkpoint makes what happened so far durable.
type Checkpoint struct{}

func (m *Checkpoint) fields(*Codec) {}

// OpenSession opens a session; the result is OpenedSession.
type OpenSession struct {
	Counterparty, Protocol string
	Versions               []uint32
	CloseNotRequired       bool
	TimeoutUS              int64
	Properties             []Property
}

func (m *OpenSession) fields(c *Codec) {
	c.text(1, &m.Counterparty)
	c.text(2, &m.Protocol)
	c.numbers(3, &m.Versions)
	c.flag(4, &m.CloseNotRequired)
	number(c, 5, &m.TimeoutUS)
	many(c, 6, &m.Properties)
}

// OpenedSession is the result of OpenSession.
type OpenedSession struct{ SessionID, Counterparty string }

func (m *OpenedSession) fields(c *Codec) {
	c.text(1, &m.SessionID)
	c.text(2, &m.Counterparty)
}

// SendMessage sends one part of a message.
type SendMessage struct {
	SessionID string
	Payload   []byte
	More      bool
}

func (m *SendMessage) fields(c *Codec) {
	c.text(1, &m.SessionID)
	c.bytes(2, &m.Payload)
	c.flag(3, &m.More)
}

// ReceiveMessage waits for the next part; the result is ReceivedMessage.
type ReceiveMessage struct{ SessionID string }

func (m *ReceiveMessage) fields(c *Codec) { c.text(1, &m.SessionID) }

// ReceivedMessage is the result of ReceiveMessage.
type ReceivedMessage struct {
	Payload []byte
	More    bool
}

func (m *ReceivedMessage) fields(c *Codec) {
	c.bytes(1, &m.Payload)
	c.flag(2, &m.More)
}

// CloseSession closes a session.
type CloseSession struct{ SessionID string }

func (m *CloseSession) fields(c *Codec) { c.text(1, &m.SessionID) }

// SessionInfo waits until the other side has taken the session; the result is SessionInfoResult.
type SessionInfo struct{ SessionID string }

func (m *SessionInfo) fields(c *Codec) { c.text(1, &m.SessionID) }

// SessionInfoResult is the result of SessionInfo.
type SessionInfoResult struct {
	Protocol        string
	ProtocolVersion uint32
	Properties      []Property
}

func (m *SessionInfoResult) fields(c *Codec) {
	c.text(1, &m.Protocol)
	number(c, 2, &m.ProtocolVersion)
	many(c, 3, &m.Properties)
}

// Sign signs with a key of the flow's virtual node; the result is Signature.
type Sign struct {
	Data, PublicKey []byte
	Scheme          string
}

func (m *Sign) fields(c *Codec) {
	c.bytes(1, &m.Data)
	c.bytes(2, &m.PublicKey)
	c.text(3, &m.Scheme)
}

// Signature is the result of Sign.
type Signature struct {
	Signature     []byte
	KeyID, Scheme string
	PublicKey     []byte
}

func (m *Signature) fields(c *Codec) {
	c.bytes(1, &m.Signature)
	c.text(2, &m.KeyID)
	c.text(3, &m.Scheme)
	c.bytes(4, &m.PublicKey)
}

// FindKeys looks up keys of the flow's virtual node; the result is Keys.
type FindKeys struct {
	PublicKeys [][]byte
	Category   string
}

func (m *FindKeys) fields(c *Codec) {
	c.blobs(1, &m.PublicKeys)
	c.text(2, &m.Category)
}

// Keys is the result of FindKeys.
type Keys struct{ Keys []Key }

func (m *Keys) fields(c *Codec) { many(c, 1, &m.Keys) }

// Key is a key pair's public half.
type Key struct {
	ID                      string
	PublicKey               []byte
	Category, Scheme, Alias string
}

func (m *Key) fields(c *Codec) {
	c.text(1, &m.ID)
	c.bytes(2, &m.PublicKey)
	c.text(3, &m.Category)
	c.text(4, &m.Scheme)
	c.text(5, &m.Alias)
}

// CheckSignatures checks signatures by their public keys; the result is CheckedSignatures.
type CheckSignatures struct{ Checks []SignatureCheck }

func (m *CheckSignatures) fields(c *Codec) { many(c, 1, &m.Checks) }

// SignatureCheck is one signature.
type SignatureCheck struct {
	PublicKey          []byte
	Scheme             string
	Message, Signature []byte
}

func (m *SignatureCheck) fields(c *Codec) {
	c.bytes(1, &m.PublicKey)
	c.text(2, &m.Scheme)
	c.bytes(3, &m.Message)
	c.bytes(4, &m.Signature)
}

// CheckedSignatures is the result of CheckSignatures, in the order asked.
type CheckedSignatures struct{ Verdicts []uint32 }

func (m *CheckedSignatures) fields(c *Codec) { c.numbers(1, &m.Verdicts) }

// Verdicts of signatures.
const (
	SignatureValid       uint32 = 1
	SignatureInvalid     uint32 = 2
	SignatureUnsupported uint32 = 3
)

// PersistRows inserts rows.
type PersistRows struct {
	Table   string
	Rows    [][]byte
	DedupID string
}

func (m *PersistRows) fields(c *Codec) {
	c.text(1, &m.Table)
	c.blobs(2, &m.Rows)
	c.text(3, &m.DedupID)
}

// MergeRows inserts or changes rows; the result is Rows.
type MergeRows struct {
	Table string
	Rows  [][]byte
}

func (m *MergeRows) fields(c *Codec) {
	c.text(1, &m.Table)
	c.blobs(2, &m.Rows)
}

// RemoveRows deletes rows by primary key.
type RemoveRows struct {
	Table string
	Keys  [][]byte
}

func (m *RemoveRows) fields(c *Codec) {
	c.text(1, &m.Table)
	c.blobs(2, &m.Keys)
}

// FindRows reads rows by primary key; the result is Rows.
type FindRows struct {
	Table string
	Keys  [][]byte
}

func (m *FindRows) fields(c *Codec) {
	c.text(1, &m.Table)
	c.blobs(2, &m.Keys)
}

// Rows are JSON objects, an empty one for a row that is not there.
type Rows struct{ Rows [][]byte }

func (m *Rows) fields(c *Codec) { c.blobs(1, &m.Rows) }

// FindAllRows reads a table a page at a time; the result is Page.
type FindAllRows struct {
	Table string
	Limit uint32
	After []byte
}

func (m *FindAllRows) fields(c *Codec) {
	c.text(1, &m.Table)
	number(c, 2, &m.Limit)
	c.bytes(3, &m.After)
}

// NamedQuery runs a declared query; the result is Page.
type NamedQuery struct {
	Query      string
	Parameters []byte
	Limit      uint32
	After      []byte
	Offset     uint64
}

func (m *NamedQuery) fields(c *Codec) {
	c.text(1, &m.Query)
	c.bytes(2, &m.Parameters)
	number(c, 3, &m.Limit)
	c.bytes(4, &m.After)
	number(c, 5, &m.Offset)
}

// Page is a part of a result.
type Page struct {
	Rows [][]byte
	Next []byte
}

func (m *Page) fields(c *Codec) {
	c.blobs(1, &m.Rows)
	c.bytes(2, &m.Next)
}

// LookupMembers finds members of the flow's group; the result is Members.
type LookupMembers struct {
	Names      []string
	PublicKeys [][]byte
}

func (m *LookupMembers) fields(c *Codec) {
	c.texts(1, &m.Names)
	c.blobs(2, &m.PublicKeys)
}

// Members is the result of LookupMembers.
type Members struct{ Members []Member }

func (m *Members) fields(c *Codec) { many(c, 1, &m.Members) }

// Member is what the group knows of one member.
type Member struct {
	X500Name, GroupID, Status string
	Serial                    uint64
	LedgerKeys                [][]byte
	Context                   []Property
}

func (m *Member) fields(c *Codec) {
	c.text(1, &m.X500Name)
	c.text(2, &m.GroupID)
	c.text(3, &m.Status)
	number(c, 4, &m.Serial)
	c.blobs(5, &m.LedgerKeys)
	many(c, 6, &m.Context)
}

// EmitMessage writes a record to an external channel.
type EmitMessage struct {
	Channel    string
	Key, Value []byte
	Headers    []Property
}

func (m *EmitMessage) fields(c *Codec) {
	c.text(1, &m.Channel)
	c.bytes(2, &m.Key)
	c.bytes(3, &m.Value)
	many(c, 4, &m.Headers)
}
