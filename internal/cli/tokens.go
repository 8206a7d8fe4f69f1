package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

func newTokensCommand(g *Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tokens", Short: "Look at what members have, and at tokens that flows keep for themselves", Args: cobra.NoArgs,
		Long: `MEMBER is a virtual node: its short hash, its X.500 name, or the name's O alone when only one has it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokensBalanceCommand(g), newTokensClaimsCommand(g), newTokensReleaseCommand(g))
	return cmd
}

// tokenBalance is what a member has of one kind, as flow tokens-balance says it.
type tokenBalance struct {
	// Issuer is the X.500 name of who stands for the tokens, empty when no member has the key; Key is the key's hash.
	Issuer string `json:"issuer,omitempty"`
	Key    string `json:"key"`
	Symbol string `json:"symbol"`
	Amount string `json:"amount"`
	// Tokens is how many states that is.
	Tokens int `json:"tokens"`
	// Notary is whose states they are; empty from an application of before balances were told by notary.
	Notary string `json:"notary,omitempty"`
}

func newTokensBalanceCommand(g *Globals) *cobra.Command {
	var symbol string
	cmd := &cobra.Command{
		Use: "balance MEMBER", Short: "Show what a member has, by issuer, symbol and notary", Args: cobra.ExactArgs(1),
		Long: `Starts flow tokens-balance of the application apps/tokens on the member's virtual node and waits for it: the flow reads the
member's own vault, through REST. Tokens that a flow has claimed count, until they are spent.`,
		Example: "  fairlead tokens balance Alice --symbol USD",
		RunE: func(cmd *cobra.Command, args []string) error {
			argument, err := json.Marshal(map[string]string{"symbol": symbol})
			if err != nil {
				return fmt.Errorf("encode the argument: %w", err)
			}
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				vnode, err := findVNode(ctx, c, args[0])
				if err != nil {
					return err
				}
				raw, err := g.runFlow(ctx, cmd, c, vnode, "tokens-balance", argument)
				if err != nil {
					return err
				}
				var held []tokenBalance
				if err := json.Unmarshal(raw, &held); err != nil {
					return fmt.Errorf("flow tokens-balance does not answer as that of apps/tokens does: %w", err)
				}
				return g.show(raw, func() error { return g.showBalance(vnode, symbol, held) })
			})
		},
	}
	cmd.Flags().StringVar(&symbol, "symbol", "", "only tokens of this `symbol`")
	return cmd
}

func (g *Globals) showBalance(vnode virtualNode, symbol string, held []tokenBalance) error {
	if len(held) == 0 {
		of := ""
		if symbol != "" {
			of = " of symbol " + inertLine(symbol)
		}
		_, err := fmt.Fprintf(g.Out, "%s has no tokens%s\n", vnode.X500Name, of)
		return err
	}
	var rows [][]string
	several := false
	for _, h := range held {
		issuer := h.Issuer
		if issuer == "" {
			issuer = "key " + h.Key
		}
		rows = append(rows, []string{h.Amount, h.Symbol, strconv.Itoa(h.Tokens), issuer, h.Notary})
		several = several || h.Notary != held[0].Notary
	}
	headings := []string{"AMOUNT", "SYMBOL", "TOKENS", "ISSUER", "NOTARY"}
	if !several { // it says nothing then
		headings = headings[:4]
		for i := range rows {
			rows[i] = rows[i][:4]
		}
	}
	return g.printTable(headings, rows)
}

// idNotStartable is REST's stable id for a flow class that the virtual node does not have.
const idNotStartable = "FL-REST-014"

// runFlow starts a flow under an id of its own, waits for it and returns its result.
func (g *Globals) runFlow(ctx context.Context, cmd *cobra.Command, c *restClient, vnode virtualNode, class string, argument json.RawMessage) (json.RawMessage, error) {
	s, err := c.startFlow(ctx, vnode, class+"-"+strings.ToLower(rand.Text()[:10]), class, argument)
	if refusedAs(err) == idNotStartable {
		return nil, &codedError{ExitNotFound, fmt.Errorf("the application of %s has no flow %s: this command is for virtual nodes with apps/tokens, of a version that has it", vnode.X500Name, class)}
	}
	if refusedAs(err) == idNotOperational {
		return nil, fmt.Errorf("%s is in maintenance, so its flows do not start (`fairlead vnode state %s active` ends that): %w", vnode.X500Name, vnode.ShortHash, err)
	}
	if err != nil {
		return nil, err
	}
	if s, err = g.awaitFlow(cmd, c, s); err != nil {
		return nil, err
	}
	if err := errFlowFailed(s); err != nil {
		if s.FlowError != nil {
			return nil, fmt.Errorf("%w: %s: %s", err, s.FlowError.Type, s.FlowError.Message)
		}
		return nil, err
	}
	return s.JSON, nil
}

// tokenClaim is a claim as tokens claims shows it.
type tokenClaim struct {
	Claim  string    `json:"claim"`
	FlowID string    `json:"flowId"`
	MadeAt time.Time `json:"madeAt"`
	EndsAt time.Time `json:"endsAt"`
	// Tokens is how many it keeps that are not spent.
	Tokens int `json:"tokens"`
	// What follows is the tenant's, and shown with --reveal alone.
	Symbol string `json:"symbol,omitempty"`
	Amount string `json:"amount,omitempty"`
}

func newTokensClaimsCommand(g *Globals) *cobra.Command {
	var reveal bool
	cmd := &cobra.Command{
		Use: "claims MEMBER", Short: "Show which flows keep a member's tokens for themselves, and until when", Args: cobra.ExactArgs(1),
		Long: `Reads the store of the tokens worker, with read-only access to Kafka. A claim ends when its flow releases it or ends, and at
the time that is shown; fairlead tokens release FLOW ends it now, and fairlead flow kill FLOW ends its flow, too. How much it is worth is the tenant's: --reveal shows it, which is
written to the audit topic.`,
		Example: "  fairlead tokens claims Alice",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				vnode, err := findVNode(ctx, c, args[0])
				if err != nil {
					return err
				}
				claims, err := g.tokenClaims(ctx, vnode, reveal)
				if err != nil {
					return err
				}
				return g.showClaims(vnode, claims, reveal)
			})
		},
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show symbols and amounts, which are the tenant's; this is audited")
	return cmd
}

// newTokensReleaseCommand ends the claims of a flow that does not.
func newTokensReleaseCommand(g *Globals) *cobra.Command {
	cmd := newFlowSteerCommand(g, "release-tokens", "End the claims of a flow, so that other flows get the tokens",
		`For a flow that keeps tokens and does not go on, as fairlead tokens claims shows; ID is its flow id or client request id. The flow
is not ended (fairlead flow kill does that, and ends its claims). Should it spend the tokens after all, the notary decides who
was first.`)
	cmd.Use = "release [VNODE] ID"
	return cmd
}

// tokenClaims reads the live claims of a virtual node, the oldest first.
func (g *Globals) tokenClaims(ctx context.Context, vnode virtualNode, reveal bool) ([]tokenClaim, error) {
	admin, _, err := g.Kafka(ctx)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	store, table := topics.StoreTopic(topics.TokensGroup, topics.TokensKnownStore), topics.TableTopic(topics.TokensGroup)
	if reveal {
		v, err := newViewer(admin, true)
		if err != nil {
			return nil, err
		}
		if err := g.auditReveal(ctx, v, []string{store, table}, "tokens claims "+vnode.ShortHash); err != nil {
			return nil, err
		}
	}
	claims := map[string]*tokensv1.Claim{}
	prefix := "c" + vnode.ShortHash + "/"
	err = admin.Read(ctx, kafkaadmin.Range{Topics: []string{store}}, func(r kafkaadmin.Record) error {
		key, mine := strings.CutPrefix(string(r.Key), prefix)
		if !mine {
			return nil
		}
		delete(claims, key)
		if r.Value == nil {
			return nil
		}
		m := &tokensv1.Claim{}
		if err := proto.Unmarshal(r.Value, m); err != nil {
			return fmt.Errorf("row %s of %s is no claim: %w", keyText(r.Key), store, err)
		}
		claims[key] = m
		return nil
	})
	if err != nil {
		return nil, err
	}
	symbols := map[string]string{}
	if reveal {
		if symbols, err = poolSymbols(ctx, admin, table, vnode.ShortHash+"/"); err != nil {
			return nil, err
		}
	}
	out := []tokenClaim{}
	for key, m := range claims {
		c := tokenClaim{Claim: m.GetClaimId(), FlowID: m.GetFlowId(), MadeAt: time.UnixMicro(m.GetCreatedAtUs()).UTC(), EndsAt: time.UnixMicro(m.GetExpiresAtUs()).UTC()}
		if !c.EndsAt.After(g.now()) {
			continue // nobody is kept from these tokens any more
		}
		sum := new(big.Rat)
		for _, t := range m.GetTokens() {
			if t.GetGone() {
				continue
			}
			c.Tokens++
			if t.GetAmount() == "" { // a state that was kept before it was made
				continue
			}
			amount, ok := new(big.Rat).SetString(t.GetAmount())
			if !ok {
				return nil, errors.New("a claimed token has no amount that can be read")
			}
			sum.Add(sum, amount)
		}
		if reveal {
			pool, _, _ := strings.Cut(key, "/")
			c.Symbol, c.Amount = symbols[pool], decimal(sum)
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b tokenClaim) int {
		if n := a.MadeAt.Compare(b.MadeAt); n != 0 {
			return n
		}
		return strings.Compare(a.Claim, b.Claim)
	})
	return out, nil
}

// poolSymbols reads the symbols of a virtual node's pools, by the part of their keys that follows prefix.
func poolSymbols(ctx context.Context, admin *kafkaadmin.Admin, table, prefix string) (map[string]string, error) {
	out := map[string]string{}
	err := admin.Read(ctx, kafkaadmin.Range{Topics: []string{table}}, func(r kafkaadmin.Record) error {
		key, mine := strings.CutPrefix(string(r.Key), prefix)
		if !mine || r.Value == nil {
			return nil
		}
		p := &tokensv1.Pool{}
		if err := proto.Unmarshal(r.Value, p); err != nil {
			return fmt.Errorf("row %s of %s is no pool: %w", keyText(r.Key), table, err)
		}
		out[key] = p.GetPool().GetSymbol()
		return nil
	})
	return out, err
}

// decimal writes a sum of decimal numbers, which has an end.
func decimal(r *big.Rat) string {
	digits, exact := r.FloatPrec()
	if !exact {
		return r.RatString()
	}
	return r.FloatString(digits)
}

func (g *Globals) showClaims(vnode virtualNode, claims []tokenClaim, reveal bool) error {
	if g.Output == "json" {
		return g.printJSON(claims)
	}
	if len(claims) == 0 {
		_, err := fmt.Fprintf(g.Out, "no flow of %s keeps tokens for itself\n", vnode.X500Name)
		return err
	}
	head := []string{"CLAIM", "FLOW", "MADE", "ENDS", "TOKENS"}
	if reveal {
		head = append(head, "AMOUNT", "SYMBOL")
	}
	var rows [][]string
	for _, c := range claims {
		row := []string{c.Claim, c.FlowID, localTime(c.MadeAt), localTime(c.EndsAt), strconv.Itoa(c.Tokens)}
		if reveal {
			row = append(row, c.Amount, c.Symbol)
		}
		rows = append(rows, row)
	}
	return g.printTable(head, rows)
}
