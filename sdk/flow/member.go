package flow

import "github.com/fairleadio/fairlead/sdk/internal/wire"

// Member is what the group knows of one of its members.
type Member struct {
	X500Name string
	GroupID  string
	// Status is ACTIVE, SUSPENDED or PENDING.
	Status string
	// Serial counts the versions of what is known.
	Serial uint64
	// LedgerKeys are the keys that the member signs with, its current one first.
	LedgerKeys []PublicKey
	// Context holds what the member registered, by Corda's names ("corda.…", "ext.…").
	Context map[string]string
}

// Members are the active members of the flow's group, in the order of their names. The flow's own is
// ctx.Member(ctx.Identity().X500Name).
func (c *Context) Members() ([]Member, error) { return do(c, MembersCall()) }

// MembersCall is [Context.Members] as a call. With names it finds those members and leaves out who is not there.
func MembersCall(names ...string) *Pending[[]Member] {
	return lookUp(&wire.LookupMembers{Names: names})
}

// Member finds an active member by X.500 name, attributes in any order. The error is "not-found" when there is none.
func (c *Context) Member(name string) (Member, error) {
	return only(do(c, MembersCall(name)))(name)
}

// MemberByKey finds the active member that a ledger or session key belongs to. The error is "not-found" when there is
// none.
func (c *Context) MemberByKey(key PublicKey) (Member, error) {
	return only(do(c, MembersByKeyCall(key)))("that has the key")
}

// MembersByKeyCall finds the active members that have one of the keys.
func MembersByKeyCall(keys ...PublicKey) *Pending[[]Member] {
	return lookUp(&wire.LookupMembers{PublicKeys: keyBytes(keys)})
}

func lookUp(o *wire.LookupMembers) *Pending[[]Member] {
	return pending(o, func(_ *Context, result []byte, into *[]Member) error {
		var r wire.Members
		if err := receive(result, &r); err != nil {
			return err
		}
		for _, m := range r.Members {
			*into = append(*into, Member{
				X500Name: m.X500Name, GroupID: m.GroupID, Status: m.Status, Serial: m.Serial,
				LedgerKeys: publicKeys(m.LedgerKeys), Context: propertyMap(m.Context),
			})
		}
		return nil
	})
}

func only(all []Member, err error) func(what string) (Member, error) {
	return func(what string) (Member, error) {
		switch {
		case err != nil:
			return Member{}, err
		case len(all) == 0:
			return Member{}, Errorf(ErrNotFound.Type, "the group has no active member %s", what)
		}
		return all[0], nil
	}
}
