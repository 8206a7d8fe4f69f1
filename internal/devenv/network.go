package devenv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairleadio/fairlead/identity"
)

// Networks that are built in.
const (
	OneCluster = "one-cluster"
	twoBanks   = "two-banks"
)

// BuiltIn tells whether --network names a network of fairlead's own and not a file.
func BuiltIn(name string) bool { return name == OneCluster || name == twoBanks }

// Network is an application network on a development cluster.
type Network struct {
	// Name is what --network was given, for messages.
	Name string
	// GroupID is the id of the application network.
	GroupID string
	Members []Member
}

// Member is a member of a network: it becomes a virtual node.
type Member struct {
	// Name is its X.500 name.
	Name string
	// App is the folder of its application; empty for the one of --app.
	App string
}

// DefaultNetwork is the built-in network one-cluster: Alice and Bob, with the application of --app.
func DefaultNetwork() Network {
	n := Network{Name: OneCluster, GroupID: GroupID()}
	for _, m := range Members() {
		n.Members = append(n.Members, Member{Name: m})
	}
	return n
}

// HasApps tells whether the network names its applications.
func (n Network) HasApps() bool {
	return slices.ContainsFunc(n.Members, func(m Member) bool { return m.App != "" })
}

// withApp is the network whose members have applications: their own, or all the one of --app.
func (n Network) withApp(folder string) (Network, error) {
	if len(n.Members) == 0 {
		n = DefaultNetwork()
	}
	if folder == "" {
		return n, nil
	}
	if n.HasApps() {
		return n, fmt.Errorf("--app %s: network %s names the applications of its members: leave one of the two out", folder, n.Name)
	}
	n.Members = slices.Clone(n.Members)
	for i := range n.Members {
		n.Members[i].App = folder
	}
	return n, nil
}

// folders are the folders of the applications, each once, in the order of the members.
func (n Network) folders() []string {
	var out []string
	for _, m := range n.Members {
		if m.App != "" && !slices.Contains(out, m.App) {
			out = append(out, m.App)
		}
	}
	return out
}

// virtualNodes are the members as virtual nodes.
func (n Network) virtualNodes() ([]VirtualNode, error) {
	var out []VirtualNode
	for _, m := range n.Members {
		h, err := identity.NewHolding(m.Name, n.GroupID)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.Name, err)
		}
		v := VirtualNode{Name: h.Name.Organization, X500Name: h.Name.String(), GroupID: h.GroupID, ShortHash: h.ShortHash(), folder: m.App}
		if m.App != "" {
			v.App = filepath.Base(m.App)
		}
		out = append(out, v)
	}
	return out, nil
}

// networkFile is the file of --network.
type networkFile struct {
	// Group is the application network's id, or a name of which one is made.
	Group        string            `yaml:"group"`
	Clusters     []string          `yaml:"clusters"`
	Applications map[string]string `yaml:"applications"`
	Members      []networkMember   `yaml:"members"`
	// What is designed and not there yet.
	Notary   yaml.Node `yaml:"notary"`
	Notaries yaml.Node `yaml:"notaries"`
	MGM      yaml.Node `yaml:"mgm"`
}

type networkMember struct {
	Name        string    `yaml:"name"`
	Application string    `yaml:"application"`
	Cluster     string    `yaml:"cluster"`
	Notary      yaml.Node `yaml:"notary"`
}

// LoadNetwork reads a network: the name of one that is built in, or a YAML file. Its error names every field that cannot
// be used.
func LoadNetwork(nameOrFile string) (Network, error) {
	switch nameOrFile {
	case "", OneCluster:
		return DefaultNetwork(), nil
	case twoBanks:
		return Network{}, fmt.Errorf("FL-DEV-012: --network %s: it needs clusters that are linked, and a notary, which are not there yet: use %s, or a file", twoBanks, OneCluster)
	}
	raw, err := os.ReadFile(nameOrFile)
	if err != nil {
		return Network{}, fmt.Errorf("FL-DEV-012: --network %s: neither a built-in network (%s) nor a file that can be read: %w", nameOrFile, OneCluster, err)
	}
	var f networkFile
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return Network{}, fmt.Errorf("FL-DEV-012: --network %s: %s: known are group, clusters, applications, and members with name, application and cluster", nameOrFile, plainYAML(err))
	}
	n, err := f.network(filepath.Dir(nameOrFile))
	if err != nil {
		return Network{}, fmt.Errorf("FL-DEV-012: --network %s:\n%w", nameOrFile, err)
	}
	n.Name = nameOrFile
	return n, nil
}

var goTypes = regexp.MustCompile(` in type [A-Za-z.]+| into [][A-Za-z.*]+`)

// plainYAML is the decoder's error without names of Go types.
func plainYAML(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n")
	return strings.Join(strings.Fields(goTypes.ReplaceAllString(text, "")), " ")
}

// network checks the file's content; folders are relative to dir.
func (f networkFile) network(dir string) (Network, error) {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("  "+field+": "+format, args...))
	}
	if !f.Notary.IsZero() {
		bad("notary", "there is no notary yet: leave it out")
	}
	if !f.Notaries.IsZero() {
		bad("notaries", "there is no notary yet: leave it out")
	}
	if !f.MGM.IsZero() {
		bad("mgm", "there is no membership manager yet, the members know each other from this file: leave it out")
	}
	cluster := ""
	switch len(f.Clusters) {
	case 0:
	case 1:
		cluster = f.Clusters[0]
	default:
		bad("clusters", "%d are named, and clusters cannot be linked yet: name one, or leave it out", len(f.Clusters))
	}
	n := Network{GroupID: GroupID()}
	if f.Group != "" {
		n.GroupID = f.Group
		if _, err := identity.ParseUUID(f.Group); err != nil {
			n.GroupID = identity.V5(identity.Namespace(), []byte("fairlead dev network "+f.Group)).String()
		}
	}
	apps := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f.Applications)) {
		folder := f.Applications[name]
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		folder, err := filepath.Abs(folder)
		if err == nil {
			_, err = os.Stat(filepath.Join(folder, "go.mod"))
		}
		if f.Applications[name] == "" || err != nil {
			bad("applications."+name, "%q is not the folder of an application, which has a go.mod (it is looked for beside the network's file)", f.Applications[name])
		}
		apps[name] = folder
	}
	names := strings.Join(slices.Sorted(maps.Keys(apps)), ", ")
	seen := map[string]int{}
	for i, m := range f.Members {
		field := fmt.Sprintf("members[%d]", i)
		if !m.Notary.IsZero() {
			bad(field+".notary", "there is no notary yet: leave it out")
		}
		if m.Cluster != "" && m.Cluster != cluster && len(f.Clusters) < 2 {
			bad(field+".cluster", "%q is not in clusters: name it there, as the only one, or leave it out", m.Cluster)
		}
		name, err := identity.ParseName(m.Name)
		if err != nil {
			bad(field+".name", "%v", err)
			continue
		}
		if first, twice := seen[name.String()]; twice {
			bad(field+".name", "is the name of members[%d] too", first)
		}
		seen[name.String()] = i
		member := Member{Name: name.String()}
		switch folder, known := apps[m.Application]; {
		case known:
			member.App = folder
		case m.Application != "" && names == "":
			bad(field+".application", "%q is not in applications, which names none", m.Application)
		case m.Application != "":
			bad(field+".application", "%q is not in applications, which has %s", m.Application, names)
		case len(apps) == 1:
			member.App = apps[names]
		case len(apps) > 1:
			bad(field+".application", "is missing, and there is more than one: name one of %s", names)
		}
		n.Members = append(n.Members, member)
	}
	if len(f.Members) == 0 {
		bad("members", "is empty: name at least one, as - name: O=Alice, L=London, C=GB")
	}
	return n, errors.Join(errs...)
}
