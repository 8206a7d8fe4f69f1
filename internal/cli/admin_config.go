package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func newConfigCommand(g *Globals) *cobra.Command {
	return groupCommand("config", "Look at a cluster's dynamic configuration and change it",
		restCommand(g, "get SECTION", "Print a section, with defaults filled in", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
			s, raw, err := c.section(ctx, args[0])
			if err != nil {
				return err
			}
			return g.show(raw, func() error {
				var value any
				if err := json.Unmarshal([]byte(s.Value), &value); err != nil {
					return fmt.Errorf("section %s is no JSON: %w", args[0], err)
				}
				return g.printJSON(value)
			})
		}),
		newConfigPutCommand(g))
}

// section is a configuration section as REST tells it.
type section struct {
	Source  string          `json:"sourceConfig"`
	Value   string          `json:"configWithDefaults"`
	Version uint64          `json:"version"`
	Schema  json.RawMessage `json:"schemaVersion"`
}

func (c *restClient) section(ctx context.Context, name string) (section, json.RawMessage, error) {
	var s section
	raw, err := c.fetch(ctx, http.MethodGet, corda("config", name), nil, &s)
	return s, raw, err
}

func newConfigPutCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "put SECTION JSON", Short: "Change a section", Args: cobra.ExactArgs(2),
		Long: `JSON holds the settings that differ from the defaults; @FILE reads it from a file, - from standard input. It takes the
place of what was set before. A change that somebody else makes meanwhile is not overwritten.`,
		Example: `  fairlead config put corda.flow '{"session":{"timeout":60000}}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := g.argument(args[1])
			if err != nil {
				return err
			}
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				now, _, err := c.section(ctx, args[0])
				if err != nil {
					return err
				}
				return g.mutate(fmt.Sprintf("replace %s %s by %s", args[0], now.Source, config), func() error {
					body := map[string]any{"section": args[0], "version": now.Version, "config": json.RawMessage(config), "schemaVersion": now.Schema}
					var made struct {
						Version uint64 `json:"version"`
					}
					raw, err := c.fetch(ctx, http.MethodPut, corda("config"), body, &made)
					if err != nil {
						return err
					}
					return g.show(raw, func() error {
						_, err := fmt.Fprintf(g.Out, "%s is now version %d\n", args[0], made.Version)
						return err
					})
				})
			})
		},
	}
}
