package tokens_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/processors/tokens"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

func TestClaims(t *testing.T) {
	s := newSite(t)
	s.mint(token(1, "5"), token(2, "3"), token(3, "0.5"))
	s.ask("a", claimOf("6"))
	if len(s.replies["a"]) != 0 || len(s.asked) != 1 {
		t.Fatalf("without tokens a claim asks the vault: %v %v", s.replies, s.asked)
	}
	s.ask("b", claimOf("0.25")) // waits for the same page
	if len(s.asked) != 1 {
		t.Errorf("%d queries for one selection", len(s.asked))
	}
	s.serve()
	first := s.answer("a")
	s.ask("a", claimOf("6"))
	if !proto.Equal(first, s.answer("a")) || s.notes[tokens.Repeated] != 1 {
		t.Errorf("the same claim gets another answer: %v, %v", first, s.answer("a"))
	}
	sum := new(big.Rat)
	for _, id := range []string{"a", "b"} {
		for _, x := range s.answer(id).GetTokens() {
			sum.Add(sum, amountOf(x.GetAmount()))
		}
	}
	if sum.Cmp(big.NewRat(17, 2)) > 0 {
		t.Errorf("more was claimed than there is: %s", sum)
	}
	s.ask("c", claimOf("100"))
	s.serve()
	if s.answer("c").GetClaimId() != "" {
		t.Error("more was claimed than there is")
	}
	s.ask("ra", releaseOf("a"))
	s.ask("rb", releaseOf("b"))
	s.ask("rx", releaseOf("unknown"))
	for id, found := range map[string]bool{"ra": true, "rb": true, "rx": false} {
		r := &appv1.TokenRelease{}
		if err := proto.Unmarshal(s.replies[id][0].GetResult(), r); err != nil || r.GetFound() != found {
			t.Errorf("release %s: %v %v", id, r, err)
		}
	}
	s.ask("d", claimOf("8.5"))
	s.want("d", "3 worth 8.5")
	s.ask("end", endOf("d"))
	if len(s.replies["end"]) != 0 || len(s.pool.Claims) != 0 {
		t.Error("a claim of a flow that ended is not released, or that is answered")
	}
}

func TestReleaseOfWaitingAndOfOthers(t *testing.T) {
	s := newSite(t)
	s.mint(token(1, "5"))
	s.ask("a", claimOf("5"))
	s.ask("end", endOf("a"))
	s.serve()
	if len(s.replies["a"]) != 0 || len(s.pool.Claims) != 0 {
		t.Error("a claim was made for a flow that has ended")
	}
	s.ask("b", claimOf("5"))
	s.want("b", "1 worth 5")
	other := releaseOf("b")
	other.FlowId = "99999999-2222-4333-8444-555555555555"
	s.ask("r", other)
	if len(s.pool.Claims) != 1 {
		t.Error("a flow released another's claim")
	}
}

func TestSelection(t *testing.T) {
	owner := slices.Repeat([]byte{1}, 32)
	s := newSite(t)
	s.mint(
		&tokensv1.Token{Ref: ref(1), Amount: "1", Tag: "gold", Priority: 2}, &tokensv1.Token{Ref: ref(2), Amount: "2", Tag: "silver", Priority: 1},
		&tokensv1.Token{Ref: ref(3), Amount: "4", Owner: owner}, &tokensv1.Token{Ref: ref(4), Amount: "8"},
	)
	priority := func(c *appv1.ClaimTokens) { c.Strategy = appv1.TokenStrategy_TOKEN_STRATEGY_PRIORITY }
	for i, c := range []struct {
		request *tokensv1.Request
		want    string
	}{
		{claimOf("1.5", priority), "1 worth 2"},
		{claimOf("2.5", priority), "2 worth 3"},
		{claimOf("1", func(c *appv1.ClaimTokens) { c.TagRegex = "^g" }), "1 worth 1"},
		{claimOf("1", func(c *appv1.ClaimTokens) { c.TagRegex = "il" }), "1 worth 2"},
		{claimOf("3.1", func(c *appv1.ClaimTokens) { c.TagRegex = "." }), "none, available 3"},
		{claimOf("4", func(c *appv1.ClaimTokens) { c.Owner = owner }), "1 worth 4"},
		{claimOf("4.1", func(c *appv1.ClaimTokens) { c.Owner = owner }), "none, available 4"},
		{claimOf("15"), "4 worth 15"},
	} {
		id := fmt.Sprint(i)
		s.ask(id, c.request)
		s.serve()
		s.want(id, c.want)
		s.ask("r"+id, releaseOf(id))
	}
	for i, r := range []*tokensv1.Request{
		claimOf("0"), claimOf("-1"), claimOf("1", func(c *appv1.ClaimTokens) { c.TagRegex = "(" }), claimOf("1", func(c *appv1.ClaimTokens) { c.Owner = []byte{1} }),
		claimOf("1", func(c *appv1.ClaimTokens) { c.Strategy = 9 }), claimOf("1", func(c *appv1.ClaimTokens) { c.TagRegex = string(make([]byte, 300)) }), {},
	} {
		id := fmt.Sprint("bad", i)
		s.ask(id, r)
		if s.replies[id][0].GetError().GetType() != "invalid-argument" {
			t.Errorf("%v is answered %v", r, s.replies[id])
		}
	}
}

func TestExpiry(t *testing.T) {
	s := newSite(t)
	s.mint(token(1, "5"))
	s.ask("a", claimOf("5"))
	s.serve()
	made := s.answer("a").GetExpiresAtUs() - s.rules.ClaimTimeoutUs
	if made < epoch || made > s.nowUs {
		t.Errorf("the claim's time does not begin with it: %d", made)
	}
	s.nowUs = s.answer("a").GetExpiresAtUs() - 2
	s.ask("b", claimOf("5"))
	s.serve()
	s.want("b", "none, available 0")
	s.nowUs += 10 * second
	s.step(tokens.Expired{NowUs: s.nowUs})
	if len(s.pool.Claims) != 0 {
		t.Error("the claim lives on")
	}
	s.ask("c", claimOf("5"))
	s.serve()
	s.want("c", "1 worth 5")
}

// After the database had too few, it is left alone for a while, which doubles; what was made meanwhile is found all the same.
func TestBackoff(t *testing.T) {
	s := newSite(t)
	s.mint(token(1, "5"))
	wait := s.rules.BackoffMinUs
	for n := range 10 {
		id := fmt.Sprint(n)
		s.ask(id, claimOf("9"))
		if len(s.asked) != 1 {
			t.Fatalf("try %d does not ask", n)
		}
		s.serve()
		s.ask(id+"again", claimOf("9"))
		if len(s.asked) != 0 {
			t.Fatalf("try %d asks again at once", n)
		}
		s.want(id+"again", "none, available 5")
		if got := s.pool.Head.GetBackoffs()[0].GetPeriodUs(); got != min(wait, s.rules.BackoffMaxUs) {
			t.Errorf("back-off %d is %d µs, want %d", n, got, wait)
		}
		s.nowUs += wait
		wait = min(2*wait, s.rules.BackoffMaxUs)
	}
	s.ask("owned", claimOf("9", func(c *appv1.ClaimTokens) { c.Owner = slices.Repeat([]byte{1}, 32) }))
	if len(s.asked) != 1 {
		t.Error("another selection has to wait too")
	}
	s.serve()
	s.told = nil // all that was, the page had
	s.mint(token(2, "4"))
	s.tell()
	s.ask("more", claimOf("9"))
	s.want("more", "2 worth 9")
}

// A claim that ends may have made change that nobody has told of yet: it is in the database, so the database is asked, however
// long it was to be left alone.
func TestEndedClaimEndsBackoff(t *testing.T) {
	for how, end := range map[string]*tokensv1.Request{"released": releaseOf("a", ref(1)), "its flow ended": endOf("a")} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t)
			s.mint(token(1, "5"))
			s.ask("a", claimOf("1"))
			s.serve()
			s.ask("b", claimOf("2"))
			s.serve()
			s.want("b", "none, available 0")
			s.spend(ref(1))
			s.mint(token(2, "4"))
			s.ask("end", end)
			s.ask("c", claimOf("2"))
			if how == "released" && len(s.asked) != 1 {
				t.Fatal("the database is not asked")
			}
			s.serve()
			if got := words(s.answer("c")); got == "none, available 0" {
				t.Errorf("nothing is found of the change: %s", got)
			}
		})
	}
}

// More tokens than a claim can have are another answer than too little, and the same while the database is left alone.
func TestTooMany(t *testing.T) {
	s := newSite(t)
	s.rules.PageSize = 3
	s.mint(token(1, "1"), token(2, "1"), token(3, "1"), token(4, "1"))
	s.ask("a", claimOf("4"))
	s.serve()
	s.ask("again", claimOf("4"))
	for _, id := range []string{"a", "again"} {
		if a := s.answer(id); a.GetClaimId() != "" || !a.GetLimited() {
			t.Errorf("%s: %v", id, a)
		}
	}
	s.ask("b", claimOf("3"))
	s.want("b", "3 worth 3")
	s.ask("c", claimOf("4", func(c *appv1.ClaimTokens) { c.TagRegex = "x" }))
	s.serve()
	if s.answer("c").GetLimited() {
		t.Errorf("what is not there is too many: %v", s.answer("c"))
	}
}

// A pool that nobody asks for is forgotten, to its last row; who asks later finds all of it, and no page of its first life
// counts in its second.
func TestIdlePools(t *testing.T) {
	for name, use := range map[string]func(*site){
		"a claim that was released": func(s *site) {
			s.ask("a", claimOf("1"))
			s.serve()
			s.ask("r", releaseOf("a"))
		},
		"a claim that was not":     func(s *site) { s.ask("a", claimOf("1")); s.serve() },
		"a claim that got nothing": func(s *site) { s.ask("a", claimOf("100")); s.serve() },
		"a query that is overdue": func(s *site) {
			s.ask("a", claimOf("1"))
			s.step(tokens.Overdue{Query: s.asked[0].Number, NowUs: s.nowUs})
			s.asked = nil
		},
		"a balance": func(s *site) {
			s.ask("a", balanceOf(""))
			s.step(tokens.Summed{Query: s.asked[0].Number, Amounts: &appv1.TokenAmounts{}, NowUs: s.nowUs})
			s.asked = nil
		},
		"a balance that nobody sends": func(s *site) {
			s.ask("a", balanceOf(""))
			s.step(tokens.Failed{Query: s.asked[0].Number, Error: &rpcv1.Error{}, NowUs: s.nowUs})
			s.asked = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.mint(token(1, "5"), token(2, "3"))
			use(s)
			first := s.pool.Head.GetQueriesMade()
			for n := 0; s.pool.Head != nil; n++ {
				if n > 5 {
					t.Fatalf("after %d looks the pool is there: %v", n, s.pool)
				}
				s.nowUs = max(s.nowUs, s.expiryUs)
				s.step(tokens.Expired{NowUs: s.nowUs})
			}
			if len(s.rows) != 0 || len(s.pool.Known) != 0 {
				t.Errorf("rows are left: %v", s.rows)
			}
			s.ask("again", claimOf("8"))
			s.step(tokens.Paged{Query: first, Page: &tokensv1.Page{}, NowUs: s.nowUs})
			s.serve()
			s.want("again", "2 worth 8")
		})
	}
}

// Tokens that are consumed leave claims and what is known, and no page that is older brings them back.
func TestChanges(t *testing.T) {
	s := newSite(t)
	s.mint(token(1, "5"), token(2, "3"))
	s.ask("a", claimOf("8"))
	s.serve()
	s.spend(ref(1))
	s.tell()
	if left := s.pool.Claims[0].GetTokens(); !left[0].GetGone() == !left[1].GetGone() {
		t.Errorf("the claim did not shrink: %v", left)
	}
	s.ask("r", releaseOf("a"))
	s.mint(token(3, "1"))
	s.ask("b", claimOf("100"))
	old := s.page(s.asked[0].Query)
	s.spend(ref(2))
	s.tell()
	s.step(tokens.Paged{Query: s.asked[0].Number, Page: old, NowUs: s.nowUs})
	s.asked = nil
	s.want("b", "none, available 1")
	for _, k := range s.pool.Known {
		if k.GetGone() {
			t.Error("what is gone is remembered although no page can come")
		}
	}
	s.ask("used", claimOf("1"))
	s.ask("ru", releaseOf("used", ref(3)))
	s.ask("c", claimOf("1"))
	if c := s.replies["c"]; len(c) > 0 && s.answer("c").GetClaimId() != "" {
		t.Error("a token that was said to be used is claimed again at once")
	}
}

func TestPersistenceFails(t *testing.T) {
	s := newSite(t)
	s.ask("a", claimOf("1"))
	s.step(tokens.Failed{Query: s.asked[0].Number, Error: &rpcv1.Error{Message: "broken"}, NowUs: s.nowUs})
	s.ask("b", claimOf("1"))
	s.step(tokens.Overdue{Query: s.asked[1].Number, NowUs: s.nowUs})
	for _, id := range []string{"a", "b"} {
		if s.replies[id][0].GetError().GetType() != "unavailable" {
			t.Errorf("%s is answered %v", id, s.replies[id])
		}
	}
	if len(s.pool.Waiting) != 0 || len(s.pool.Head.GetQueries()) != 0 {
		t.Errorf("something waits for ever: %v", s.pool)
	}
	s.step(tokens.Paged{Query: 1, Page: &tokensv1.Page{}, NowUs: s.nowUs})
	if s.notes[tokens.Stale] != 1 {
		t.Error("a late page is not passed over")
	}
}

// When others took the tokens of a page and there are more, another page is asked for.
func TestPagesOfALargePool(t *testing.T) {
	s := newSite(t)
	s.rules.PageSize = 10
	for n := range 100 {
		s.mint(token(n+1, "1"))
	}
	for n := range 12 {
		s.ask(fmt.Sprint(n), claimOf("8"))
	}
	s.serve()
	for n := range 12 {
		s.want(fmt.Sprint(n), "8 worth 8")
	}
	s.ask("large", claimOf("11"))
	s.serve()
	if a := s.answer("large"); a.GetClaimId() != "" {
		t.Errorf("%v: only four are left", a)
	}
	s = newSite(t)
	s.rules.PageSize = 10
	for n := range 100 {
		s.mint(token(n+1, "1"))
	}
	s.ask("large", claimOf("11"))
	s.serve()
	if a := s.answer("large"); a.GetClaimId() != "" || !a.GetLimited() {
		t.Errorf("%v: a claim has ten tokens at most", a)
	}
}

func TestBalance(t *testing.T) {
	s := newSite(t)
	s.mint(&tokensv1.Token{Ref: ref(1), Amount: "1", Tag: "gold"}, token(2, "2"))
	s.ask("a", claimOf("1", func(c *appv1.ClaimTokens) { c.TagRegex = "gold" }))
	s.serve()
	s.ask("b", balanceOf("gold"))
	q := s.asked[0]
	if !q.Query.GetBalance() || q.Query.GetSelector().GetTagRegex() != "gold" || len(q.Query.GetClaimed()) != 1 {
		t.Errorf("persistence is asked %v", q.Query)
	}
	s.step(tokens.Summed{Query: q.Number, Amounts: &appv1.TokenAmounts{Total: "1", Available: "0"}, NowUs: s.nowUs})
	got := &appv1.TokenAmounts{}
	if err := proto.Unmarshal(s.replies["b"][0].GetResult(), got); err != nil || got.GetTotal() != "1" || got.GetAvailable() != "0" {
		t.Errorf("%v %v", got, err)
	}
}

func amountOf(s string) *big.Rat {
	r, _ := new(big.Rat).SetString(s)
	return r
}

// Against a model: whatever comes in whatever order, two claims never hold one token, each is worth what was asked, all
// that is not claimed or consumed can be claimed in the end, and the rows of the store are the state.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			s := newSite(t)
			s.rules.PageSize = 3 + r.IntN(20)
			asked, made, claims := map[string]string{}, 0, 0
			var pages []tokens.Paged
			for range 200 {
				s.nowUs += r.Int64N(2 * second)
				switch r.IntN(12) {
				case 0, 1, 2:
					made++
					x := token(made, fmt.Sprint(1+r.IntN(9)))
					x.Priority, x.Tag = uint64(r.IntN(3)), []string{"", "gold", "silver"}[r.IntN(3)]
					if r.IntN(3) == 0 {
						x.Owner = slices.Repeat([]byte{1}, 32)
					}
					s.mint(x)
				case 3, 4, 5:
					claims++
					id, amount := fmt.Sprint("c", claims), fmt.Sprint(1+r.IntN(20))
					asked[id] = amount
					s.ask(id, claimOf(amount, func(c *appv1.ClaimTokens) {
						c.Strategy = appv1.TokenStrategy(r.IntN(3))
						c.TagRegex = []string{"", "", "old$"}[r.IntN(3)]
						if r.IntN(4) == 0 {
							c.Owner = slices.Repeat([]byte{1}, 32)
						}
					}))
				case 6: // a page is read now, and comes later
					if len(s.asked) > 0 {
						pages = append(pages, tokens.Paged{Query: s.asked[0].Number, Page: s.page(s.asked[0].Query)})
						s.asked = s.asked[1:]
					}
				case 7:
					if len(pages) > 0 {
						at := r.IntN(len(pages))
						p := pages[at]
						pages = slices.Delete(pages, at, at+1)
						p.NowUs = s.nowUs
						s.step(p)
					}
				case 8: // changes come in any order, with half of the seeds in theirs
					for n := r.IntN(8); n > 0 && len(s.told) > 0; n-- {
						at := 0
						if seed%2 == 0 && r.IntN(4) > 0 {
							at = r.IntN(len(s.told))
						}
						c := s.told[at]
						s.told = slices.Delete(slices.Clone(s.told), at, at+1)
						s.step(tokens.Changed{Change: c, NowUs: s.nowUs})
					}
				case 9: // a claim is spent and released
					if n := len(s.pool.Claims); n > 0 {
						c := s.pool.Claims[r.IntN(n)]
						var used = s.pool.Claims[0].GetTokens()[:0:0]
						for _, x := range c.GetTokens() {
							if r.IntN(2) == 0 {
								s.spend(x.GetRef())
								used = append(used, x)
							}
						}
						rel := releaseOf(c.GetClaimId())
						for _, x := range used {
							rel.GetRelease().Used = append(rel.GetRelease().Used, x.GetRef())
						}
						s.ask("r"+c.GetClaimId(), rel)
					}
				case 10:
					if claims > 0 {
						s.ask("end", endOf(fmt.Sprint("c", 1+r.IntN(claims))))
					}
				case 11:
					if r.IntN(4) == 0 {
						s.nowUs += s.rules.ClaimTimeoutUs / 2
					}
					s.step(tokens.Expired{NowUs: s.nowUs})
				}
				s.invariants(asked)
			}
			// In the end everything can be had.
			for _, c := range s.pool.Claims {
				s.ask("x", releaseOf(c.GetClaimId()))
			}
			for _, p := range pages {
				p.NowUs = s.nowUs
				s.step(p)
			}
			s.serve()
			for _, c := range s.pool.Claims {
				s.ask("x", releaseOf(c.GetClaimId()))
			}
			s.tell()
			s.nowUs += max(s.rules.CacheExpiryUs, s.rules.BackoffMaxUs) + second
			s.rules.PageSize = 1000
			total := new(big.Rat)
			for _, x := range s.vault {
				total.Add(total, amountOf(x.GetAmount()))
			}
			if total.Sign() > 0 {
				s.ask("all", claimOf(total.RatString()))
				s.serve()
				s.want("all", fmt.Sprintf("%d worth %s", len(s.vault), total.RatString()))
			}
			s.ask("nothing", claimOf("1000"))
			s.serve()
			s.want("nothing", "none, available 0")
		})
	}
}

func (s *site) invariants(asked map[string]string) {
	s.t.Helper()
	holder := map[string]string{}
	for _, c := range s.pool.Claims {
		sum := new(big.Rat)
		for _, x := range c.GetTokens() {
			sum.Add(sum, amountOf(x.GetAmount()))
			if x.GetGone() {
				continue
			}
			name := string(x.GetRef().GetTransaction())
			if s.gone[name] {
				s.t.Fatalf("token %x of claim %s was consumed, and that was told", name, c.GetClaimId())
			}
			if holder[name] != "" {
				s.t.Fatalf("token %x is in claims %s and %s", name, holder[name], c.GetClaimId())
			}
			holder[name] = c.GetClaimId()
		}
		if sum.Cmp(amountOf(asked[c.GetClaimId()])) < 0 {
			s.t.Fatalf("claim %s is worth %s, %s was asked", c.GetClaimId(), sum, asked[c.GetClaimId()])
		}
		if c.GetExpiresAtUs() < s.nowUs-2*s.rules.ClaimTimeoutUs {
			s.t.Fatalf("claim %s lives for ever", c.GetClaimId())
		}
	}
	for id, all := range s.replies {
		if id[0] == 'c' && len(all) != 1 {
			s.t.Fatalf("claim %s has %d answers", id, len(all))
		}
	}
	if got := tokens.Rows(s.key(), tokens.Pool{}, s.pool); len(got) != len(s.rows) {
		s.t.Fatalf("%d rows are stored, the pool has %d", len(s.rows), len(got))
	} else {
		for _, r := range got {
			b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.Value)
			if err != nil || string(s.rows[string(r.Key)]) != string(b) {
				s.t.Fatalf("row %q differs: %v", r.Key, err)
			}
		}
	}
}

func BenchmarkHotPool(b *testing.B) {
	s := newSite(b)
	for n := range 3000 {
		s.mint(token(n+1, "1"))
	}
	for n := range 500 {
		s.ask(fmt.Sprint("held", n), claimOf("1"))
		s.serve()
	}
	b.ResetTimer()
	for n := range b.N {
		id := fmt.Sprint("c", n)
		s.ask(id, claimOf("2"))
		s.ask("r"+id, releaseOf(id))
		if len(s.replies[id]) != 1 {
			b.Fatal("not answered at once")
		}
	}
}
