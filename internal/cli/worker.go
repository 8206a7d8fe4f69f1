package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/config"
)

func newWorkerCommand(g *Globals) *cobra.Command {
	var file string
	var set []string
	var printConfig, check bool
	cmd := &cobra.Command{
		Use: "worker TYPE[,TYPE…]|all", Short: "Run workers in this process", Args: cobra.ExactArgs(1),
		Long: fmt.Sprintf(`Runs workers until the process is told to stop (SIGTERM, SIGINT), then drains them.

This version has the types %s. Settings come from a YAML file, then from the environment (FAIRLEAD_KAFKA_BROKERS for
kafka.brokers, and so on), then from --set. Topics are checked and never made; fairlead topics apply makes them.

--check says everything that the settings lack for these types and every file that they name and that cannot be read, where
it is run; it reaches no server.`, strings.Join(app.Available(), ", ")),
		Example:   "  fairlead worker all --config fairlead.yaml\n  fairlead worker flow --set kafka.brokers=kafka-0:9092 --print-config",
		ValidArgs: append(app.Available(), app.All),
		RunE: func(cmd *cobra.Command, args []string) error {
			types, err := app.ParseTypes(args[0])
			if err != nil {
				return err
			}
			if file != "" {
				file = g.Path(file)
			}
			cfg, values, err := config.Load(config.Sources{File: file, Env: g.configEnv(), Set: append(g.configFlags(cmd), set...)})
			if err != nil {
				return fmt.Errorf("the configuration is wrong:\n%w", err)
			}
			if printConfig {
				return config.Print(g.Out, values)
			}
			if err := app.CheckSettings(cfg, types, check); err != nil {
				return fmt.Errorf("the configuration lacks what these workers need:\n%w", err)
			}
			if check {
				_, err := fmt.Fprintln(g.Out, "the configuration is right")
				return err
			}
			log, err := newLogger(g.Err, cfg.Log)
			if err != nil {
				return err
			}
			if p := cfg.Process.GCPercent; p > 0 && g.Env("GOGC") == "" {
				debug.SetGCPercent(p)
			}
			a, err := app.New(cmd.Context(), app.Options{Config: cfg, Workers: types, Log: log, Build: g.version()})
			if err != nil {
				return err
			}
			return a.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "f", "", "YAML `file` of settings")
	f.StringArrayVar(&set, "set", nil, "one setting, `key=value`; can be given many times")
	f.BoolVar(&printConfig, "print-config", false, "print the settings with where each comes from, and end")
	f.BoolVar(&check, "check", false, "check the settings and end")
	return outputs(cmd, "text")
}

// configEnv returns the environment variables of all settings.
func (g *Globals) configEnv() []string {
	var out []string
	for _, k := range config.Keys() {
		if v := g.env(k.Env); v != "" {
			out = append(out, k.Env+"="+v)
		}
	}
	return out
}

// configFlags are the global flags that are settings, too.
func (g *Globals) configFlags(cmd *cobra.Command) []string {
	var out []string
	flags := cmd.Root().PersistentFlags()
	if flags.Changed("brokers") {
		out = append(out, "kafka.brokers="+strings.Join(g.flags.brokers, ","))
	}
	if flags.Changed("prefix") {
		out = append(out, "kafka.prefix="+g.flags.prefix)
	}
	return out
}

// newLogger makes the process's log.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, error) {
	level, err := c.SlogLevel()
	if err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o)), nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return slog.New(slog.NewJSONHandler(w, o)).With("host", host), nil
}
