package cpi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/rows"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Bounds of a package of code.
const (
	maxModules   = 100
	maxFlows     = 1000
	maxContracts = 1000
)

// Check checks the declarations of a package of code against each other; those of tables and queries are checked by the
// code that uses them (package rows). All that is wrong is in the one error. Whether SQL is right, only a database can
// tell: migrations and queries are tried there when a package is installed.
func (c *CPKContent) Check() error {
	var problems []error
	add := func(what, name string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %q: %w", what, name, err))
		}
	}
	flows, err := c.checkModules(add)
	problems = append(problems, err)
	for i, m := range c.Migrations {
		if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.sql$`).MatchString(m.Name) {
			add("migration", m.Name, errors.New("the name is letters, digits and _ . - and ends in .sql"))
		}
		if i > 0 && c.Migrations[i-1].Name >= m.Name {
			add("migration", m.Name, errors.New("migrations are sorted by name and each is there once"))
		}
		if m.Size > MaxMigration {
			add("migration", m.Name, fmt.Errorf("it has %d bytes, at most %d are allowed", m.Size, MaxMigration))
		}
	}
	feed, names := false, map[string]bool{}
	for _, t := range c.Tables {
		feed = feed || t.GetFeed()
	}
	if len(c.Tables) > 0 && len(c.Migrations) == 0 {
		problems = append(problems, errors.New("tables are declared and no migration makes them: put a script with CREATE TABLE into migrations/"))
	}
	problems = append(problems, sayProblem(rows.Check(c.Tables, c.Queries)))
	for _, d := range c.Channels {
		add("channel", d.GetName(), errors.Join(once(names, "channel "+d.GetName()), checkChannel(d, flows, feed)))
	}
	if err := errors.Join(problems...); err != nil {
		return &Error{ID: ErrDeclaration, Detail: strings.ReplaceAll(err.Error(), "\n", "; "), Remedy: "correct it in fairlead.yaml and build again"}
	}
	return nil
}

// sayProblem leaves the ids of the problems of package rows out: a package is refused under one id.
func sayProblem(err error) error {
	if all, ok := err.(interface{ Unwrap() []error }); ok { // the joined error itself
		var out []error
		for _, e := range all.Unwrap() {
			out = append(out, sayProblem(e))
		}
		return errors.Join(out...)
	}
	var p *rows.Problem
	if errors.As(err, &p) {
		return errors.New(p.Message)
	}
	return err
}

func once(names map[string]bool, name string) error {
	if names[name] {
		return errors.New("it is declared twice")
	}
	names[name] = true
	return nil
}

// checkModules returns the flows of the modules.
func (c *CPKContent) checkModules(add func(what, name string, err error)) (flows map[string]*cpiv1.FlowClass, err error) {
	flows = map[string]*cpiv1.FlowClass{}
	contracts := map[string]bool{}
	if len(c.Modules) == 0 || len(c.Modules) > maxModules {
		return flows, fmt.Errorf("the package has %d modules: 1 to %d are needed", len(c.Modules), maxModules)
	}
	for i, m := range c.Modules {
		if !regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`).MatchString(m.Name) || i > 0 && c.Modules[i-1].Name >= m.Name {
			add("module", m.Name, errors.New("names are lower-case letters, digits and _ . -, sorted, and each is there once"))
		}
		if m.Size > MaxModule {
			add("module", m.Name, fmt.Errorf("it has %d bytes, at most %d are allowed", m.Size, MaxModule))
		}
		if m.Kind == cpiv1.ModuleKind_MODULE_KIND_CONTRACT && len(m.Flows) > 0 {
			add("module", m.Name, errors.New("a module of contracts has flows"))
		}
		if len(m.Flows) > maxFlows {
			add("module", m.Name, fmt.Errorf("it has %d flows, at most %d are allowed", len(m.Flows), maxFlows))
		}
		for _, f := range m.Flows {
			if !regexp.MustCompile(`^[A-Za-z0-9._$-]{1,200}$`).MatchString(f.GetName()) {
				add("flow", f.GetName(), errors.New("the name is 1 to 200 letters, digits and . _ - $"))
			}
			if flows[f.GetName()] != nil {
				add("flow", f.GetName(), errors.New("two modules have it"))
			}
			if (f.GetProtocol() == "") != (len(f.GetProtocolVersions()) == 0) || slices.Contains(f.GetProtocolVersions(), 0) {
				add("flow", f.GetName(), errors.New("a protocol has versions, from 1 on"))
			}
			flows[f.GetName()] = f
		}
		if len(m.Contracts) > maxContracts {
			add("module", m.Name, fmt.Errorf("it has %d contracts, at most %d are allowed", len(m.Contracts), maxContracts))
		}
		for i, name := range m.Contracts {
			switch {
			case !regexp.MustCompile(`^[A-Za-z0-9._$-]{1,255}$`).MatchString(name):
				add("contract", name, errors.New("the name is 1 to 255 letters, digits and . _ - $"))
			case i > 0 && m.Contracts[i-1] >= name:
				add("contract", name, errors.New("contracts are sorted by name and each is there once"))
			case contracts[name]:
				add("contract", name, errors.New("two modules have it"))
			}
			contracts[name] = true
		}
	}
	return flows, nil
}

func checkChannel(d *cpiv1.ChannelDeclaration, flows map[string]*cpiv1.FlowClass, feed bool) error {
	var problems []error
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`).MatchString(d.GetName()) {
		problems = append(problems, errors.New("the name is 1 to 63 letters, digits and _ -, the first a letter or digit"))
	}
	receives := d.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE
	switch {
	case receives && d.GetFlowClass() == "":
		problems = append(problems, errors.New("a channel that receives names the flow that its records start"))
	case receives && flows[d.GetFlowClass()] == nil:
		problems = append(problems, fmt.Errorf("flow %q is in none of the modules", d.GetFlowClass()))
	case receives && flows[d.GetFlowClass()].GetProtocol() != "":
		problems = append(problems, fmt.Errorf("flow %q is a responder: only sessions start it", d.GetFlowClass()))
	case !receives && d.GetFlowClass() != "":
		problems = append(problems, errors.New("only a channel that receives has a flow"))
	case d.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_FEED && !feed:
		problems = append(problems, errors.New("it is the change feed and no table says feed: true"))
	case d.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_UNSPECIFIED:
		problems = append(problems, errors.New("its kind is not send, receive or feed"))
	}
	if _, ok := formatWords()[d.GetFormat()]; !ok || d.GetFormat() != 0 && d.GetKind() != cpiv1.ChannelKind_CHANNEL_KIND_FEED {
		problems = append(problems, errors.New("only a channel that is the change feed has a format, protobuf or json"))
	}
	return errors.Join(problems...)
}
