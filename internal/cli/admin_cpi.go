package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newCpiCommand(g *Globals) *cobra.Command {
	return groupCommand("cpi", "Upload application packages and see what is installed",
		newCpiUploadCommand(g),
		restCommand(g, "list", "List the packages that are installed", cobra.NoArgs, func(ctx context.Context, c *restClient, _ []string) error {
			return g.listCpis(ctx, c)
		}),
		restCommand(g, "status ID", "Show how far an upload is", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
			var s uploadStatus
			raw, err := c.fetch(ctx, http.MethodGet, corda("cpi", "status", args[0]), nil, &s)
			if err != nil {
				return err
			}
			return g.show(raw, func() error {
				_, err := fmt.Fprintln(g.Out, strings.TrimSpace(s.Status+" "+s.Checksum))
				return err
			})
		}))
}

// uploadStatus is how far an upload is; OK is the end.
type uploadStatus struct {
	Status   string `json:"status"`
	Checksum string `json:"cpiFileChecksum"`
}

func newCpiUploadCommand(g *Globals) *cobra.Command {
	var force, noWait bool
	cmd := &cobra.Command{
		Use: "upload FILE", Short: "Upload a package and wait until it is installed", Args: cobra.ExactArgs(1),
		Long: "Uploads a .cpi file, and waits until it is checked and installed. Prints its checksum, which `fairlead vnode create` takes.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error { return g.uploadCpi(ctx, c, args[0], force, noWait) })
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a package of the same name and version; for development")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "print the upload's id instead of waiting")
	return cmd
}

func (g *Globals) uploadCpi(ctx context.Context, c *restClient, name string, force, noWait bool) error {
	if g.DryRun() {
		_, err := fmt.Fprintf(g.Out, "would upload %s\n", name)
		return err
	}
	file, err := os.Open(g.Path(name))
	if err != nil {
		return fmt.Errorf("open the package: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	path := corda("cpi")
	if force {
		path = corda("maintenance", "virtualnode", "forcecpiupload")
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := c.send(ctx, http.MethodPost, path, nil, []filePart{{"upload", filepath.Base(name), file}}, &made); err != nil {
		return err
	}
	if noWait {
		if g.Output == "json" {
			return g.printJSON(made)
		}
		_, err := fmt.Fprintln(g.Out, made.ID)
		return err
	}
	var s uploadStatus
	err = until(ctx, func() (bool, error) {
		_, err := c.get(ctx, corda("cpi", "status", made.ID), &s)
		return s.Status == "OK", err
	})
	if err != nil {
		return fmt.Errorf("upload %s: %w", made.ID, err)
	}
	if g.Output == "json" {
		return g.printJSON(map[string]string{"id": made.ID, "cpiFileChecksum": s.Checksum})
	}
	_, err = fmt.Fprintln(g.Out, s.Checksum)
	return err
}

// installedCpi is a package as REST lists it.
type installedCpi struct {
	ID struct {
		Name    string `json:"cpiName"`
		Version string `json:"cpiVersion"`
		Signer  string `json:"signerSummaryHash"`
	} `json:"id"`
	Checksum string `json:"cpiFileChecksum"`
	Cpks     []struct {
		ID struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"id"`
	} `json:"cpks"`
	At string `json:"timestamp"`
}

// installed finds the package of a checksum; its error says what there is.
func (c *restClient) installed(ctx context.Context, checksum string) (installedCpi, error) {
	var list struct{ Cpis []installedCpi }
	if _, err := c.get(ctx, corda("cpi"), &list); err != nil {
		return installedCpi{}, err
	}
	var known []string
	for _, p := range list.Cpis {
		if strings.EqualFold(p.Checksum, checksum) {
			return p, nil
		}
		known = append(known, fmt.Sprintf("%s (%s %s)", p.Checksum, p.ID.Name, p.ID.Version))
	}
	return installedCpi{}, notFound("there is no package of checksum %s: the cluster has %s", checksum, listOr(known, "none"))
}

func (g *Globals) listCpis(ctx context.Context, c *restClient) error {
	var list struct{ Cpis []installedCpi }
	raw, err := c.fetch(ctx, http.MethodGet, corda("cpi"), nil, &list)
	if err != nil {
		return err
	}
	return g.show(raw, func() error {
		rows := [][]string{}
		for _, p := range list.Cpis {
			var code []string
			for _, k := range p.Cpks {
				code = append(code, k.ID.Name+" "+k.ID.Version)
			}
			rows = append(rows, []string{p.Checksum, p.ID.Name, p.ID.Version, strings.Join(code, ", "), p.At, shorten(p.ID.Signer, 24)})
		}
		if len(rows) == 0 {
			_, err := fmt.Fprintln(g.Out, "no packages")
			return err
		}
		return g.printTable([]string{"CHECKSUM", "NAME", "VERSION", "CODE", "UPLOADED", "SIGNER"}, rows)
	})
}
