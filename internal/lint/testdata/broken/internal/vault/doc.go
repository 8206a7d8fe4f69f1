// Package vault may talk to Vault.
package vault

import _ "github.com/hashicorp/vault/api"
