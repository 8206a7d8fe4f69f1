package devenv

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Credentials are the administrator's name and password, and the hash that is published. The file is readable by
// its owner alone.
type Credentials struct {
	User         string `json:"user"`
	Password     string `json:"password"`
	PasswordHash string `json:"password_hash"`
}

// adminUser is the first administrator's login name, as in Corda.
const adminUser = "admin"

// credentials reads the directory's administrator, made at the first start. hash makes a stored hash of a password.
func (d *dataDir) credentials(hash func(string) (string, error)) (Credentials, error) {
	name := d.join(credentialsFile)
	b, err := os.ReadFile(name)
	if err == nil {
		var c Credentials
		if err := json.Unmarshal(b, &c); err != nil || c.User == "" || c.Password == "" || c.PasswordHash == "" {
			return Credentials{}, fmt.Errorf("%s is damaged: remove it, and a new password is made", name)
		}
		return c, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Credentials{}, fmt.Errorf("reading the credentials: %w", err)
	}
	c := Credentials{User: adminUser, Password: rand.Text()}
	if c.PasswordHash, err = hash(c.Password); err != nil {
		return Credentials{}, fmt.Errorf("hashing the password: %w", err)
	}
	if err := writeFile(d.join(passwordFile), []byte(c.Password+"\n")); err != nil {
		return Credentials{}, err
	}
	return c, writeJSON(name, c)
}
