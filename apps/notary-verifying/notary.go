// Command notary-verifying is the application of a notary that verifies contracts: it is installed in a virtual node with a
// key of category NOTARY, verifies each transaction in whole, and decides which of two that consume one state is the valid
// one.
package main

import (
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/native"
)

func init() { notary.RegisterVerifying() }

// main is for debugging: on the platform it is never called.
func main() { native.Main() }
