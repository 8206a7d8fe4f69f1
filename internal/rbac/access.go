package rbac

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
)

// Facts are the records that decisions are made from.
type Facts interface {
	// User returns the user of a login name in lower case.
	User(login string) (*rbacv1.User, bool)
	// Role returns a role by id.
	Role(id string) (*rbacv1.Role, bool)
	// Permission returns a permission by id.
	Permission(id string) (*rbacv1.Permission, bool)
}

// Request is what a caller wants to do. Its subjects are forms of the same request, such as the path as it was
// sent and as it was decoded: a DENY that matches any of them refuses, an ALLOW must match the first.
type Request struct {
	Subjects []string
	// VNode is the short hash of the virtual node concerned, upper case; empty when none is.
	VNode string
}

// Call returns the request of an HTTP call: METHOD:path[?query], without a slash at the path's end.
func Call(method, path, rawQuery, decodedQuery, vnode string) Request {
	base := method + ":" + strings.TrimRight(path, "/")
	if rawQuery == "" {
		return Request{Subjects: []string{base}, VNode: vnode}
	}
	forms := []string{base + "?" + rawQuery}
	if decodedQuery != rawQuery {
		forms = append(forms, base+"?"+decodedQuery)
	}
	return Request{Subjects: forms, VNode: vnode}
}

// StartFlow returns the request to start a flow of a class on a virtual node.
func StartFlow(class, vnode string) Request {
	return Request{Subjects: []string{"StartFlow:" + class}, VNode: vnode}
}

// Rules decides what is allowed. It keeps compiled patterns; the zero value is ready to use, from any goroutine.
type Rules struct {
	mu       sync.Mutex
	compiled map[string]compiledPattern
}

type compiledPattern struct {
	re  *regexp.Regexp
	err error
}

// maxPatterns bounds the compiled patterns that are kept.
const maxPatterns = 10_000

func (c *Rules) compile(pattern string) (*regexp.Regexp, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.compiled[pattern]
	if !ok {
		p.re, p.err = Compile(pattern)
		if c.compiled == nil || len(c.compiled) >= maxPatterns {
			c.compiled = map[string]compiledPattern{}
		}
		c.compiled[pattern] = p
	}
	return p.re, p.err
}

// Allowed decides whether the user may do it. Permissions whose pattern does not compile never allow, and deny
// when they are DENY: a rule that nobody can read must not open a door.
func (c *Rules) Allowed(f Facts, login string, r Request) bool {
	user, ok := f.User(login)
	if !ok || !user.GetEnabled() || len(r.Subjects) == 0 {
		return false
	}
	allowed := false
	for _, roleID := range user.GetRoleIds() {
		role, ok := f.Role(roleID)
		if !ok {
			continue
		}
		for _, id := range role.GetPermissionIds() {
			p, ok := f.Permission(id)
			if !ok || !concerns(p, r.VNode) {
				continue
			}
			re, err := c.compile(p.GetPattern())
			switch p.GetEffect() {
			case rbacv1.PermissionEffect_PERMISSION_EFFECT_DENY:
				if err != nil || matchesAny(re, r.Subjects) {
					return false
				}
			case rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW:
				allowed = allowed || err == nil && re.MatchString(r.Subjects[0])
			case rbacv1.PermissionEffect_PERMISSION_EFFECT_UNSPECIFIED:
				// says nothing
			}
		}
	}
	return allowed
}

func concerns(p *rbacv1.Permission, vnode string) bool {
	bound := p.GetVnodeShortHash()
	return bound == "" || strings.EqualFold(bound, vnode)
}

func matchesAny(re *regexp.Regexp, subjects []string) bool {
	for _, s := range subjects {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}

// Compile makes the matcher of a permission's pattern: RE2 syntax, the whole subject, upper and lower case alike.
func Compile(pattern string) (*regexp.Regexp, error) {
	// Compiled alone first: a lone parenthesis must not pair with those put around it.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("permission pattern %q is not a regular expression of RE2 (no look-around, no back-references): %w", pattern, err)
	}
	return regexp.Compile(`(?is)\A(?:` + pattern + `)\z`)
}
