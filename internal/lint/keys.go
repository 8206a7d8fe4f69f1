package lint

import (
	"go/ast"
	"slices"
)

// privateKeys are what makes, reads or holds a private key that can sign, by package. A variable of such a type cannot be
// had without naming one of them: who gets a crypto.Signer got it from code that does, or from the crypto worker.
func privateKeys() map[string][]string {
	return map[string][]string{
		"crypto/dsa":     {"PrivateKey", "GenerateKey"},
		"crypto/ecdsa":   {"PrivateKey", "GenerateKey", "ParseRawPrivateKey"},
		"crypto/ed25519": {"PrivateKey", "GenerateKey", "NewKeyFromSeed"},
		"crypto/rsa":     {"PrivateKey", "GenerateKey", "GenerateMultiPrimeKey"},
		"crypto/tls":     {"LoadX509KeyPair", "X509KeyPair"},
		"crypto/x509":    {"ParsePKCS8PrivateKey", "ParseECPrivateKey", "ParsePKCS1PrivateKey", "DecryptPEMBlock"},
	}
}

// keyLibraries are other ways to a private key: whole packages that only the same files may import.
var keyLibraries = []string{
	"golang.org/x/crypto/ed25519", "golang.org/x/crypto/pkcs12", "golang.org/x/crypto/ssh", "golang.org/x/crypto/openpgp",
	"software.sslmate.com/src/go-pkcs12",
}

// keyHolders are the only places of what is shipped that hold private keys, each with what they are for. Ledger, notary,
// session, TLS and group keys are not among them: they are in Vault.
var keyHolders = []string{
	"processors/rest/certificate.go",    // REST's TLS, from files
	"internal/app/kafka.go",             // the process's certificate for Kafka, from files
	"internal/kafkaadmin/properties.go", // the tools' certificate for Kafka, from files
	"internal/postgres",                 // the process's certificate for Postgres, from files
	"internal/devenv/pki.go",            // the development cluster's own certificate for REST
	"internal/cpi/keystore",             // the keys with which developers sign their packages, on their machines
	"sdk/flowtest",                      // the network in memory that applications are tested in
}

// checkPrivateKeys keeps private keys that sign out of everything but the key holders, and tests.
func checkPrivateKeys(s *source) []Problem {
	if s.harness() || slices.ContainsFunc(keyHolders, func(at string) bool { return isOrBelow(s.name, at) }) {
		return nil
	}
	const rule = "private-keys"
	const advice = ": private keys are in Vault; ask the crypto worker to sign"
	var out []Problem
	names := map[string][]string{} // by the name that the file has for the package
	s.imports(func(at ast.Node, p string) {
		if slices.Contains(keyLibraries, p) {
			out = append(out, Problem{s.name, s.line(at), rule, p + " is imported" + advice})
		}
		words := privateKeys()[p]
		switch name := s.localName(p); {
		case words == nil:
		case name == ".":
			out = append(out, Problem{s.name, s.line(at), rule, p + " is imported into the file's own names" + advice})
		default:
			names[name] = words
		}
	})
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(names[x.Name], sel.Sel.Name) {
			out = append(out, Problem{s.name, s.line(sel), rule, x.Name + "." + sel.Sel.Name + advice})
		}
		return true
	})
	return out
}
