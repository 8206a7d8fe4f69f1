// Command fairlead runs and operates fairlead clusters.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/fairleadio/fairlead/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, cli.OS(), os.Args[1:])
}
