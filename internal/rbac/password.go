package rbac

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what one password verification takes.
type Cost struct {
	// MemoryKiB is the memory in KiB.
	MemoryKiB uint32
	// Passes over that memory.
	Passes uint32
	// Lanes is the parallelism.
	Lanes uint8
}

// DefaultCost returns the cost of new hashes.
func DefaultCost() Cost { return Cost{MemoryKiB: 19 * 1024, Passes: 2, Lanes: 1} }

// Bounds on what a stored hash may ask for, so that a forged record cannot exhaust the process.
const (
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
	maxLanes     = 16
	maxSalt      = 64
	maxKey       = 64

	// maxWork bounds memory times passes of a new hash: whoever logs in has the process do it.
	maxWork = 256 * 1024

	saltBytes = 16
	keyBytes  = 32
)

// MaxPassword is the longest password in bytes.
const MaxPassword = 255

// ErrHash tells that a stored hash is not argon2id in PHC string format within the bounds.
var ErrHash = errors.New("credential is not an argon2id hash in PHC string format")

// Hash returns the argon2id hash of a password in PHC string format, with a fresh random salt.
func Hash(password string, c Cost) (string, error) {
	if password == "" || len(password) > MaxPassword {
		return "", fmt.Errorf("password has %d bytes: 1 to %d are allowed", len(password), MaxPassword)
	}
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("making a salt: %w", err)
	}
	key := argon2.IDKey([]byte(password), salt, c.Passes, c.MemoryKiB, c.Lanes, keyBytes)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MemoryKiB, c.Passes, c.Lanes,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// Verify tells whether the password belongs to the hash. Its time depends on the hash's cost alone.
func Verify(hash, password string) (bool, error) {
	c, salt, key, err := parsePHC(hash)
	if err != nil {
		return false, err
	}
	if len(password) > MaxPassword {
		return false, nil
	}
	got := argon2.IDKey([]byte(password), salt, c.Passes, c.MemoryKiB, c.Lanes, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}

// CheckHash tells whether a hash may be stored, without running it: its sender chooses what that costs.
func CheckHash(hash string) error {
	c, _, _, err := parsePHC(hash)
	if err == nil && uint64(c.MemoryKiB)*uint64(c.Passes) > maxWork {
		err = fmt.Errorf("%w: m times t is %d; at most %d is allowed: hash the password with less", ErrHash, uint64(c.MemoryKiB)*uint64(c.Passes), maxWork)
	}
	return err
}

func parsePHC(hash string) (c Cost, salt, key []byte, err error) {
	fail := func(what string) (Cost, []byte, []byte, error) {
		return Cost{}, nil, nil, fmt.Errorf("%w: %s", ErrHash, what)
	}
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return fail("wrong algorithm or number of fields")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return fail("unknown version")
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return fail("three parameters are needed")
	}
	m, okM := param(params[0], "m=", maxMemoryKiB)
	t, okT := param(params[1], "t=", maxPasses)
	p, okP := param(params[2], "p=", maxLanes)
	if !okM || !okT || !okP || m < 8*p {
		return fail("parameters m, t, p are out of bounds")
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(parts[4])
	key, errKey := base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errKey != nil || len(salt) < 8 || len(salt) > maxSalt || len(key) < 16 || len(key) > maxKey {
		return fail("salt or key is malformed")
	}
	return Cost{MemoryKiB: m, Passes: t, Lanes: uint8(p)}, salt, key, nil
}

func param(s, prefix string, limit uint64) (uint32, bool) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || n > limit {
		return 0, false
	}
	return uint32(n), true
}
