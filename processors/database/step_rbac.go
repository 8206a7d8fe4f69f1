package database

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/rbac"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	"github.com/fairleadio/fairlead/topics"
)

// maxText bounds names and patterns, in characters; Corda's columns have as many.
const maxText = 255

var loginPattern = regexp.MustCompile(`^[-._@a-z0-9]{3,255}$`)

func text(what, s string, empty bool) error {
	if s == "" && !empty {
		return invalid(ErrMalformed, "%s is empty", what)
	}
	if n := utf8.RuneCountInString(s); n > maxText || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return invalid(ErrMalformed, "%s has %d characters; at most %d are allowed, and no zero bytes", what, n, maxText)
	}
	return nil
}

func (s State) createUser(e Asked, r *dbv1.CreateUser) (Outcome, error) {
	var o Outcome
	login := strings.ToLower(r.GetLoginName())
	if !loginPattern.MatchString(login) {
		return o, invalid(ErrMalformed, "login name %q: 3 to 255 letters, digits and -._@ are allowed", r.GetLoginName())
	}
	if err := text("the full name", r.GetFullName(), true); err != nil {
		return o, err
	}
	if r.GetParentGroup() != "" {
		return o, notFound("there is no group %q: groups of users do not exist yet", r.GetParentGroup())
	}
	if err := hash(r.GetPasswordHash()); err != nil {
		return o, err
	}
	if s.User != nil {
		return o, conflict(ErrExists, "User '%s' already exists.", login)
	}
	u := &rbacv1.User{
		LoginName: login, FullName: r.GetFullName(), Enabled: r.GetEnabled(), Version: 1, UpdatedAtUs: e.NowUs, PasswordExpiresAtUs: r.GetPasswordExpiresAtUs(),
	}
	c := &rbacv1.Credential{LoginName: login, PasswordHash: r.GetPasswordHash(), ExpiresAtUs: r.GetPasswordExpiresAtUs(), Version: 1}
	o.put(PutUser{u, c})
	if c.GetPasswordHash() != "" {
		o.fact(topics.RBACCredential, login, 1)
	}
	o.fact(topics.RBACUser, login, 1)
	e.audit(&o, "user.create", nil, u)
	return o, o.answer(u)
}

// hash refuses what is not a hash: a password must not come this far.
func hash(h string) error {
	if h == "" {
		return nil
	}
	if err := rbac.CheckHash(h); err != nil {
		return invalid(ErrMalformed, "the password's hash cannot be read: %v", err)
	}
	return nil
}

func (s State) changePassword(e Asked, r *dbv1.ChangePassword) (Outcome, error) {
	var o Outcome
	if s.User == nil {
		return o, notFound("User '%s' not found.", r.GetLoginName())
	}
	if err := hash(r.GetPasswordHash()); err != nil {
		return o, err
	}
	if r.GetPasswordHash() == "" {
		return o, invalid(ErrMalformed, "the password's hash is empty")
	}
	u := clone(s.User)
	u.Version, u.UpdatedAtUs, u.PasswordExpiresAtUs = u.GetVersion()+1, e.NowUs, r.GetPasswordExpiresAtUs()
	c := &rbacv1.Credential{
		LoginName: u.GetLoginName(), PasswordHash: r.GetPasswordHash(), ExpiresAtUs: r.GetPasswordExpiresAtUs(), Version: s.Credential.GetVersion() + 1,
	}
	o.put(PutUser{u, c})
	o.fact(topics.RBACCredential, u.GetLoginName(), c.GetVersion())
	o.fact(topics.RBACUser, u.GetLoginName(), u.GetVersion())
	e.audit(&o, "user.password", s.User, u)
	return o, o.answer(u)
}

// userAndRole finds both ends of an association.
func (s State) userAndRole(r *dbv1.UserRole) error {
	if s.User == nil {
		return notFound("User '%s' not found.", r.GetLoginName())
	}
	if s.Roles[r.GetRoleId()] == nil {
		return notFound("Role '%s' not found.", r.GetRoleId())
	}
	return nil
}

func (s State) addUserRole(e Asked, r *dbv1.UserRole) (Outcome, error) {
	if err := s.userAndRole(r); err != nil {
		return Outcome{}, err
	}
	if slices.Contains(s.User.GetRoleIds(), r.GetRoleId()) {
		return Outcome{}, conflict(ErrAssociation, "Role '%s' is already associated with User '%s'.", r.GetRoleId(), s.User.GetLoginName())
	}
	u := clone(s.User)
	u.RoleIds, u.RoleSinceUs = append(u.RoleIds, r.GetRoleId()), append(u.RoleSinceUs, e.NowUs)
	return s.userChanged(e, "user.role.add", u)
}

func (s State) removeUserRole(e Asked, r *dbv1.UserRole) (Outcome, error) {
	if err := s.userAndRole(r); err != nil {
		return Outcome{}, err
	}
	at := slices.Index(s.User.GetRoleIds(), r.GetRoleId())
	if at < 0 {
		return Outcome{}, refuseAssociation("Role '%s' is not associated with User '%s'.", r.GetRoleId(), s.User.GetLoginName())
	}
	u := clone(s.User)
	u.RoleIds, u.RoleSinceUs = slices.Delete(u.RoleIds, at, at+1), slices.Delete(u.RoleSinceUs, at, at+1)
	return s.userChanged(e, "user.role.remove", u)
}

// refuseAssociation is for what should be tied together and is not.
func refuseAssociation(format string, args ...any) *refusal {
	r := notFound(format, args...)
	r.err.Id = ErrAssociation
	return r
}

func (s State) userChanged(e Asked, action string, u *rbacv1.User) (Outcome, error) {
	var o Outcome
	u.Version, u.UpdatedAtUs = u.GetVersion()+1, e.NowUs
	o.put(PutUser{User: u})
	o.fact(topics.RBACUser, u.GetLoginName(), u.GetVersion())
	e.audit(&o, action, s.User, u)
	return o, o.answer(u)
}

func (s State) createRole(e Asked, r *dbv1.CreateRole) (Outcome, error) {
	var o Outcome
	if err := text("the role's name", r.GetName(), false); err != nil {
		return o, err
	}
	if r.GetGroupVisibility() != "" {
		return o, notFound("there is no group %q: groups of users do not exist yet", r.GetGroupVisibility())
	}
	if s.RoleTaken {
		return o, conflict(ErrExists, "Role '%s' already exists.", r.GetName())
	}
	role := &rbacv1.Role{Id: e.id("role"), Name: r.GetName(), Version: 1, UpdatedAtUs: e.NowUs}
	o.put(PutRole{role})
	o.fact(topics.RBACRole, role.GetId(), 1)
	e.audit(&o, "role.create", nil, role)
	return o, o.answer(role)
}

// roleAndPermission finds both ends of an association.
func (s State) roleAndPermission(r *dbv1.RolePermission) (*rbacv1.Role, error) {
	role := s.Roles[r.GetRoleId()]
	if role == nil {
		return nil, notFound("Role '%s' not found.", r.GetRoleId())
	}
	if s.Permissions[r.GetPermissionId()] == nil {
		return nil, notFound("Permission '%s' not found.", r.GetPermissionId())
	}
	return role, nil
}

func (s State) addRolePermission(e Asked, r *dbv1.RolePermission) (Outcome, error) {
	role, err := s.roleAndPermission(r)
	if err != nil {
		return Outcome{}, err
	}
	if slices.Contains(role.GetPermissionIds(), r.GetPermissionId()) {
		return Outcome{}, conflict(ErrAssociation, "Permission '%s' is already associated with Role '%s'.", r.GetPermissionId(), role.GetId())
	}
	after := clone(role)
	given(after, e.NowUs, r.GetPermissionId())
	return roleChanged(e, "role.permission.add", role, after)
}

// given adds permissions to a role and counts its version.
func given(role *rbacv1.Role, nowUs int64, permissions ...string) {
	for _, p := range permissions {
		role.PermissionIds, role.PermissionSinceUs = append(role.PermissionIds, p), append(role.PermissionSinceUs, nowUs)
	}
	role.Version, role.UpdatedAtUs = role.GetVersion()+1, nowUs
}

func (s State) removeRolePermission(e Asked, r *dbv1.RolePermission) (Outcome, error) {
	role, err := s.roleAndPermission(r)
	if err != nil {
		return Outcome{}, err
	}
	at := slices.Index(role.GetPermissionIds(), r.GetPermissionId())
	if at < 0 {
		return Outcome{}, refuseAssociation("Permission '%s' is not associated with Role '%s'.", r.GetPermissionId(), role.GetId())
	}
	after := clone(role)
	after.PermissionIds, after.PermissionSinceUs = slices.Delete(after.PermissionIds, at, at+1), slices.Delete(after.PermissionSinceUs, at, at+1)
	after.Version, after.UpdatedAtUs = after.GetVersion()+1, e.NowUs
	return roleChanged(e, "role.permission.remove", role, after)
}

func roleChanged(e Asked, action string, before, after *rbacv1.Role) (Outcome, error) {
	var o Outcome
	o.put(PutRole{after})
	o.fact(topics.RBACRole, after.GetId(), after.GetVersion())
	e.audit(&o, action, before, after)
	return o, o.answer(after)
}

func (s State) createPermission(e Asked, r *dbv1.CreatePermission) (Outcome, error) {
	var o Outcome
	p, err := newPermission(e, r, "permission")
	if err != nil {
		return o, err
	}
	o.put(PutPermission{p})
	o.fact(topics.RBACPermission, p.GetId(), 1)
	e.audit(&o, "permission.create", nil, p)
	return o, o.answer(p)
}

func newPermission(e Asked, r *dbv1.CreatePermission, name string) (*rbacv1.Permission, error) {
	switch r.GetEffect() {
	case rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, rbacv1.PermissionEffect_PERMISSION_EFFECT_DENY:
	default:
		return nil, invalid(ErrMalformed, "the permission's type is %s: ALLOW or DENY is needed", r.GetEffect())
	}
	if err := text("the permission's pattern", r.GetPattern(), false); err != nil {
		return nil, err
	}
	if _, err := rbac.Compile(r.GetPattern()); err != nil {
		return nil, invalid(ErrPattern, "%v", err)
	}
	vnode := r.GetVnodeShortHash()
	if vnode != "" {
		canonical, err := identity.ParseShortHash(vnode)
		if err != nil {
			return nil, invalid(ErrMalformed, "the permission's virtual node: %v", err)
		}
		vnode = canonical
	}
	if r.GetGroupVisibility() != "" {
		return nil, notFound("there is no group %q: groups of users do not exist yet", r.GetGroupVisibility())
	}
	return &rbacv1.Permission{
		Id: e.id(name), Effect: r.GetEffect(), Pattern: r.GetPattern(), VnodeShortHash: vnode, Version: 1, UpdatedAtUs: e.NowUs,
	}, nil
}

// maxPermissions bounds what is made at once.
const maxPermissions = 1000

func (s State) createPermissions(e Asked, r *dbv1.CreatePermissions) (Outcome, error) {
	var o Outcome
	if n := len(r.GetPermissions()); n == 0 || n > maxPermissions {
		return o, invalid(ErrMalformed, "%d permissions are given: 1 to %d are allowed", n, maxPermissions)
	}
	created := &dbv1.CreatedPermissions{}
	for i, p := range r.GetPermissions() {
		made, err := newPermission(e, p, fmt.Sprintf("permission %d", i))
		if err != nil {
			return o, err
		}
		o.put(PutPermission{made})
		o.elsewhere(topics.RBACPermission, made.GetId(), 1)
		e.audit(&o, "permission.create", nil, made)
		created.PermissionIds = append(created.PermissionIds, made.GetId())
	}
	for _, id := range r.GetRoleIds() {
		role := s.Roles[id]
		if role == nil {
			return o, notFound("Role '%s' not found.", id)
		}
		if slices.Contains(created.RoleIds, id) {
			continue
		}
		after := clone(role)
		given(after, e.NowUs, created.PermissionIds...)
		o.put(PutRole{after})
		o.elsewhere(topics.RBACRole, id, after.GetVersion())
		e.audit(&o, "role.permission.add", role, after)
		created.RoleIds = append(created.RoleIds, id)
	}
	return o, o.answer(created)
}
