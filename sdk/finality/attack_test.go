package finality

import (
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// What goes wrong on purpose: the attackers' flows are ordinary flows that say what they like.
func registerAttackers() {
	for name, f := range map[string]func(*attacker) error{
		"forged": forgedSignature, "other": otherTransaction, "unasked": unaskedKey, "garbage": garbage, "curious": curious, "greedy": greedy, "replay": replayed, "flood": flood, "thief": thief,
	} {
		flow.Responder("bad-"+name, func(ctx *flow.Context, s *flow.Session) error {
			m, err := (&attacker{ctx: ctx, s: s}).next()
			if err != nil {
				return err
			}
			a := &attacker{ctx: ctx, s: s, tx: m.transactions[0].tx}
			return f(a)
		})
	}
	flow.Register("attack", attack)
	for _, how := range []string{"nonsense", "another", "foreign", "old", "signature", "silent"} {
		flow.Responder("bad-notary-"+how, func(ctx *flow.Context, s *flow.Session) error { return falseNotary(ctx, s, how) })
	}
}

type attacker struct {
	ctx *flow.Context
	s   *flow.Session
	tx  *ledger.Transaction
}

func (a *attacker) next() (message, error) {
	b, err := a.s.ReceiveBytes()
	if err != nil {
		return message{}, err
	}
	return decodeMessage(b)
}

func (a *attacker) say(m message) error { return a.s.SendBytes(m.encode()) }

func (a *attacker) mine() (ledger.PublicKey, error) {
	keys, err := a.ctx.Keys("LEDGER")
	return ledger.PublicKey(keys[0].PublicKey), err
}

// sign signs a transaction with the attacker's key and says it is one of the proposed.
func (a *attacker) sign(id ledger.Hash) error {
	key, err := a.mine()
	if err != nil {
		return err
	}
	sigs, err := vault.Sign(a.ctx, key, id)
	if err != nil {
		return err
	}
	return a.say(message{kind: signed, id: a.tx.ID(), signatures: sigs})
}

func forgedSignature(a *attacker) error {
	key, err := a.mine()
	if err != nil {
		return err
	}
	m := ledger.SignatureMetadata{TimeUs: 1, Scheme: "EdDSA", KeyID: ledger.KeyID(key), PlatformVersion: 1}
	return a.say(message{kind: signed, id: a.tx.ID(), signatures: []ledger.Signature{{By: key, Bytes: make([]byte, 64), Metadata: m}}})
}

func otherTransaction(a *attacker) error { return a.sign(ledger.Hash{1}) }
func unaskedKey(a *attacker) error       { return a.sign(a.tx.ID()) }
func garbage(a *attacker) error          { return a.s.SendBytes([]byte("\x08\x01\x10\x04garbage")) }

// curious asks for a transaction of Alice's that has nothing to do with this one.
func curious(a *attacker) error {
	secret, err := ledger.ParseHash(a.tx.Content().Commands[0].Type)
	if err != nil {
		return err
	}
	if err := a.say(message{kind: wanted, id: a.tx.ID(), ids: []ledger.Hash{secret}}); err != nil {
		return err
	}
	m, err := a.next()
	if err != nil {
		return fmt.Errorf("Alice's answer: %w", err)
	}
	if m.kind != failure {
		return fmt.Errorf("Alice gave %v", m.kind)
	}
	return nil
}

// greedy asks for the same again and again.
func greedy(a *attacker) error {
	for range 3 {
		if err := a.say(message{kind: wanted, id: a.tx.ID(), ids: a.tx.Dependencies()}); err != nil {
			return err
		}
		if m, err := a.next(); err != nil || m.kind != given {
			return err
		}
	}
	return nil
}

// replayed answers with what Bob signed for another transaction, its id and all.
func replayed(a *attacker) error {
	key, err := a.mine()
	if err != nil {
		return err
	}
	sigs, err := vault.Sign(a.ctx, key, ledger.Hash{7})
	if err != nil {
		return err
	}
	return a.say(message{kind: signed, id: ledger.Hash{7}, signatures: sigs})
}

// flood sends a message that is larger than any.
func flood(a *attacker) error { return a.s.SendBytes(make([]byte, maxMessage+1)) }

func TestFalseResponders(t *testing.T) {
	for _, c := range []struct{ how, text string }{
		{"forged", "a signature that is not one of transaction"},
		{"other", "a signature that is not one of transaction"},
		{"unasked", "which need not sign"},
		{"garbage", "not canonical"},
		{"curious", "which this one does not come from"},
		{"greedy", "or which it has had"},
		{"replay", "about transaction 07"},
		{"flood", "has more than 8388608 bytes"},
	} {
		t.Run(c.how, func(t *testing.T) {
			w := newWorld(t)
			a, secret := w.issue(w.alice, 10), w.issue(w.alice, 99)
			in := payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, Protocol: "bad-" + c.how}
			if c.how != "unasked" {
				in.Cosigners = []string{bobName}
			}
			if c.how == "curious" {
				in.Command = secret
			}
			id, err := w.pay(w.alice, in)
			// It was sent what it may have notarised, whatever it answers.
			if err == nil || err.Type != ErrUnknown.Type || !strings.Contains(err.Message, c.text) || !strings.Contains(err.Message, "may become final until") {
				t.Errorf("%v", err)
			}
			w.want(id, "unverified", w.alice)
			w.want(id, "", w.bob)
			if len(w.notary.Flows()) != 2 {
				t.Errorf("the notary was asked")
			}
			for _, f := range w.bob.Flows() {
				if o := f.Wait(); c.how == "curious" && o.Err != nil {
					t.Error(o.Err)
				}
			}
		})
	}
}

// thief has what it refuses notarised: it has all signatures.
func thief(a *attacker) error {
	q, err := ask(a.tx, notary.Write)
	if err != nil {
		return err
	}
	if _, err := (Options{}).notarise(a.ctx, service{member: notaryName, protocol: notary.Protocol}, q, nil, nil); err != nil {
		return err
	}
	return a.say(message{kind: failure, id: a.tx.ID(), class: classFatal, reason: "no, thanks"})
}

// A refusal by a party does not read as if the transaction could not become final.
func TestRefusedAndNotarised(t *testing.T) {
	w := newWorld(t)
	a := w.issue(w.alice, 10)
	id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, Protocol: "bad-thief"})
	if err == nil || err.Type != ErrRefused.Type || !strings.Contains(err.Message, "no, thanks; the transaction may become final until ") {
		t.Errorf("%v", err)
	}
	w.want(id, "unverified", w.alice)
	w.repair(w.alice)
	w.want(id, "verified", w.alice)
}

// attacked is the argument of flow attack.
type attacked struct {
	Pay payment
	How string
}

// attack proposes and then says something else than it should.
func attack(ctx *flow.Context, in attacked) (string, error) {
	tx, own, sessions, err := begin(ctx, in.Pay)
	if err != nil {
		return "", err
	}
	a := &attacker{ctx: ctx, s: sessions[0], tx: tx}
	p := message{kind: proposal, id: tx.ID(), transactions: []signedTransaction{{tx, own}}}
	switch in.How {
	case "unsigned":
		p.transactions[0].signatures = nil
	case "forged":
		own[0].Bytes = append([]byte{1}, own[0].Bytes[1:]...)
	case "stranger":
		der, _ := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public())
		own[0].By, own[0].Metadata.KeyID = der, ledger.KeyID(der)
	case "twice":
		p.transactions[0].signatures = append(own, own...)
	case "huge":
		if err := a.s.SendBytes(make([]byte, maxMessage+1)); err != nil {
			return "", err
		}
		_, err := a.s.ReceiveBytes()
		return "", err
	}
	if how, brings := strings.CutPrefix(in.How, "brings-"); brings {
		m, err := a.chain(attacked{in.Pay, "chain-" + how}, tx.Dependencies(), 0)
		if err != nil {
			return "", err
		}
		p.sources = m.transactions
	}
	if err := a.say(p); err != nil {
		return "", err
	}
	m, err := a.next()
	for step := 0; err == nil; step++ {
		switch {
		case m.kind == failure:
			return fmt.Sprintf("%d %s", m.class, m.reason), nil
		case m.kind == wanted:
			var g message
			if g, err = a.chain(in, m.ids, step); err != nil {
				return "", err
			}
			if err = a.say(g); err == nil {
				m, err = a.next()
			}
		case m.kind == signed:
			if err = a.after(in); err == nil {
				err = a.s.Close()
			}
			return "", err
		}
	}
	return "", err
}

// chain gives what was asked for, as the attack has it.
func (a *attacker) chain(in attacked, ids []ledger.Hash, step int) (message, error) {
	m := message{kind: given, id: a.tx.ID()}
	for _, id := range ids {
		found, err := vault.Find(a.ctx, id)
		if err != nil {
			return m, err
		}
		t := signedTransaction{found.Transaction, found.Signatures}
		switch in.How {
		case "chain-unnotarised":
			t.signatures = t.signatures[:1]
		case "chain-unsigned":
			t.signatures = t.signatures[1:]
		case "chain-other":
			other, _, err := build(a.ctx, in.Pay)
			if err != nil {
				return m, err
			}
			t.tx = other
		case "chain-more":
			m.transactions = append(m.transactions, t)
		}
		m.transactions = append(m.transactions, t)
	}
	return m, nil
}

// after is what comes when the other side has signed.
func (a *attacker) after(in attacked) error {
	key, err := a.mine()
	if err != nil {
		return err
	}
	sigs, err := vault.Sign(a.ctx, key, a.tx.ID())
	if err != nil {
		return err
	}
	switch in.How {
	case "another":
		other, own, _, err := begin(a.ctx, in.Pay)
		if err != nil {
			return err
		}
		return a.say(message{kind: proposal, id: other.ID(), transactions: []signedTransaction{{other, own}}})
	case "final-own-key":
		return a.say(message{kind: final, id: a.tx.ID(), signatures: sigs})
	case "final-other":
		q, err := ask(a.tx, notary.Write)
		if err != nil {
			return err
		}
		_ = q
		return a.say(message{kind: final, id: ledger.Hash{1}, signatures: sigs})
	case "liar": // has it notarised, and says that it was refused
		q, err := ask(a.tx, notary.Write)
		if err != nil {
			return err
		}
		if _, err := (Options{}).notarise(a.ctx, service{member: notaryName, protocol: notary.Protocol}, q, nil, nil); err != nil {
			return err
		}
		return a.say(message{kind: failure, id: a.tx.ID(), class: classFatal, reason: "refused"})
	case "mute": // has it notarised, and says nothing
		q, err := ask(a.tx, notary.Write)
		if err != nil {
			return err
		}
		_, err = (Options{}).notarise(a.ctx, service{member: notaryName, protocol: notary.Protocol}, q, nil, nil)
		return err
	case "gloomy": // does not have it notarised, and says that it was refused
		return a.say(message{kind: failure, id: a.tx.ID(), class: classFatal, reason: "refused"})
	}
	return nil
}

func TestFalseInitiators(t *testing.T) {
	for _, c := range []struct{ how, text, status string }{
		{"unsigned", "has not signed transaction", ""},
		{"forged", "a signature that is not one of transaction", ""},
		{"stranger", "which need not sign", ""},
		{"huge", "has more than 8388608 bytes", ""},
		{"unstorable", "a vault stores at most", ""}, // once it is signed by all
		{"chain-unnotarised", "without its notary's signature", ""},
		{"chain-unsigned", "lacks the signatures", ""},
		{"chain-other", "was asked for", ""},
		{"chain-more", "gave 2 transactions, 1 were asked for", ""},
		{"brings-unnotarised", "without its notary's signature", ""},
		{"brings-unsigned", "lacks the signatures", ""},
		{"brings-other", "does not depend", ""},
		{"another", "sent a proposal", "unverified"},
		{"final-own-key", "its notary O=Notary, L=London, C=GB has key", "unverified"},
		{"final-other", "about transaction 01", "unverified"},
		{"liar", "", "verified"},
		{"gloomy", "refused", "unverified"},
	} {
		t.Run(c.how, func(t *testing.T) {
			w := newWorld(t)
			a := w.issue(w.alice, 10)
			pay := payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}}
			if c.how == "unstorable" {
				pay.Filler = 454_000
			}
			o := w.alice.Start("attack", attacked{pay, c.how}).Wait()
			w.net.Settle()
			bob := w.bob.Flows()[0].Wait()
			if c.text == "" && bob.Err != nil || c.text != "" && (bob.Err == nil || !strings.Contains(bob.Err.Message, c.text)) {
				t.Errorf("Bob's flow ended with %v, Alice's with %v %s", bob.Err, o.Err, o.JSON)
			}
			if c.status == "unverified" && bob.Err.Type != ErrUnknown.Type {
				t.Errorf("what may still become final is %s, which an application takes for its end", bob.Err.Type)
			}
			w.want(idOf(o), c.status, w.bob)
			for _, l := range o.Log { // what else was built
				if m := built.FindStringSubmatch(l); m != nil && m[1] != idOf(o) {
					w.want(m[1], "", w.bob)
				}
			}
			if strings.HasPrefix(c.how, "chain") || strings.HasPrefix(c.how, "brings") {
				w.want(a, "", w.bob)
			}
		})
	}
}

// falseNotary has a key that counts, and answers wrongly.
func falseNotary(ctx *flow.Context, s *flow.Session, how string) error {
	b, err := s.ReceiveBytes()
	if err != nil {
		return err
	}
	r, err := notary.DecodeRequest(b)
	if err != nil {
		return err
	}
	keys, err := ctx.Keys("")
	if err != nil {
		return err
	}
	id, by := r.Filtered.ID(), keys[1]
	switch how {
	case "nonsense":
		return s.SendBytes([]byte{1, 2, 3})
	case "silent":
		return nil
	case "foreign":
		by = keys[0] // its ledger key
	case "old", "signature":
		id = ledger.Hash{9}
	}
	sigs, err := vault.Sign(ctx, by.PublicKey, id)
	if err != nil {
		return err
	}
	if how == "signature" || how == "foreign" {
		id = r.Filtered.ID()
	}
	if how == "another" {
		id = ledger.Hash{9}
	}
	return s.SendBytes(notary.Answer{Transaction: id, Class: notary.Signed, Signature: sigs[0], Result: flow.Accepted}.Encode())
}

func TestFalseNotaries(t *testing.T) {
	for how, text := range map[string]string{
		"nonsense": "cannot be read", "silent": "did not answer", "foreign": "has key", "old": "it is about transaction 09", "another": "it is about transaction 09", "signature": "signature",
	} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			w.notary.Publish(notary.PropertyProtocol, "bad-notary-"+how)
			id, err := w.pay(w.alice, payment{Command: "issue", Outputs: []output{{bobName, 10}}})
			if err == nil || err.Type != ErrUnknown.Type || how != "nonsense" && !strings.Contains(err.Message, text) {
				t.Errorf("%v", err)
			}
			w.want(id, "unverified", w.alice, w.bob)
		})
	}
}
