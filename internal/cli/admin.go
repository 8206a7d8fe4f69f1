package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// groupCommand is a command that only holds others.
func groupCommand(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		Long: short + ".\n\nThese commands talk to the REST interface of a cluster (--api, or the context's).",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subs...)
	return cmd
}

// restCommand makes a command that does one thing through REST.
func restCommand(g *Globals, use, short string, args cobra.PositionalArgs, run func(ctx context.Context, c *restClient, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		return g.withRest(cmd, func(ctx context.Context, c *restClient) error { return run(ctx, c, args) })
	}}
}

// mutate says what would be done, asks, and does it.
func (g *Globals) mutate(what string, do func() error) error {
	if g.DryRun() {
		_, err := fmt.Fprintln(g.Out, "would "+what)
		return err
	}
	if err := g.Confirm(what + "?"); err != nil {
		return err
	}
	return do()
}

// say tells a person that something was done; a program has the exit code.
func (g *Globals) say(format string, args ...any) error {
	if g.Output != "text" {
		return nil
	}
	if _, err := fmt.Fprintf(g.Out, format+"\n", args...); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// corda is a path of Corda's interface, with its parts escaped.
func corda(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return cordaAPI + "/" + strings.Join(parts, "/")
}

// filePart is a file of a multipart body.
type filePart struct {
	field, name string
	content     io.Reader
}

// send makes a multipart call whose files are streamed.
func (c *restClient) send(ctx context.Context, method, path string, fields map[string]string, files []filePart, into any) error {
	read, write := io.Pipe()
	form := multipart.NewWriter(write)
	done := make(chan struct{})
	go func() {
		defer close(done)
		write.CloseWithError(writeForm(form, fields, files))
	}()
	defer func() { _ = read.Close(); <-done }()
	_, answer, err := c.exchange(ctx, method, path, read, "Content-Type", form.FormDataContentType())
	if err != nil {
		return err
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s does not answer as fairlead does: %w", c.base, err)
	}
	return nil
}

func writeForm(form *multipart.Writer, fields map[string]string, files []filePart) error {
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			return err
		}
	}
	for _, f := range files {
		part, err := form.CreateFormFile(f.field, f.name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(part, f.content); err != nil {
			return err
		}
	}
	return form.Close()
}

// text makes a GET whose answer is raw text.
func (c *restClient) text(ctx context.Context, method, path string, body any) (string, error) {
	_, answer, err := c.do(ctx, method, path, body)
	return string(answer), err
}

// show prints an answer as it came, for -o json, or lets table print it.
func (g *Globals) show(raw json.RawMessage, table func() error) error {
	if g.Output == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
		_, err := fmt.Fprintln(g.Out, b.String())
		return err
	}
	return table()
}

// operationLook is how often something that takes a while is looked at.
const operationLook = 200 * time.Millisecond

// until looks at something until it is done, or ctx ends.
func until(ctx context.Context, look func() (done bool, err error)) error {
	tick := time.NewTicker(operationLook)
	defer tick.Stop()
	for {
		done, err := look()
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fetch makes a call, keeps the answer as it came and reads it.
func (c *restClient) fetch(ctx context.Context, method, path string, body, into any) (json.RawMessage, error) {
	_, answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if len(answer) == 0 || into == nil {
		return json.RawMessage("{}"), nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return nil, fmt.Errorf("%s does not answer as fairlead does: %w", c.base, err)
	}
	return answer, nil
}

// methodOf is PUT to give and DELETE to take.
func methodOf(add bool) string {
	if add {
		return http.MethodPut
	}
	return http.MethodDelete
}
