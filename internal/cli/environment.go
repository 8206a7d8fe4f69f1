package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/fairleadio/fairlead/internal/config"
)

// Environment variables that are no flag's and no setting's.
const (
	envConfig       = "FAIRLEAD_CONFIG"
	envUser         = "FAIRLEAD_USER"
	envPassword     = "FAIRLEAD_PASSWORD"
	envPasswordFile = "FAIRLEAD_PASSWORD_FILE"
	envCAFile       = "FAIRLEAD_CA_FILE"
	envNewPassword  = "FAIRLEAD_NEW_PASSWORD"
	envAnySigner    = "FAIRLEAD_DATABASE_ANY_SIGNER" // a setting of workers, which fairlead dev heeds, too
)

// environment lists them with their meaning.
func environment() [][2]string {
	return [][2]string{
		{envConfig, "file of the contexts; default `fairlead/config.yaml` in the user's configuration directory"},
		{envUser, "who logs in to the REST interface; before the context's"},
		{envPassword, "the password; before " + envPasswordFile},
		{envPasswordFile, "file with the password; before the context's"},
		{envCAFile, "PEM file of the authority that signed the REST interface's certificate; before the context's"},
		{envNewPassword, "the password that `fairlead rbac create-user` and `fairlead rbac password` set"},
		{envPGPassword + ", " + envPGPassFile, "for `fairlead dev --postgres` and `fairlead app check --postgres`: the password, and a file with passwords, as Postgres' own clients read them"},
		{envVaultToken + ", " + envVaultNamespace + ", " + envVaultCACert, "for `fairlead dev --vault`: token, namespace and CA file, as Vault's own clients read them; VAULT_ADDR is not read"},
		{"FAIRLEAD_NATIVE", "read by an application that is run natively: the address that `fairlead dev --native` shows"},
		{"NO_COLOR", "any value: no colours"},
		{"XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_CACHE_HOME", "where contexts, the data of `fairlead dev` and built applications lie, each in `fairlead` below it"},
	}
}

// writeEnvironment writes the section of environment variables.
func writeEnvironment(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("\n## Environment variables\n\nA flag that is given goes before its variable, the variable before the context.\n\n| variable | meaning |\n|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			fmt.Fprintf(b, "| `%s` | `--%s` |\n", flagVariable(f.Name), f.Name)
		}
	})
	for _, v := range environment() {
		var names []string
		for _, name := range strings.Split(v[0], ", ") {
			names = append(names, "`"+name+"`")
		}
		fmt.Fprintf(b, "| %s | %s |\n", strings.Join(names, ", "), v[1])
	}
	b.WriteString("\n`fairlead worker` reads its settings from these, too; they go before its file, and `--set` before them. `fairlead dev` reads `" + envAnySigner + "` alone.\n\n| variable | setting | meaning |\n|---|---|---|\n")
	keys := config.Keys()
	slices.SortFunc(keys, func(x, y config.Key) int { return strings.Compare(x.Env, y.Env) })
	for _, k := range keys {
		fmt.Fprintf(b, "| `%s` | `%s` | %s |\n", k.Env, k.Path, strings.ReplaceAll(escapeHTML(k.Doc), "|", "\\|"))
	}
}
