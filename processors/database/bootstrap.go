package database

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rbac"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
)

// Admin is the first administrator. Once the user exists, what is given here changes nothing.
type Admin struct {
	Login    string
	Password string
	// PasswordHash takes the place of Password: argon2id in PHC string format.
	PasswordHash string
}

// AdminRole is the name of the role that may do everything, Corda's.
const AdminRole = "Default System Admin"

// Pieces of the default permissions' patterns, Corda's.
const (
	anyVersion = `v[_a-zA-Z0-9]{1,30}`
	anyUUID    = `[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}`
	anyVnode   = `[a-fA-F0-9]{12}`
	anyHash    = `[a-fA-F0-9]{12}`
	anyUser    = `[-._@a-zA-Z0-9]{3,255}`
	anyState   = `[_a-zA-Z0-9]{3,255}`
)

// defaultRole is a role that every cluster has from its start.
type defaultRole struct {
	name     string
	patterns []string
}

// defaultRoles are the administrator's and those that corda-cli's initial-rbac makes. The role that runs flows is for
// one virtual node and made with it: `fairlead rbac initial flow-executor`.
func defaultRoles() []defaultRole {
	api := func(method, path string) string { return method + ":/api/" + anyVersion + "/" + path }
	return []defaultRole{
		{AdminRole, []string{".*"}},
		{"UserAdminRole", []string{
			api("POST", "user"), api("GET", `user\?loginname=`+anyUser), api("GET", "user/"+anyUser), api("GET", "user/"+anyUser+"/permissionsummary"),
			api("PUT", "user/"+anyUser+"/role/"+anyUUID), api("DELETE", "user/"+anyUser+"/role/"+anyUUID), api("POST", "user/otheruserpassword"),
			api("POST", "permission"), api("POST", "permission/bulk"), api("GET", `permission\?.*`), api("GET", "permission/"+anyUUID),
			api("GET", "role"), api("POST", "role"), api("GET", "role/"+anyUUID),
			api("PUT", "role/"+anyUUID+"/permission/"+anyUUID), api("DELETE", "role/"+anyUUID+"/permission/"+anyUUID),
		}},
		{"VNodeCreatorRole", []string{
			api("POST", "cpi"), api("GET", "cpi"), api("GET", "cpi/status/"+anyUUID),
			api("POST", "virtualnode"), api("GET", "virtualnode"), api("GET", "virtualnode/"+anyVnode), api("GET", "virtualnode/status/.*"),
			api("PUT", "virtualnode/"+anyVnode+"/cpi/"+anyHash), api("PUT", "virtualnode/"+anyVnode+"/db"), api("PUT", "virtualnode/"+anyVnode+"/state/"+anyState),
		}},
		{"CordaDeveloperRole", []string{
			api("POST", "maintenance/virtualnode/forcecpiupload"), api("POST", "maintenance/virtualnode/"+anyVnode+"/vault-schema/force-resync"),
			api("PUT", "virtualnode/"+anyVnode+"/state/"+anyState),
		}},
	}
}

// idOf derives the id of a default role or permission, so that every start finds what an earlier one made.
func idOf(what string) string {
	return identity.V5(identity.Namespace(), []byte("database default "+what)).String()
}

// bootstrap makes the default roles and the first administrator where they are missing. The reconciler then finds that
// the topics lack them.
func (w *Worker) bootstrap(ctx context.Context) error {
	a := w.deps.Admin
	if a.PasswordHash == "" && a.Password != "" {
		h, err := rbac.Hash(a.Password, rbac.DefaultCost())
		if err != nil {
			return fmt.Errorf("hash the first administrator's password: %w", err)
		}
		a.PasswordHash = h
	}
	a.Login = strings.ToLower(a.Login)
	if a.Login != "" && !loginPattern.MatchString(a.Login) {
		return fmt.Errorf("the first administrator's login name %q: 3 to 255 letters, digits and -._@ are allowed", a.Login)
	}
	nowUs := time.Now().UnixMicro()
	return w.inTx(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.Lock(ctx, "bootstrap"); err != nil {
			return err
		}
		for _, d := range defaultRoles() {
			if err := putDefaultRole(ctx, tx, d, nowUs); err != nil {
				return fmt.Errorf("make the role %s: %w", d.name, err)
			}
		}
		if a.Login == "" {
			return nil
		}
		have, _, err := clusterdb.User(ctx, tx, a.Login)
		if have != nil || err != nil {
			return err
		}
		u := &rbacv1.User{
			LoginName: a.Login, FullName: "First administrator", Enabled: true, Version: 1, UpdatedAtUs: nowUs,
			RoleIds: []string{idOf("role " + AdminRole)}, RoleSinceUs: []int64{nowUs},
		}
		if err := clusterdb.PutUser(ctx, tx, u, &rbacv1.Credential{LoginName: a.Login, PasswordHash: a.PasswordHash, Version: 1}); err != nil {
			return fmt.Errorf("make the first administrator: %w", err)
		}
		return clusterdb.PutAudit(ctx, tx, clusterdb.Audit{Actor: "database", Action: "user.create", Entity: "user/" + a.Login, RequestID: "bootstrap", After: u})
	})
}

func putDefaultRole(ctx context.Context, tx *postgres.Tx, d defaultRole, nowUs int64) error {
	id := idOf("role " + d.name)
	have, err := clusterdb.Role(ctx, tx, id)
	if have != nil || err != nil {
		return err
	}
	taken, err := clusterdb.RoleNamed(ctx, tx, d.name, "")
	if taken || err != nil {
		return err
	}
	role := &rbacv1.Role{Id: id, Name: d.name, Version: 1, UpdatedAtUs: nowUs}
	for _, pattern := range d.patterns {
		p := &rbacv1.Permission{
			Id: idOf("permission of " + d.name + " " + pattern), Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, Pattern: pattern, Version: 1, UpdatedAtUs: nowUs,
		}
		if err := clusterdb.PutPermission(ctx, tx, p); err != nil {
			return err
		}
		role.PermissionIds, role.PermissionSinceUs = append(role.PermissionIds, p.GetId()), append(role.PermissionSinceUs, nowUs)
	}
	if err := clusterdb.PutRole(ctx, tx, role); err != nil {
		return err
	}
	return clusterdb.PutAudit(ctx, tx, clusterdb.Audit{Actor: "database", Action: "role.create", Entity: "role/" + id, RequestID: "bootstrap", After: role})
}
