package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// tenantOf returns the tenant that an argument means: one of the cluster's own, or a virtual node.
func tenantOf(ctx context.Context, c *restClient, name string) (string, error) {
	if l := strings.ToLower(name); l == "p2p" || l == "rest" {
		return l, nil
	}
	v, err := findVNode(ctx, c, name)
	return v.ShortHash, err
}

func newKeyCommand(g *Globals) *cobra.Command {
	byTenant := func(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, c *restClient, tenant string, args []string) error) *cobra.Command {
		return restCommand(g, use, short, args, func(ctx context.Context, c *restClient, args []string) error {
			tenant, err := tenantOf(ctx, c, args[0])
			if err != nil {
				return err
			}
			return run(ctx, c, tenant, args[1:])
		})
	}
	const tenantHelp = "TENANT is a virtual node, or p2p for the cluster's TLS keys. Private keys lie in Vault and never leave it."
	list := byTenant("list TENANT", "List keys", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, tenant string, _ []string) error {
		return g.listKeys(ctx, c, tenant)
	})
	list.Long = tenantHelp
	generate := byTenant("generate TENANT ALIAS CATEGORY [SCHEME]", "Make a key pair in Vault", cobra.RangeArgs(3, 4), func(ctx context.Context, c *restClient, tenant string, args []string) error {
		scheme := "CORDA.ECDSA.SECP256R1"
		if len(args) == 3 {
			scheme = args[2]
		}
		if g.DryRun() {
			_, err := fmt.Fprintf(g.Out, "would make a %s key %q of scheme %s for %s\n", args[1], args[0], scheme, tenant)
			return err
		}
		var made struct {
			ID string `json:"id"`
		}
		raw, err := c.fetch(ctx, http.MethodPost, corda("key", tenant, "alias", args[0], "category", args[1], "scheme", scheme), nil, &made)
		if err != nil {
			return err
		}
		return g.show(raw, func() error {
			_, err := fmt.Fprintln(g.Out, made.ID)
			return err
		})
	})
	generate.Long = tenantHelp + " CATEGORY is LEDGER, NOTARY, SESSION_INIT, TLS or another of Corda's. Asking again for the same alias gives the same key."
	return groupCommand("key", "Make keys in Vault and look at their public halves", list, generate,
		byTenant("get TENANT KEYID", "Print a public key in PEM", cobra.ExactArgs(2), func(ctx context.Context, c *restClient, tenant string, args []string) error {
			pem, err := c.text(ctx, http.MethodGet, corda("key", tenant, args[0]), nil)
			if err == nil {
				_, err = fmt.Fprint(g.Out, pem)
			}
			return err
		}),
		byTenant("schemes TENANT CATEGORY", "List the schemes that a category can have", cobra.ExactArgs(2), func(ctx context.Context, c *restClient, tenant string, args []string) error {
			var names []string
			raw, err := c.fetch(ctx, http.MethodGet, corda("key", tenant, "schemes", args[0]), nil, &names)
			if err != nil {
				return err
			}
			return g.show(raw, func() error {
				_, err := fmt.Fprintln(g.Out, strings.Join(names, "\n"))
				return err
			})
		}))
}

func (g *Globals) listKeys(ctx context.Context, c *restClient, tenant string) error {
	type key struct {
		ID       string `json:"keyId"`
		Alias    string `json:"alias"`
		Category string `json:"hsmCategory"`
		Scheme   string `json:"scheme"`
		Created  string `json:"created"`
	}
	var keys map[string]key
	raw, err := c.fetch(ctx, http.MethodGet, corda("key", tenant)+"?take=10000", nil, &keys)
	if err != nil {
		return err
	}
	return g.show(raw, func() error {
		rows := [][]string{}
		for _, k := range keys {
			rows = append(rows, []string{k.ID, k.Alias, k.Category, k.Scheme, k.Created})
		}
		slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[4]+a[0], b[4]+b[0]) })
		if len(rows) == 0 {
			_, err := fmt.Fprintln(g.Out, "no keys")
			return err
		}
		return g.printTable([]string{"KEY", "ALIAS", "CATEGORY", "SCHEME", "MADE"}, rows)
	})
}

// onlyCertificates returns the certificates of a file, PEM or DER, as PEM: a key that stands beside them, as in a key
// store in PEM, never leaves the machine.
func onlyCertificates(file []byte) ([]byte, error) {
	var out []byte
	if found, err := x509.ParseCertificates(file); err == nil {
		for _, c := range found {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no certificate in PEM or DER; keytool -exportcert -rfc -keystore STORE -alias ALIAS writes that of a key store")
	}
	return out, nil
}

func newCertCommand(g *Globals) *cobra.Command {
	var vnode string
	place := func(ctx context.Context, c *restClient, usage string) ([]string, error) {
		if vnode == "" {
			return []string{"certificate", "cluster", usage}, nil
		}
		v, err := findVNode(ctx, c, vnode)
		return []string{"certificate", "vnode", v.ShortHash, usage}, err
	}
	importing := restCommand(g, "import USAGE ALIAS FILE…", "Store a certificate chain", cobra.MinimumNArgs(3), func(ctx context.Context, c *restClient, args []string) error {
		if usages := []string{"code-signer", "p2p-tls", "p2p-session", "rest-tls"}; !slices.Contains(usages, args[0]) {
			return fmt.Errorf("usage %q is not known: use one of %s", args[0], strings.Join(usages, ", "))
		}
		where, err := place(ctx, c, args[0])
		if err != nil {
			return err
		}
		var files []filePart
		for _, name := range args[2:] {
			file, err := os.ReadFile(g.Path(name))
			if err != nil {
				return fmt.Errorf("read the certificate: %w", err)
			}
			certificates, err := onlyCertificates(file)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			files = append(files, filePart{"certificate", filepath.Base(name), bytes.NewReader(certificates)})
		}
		return g.mutate(fmt.Sprintf("store %s as %s %q", strings.Join(args[2:], ", "), args[0], args[1]), func() error {
			if err := c.send(ctx, http.MethodPut, corda(where...), map[string]string{"alias": args[1]}, files, nil); err != nil {
				return err
			}
			return g.say("%s %q is stored", args[0], args[1])
		})
	})
	list := restCommand(g, "list USAGE", "List aliases", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
		where, err := place(ctx, c, args[0])
		if err != nil {
			return err
		}
		var names []string
		raw, err := c.fetch(ctx, http.MethodGet, corda(where...), nil, &names)
		if err != nil {
			return err
		}
		return g.show(raw, func() error {
			for _, n := range names {
				fmt.Fprintln(g.Out, n)
			}
			return nil
		})
	})
	get := restCommand(g, "get USAGE ALIAS", "Print a certificate chain in PEM", cobra.ExactArgs(2), func(ctx context.Context, c *restClient, args []string) error {
		where, err := place(ctx, c, args[0])
		if err != nil {
			return err
		}
		chain, err := c.text(ctx, http.MethodGet, corda(append(where, args[1])...), nil)
		if err == nil {
			_, err = fmt.Fprint(g.Out, chain)
		}
		return err
	})
	for _, cmd := range []*cobra.Command{importing, list, get} {
		cmd.Long = cmd.Short + ". USAGE is code-signer, p2p-tls, p2p-session or rest-tls."
		cmd.Flags().StringVar(&vnode, "vnode", "", "a `virtual node`'s instead of the cluster's")
	}
	importing.Long += " FILE holds certificates in PEM or DER;\nonly these are sent, not a key that stands beside them. Packages of whom a code-signer certificate is, or of whom it was\nissued to, are taken."
	importing.Example = "  fairlead cert import code-signer pay pay-release.pem"
	return groupCommand("cert", "Certificates, and requests for them that keys in Vault sign", importing, list, get, newCsrCommand(g))
}

func newCsrCommand(g *Globals) *cobra.Command {
	var names []string
	cmd := restCommand(g, "request TENANT KEYID X500NAME", "Print a certification request (PKCS#10) that a key signs in Vault", cobra.ExactArgs(3), func(ctx context.Context, c *restClient, args []string) error {
		tenant, err := tenantOf(ctx, c, args[0])
		if err != nil {
			return err
		}
		body := map[string]any{"x500Name": args[2], "subjectAlternativeNames": append([]string{}, names...)}
		request, err := c.text(ctx, http.MethodPost, corda("certificate", tenant, args[1]), body)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(request, "-----BEGIN") {
			return errors.New("the answer is no PEM")
		}
		_, err = fmt.Fprint(g.Out, request)
		return err
	})
	cmd.Flags().StringSliceVar(&names, "san", nil, "subject alternative `name`, a host or an IP address; may be repeated")
	return cmd
}
