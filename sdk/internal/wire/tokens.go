package wire

func (*ClaimTokens) number() int    { return 50 }
func (*ClaimTokens) Name() string   { return "claim_tokens" }
func (*ReleaseTokens) number() int  { return 51 }
func (*ReleaseTokens) Name() string { return "release_tokens" }
func (*TokenBalance) number() int   { return 52 }
func (*TokenBalance) Name() string  { return "token_balance" }

// tokenOperation makes an operation of token selection, nil when there is none of the number.
func tokenOperation(number int) Operation {
	switch number {
	case 50:
		return &ClaimTokens{}
	case 51:
		return &ReleaseTokens{}
	case 52:
		return &TokenBalance{}
	}
	return nil
}

// TokenPool are the tokens of a virtual node that can stand for each other.
type TokenPool struct {
	Type, Symbol string
	Issuer       []byte
	Notary       string
}

func (m *TokenPool) fields(c *Codec) {
	c.text(1, &m.Type)
	c.text(2, &m.Symbol)
	c.bytes(3, &m.Issuer)
	c.text(4, &m.Notary)
}

// ClaimTokens takes tokens; the result is TokenClaim.
type ClaimTokens struct {
	Pool     *TokenPool
	Amount   string
	Owner    []byte
	TagRegex string
	Strategy int32
	// States are claimed instead of an amount.
	States []StateRef
}

func (m *ClaimTokens) fields(c *Codec) {
	one(c, 1, &m.Pool)
	c.text(2, &m.Amount)
	c.bytes(3, &m.Owner)
	c.text(4, &m.TagRegex)
	number(c, 5, &m.Strategy)
	many(c, 6, &m.States)
}

// TokenClaim is the result of ClaimTokens; without an id there were not enough tokens, or others have them.
type TokenClaim struct {
	ClaimID     string
	Tokens      []ClaimedToken
	Amount      string
	ExpiresAtUS int64
	Available   string
	Limited     bool
}

func (m *TokenClaim) fields(c *Codec) {
	c.text(1, &m.ClaimID)
	many(c, 2, &m.Tokens)
	c.text(3, &m.Amount)
	number(c, 4, &m.ExpiresAtUS)
	c.text(5, &m.Available)
	c.flag(6, &m.Limited)
}

// ClaimedToken is a token of a claim.
type ClaimedToken struct {
	Ref      *StateRef
	Amount   string
	Owner    []byte
	Tag      string
	Priority uint64
}

func (m *ClaimedToken) fields(c *Codec) {
	one(c, 1, &m.Ref)
	c.text(2, &m.Amount)
	c.bytes(3, &m.Owner)
	c.text(4, &m.Tag)
	number(c, 5, &m.Priority)
}

// ReleaseTokens ends a claim; the result is TokenRelease.
type ReleaseTokens struct {
	Pool    *TokenPool
	ClaimID string
	Used    []StateRef
}

func (m *ReleaseTokens) fields(c *Codec) {
	one(c, 1, &m.Pool)
	c.text(2, &m.ClaimID)
	many(c, 3, &m.Used)
}

// TokenRelease is the result of ReleaseTokens.
type TokenRelease struct{ Found bool }

func (m *TokenRelease) fields(c *Codec) { c.flag(1, &m.Found) }

// TokenBalance asks what tokens are worth; the result is TokenAmounts.
type TokenBalance struct {
	Pool     *TokenPool
	Owner    []byte
	TagRegex string
}

func (m *TokenBalance) fields(c *Codec) {
	one(c, 1, &m.Pool)
	c.bytes(2, &m.Owner)
	c.text(3, &m.TagRegex)
}

// TokenAmounts is the result of TokenBalance.
type TokenAmounts struct{ Total, Available string }

func (m *TokenAmounts) fields(c *Codec) {
	c.text(1, &m.Total)
	c.text(2, &m.Available)
}
