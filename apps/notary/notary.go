// Command notary is the application of a notary that does not verify contracts: it is installed in a virtual node with a
// key of category NOTARY, and decides which of two transactions that consume one state is the valid one.
package main

import (
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/native"
)

func init() { notary.Register() }

// main is for debugging: on the platform it is never called.
func main() { native.Main() }
