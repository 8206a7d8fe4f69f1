package devenv

import (
	"bytes"
	"cmp"
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
	// OneCluster is Alice and Bob, with the application of --app.
	OneCluster = "one-cluster"
	// Payments is Alice, Bob and a bank with the application of tokens, and a notary.
	Payments = "payments"
	twoBanks = "two-banks"
)

// BuiltIn tells whether --network names a network of fairlead's own and not a file.
func BuiltIn(name string) bool { return name == OneCluster || name == Payments || name == twoBanks }

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
	// Notary tells that it is the network's notary. Where there is one, every other member gets a key for the ledger.
	Notary bool
}

// DefaultNetwork is the built-in network one-cluster: Alice and Bob, with the application of --app.
func DefaultNetwork() Network {
	n := Network{Name: OneCluster, GroupID: GroupID()}
	for _, m := range Members() {
		n.Members = append(n.Members, Member{Name: m})
	}
	return n
}

// bank and notary are of the built-in network with payments.
const (
	bank   = "O=Bank, L=London, C=GB"
	notary = "O=Notary, L=London, C=GB"
)

// paymentsNetwork is the built-in network of that name, with the applications of the repository that lies around one of
// these folders.
func paymentsNetwork(around []string) (Network, error) {
	for _, dir := range around {
		tokens, deciding := FindApp(dir, "tokens"), FindApp(dir, notaryApp)
		if tokens == "" || deciding == "" {
			continue
		}
		n := Network{Name: Payments, GroupID: GroupID()}
		for _, m := range append(Members(), bank) {
			n.Members = append(n.Members, Member{Name: m, App: tokens})
		}
		n.Members = append(n.Members, Member{Name: notary, App: deciding, Notary: true})
		return n, nil
	}
	return Network{}, fmt.Errorf("FL-DEV-012: --network %s: its applications, apps/tokens and apps/notary, are neither in this folder nor in one above it, nor around the program: go to a copy of fairlead's repository, or name a file", Payments)
}

// HasApps tells whether the network names the applications of its members. A notary has one of its own.
func (n Network) HasApps() bool {
	return slices.ContainsFunc(n.Members, func(m Member) bool { return m.App != "" && !m.Notary })
}

// hasNotary tells whether one of the members is a notary.
func (n Network) hasNotary() bool {
	return slices.ContainsFunc(n.Members, func(m Member) bool { return m.Notary })
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
		if !n.Members[i].Notary {
			n.Members[i].App = folder
		}
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

// verifiable refuses a notary that verifies contracts which its package does not have: nothing could be made final. The
// applications are by folder.
func (n Network) verifiable(apps map[string]Application) error {
	for _, m := range n.Members {
		answers := apps[m.App].Answers
		if !m.Notary || !slices.Contains(answers, verifyingNotary) || slices.Contains(answers, plainNotary) { // both: it counts as one that does not verify
			continue
		}
		for _, other := range n.Members {
			if other.App != "" && other.App != m.App && len(apps[other.App].Contracts) > 0 {
				return fmt.Errorf("FL-DEV-012: --network %s: notary.application: %s verifies contracts, so its package must have those of %s, which a network of folders cannot say: name the folder of apps/notary, or put the bundle of both (fairlead app package create-cpb) on a virtual node of your own",
					n.Name, apps[m.App].Name, apps[other.App].Name)
			}
		}
	}
	return nil
}

// virtualNodes are the members as virtual nodes.
func (n Network) virtualNodes() ([]VirtualNode, error) {
	var out []VirtualNode
	for _, m := range n.Members {
		h, err := identity.NewHolding(m.Name, n.GroupID)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.Name, err)
		}
		v := VirtualNode{Name: h.Name.Organization, X500Name: h.Name.String(), GroupID: h.GroupID, ShortHash: h.ShortHash(), Notary: m.Notary, folder: m.App}
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
	Notary       networkNotary     `yaml:"notary"`
	// What is designed and not there yet, or elsewhere.
	Notaries yaml.Node `yaml:"notaries"`
	MGM      yaml.Node `yaml:"mgm"`
}

type networkMember struct {
	Name        string    `yaml:"name"`
	Application string    `yaml:"application"`
	Cluster     string    `yaml:"cluster"`
	Notary      yaml.Node `yaml:"notary"`
}

// networkNotary is the notary: its name alone, or a mapping.
type networkNotary struct {
	Name, Application, Cluster string
	given                      bool
}

// UnmarshalYAML reads both forms. What a mapping must not have is an error here: the decoder does not look into it.
func (n *networkNotary) UnmarshalYAML(node *yaml.Node) error {
	n.given = true
	fields := map[string]*string{"name": &n.Name, "application": &n.Application, "cluster": &n.Cluster}
	if node.Kind == yaml.ScalarNode {
		n.Name = node.Value
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: notary is the notary's name, or has name, application and cluster", node.Line)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		into, known := fields[key.Value]
		if !known {
			return fmt.Errorf("line %d: field %s not found in notary, which has name, application and cluster", key.Line, key.Value)
		}
		if err := value.Decode(into); err != nil {
			return fmt.Errorf("line %d: notary.%s is no text", value.Line, key.Value)
		}
	}
	return nil
}

// LoadNetwork reads a network: the name of one that is built in, or a YAML file. Its error names every field that cannot
// be used. Around are folders in or above which the repository's own applications are looked for, the first first.
func LoadNetwork(nameOrFile string, around ...string) (Network, error) {
	switch nameOrFile {
	case "", OneCluster:
		return DefaultNetwork(), nil
	case Payments:
		return paymentsNetwork(around)
	case twoBanks:
		return Network{}, fmt.Errorf("FL-DEV-012: --network %s: it needs clusters that are linked, which are not there yet: use %s, which pays on one cluster, or a file", twoBanks, Payments)
	}
	raw, err := os.ReadFile(nameOrFile)
	if err != nil {
		return Network{}, fmt.Errorf("FL-DEV-012: --network %s: neither a built-in network (%s, %s) nor a file that can be read: %w", nameOrFile, OneCluster, Payments, err)
	}
	var f networkFile
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return Network{}, fmt.Errorf("FL-DEV-012: --network %s: %s: known are group, clusters, applications, notary, and members with name, application and cluster", nameOrFile, plainYAML(err))
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
	if !f.Notaries.IsZero() {
		bad("notaries", "a network has one notary: write notary: O=Notary, L=London, C=GB")
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
	checkCluster := func(field, named string) {
		if named != "" && named != cluster && len(f.Clusters) < 2 {
			bad(field+".cluster", "%q is not in clusters: name it there, as the only one, or leave it out", named)
		}
	}
	checkCluster("notary", f.Notary.Cluster)
	deciding, err := f.Notary.member(apps, dir)
	for _, e := range err {
		bad("notary", "%v", e)
	}
	// A member without application has the only one that is not the notary's.
	var only []string
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		if deciding.App == "" || apps[name] != deciding.App {
			only = append(only, name)
		}
	}
	for i, m := range f.Members {
		field := fmt.Sprintf("members[%d]", i)
		if !m.Notary.IsZero() {
			bad(field+".notary", "the notary is no member of this list: write it at the top, as notary: %s", m.Name)
		}
		checkCluster(field, m.Cluster)
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
		case len(only) == 1:
			member.App = apps[only[0]]
		case len(apps) > 1:
			bad(field+".application", "is missing, and there is more than one: name one of %s", names)
		}
		n.Members = append(n.Members, member)
	}
	if len(f.Members) == 0 {
		bad("members", "is empty: name at least one, as - name: O=Alice, L=London, C=GB")
	}
	if deciding.Name != "" {
		if first, twice := seen[deciding.Name]; twice {
			bad("notary", "is the name of members[%d] too", first)
		}
		n.Members = append(n.Members, deciding)
	}
	return n, errors.Join(errs...)
}

// notaryApp is the name of the application that a notary has unless the file says otherwise: in applications, or the one
// of the repository around the file.
const notaryApp = "notary"

// The protocols of notaries that verify contracts, and that do not, as the SDK has them.
const verifyingNotary, plainNotary = "fairlead.notary.contractverifying", "fairlead.notary.nonvalidating"

// member is the notary as a member, the zero value when there is none; applications are folders by name.
func (n networkNotary) member(apps map[string]string, dir string) (m Member, errs []error) {
	if !n.given {
		return m, nil
	}
	name, err := identity.ParseName(n.Name)
	if err != nil {
		errs = append(errs, err)
	} else {
		m.Name = name.String()
	}
	m.Notary = true
	folder, known := apps[cmp.Or(n.Application, notaryApp)]
	switch {
	case known:
		m.App = folder
	case n.Application != "":
		errs = append(errs, fmt.Errorf("its application %q is not in applications", n.Application))
	default:
		if m.App = FindApp(dir, notaryApp); m.App == "" {
			errs = append(errs, fmt.Errorf("its application is missing: name its folder in applications, as %s: PATH/TO/fairlead/apps/notary", notaryApp))
		}
	}
	return m, errs
}
