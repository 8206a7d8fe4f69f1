package structure

import (
	"fmt"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Facts are what the rules look at: what a transaction says, and the states of its inputs and references.
type Facts struct {
	ledger.Content
	// Consumed are the states of the inputs, Seen those of the references.
	Consumed, Seen []ledger.StateAndRef
}

// Of are the facts of a resolved transaction.
func Of(r *ledger.Resolved) Facts {
	return Facts{Content: r.Transaction().Content(), Consumed: r.Inputs(), Seen: r.References()}
}

// Failure is a rule that is not kept.
type Failure struct {
	Rule Rule
	// Component is the part that is wrong, such as "input 1"; empty for the whole.
	Component string
	// Message says what is wrong.
	Message string
}

// Rule names a rule.
type Rule string

// The rules, in the order in which they are looked at.
const (
	// LedgerVersion: the ledger's rules that the transaction names are known.
	LedgerVersion Rule = "ledger-version"
	// Signatories: somebody must sign.
	Signatories Rule = "signatories"
	// States: something is consumed or made.
	States Rule = "states"
	// InputsOnce: no state is consumed twice.
	InputsOnce Rule = "inputs-once"
	// ReferencesOnce: no state is looked at twice.
	ReferencesOnce Rule = "references-once"
	// Apart: no state is both consumed and looked at.
	Apart Rule = "apart"
	// Commands: something is said to be done.
	Commands Rule = "commands"
	// OneNotary: what is consumed and looked at has the transaction's notary.
	OneNotary Rule = "one-notary"
	// Encumbrance: states that are tied together are made, and consumed, together.
	Encumbrance Rule = "encumbrance"
)

// Rules are all rules in their order.
func Rules() []Rule {
	var out []Rule
	for _, r := range rules() {
		out = append(out, r.name)
	}
	return out
}

// Check tells what is against a transaction: every rule that is not kept, in the order of the rules.
func Check(f Facts) []Failure {
	var out []Failure
	for _, r := range rules() {
		r.check(f, func(component, format string, args ...any) {
			out = append(out, Failure{r.name, component, fmt.Sprintf(format, args...)})
		})
	}
	return out
}

// tell takes what is wrong.
type tell func(component, format string, args ...any)

type rule struct {
	name  Rule
	check func(Facts, tell)
}

func rules() []rule {
	return []rule{
		{LedgerVersion, ledgerVersion},
		{Signatories, signatories},
		{States, states},
		{InputsOnce, func(f Facts, tell tell) { once("input", f.Inputs, tell) }},
		{ReferencesOnce, func(f Facts, tell tell) { once("reference", f.References, tell) }},
		{Apart, apart},
		{Commands, commands},
		{OneNotary, oneNotary},
		{Encumbrance, encumbrance},
	}
}

func ledgerVersion(f Facts, tell tell) {
	if v := f.Metadata.LedgerVersion; v != ledger.Version {
		tell("metadata", "ledger version %d is not known here, %d is", v, ledger.Version)
	}
}

func signatories(f Facts, tell tell) {
	if len(f.Content.Signatories) == 0 {
		tell("", "it has no signatory")
	}
}

func states(f Facts, tell tell) {
	if len(f.Inputs)+len(f.Outputs) == 0 {
		tell("", "it has no input and no output")
	}
}

func once(what string, refs []ledger.StateRef, tell tell) {
	first := map[ledger.StateRef]int{}
	for i, r := range refs {
		if before, is := first[r]; is {
			tell(at(what, i), "state %s is %s already", r, at(what, before))
			continue
		}
		first[r] = i
	}
}

func apart(f Facts, tell tell) {
	inputs := map[ledger.StateRef]int{}
	for i, r := range f.Inputs {
		inputs[r] = i
	}
	for i, r := range f.References {
		if input, is := inputs[r]; is {
			tell(at("reference", i), "state %s is %s, and what is consumed cannot be looked at", r, at("input", input))
		}
	}
}

func commands(f Facts, tell tell) {
	if len(f.Content.Commands) == 0 {
		tell("", "it has no command")
	}
}

func oneNotary(f Facts, tell tell) {
	check := func(what string, all []ledger.StateAndRef) {
		for i, s := range all {
			if s.Notary.Name != f.Notary.Name {
				tell(at(what, i), "state %s has the notary %s, the transaction %s; move the state to that notary first", s.Ref, s.Notary.Name, f.Notary.Name)
			}
		}
	}
	check("input", f.Consumed)
	check("reference", f.Seen)
}

// encumbrance looks at what is made, then at what is consumed.
func encumbrance(f Facts, tell tell) {
	made := map[string]int{}
	for _, s := range f.Outputs {
		made[s.Encumbrance]++
	}
	for i, s := range f.Outputs {
		if s.Encumbrance != "" && made[s.Encumbrance] < 2 {
			tell(at("output", i), "it alone has the encumbrance %q, which ties two or more", s.Encumbrance)
		}
	}
	type tie struct {
		of  ledger.Hash
		tag string
	}
	together := map[tie]map[ledger.StateRef]bool{}
	for _, s := range f.Consumed {
		if s.State.Encumbrance == "" {
			continue
		}
		t := tie{s.Ref.Transaction, s.State.Encumbrance}
		if together[t] == nil {
			together[t] = map[ledger.StateRef]bool{}
		}
		together[t][s.Ref] = true // a state that is there twice is one of them
	}
	told := map[tie]bool{}
	for i, s := range f.Consumed {
		t := tie{s.Ref.Transaction, s.State.Encumbrance}
		if n := len(together[t]); t.tag != "" && n != s.Tied && !told[t] {
			told[t] = true
			tell(at("input", i), "encumbrance %q ties %d states of transaction %s, and %d are consumed; consume all of them or none", t.tag, s.Tied, t.of, n)
		}
	}
}

func at(what string, i int) string { return fmt.Sprintf("%s %d", what, i) }
