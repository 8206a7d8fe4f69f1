// Command tokens is an application of money: issuers issue tokens, members pay with them, exchange them and redeem them.
package main

import (
	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/exact"
)

func init() {
	exact.Learn[token.Token]()
	exact.Learn[token.Of]()
	contract.Register(token.Contract, token.Verify)
}

func main() {}
