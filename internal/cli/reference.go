package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairleadio/fairlead/topics"
)

// WriteCommandReference writes the reference page of all commands.
func WriteCommandReference(w io.Writer) error {
	root := New(IO{})
	var b strings.Builder
	b.WriteString("<!-- Generated from internal/cli. Do not edit. -->\n# Commands\n\n" + paragraphs(root.Long) + "\n\n## Flags of every command\n\n")
	writeFlags(&b, root.PersistentFlags())
	writeEnvironment(&b, root.PersistentFlags())
	for _, c := range root.Commands() {
		writeCommand(&b, c)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeCommand(b *strings.Builder, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	b.WriteString(paragraphs(text) + "\n")
	if c.Runnable() && !c.HasSubCommands() {
		fmt.Fprintf(b, "\n    %s\n\nOutput (`-o`): %s.\n", c.UseLine(), strings.Join(outputsOf(c), ", "))
	}
	if c.Example != "" {
		b.WriteString("\nExamples:\n\n")
		for line := range strings.Lines(c.Example) {
			b.WriteString("    " + strings.TrimSpace(line) + "\n")
		}
	}
	if flags := ownFlags(c); flags.HasAvailableFlags() {
		b.WriteString("\n")
		writeFlags(b, flags)
	}
	for _, sub := range c.Commands() {
		writeCommand(b, sub)
	}
}

// ownFlags are a command's flags but for those that every command has: its own, and those of the commands above it.
func ownFlags(c *cobra.Command) *pflag.FlagSet {
	out := pflag.NewFlagSet(c.Name(), pflag.ContinueOnError)
	everywhere := c.Root().PersistentFlags()
	for _, set := range []*pflag.FlagSet{c.LocalFlags(), c.InheritedFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && everywhere.Lookup(f.Name) == nil && out.Lookup(f.Name) == nil {
				out.AddFlag(f)
			}
		})
	}
	return out
}

// paragraphs escapes what Markdown would read as HTML.
func paragraphs(text string) string { return escapeHTML(strings.TrimSpace(text)) }

func escapeHTML(text string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text)
}

func writeFlags(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | meaning | default |\n|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "`--" + f.Name
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if value != "" {
			name += " " + value
		}
		def := f.DefValue
		if def == "false" || def == "[]" || def == "" {
			def = ""
		} else {
			def = "`" + def + "`"
		}
		fmt.Fprintf(b, "| %s` | %s | %s |\n", name, strings.ReplaceAll(usage, "|", "\\|"), strings.ReplaceAll(def, "|", "\\|"))
	})
}

// WriteTopicReference writes the reference page of all topics; the picture lies beside it.
func WriteTopicReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`<!-- Generated from topics. Do not edit. -->
# Topics

Names are without the cluster's prefix. Partition sets have one partition count; a set that holds state never changes
it. Payloads of class tenant are masked by tools, secret ones are never shown.

![Who writes and reads which topics](topics.svg)

| topic | purpose | key | message | class | data | policy | set |
|---|---|---|---|---|---|---|---|
`)
	all := topics.All()
	for _, t := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", t.Name, t.Doc, t.Key, messageText(t), t.Class, t.Data, t.Policy(), t.Set)
	}
	b.WriteString("\n## Who writes and reads\n\n| topic | owner | written by | read by | offset out of range | replay |\n|---|---|---|---|---|---|\n")
	for _, t := range all {
		readers := readersText(t)
		if t.Own != "" && readers == "" {
			readers = "its owner"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", t.Name, t.Owner, strings.Join(t.Writers, ", "), readers, t.OutOfRange, t.Replay)
	}
	b.WriteString("\n## Settings\n\nBeside what the profile says (`min.insync.replicas`, replicas) and `unclean.leader.election.enable=false`.\n\n| setting | value | topics |\n|---|---|---|\n")
	for _, s := range settingRows(all) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s[0], s[1], s[2])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// settingRows groups the catalogue's settings by value.
func settingRows(all []topics.Topic) [][3]string {
	by := map[[2]string][]string{}
	for _, t := range all {
		for k, v := range t.Config {
			by[[2]string{k, v}] = append(by[[2]string{k, v}], t.Name)
		}
	}
	var rows [][3]string
	for kv, names := range by {
		rows = append(rows, [3]string{kv[0], kv[1], strings.Join(names, ", ")})
	}
	slices.SortFunc(rows, func(a, b [3]string) int { return strings.Compare(a[0]+"="+a[1], b[0]+"="+b[1]) })
	return rows
}
