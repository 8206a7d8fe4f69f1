package cli

import (
	"strings"
	"unicode"

	"github.com/fairleadio/fairlead/internal/devenv"
)

// devNext are commands to go on with when a cluster is ready, for this program under the name me.
func devNext(i devenv.Info, me string) []string {
	if len(i.Flows) == 0 || i.API == "" {
		return nil
	}
	if next := nextPayments(i, me); next != nil {
		return next
	}
	start := "CLASS '{…}'  # its argument"
	if i.App == "hello" {
		start = `hello '{"name":"World"}' --wait --id first`
	}
	who := shellName(i.VirtualNodes[0].Name)
	return []string{me + " flow start " + who + " " + start, me + " flow list " + who, me + " trace ID"}
}

// nextPayments are the commands of a network where tokens can be issued and paid: the last member with that application
// issues to the first, who pays the second. None for other networks.
func nextPayments(i devenv.Info, me string) []string {
	var members []devenv.VirtualNode
	notary := false
	for _, v := range i.VirtualNodes {
		if v.App == "tokens" && !v.Notary {
			members = append(members, v)
		}
		notary = notary || v.Notary
	}
	if len(members) < 3 || !notary {
		return nil
	}
	payer, payee, issuer := members[0], members[1], members[len(members)-1]
	return []string{
		me + " flow start " + shellName(issuer.Name) + ` tokens-issue '{"to":"` + payer.X500Name + `","symbol":"USD","amount":"100"}' --wait`,
		me + " flow start " + shellName(payer.Name) + ` tokens-pay '{"to":"` + payee.X500Name + `","issuer":"` + issuer.X500Name + `","symbol":"USD","amount":"30.50"}' --wait --id pay1`,
		me + " tokens balance " + shellName(payer.Name),
		me + " trace pay1",
	}
}

// shellName is a name as a shell takes it.
func shellName(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return "'" + name + "'"
	}
	return name
}
