package cli

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
)

func newAppPackageCommand(g *Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "package", Short: "Bundle, sign, verify and inspect packages", Args: cobra.NoArgs,
		Long: `The commands have the flags of corda-cli package. Key stores are PKCS#12, as keytool and openssl write them, or PEM.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCreateCPBCommand(g), newCreateCPICommand(g), newSignCommand(g), newVerifyCommand(g), newInspectCommand(g))
	return cmd
}

// signingFlags are those of every command that signs.
type signingFlags struct {
	keystore, password, passwordFile, alias, tsa, sigFile string
	ephemeral                                             bool
}

func (s *signingFlags) add(f *pflag.FlagSet) {
	s.addStore(f, "key store with the signing key: PKCS#12 or PEM `file`")
	f.StringVarP(&s.alias, "key", "k", "", "`alias` of the key; it may be left out when there is only one")
	f.StringVarP(&s.tsa, "tsa", "t", "", "")
	f.StringVar(&s.sigFile, "sig-file", "", "")
	_ = f.MarkHidden("tsa")      // answered with the reason why there is none
	_ = f.MarkHidden("sig-file") // of corda-cli; signatures are named after their certificates here
}

func (s *signingFlags) addStore(f *pflag.FlagSet, about string) {
	f.StringVarP(&s.keystore, "keystore", "s", "", about)
	f.StringVarP(&s.password, "storepass", "p", "", "password of the key store")
	f.StringVar(&s.password, "password", "", "")
	_ = f.MarkHidden("password") // corda-cli's other name of --storepass
	f.StringVar(&s.passwordFile, "storepass-file", "", "read the password from the first line of this `file`, so that it is in no list of processes")
	f.BoolVar(&s.ephemeral, "ephemeral-key", false, "use the development key, which fairlead dev trusts; it is made when there is none")
}

// keys returns the key to sign with: none when no flag names one.
func (s *signingFlags) keys(g *Globals) ([]cpi.Key, error) {
	if s.tsa != "" {
		return nil, refused("--tsa: fairlead does not put time stamps into packages: a package must be signed by a certificate that is valid when it is uploaded, and stays installed after that")
	}
	switch {
	case s.ephemeral && s.keystore != "":
		return nil, errors.New("--ephemeral-key and --keystore: give one of them")
	case s.ephemeral:
		k, err := g.devKey()
		return []cpi.Key{k}, err
	case s.keystore == "":
		return nil, nil
	}
	raw, password, err := s.read(g)
	if err != nil {
		return nil, err
	}
	k, err := keystore.Key(raw, password, s.alias)
	if err != nil {
		return nil, fmt.Errorf("--keystore %s: %w", s.keystore, err)
	}
	return []cpi.Key{k}, nil
}

func (s *signingFlags) required(g *Globals) ([]cpi.Key, error) {
	keys, err := s.keys(g)
	if err == nil && len(keys) == 0 {
		err = errors.New("who signs? give --keystore, --storepass and --key, or --ephemeral-key for development")
	}
	return keys, err
}

func (s *signingFlags) read(g *Globals) (raw []byte, password string, err error) {
	if raw, err = os.ReadFile(g.Path(s.keystore)); err != nil {
		return nil, "", fmt.Errorf("read the key store: %w", err)
	}
	if s.passwordFile == "" {
		return raw, s.password, nil
	}
	text, err := g.readFile(s.passwordFile)
	if err != nil {
		return nil, "", fmt.Errorf("read the password of the key store: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return raw, strings.TrimSuffix(first, "\r"), nil
}

// devKey returns the development key, which lies beside the contexts.
func (g *Globals) devKey() (cpi.Key, error) {
	file, err := g.devKeyFile()
	if err != nil {
		return cpi.Key{}, err
	}
	return keystore.Dev(file, g.now())
}

func (g *Globals) devKeyFile() (string, error) {
	contexts, err := ContextsPath(g.env)
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(contexts), keystore.DevFile), nil
}

// upgradeFlag is one of corda-cli's that says nothing here: flows keep their module, so an upgrade never waits for them.
func upgradeFlag(f *pflag.FlagSet) {
	f.String("upgrade", "", "")
	_ = f.MarkHidden("upgrade")
}

// writeNew makes a file that must not be there.
func (g *Globals) writeNew(name string, what func(w io.Writer) error) error {
	to := g.Path(name)
	if _, err := os.Stat(to); err == nil {
		return refused("%s is there already: give another --file, or remove it", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := what(&b); err != nil {
		return err
	}
	if g.DryRun() {
		fmt.Fprintf(g.Out, "would write %s, %s\n", name, sizeText(int64(b.Len())))
		return nil
	}
	if err := writeWhole(to, b.Bytes()); err != nil {
		return err
	}
	p, err := cpi.OpenBytes(b.Bytes(), cpi.Options{Trust: cpi.Trust{AnySigner: true}})
	if err != nil {
		return err
	}
	if g.Output == "json" {
		return g.printJSON(inspected(p))
	}
	fmt.Fprintf(g.Out, "wrote %s: %s %s, %s, checksum %s, signed by %s\n", name, p.Name, p.Version, sizeText(p.Size), p.Checksum(), signerNames(p))
	return nil
}

func signerNames(p *cpi.Package) string {
	var names []string
	for _, s := range p.Signers {
		names = append(names, s.Name())
	}
	return listOr(names, "nobody")
}

// part opens a file that goes into a package.
func (g *Globals) part(name string) (cpi.Part, func(), error) {
	f, err := os.Open(g.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return cpi.Part{}, nil, notFound("there is no file %s", name)
	}
	if err != nil {
		return cpi.Part{}, nil, fmt.Errorf("read %s: %w", name, err)
	}
	done := func() { _ = f.Close() } // it was only read
	info, err := f.Stat()
	if err != nil {
		done()
		return cpi.Part{}, nil, fmt.Errorf("read %s: %w", name, err)
	}
	return cpi.Part{Source: f, Size: info.Size()}, done, nil
}

func newCreateCPBCommand(g *Globals) *cobra.Command {
	var name, version, file string
	var signing signingFlags
	cmd := &cobra.Command{
		Use: "create-cpb CPK…", Short: "Bundle packages of code to a CPB", Args: cobra.MinimumNArgs(1),
		Long:    "Bundles CPKs and signs the bundle. CPKs that are not signed are signed by the same key.",
		Example: "  fairlead app package create-cpb pay.cpk --cpb-name pay --cpb-version 1.0 --file pay.cpb --keystore signing.pfx --storepass secret --key author",
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := signing.required(g)
			if err != nil {
				return err
			}
			var parts []cpi.Part
			for _, a := range args {
				p, done, err := g.part(a)
				if err != nil {
					return err
				}
				defer done()
				parts = append(parts, p)
			}
			return g.writeNew(file, func(w io.Writer) error { return cpi.WriteCPB(w, name, version, parts, keys...) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "cpb-name", "", "`name` of the bundle")
	f.StringVar(&version, "cpb-version", "", "`version` of the bundle")
	f.StringVarP(&file, "file", "f", "", "`file` to write")
	upgradeFlag(f)
	signing.add(f)
	required(cmd, "cpb-name", "cpb-version", "file")
	return cmd
}

// required marks flags that must be given.
func required(cmd *cobra.Command, names ...string) {
	for _, n := range names {
		_ = cmd.MarkFlagRequired(n) // it exists: the line before defines it
	}
}

func newCreateCPICommand(g *Globals) *cobra.Command {
	var bundle, policy, name, version, file string
	var signing signingFlags
	cmd := &cobra.Command{
		Use: "create-cpi", Short: "Make an installer (CPI) of a CPB and a group policy", Args: cobra.NoArgs,
		Long: `Makes and signs a CPI, which is what a cluster takes. The CPB may be left out for the manager of a group, whose policy
has the group id CREATE_ID.`,
		Example: "  fairlead app package create-cpi --cpb pay.cpb --group-policy GroupPolicy.json --cpi-name pay --cpi-version 1.0 --file pay.cpi --keystore signing.pfx --storepass secret --key operator",
		RunE: func(_ *cobra.Command, _ []string) error {
			keys, err := signing.required(g)
			if err != nil {
				return err
			}
			text, err := g.readFile(policy)
			if err != nil {
				return fmt.Errorf("read the group policy: %w", err)
			}
			if file == "" {
				if bundle == "" {
					return errors.New("give --file: without a CPB there is no name to take")
				}
				file = strings.TrimSuffix(bundle, filepath.Ext(bundle)) + cpi.CPI.Ending()
			}
			var of *cpi.Part
			if bundle != "" {
				p, done, err := g.part(bundle)
				if err != nil {
					return err
				}
				defer done()
				of = &p
			}
			return g.writeNew(file, func(w io.Writer) error { return cpi.WriteCPI(w, name, version, text, of, keys...) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&bundle, "cpb", "", "CPB `file`")
	f.StringVarP(&policy, "group-policy", "g", "", "group policy `file`, - for standard input")
	f.StringVar(&name, "cpi-name", "", "`name` of the CPI")
	f.StringVar(&version, "cpi-version", "", "`version` of the CPI")
	f.StringVarP(&file, "file", "f", "", "`file` to write; default: the CPB's name with .cpi")
	upgradeFlag(f)
	signing.add(f)
	required(cmd, "group-policy", "cpi-name", "cpi-version")
	return cmd
}

func newSignCommand(g *Globals) *cobra.Command {
	var file, multiple string
	var signing signingFlags
	cmd := &cobra.Command{
		Use: "sign PACKAGE", Short: "Sign a package", Args: cobra.ExactArgs(1),
		Long:    "Writes a CPK, CPB or CPI again, signed. Signatures that it has are removed unless --multiple-signatures is true. Packages within stay as they are.",
		Example: "  fairlead app package sign pay.cpb --multiple-signatures true --file signed.cpb --keystore auditor.pfx --storepass secret --key auditor",
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := signing.required(g)
			if err != nil {
				return err
			}
			if multiple != "true" && multiple != "false" {
				return fmt.Errorf("--multiple-signatures %s: give true or false", multiple)
			}
			p, done, err := g.part(args[0])
			if err != nil {
				return err
			}
			defer done()
			return g.writeNew(file, func(w io.Writer) error { return cpi.Sign(w, p.Source, p.Size, multiple == "true", keys...) })
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "`file` to write")
	f.StringVar(&multiple, "multiple-signatures", "false", "`true` keeps the signatures that the package has")
	signing.add(f)
	required(cmd, "file")
	return cmd
}

func newVerifyCommand(g *Globals) *cobra.Command {
	var file, kind string
	var any bool
	var trust signingFlags
	cmd := &cobra.Command{
		Use: "verify [PACKAGE]", Short: "Verify a package as a cluster does", Args: cobra.MaximumNArgs(1),
		Long: `Checks everything that a cluster checks when the package is uploaded, but for running its modules: the file itself,
manifest, signatures, packages within, declarations, group policy. The certificates of --keystore are trusted, and so is
whoever they issued certificates to. Exit code 3 when the package is refused.`,
		Example: "  fairlead app package verify --file pay.cpi --keystore trusted.pfx --storepass secret",
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case file == "" && len(args) == 1:
				file = args[0]
			case file == "" || len(args) == 1:
				return errors.New("name the one package to verify")
			}
			roots, err := trust.roots(g)
			if err != nil {
				return err
			}
			if len(roots) == 0 && !any {
				return errors.New("who is trusted? give --keystore and --storepass, or --ephemeral-key for development, or --any-signer")
			}
			p, done, err := g.openPackage(file, cpi.Options{Kind: cpi.Kind(strings.ToUpper(kind)), Trust: cpi.Trust{Roots: roots, AnySigner: any, At: g.now()}})
			if err != nil {
				if cpi.IDOf(err) != "" {
					return refused("%w", err)
				}
				return err
			}
			defer done()
			if g.Output == "json" {
				return g.printJSON(inspected(p))
			}
			fmt.Fprintf(g.Out, "%s %s %s is right, checksum %s, signed by %s\n", p.Kind, p.Name, p.Version, p.Checksum(), signerNames(p))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "package `file`, - for standard input")
	f.StringVarP(&kind, "type", "t", "", "`kind` that it must be: CPK, CPB or CPI")
	f.BoolVar(&any, "any-signer", false, "take any right signature, whoever made it")
	trust.addStore(f, "key store with the trusted certificates: PKCS#12 or PEM `file`")
	return cmd
}

// roots returns the certificates that the flags name.
func (s *signingFlags) roots(g *Globals) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	if s.ephemeral {
		k, err := g.devKey()
		if err != nil {
			return nil, err
		}
		out = append(out, k.Chain...)
	}
	if s.keystore == "" {
		return out, nil
	}
	raw, password, err := s.read(g)
	if err != nil {
		return nil, err
	}
	found, err := keystore.Certificates(raw, password)
	if err != nil {
		return nil, fmt.Errorf("--keystore %s: %w", s.keystore, err)
	}
	return append(out, found...), nil
}
